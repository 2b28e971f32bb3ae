//! Who the bridge speaks for: an account's name and its role at FFN.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a configured account: `[a-z0-9-]{1,32}`. First word of every routing key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

/// Why a text is no account name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no account name: 1 to 32 characters of a-z, 0-9 and '-' are allowed")]
pub struct InvalidAccountName {
    given: String,
}

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAccountName { given: text.chars().take(64).collect() })
        }
    }
}

impl TryFrom<String> for AccountName {
    type Error = InvalidAccountName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The side of the network an account stands on. It is a segment of every API path (contract 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Owns products and sends orders.
    Merchant,
    /// Runs warehouses and ships.
    Fulfiller,
}

impl Role {
    /// The role as it stands in API paths and scopes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Fulfiller => "fulfiller",
        }
    }

    /// The OAuth scopes the bridge asks for: writing does not imply reading (contract 2.3).
    pub fn scopes(self) -> [&'static str; 2] {
        match self {
            Self::Merchant => ["ffn.merchant.read", "ffn.merchant.write"],
            Self::Fulfiller => ["ffn.fulfiller.read", "ffn.fulfiller.write"],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words_of_limited_length() {
        for good in ["acme", "a", "shop-2", &"x".repeat(32)] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in ["", "Acme", "a.b", "a#", "a*", &"x".repeat(33), "ä"] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad}");
        }
    }
}
