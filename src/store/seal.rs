//! Secrets at rest: XChaCha20-Poly1305 with a random nonce for each value.
//!
//! A sealed value is the text `sealed:1:{key id}:{base64 of nonce and ciphertext}`; anything else that the
//! store holds is an unsealed value. Account and kind of secret are bound in as associated data, so that a
//! value that is moved to another row or column does not open. The newest key seals; older ones are for
//! reading, so that keys can be changed while the bridge runs.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::account::AccountName;

/// How long a key is.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// What every sealed value begins with, whatever the version of its form.
const SEALED: &str = "sealed:";
const VERSION: &str = "1";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Names a key without telling it: 8 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A key that seals and opens.
pub struct Key {
    id: KeyId,
    bytes: SecretBox<[u8; KEY_BYTES]>,
}

/// Why a text is no key. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not base64.
    #[error("is not base64")]
    NotBase64,
    /// It is base64 of another length.
    #[error("is base64 of {0} bytes")]
    Length(usize),
}

impl Key {
    /// Reads a key: 32 bytes in base64, standard or URL-safe, padded or not.
    ///
    /// # Errors
    /// The text is not base64, or not that long.
    pub fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let text = text.expose_secret().trim();
        let decoded = BASE64.decode(text).or_else(|_| BASE64_URL.decode(text));
        let decoded = Zeroizing::new(decoded.map_err(|_| KeyError::NotBase64)?);
        let bytes: &[u8; KEY_BYTES] = decoded.as_slice().try_into().map_err(|_| KeyError::Length(decoded.len()))?;
        Ok(Self::new(bytes))
    }

    /// A new random key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        let bytes = <[u8; KEY_BYTES]>::try_generate().map_err(|_| SealError)?;
        Ok(Self::new(&Zeroizing::new(bytes)))
    }

    /// Made in place, so that no copy stays behind.
    fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut digest = Sha256::new();
        digest.update("ffn-bridge key id\0");
        digest.update(bytes);
        let id = digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let bytes = SecretBox::init_with_mut(|kept: &mut [u8; KEY_BYTES]| kept.copy_from_slice(bytes));
        Self { id: KeyId(id), bytes }
    }

    /// Its name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// As it is written in the configuration.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.bytes.expose_secret()))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes.expose_secret().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.id)
    }
}

/// What a sealed value is. A value does not open as another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// An answer of the OAuth server that is kept for a person.
    Answer,
}

impl Sealed {
    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Answer => "answer",
        }
    }
}

/// The system gives no random bytes, so nothing can be sealed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a secret can't be sealed: the system gives no random bytes")]
pub struct SealError;

/// Why a stored value can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is sealed with a key that is not at hand.
    #[error("it is sealed with key {0}, which is not configured")]
    UnknownKey(KeyId),
    /// It is sealed, and there is no key at all.
    #[error("it is sealed with key {0}, and no key is configured")]
    NoKey(KeyId),
    /// It is no value that this bridge sealed for this place: changed, cut off, or moved here from elsewhere.
    #[error("what is sealed there was changed, or belongs to another account")]
    Damaged,
}

/// The keys of a store: one that seals, and older ones. With none, values are stored unsealed.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// The current one first.
    keys: Arc<[Key]>,
}

impl Keyring {
    /// A keyring that seals with `current` and opens with `old` as well.
    pub fn new(current: Key, old: Vec<Key>) -> Self {
        Self { keys: std::iter::once(current).chain(old).collect() }
    }

    /// The key that seals; `None` if values are stored unsealed.
    pub fn current(&self) -> Option<&Key> {
        self.keys.first()
    }

    /// The ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(Key::id)
    }

    /// A secret as it is to be stored.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn seal(
        &self,
        account: &AccountName,
        what: Sealed,
        secret: &SecretString,
    ) -> Result<Zeroizing<String>, SealError> {
        let Some(key) = self.current() else { return Ok(Zeroizing::new(secret.expose_secret().to_owned())) };
        let nonce = XNonce::try_generate().map_err(|_| SealError)?;
        let aad = associated(account, what, &key.id);
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: aad.as_bytes() };
        let ciphertext = key.cipher().encrypt(&nonce, payload).map_err(|_| SealError)?;
        let body = BASE64.encode([nonce.as_slice(), &ciphertext].concat());
        Ok(Zeroizing::new(format!("{SEALED}{VERSION}:{}:{body}", key.id)))
    }

    /// A secret from what is stored.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, account: &AccountName, what: Sealed, stored: &str) -> Result<SecretString, OpenError> {
        let Some(sealed) = stored.strip_prefix(SEALED) else { return Ok(SecretString::from(stored)) };
        let (id, body) = sealed
            .strip_prefix(VERSION)
            .and_then(|rest| rest.strip_prefix(':')?.split_once(':'))
            .filter(|(id, _)| is_key_id(id))
            .ok_or(OpenError::Damaged)?;
        if self.keys.is_empty() {
            return Err(OpenError::NoKey(KeyId(id.to_owned())));
        }
        let mut keys = self.keys.iter().filter(|key| key.id.0 == id).peekable();
        if keys.peek().is_none() {
            return Err(OpenError::UnknownKey(KeyId(id.to_owned())));
        }
        let body = BASE64.decode(body).map_err(|_| OpenError::Damaged)?;
        let (nonce, ciphertext) = body.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Damaged)?;
        let nonce = XNonce::from(*nonce);
        // Two keys may, though hardly ever will, have the same id.
        keys.find_map(|key| {
            let aad = associated(account, what, &key.id);
            let opened = key.cipher().decrypt(&nonce, Payload { msg: ciphertext, aad: aad.as_bytes() });
            let opened = Zeroizing::new(opened.ok()?);
            // Copied into a box of its size: turning the buffer itself into one could leave parts behind.
            std::str::from_utf8(&opened).ok().map(SecretString::from)
        })
        .ok_or(OpenError::Damaged)
    }

    /// With which key a stored value is sealed, as it says itself; `None` if it is not sealed.
    pub fn sealed_with(stored: &str) -> Option<KeyId> {
        let id = stored.strip_prefix(SEALED)?.split(':').nth(1).filter(|id| is_key_id(id));
        Some(KeyId(id.unwrap_or("unknown").to_owned()))
    }
}

fn is_key_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a value is bound to. Names of accounts have no zero bytes, so no two places give the same.
fn associated(account: &AccountName, what: Sealed, key: &KeyId) -> String {
    format!("ffn-bridge\0{VERSION}\0{key}\0{account}\0{}", what.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "def50200-a-refresh-token";

    fn key(byte: u8) -> Key {
        Key::new(&[byte; KEY_BYTES])
    }

    fn ring(current: u8, old: &[u8]) -> Keyring {
        Keyring::new(key(current), old.iter().copied().map(key).collect())
    }

    fn acme() -> AccountName {
        "acme".parse().unwrap()
    }

    fn seal(ring: &Keyring) -> String {
        ring.seal(&acme(), Sealed::Refresh, &TOKEN.into()).unwrap().to_string()
    }

    #[test]
    fn what_was_sealed_opens_and_is_not_to_be_read() {
        let ring = ring(1, &[]);
        let stored = seal(&ring);
        assert!(stored.starts_with(&format!("sealed:1:{}:", key(1).id())), "{stored}");
        assert!(!stored.contains("def50200") && !stored.contains(&BASE64.encode(TOKEN)), "{stored}");
        assert_eq!(ring.open(&acme(), Sealed::Refresh, &stored).unwrap().expose_secret(), TOKEN);
        assert_ne!(stored, seal(&ring), "each time with another nonce");
    }

    #[test]
    fn an_old_key_opens_and_does_not_seal() {
        let (old, new, both) = (ring(1, &[]), ring(2, &[]), ring(2, &[1]));
        assert_eq!(both.open(&acme(), Sealed::Refresh, &seal(&old)).unwrap().expose_secret(), TOKEN);
        let stored = seal(&both);
        assert_eq!(new.open(&acme(), Sealed::Refresh, &stored).unwrap().expose_secret(), TOKEN);
        assert_eq!(Keyring::sealed_with(&stored).as_ref(), both.ids().next());
    }

    #[test]
    fn without_a_key_values_are_stored_as_they_are_and_with_one_they_are_still_read() {
        let none = Keyring::default();
        let stored = seal(&none);
        assert_eq!((stored.as_str(), Keyring::sealed_with(&stored)), (TOKEN, None));
        for ring in [none, ring(1, &[])] {
            assert_eq!(ring.open(&acme(), Sealed::Refresh, &stored).unwrap().expose_secret(), TOKEN);
        }
    }

    #[test]
    fn a_value_in_another_place_does_not_open() {
        let ring = ring(1, &[]);
        let stored = seal(&ring);
        let other = "acme-2".parse().unwrap();
        assert_eq!(ring.open(&other, Sealed::Refresh, &stored).unwrap_err(), OpenError::Damaged);
        for what in [Sealed::Access, Sealed::Answer] {
            assert_eq!(ring.open(&acme(), what, &stored).unwrap_err(), OpenError::Damaged);
        }
    }

    #[test]
    fn no_byte_can_be_changed() {
        let ring = ring(1, &[]);
        let stored = seal(&ring);
        let (head, body) = stored.rsplit_once(':').unwrap();
        let bytes = BASE64.decode(body).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("{head}:{}", BASE64.encode(changed));
            assert_eq!(ring.open(&acme(), Sealed::Refresh, &changed).unwrap_err(), OpenError::Damaged, "byte {at}");
        }
        for length in 0..bytes.len() {
            let cut = format!("{head}:{}", BASE64.encode(&bytes[..length]));
            assert_eq!(ring.open(&acme(), Sealed::Refresh, &cut).unwrap_err(), OpenError::Damaged, "{length} bytes");
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let stored = seal(&ring(1, &[]));
        let id = key(1).id().clone();
        let error = ring(2, &[3]).open(&acme(), Sealed::Refresh, &stored).unwrap_err();
        assert_eq!(error, OpenError::UnknownKey(id.clone()));
        assert!(error.to_string().contains(&id.to_string()), "{error}");
        assert_eq!(Keyring::default().open(&acme(), Sealed::Refresh, &stored).unwrap_err(), OpenError::NoKey(id));
    }

    #[test]
    fn what_claims_to_be_sealed_is_never_taken_for_a_token() {
        for stored in
            ["sealed:", "sealed:2:00000000:AAAA", "sealed:1:", "sealed:1:ABCDEFGH:AAAA", "sealed:x", "sealed:1:é"]
        {
            for ring in [Keyring::default(), ring(1, &[])] {
                assert_eq!(ring.open(&acme(), Sealed::Refresh, stored).unwrap_err(), OpenError::Damaged, "{stored}");
            }
            assert!(Keyring::sealed_with(stored).is_some(), "{stored}");
        }
    }

    #[test]
    fn a_key_is_read_from_any_kind_of_base64_and_from_nothing_else() {
        let bytes = [0xfb; KEY_BYTES];
        let padded = BASE64.encode(bytes);
        let url = padded.replace('+', "-").replace('/', "_");
        assert!(padded.contains('+') && padded.ends_with('='));
        for text in [&padded, &url, padded.trim_end_matches('='), url.trim_end_matches('='), &format!(" {padded}\n")] {
            assert_eq!(Key::parse(&text.into()).unwrap().bytes.expose_secret(), &bytes, "{text}");
        }
        let error = |text: &str| Key::parse(&text.into()).unwrap_err();
        assert_eq!(error("correct horse battery staple"), KeyError::NotBase64);
        assert_eq!(error(""), KeyError::Length(0));
        assert_eq!(error(&"ab".repeat(32)), KeyError::Length(48));
        assert_eq!(error(&BASE64.encode([0; 31])), KeyError::Length(31));
        assert_eq!(error(&BASE64.encode([0; 33])), KeyError::Length(33));
    }

    #[test]
    fn a_new_key_is_another_each_time_and_can_be_read() {
        let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert_ne!(one.id(), other.id());
        let read = Key::parse(&one.to_base64().as_str().into()).unwrap();
        assert_eq!((read.id(), read.bytes.expose_secret()), (one.id(), one.bytes.expose_secret()));
    }

    #[test]
    fn nothing_that_is_printed_holds_a_key() {
        let key = key(0x5a);
        let base64 = key.to_base64();
        let ring = Keyring::new(key, vec![self::key(0x5b)]);
        let shown = format!("{ring:?}{ring:#?}");
        for text in [base64.as_str(), "90", "5a, 5a", "5a5a", "ZZ"] {
            assert!(!shown.contains(text), "{text}: {shown}");
        }
    }

    proptest! {
        #[test]
        fn any_secret_comes_back(secret in any::<String>(), account in "[a-z0-9-]{1,32}") {
            let (ring, account) = (ring(1, &[2]), account.parse().unwrap());
            let stored = ring.seal(&account, Sealed::Answer, &secret.as_str().into()).unwrap();
            let opened = ring.open(&account, Sealed::Answer, &stored).unwrap();
            prop_assert_eq!(opened.expose_secret(), secret);
        }

        #[test]
        fn nothing_that_is_stored_makes_a_panic(bytes in any::<Vec<u8>>(), head in "(sealed:)?(1:)?([0-9a-f]{8}:)?") {
            let ring = ring(1, &[2]);
            let known = format!("sealed:1:{}:", key(1).id());
            let text = String::from_utf8_lossy(&bytes);
            for stored in [format!("{head}{text}"), format!("{known}{text}"), format!("{known}{}", BASE64.encode(&bytes))] {
                let opened = ring.open(&acme(), Sealed::Access, &stored);
                prop_assert_eq!(opened.is_ok(), !stored.starts_with(SEALED));
                drop(Keyring::sealed_with(&stored));
            }
            drop(Key::parse(&text.as_ref().into()));
        }
    }
}
