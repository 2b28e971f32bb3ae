//! The OAuth server: authorization codes, access tokens, refresh tokens that work once.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::answer::Answer;
use crate::catalog::Role;
use crate::flags::Flags;
use crate::refreshes::{Outcome, Receipt, Record, Refreshing};
use crate::switches::{RefreshAnswer, Switches, TokenForm};

/// Life of an authorization code in simulated milliseconds.
const CODE_LIFE: i64 = 600_000;

const READ_WRITE: [[&str; 2]; 2] =
    [["ffn.merchant.read", "ffn.merchant.write"], ["ffn.fulfiller.read", "ffn.fulfiller.write"]];

/// Who a token speaks for.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) role: Role,
    pub(crate) scopes: Vec<String>,
    /// Tokens that descend from one authorization share it.
    chain: u64,
}

#[derive(Debug)]
struct Access {
    name: String,
    grant: Grant,
    /// Its life in milliseconds.
    ttl: i64,
    expires: i64,
    revoked: bool,
}

#[derive(Clone, Debug)]
enum Life {
    Fresh,
    /// By the request with this receipt.
    Spent(Receipt),
    Revoked,
}

impl Life {
    fn is_fresh(&self) -> bool {
        matches!(self, Life::Fresh)
    }
}

#[derive(Debug)]
struct Refresh {
    /// `refresh-N`, in the order of issue.
    name: String,
    grant: Grant,
    born: i64,
    life: Life,
}

/// A `POST /token` as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenCall<'a> {
    pub(crate) authorization: Option<&'a str>,
    /// The content type is that of a form.
    pub(crate) form: bool,
    pub(crate) body: &'a [u8],
    /// Its number in the journal.
    pub(crate) seq: u64,
    pub(crate) receipt: &'a Receipt,
    pub(crate) now: i64,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    redirect: String,
    challenge: Option<(String, bool)>,
    expires: i64,
    used: bool,
}

#[derive(Debug, Default)]
struct Counters {
    access_issued: u64,
    refresh_issued: u64,
    codes_issued: u64,
    codes_redeemed: u64,
    refreshes: u64,
    refused: u64,
    refused_clients: u64,
}

#[derive(Debug)]
pub(crate) struct OAuth {
    random: fastrand::Rng,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
    chains: u64,
    count: Counters,
    secrets: Vec<(&'static str, String)>,
    /// Refresh tokens that came and were never issued, and their numbers.
    unknown: HashMap<String, usize>,
    pub(crate) record: Record,
}

/// Whether an account grants a scope: what a switch lists, else what fits its role and what is not of FFN.
pub(crate) fn granted(switches: &Switches, role: Role, scope: &str) -> bool {
    match &switches.granted_scope {
        Some(list) => list.iter().any(|s| s == scope),
        None => rights(role).contains(&scope) || !scope.starts_with("ffn."),
    }
}

fn rights(role: Role) -> [&'static str; 2] {
    let [merchant, fulfiller] = READ_WRITE;
    match role {
        Role::Merchant => merchant,
        Role::Fulfiller => fulfiller,
    }
}

/// First value of a form or query field.
pub(crate) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

pub(crate) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

pub(crate) fn refusal(status: u16, error: &str, text: &str) -> Answer {
    Answer::json(status, json!({"error": error, "error_description": text, "message": text}).to_string())
        .header("Cache-Control", "no-store")
}

impl OAuth {
    pub(crate) fn new(flags: &Flags, seed: u64, now: i64) -> Self {
        let mut oauth = OAuth {
            random: fastrand::Rng::with_seed(seed ^ 0x6f61_7574_6821),
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            chains: 0,
            count: Counters::default(),
            secrets: Vec::new(),
            unknown: HashMap::new(),
            record: Record::default(),
        };
        oauth.learn_client(&flags.client_id, &flags.switches.client_secret);
        for (role, token) in
            [(Role::Merchant, &flags.initial_refresh_token), (Role::Fulfiller, &flags.initial_fulfiller_refresh_token)]
        {
            oauth.chains += 1;
            let scopes = rights(role).into_iter().filter(|s| granted(&flags.switches, role, s)).map(str::to_owned);
            let grant = Grant { role, scopes: scopes.collect(), chain: oauth.chains };
            oauth.keep_refresh(token.clone(), grant, now);
        }
        oauth
    }

    /// Lets all tokens live on in a world whose clock shows `now`: each has its whole life before it again,
    /// unless it was spent or revoked. What was counted and recorded is forgotten.
    pub(crate) fn go_on(&mut self, flags: &Flags, now: i64) {
        self.learn_client(&flags.client_id, &flags.switches.client_secret);
        for access in self.access.values_mut() {
            access.expires = now.saturating_add(access.ttl);
        }
        for refresh in self.refresh.values_mut() {
            refresh.born = now;
        }
        for code in self.codes.values_mut() {
            code.expires = now.saturating_add(CODE_LIFE);
        }
        self.count = Counters::default();
        self.record = Record::default();
    }

    fn keep_refresh(&mut self, token: String, grant: Grant, now: i64) {
        let name = format!("refresh-{}", self.refresh.len() + 1);
        self.secrets.push(("refresh_token", token.clone()));
        self.refresh.insert(token, Refresh { name, grant, born: now, life: Life::Fresh });
    }

    /// Lists a secret that came from outside. Short texts are left out: they are found everywhere.
    pub(crate) fn learn(&mut self, kind: &'static str, value: &str) {
        if value.len() >= 8 && !self.secrets.iter().any(|(_, known)| known == value) {
            self.secrets.push((kind, value.to_owned()));
        }
    }

    pub(crate) fn learn_client(&mut self, id: &str, secret: &str) {
        self.learn("client_secret", secret);
        self.learn("basic", &STANDARD.encode(format!("{id}:{secret}")));
    }

    /// The account whose token, refresh token or code a request carries, good or not.
    pub(crate) fn role_of(&self, header: Option<&str>, body: &[u8]) -> Option<Role> {
        let bearer = header.and_then(|h| h.split_once(' ')).and_then(|(_, token)| self.access.get(token.trim()));
        if let Some(access) = bearer {
            return Some(access.grant.role);
        }
        let form = pairs(body);
        let refresh = field(&form, "refresh_token").and_then(|token| self.refresh.get(token)).map(|t| t.grant.role);
        refresh.or_else(|| field(&form, "code").and_then(|code| self.codes.get(code)).map(|c| c.grant.role))
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.random.u8(..)).take(count).collect()
    }

    pub(crate) fn hex(&mut self, count: usize) -> String {
        self.bytes(count).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Who an `Authorization` header speaks for; `None` for anything that is not good now.
    pub(crate) fn caller(&self, header: Option<&str>, now: i64) -> Option<Grant> {
        let (scheme, token) = header?.split_once(' ')?;
        let access = self.access.get(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        (!access.revoked && now < access.expires).then(|| access.grant.clone())
    }

    /// How the journal calls an `Authorization` header, without its value.
    pub(crate) fn label(&self, header: Option<&str>) -> Option<String> {
        let header = header?;
        Some(match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.access.get(token.trim()).map_or_else(|| "unknown-bearer".to_owned(), |a| a.name.clone())
            }
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("basic") => "basic".to_owned(),
            _ => "other".to_owned(),
        })
    }

    /// An authorization code for what a person approved.
    pub(crate) fn issue_code(
        &mut self,
        role: Role,
        scopes: Vec<String>,
        redirect: String,
        challenge: Option<(String, bool)>,
        now: i64,
    ) -> String {
        let code = format!("def502{}", self.hex(40));
        self.chains += 1;
        let grant = Grant { role, scopes, chain: self.chains };
        let entry = Code { grant, redirect, challenge, expires: now.saturating_add(CODE_LIFE), used: false };
        self.codes.insert(code.clone(), entry);
        self.secrets.push(("code", code.clone()));
        self.count.codes_issued += 1;
        code
    }

    fn client_is_known(&mut self, flags: &Flags, header: Option<&str>) -> bool {
        let plain = header
            .and_then(|h| h.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, value)| STANDARD.decode(value.trim()).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((id, secret)) = plain.as_deref().and_then(|text| text.split_once(':')) else {
            return false;
        };
        // Both as they are and form-encoded, as RFC 6749 wants it.
        let same = |given: &str, known: &str| {
            given == known || pairs(format!("v={given}").as_bytes()).first().is_some_and(|(_, v)| v == known)
        };
        let known = same(id, &flags.client_id) && same(secret, &flags.switches.client_secret);
        if !known {
            self.learn("wrong_client_secret", secret);
        }
        known
    }

    /// `POST /token`.
    pub(crate) fn token(&mut self, flags: &Flags, call: &TokenCall<'_>) -> Answer {
        let form = pairs(call.body);
        if !self.client_is_known(flags, call.authorization) {
            self.count.refused_clients += 1;
            self.note_if_refresh(call, &form, Outcome::Client);
            let answer = refusal(401, "invalid_client", "Client authentication failed");
            return answer.header("WWW-Authenticate", "Basic realm=\"OAuth\"");
        }
        if !call.form {
            return refusal(400, "unsupported_grant_type", "A form is needed");
        }
        match field(&form, "grant_type") {
            Some("authorization_code") => self.redeem(flags, &form, call.now),
            Some("refresh_token") => self.renew(flags, field(&form, "refresh_token").unwrap_or_default(), call),
            _ => {
                let text = "The authorization grant type is not supported by the authorization server.";
                refusal(400, "unsupported_grant_type", text)
            }
        }
    }

    /// Notes a refresh that a fault ended before anything happened.
    pub(crate) fn not_processed(&mut self, call: &TokenCall<'_>) {
        self.note_if_refresh(call, &pairs(call.body), Outcome::NotProcessed);
    }

    fn note_if_refresh(&mut self, call: &TokenCall<'_>, form: &[(String, String)], outcome: Outcome) {
        if field(form, "grant_type") == Some("refresh_token") {
            let token = field(form, "refresh_token").unwrap_or_default();
            self.note(call, token, outcome, None, false);
        }
    }

    fn note(&mut self, call: &TokenCall<'_>, token: &str, outcome: Outcome, issued: Option<String>, chain_ended: bool) {
        let token = match self.refresh.get(token) {
            Some(known) => known.name.clone(),
            None if token.is_empty() => "none".to_owned(),
            None => {
                self.learn("unknown_refresh_token", token);
                let next = self.unknown.len() + 1;
                format!("unknown-{}", self.unknown.entry(token.to_owned()).or_insert(next))
            }
        };
        let (seq, time, receipt) = (call.seq, call.now, call.receipt.clone());
        self.record.add(Refreshing { seq, time, token, outcome, issued, chain_ended, receipt });
    }

    fn redeem(&mut self, flags: &Flags, form: &[(String, String)], now: i64) -> Answer {
        if let Some(verifier) = field(form, "code_verifier") {
            self.learn("code_verifier", verifier);
        }
        let refuse = |text| refusal(400, "invalid_grant", text);
        let Some(code) = field(form, "code").and_then(|code| self.codes.get_mut(code)) else {
            return refuse("The authorization code is not known");
        };
        if code.used {
            return refuse("The authorization code was used before");
        }
        if now >= code.expires {
            return refuse("The authorization code has expired");
        }
        if field(form, "redirect_uri") != Some(code.redirect.as_str()) {
            return refuse("The redirect_uri is not the one of the authorization request");
        }
        let proved = match (&code.challenge, field(form, "code_verifier")) {
            (None, None) => true,
            (Some((challenge, hashed)), Some(verifier)) => proves(verifier, challenge, *hashed),
            _ => false,
        };
        if !proved {
            return refuse("The code_verifier does not fit the code_challenge");
        }
        code.used = true;
        let grant = code.grant.clone();
        self.count.codes_redeemed += 1;
        self.issue(flags, grant, now).effect("authorization code redeemed")
    }

    fn renew(&mut self, flags: &Flags, token: &str, call: &TokenCall<'_>) -> Answer {
        let switches = &flags.switches;
        let ttl = switches.refresh_token_ttl.map(|seconds| i64::from(seconds) * 1000);
        let mut ended = false;
        let (outcome, hint) = match self.refresh.get_mut(token) {
            None => (Outcome::Unknown, "Cannot decrypt the refresh token"),
            Some(Refresh { life: Life::Revoked, .. }) => (Outcome::Revoked, "Token has been revoked"),
            Some(Refresh { life: Life::Spent(first), grant, .. }) => {
                let (first, chain) = (first.clone(), grant.chain);
                if switches.refresh_reuse_ends_chain {
                    self.revoke(true, true, |grant| grant.chain == chain);
                    ended = true;
                }
                (Outcome::Reused(first), "Token has been revoked")
            }
            Some(refresh) if ttl.is_some_and(|ttl| call.now >= refresh.born.saturating_add(ttl)) => {
                (Outcome::Expired, "Token has expired")
            }
            Some(refresh) => {
                refresh.life = Life::Spent(call.receipt.clone());
                let grant = refresh.grant.clone();
                self.count.refreshes += 1;
                if switches.refresh_ends_access {
                    self.revoke(true, false, |other| other.chain == grant.chain);
                }
                let answer = self.issue(flags, grant, call.now).effect("refresh token spent");
                let issued = Some(format!("refresh-{}", self.refresh.len()));
                self.note(call, token, Outcome::Refreshed, issued, false);
                return answer;
            }
        };
        self.count.refused += 1;
        self.note(call, token, outcome, None, ended);
        let (status, error) = match switches.refresh_reuse_answer {
            RefreshAnswer::InvalidRequest => (401, "invalid_request"),
            RefreshAnswer::InvalidGrant => (400, "invalid_grant"),
        };
        let text = "The refresh token is invalid.";
        let body = json!({"error": error, "error_description": text, "hint": hint, "message": text});
        Answer::json(status, body.to_string()).header("Cache-Control", "no-store")
    }

    fn issue(&mut self, flags: &Flags, grant: Grant, now: i64) -> Answer {
        let ttl = i64::from(flags.switches.access_token_ttl);
        let access = self.access_token(flags, &grant, now.div_euclid(1000), ttl);
        let refresh = format!("def50200{}", self.hex(120));
        self.count.access_issued += 1;
        self.count.refresh_issued += 1;
        self.secrets.push(("access_token", access.clone()));
        let name = format!("access-{}", self.access.len() + 1);
        let ttl_ms = ttl * 1000;
        let expires = now.saturating_add(ttl_ms);
        let row = Access { name, grant: grant.clone(), ttl: ttl_ms, expires, revoked: false };
        self.access.insert(access.clone(), row);
        self.keep_refresh(refresh.clone(), grant, now);
        let body = json!({"token_type": "Bearer", "expires_in": ttl, "access_token": access, "refresh_token": refresh});
        Answer::json(200, body.to_string()).header("Cache-Control", "no-store")
    }

    fn access_token(&mut self, flags: &Flags, grant: &Grant, seconds: i64, ttl: i64) -> String {
        let form = flags.switches.access_token_form;
        if form == TokenForm::Opaque {
            return self.hex(64);
        }
        let subject = match grant.role {
            Role::Merchant => &flags.user_merchant,
            Role::Fulfiller => &flags.user_fulfiller,
        };
        let mut claims = json!({
            "aud": flags.client_id, "jti": self.hex(40), "iat": seconds, "nbf": seconds, "exp": seconds + ttl,
            "sub": subject, "scopes": grant.scopes,
        });
        if let (TokenForm::JwtWithoutScopes, Value::Object(members)) = (form, &mut claims) {
            members.remove("scopes");
        }
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signature = URL_SAFE_NO_PAD.encode(self.bytes(256));
        format!("{}.{}.{signature}", part(r#"{"typ":"JWT","alg":"RS256"}"#), part(&claims.to_string()))
    }

    /// Revokes access tokens, refresh tokens or both of the grants that are meant; answers how many.
    pub(crate) fn revoke(&mut self, access: bool, refresh: bool, meant: impl Fn(&Grant) -> bool) -> (usize, usize) {
        let mut done = (0, 0);
        for token in self.access.values_mut().filter(|t| access && !t.revoked && meant(&t.grant)) {
            token.revoked = true;
            done.0 += 1;
        }
        for token in self.refresh.values_mut().filter(|t| refresh && t.life.is_fresh() && meant(&t.grant)) {
            token.life = Life::Revoked;
            done.1 += 1;
        }
        done
    }

    pub(crate) fn counters(&self) -> Value {
        let c = &self.count;
        json!({
            "accessTokensIssued": c.access_issued, "refreshTokensIssued": c.refresh_issued,
            "codesIssued": c.codes_issued, "codesRedeemed": c.codes_redeemed,
            "refreshes": c.refreshes, "answersDelivered": self.record.answers(Some(true)),
            "answersLost": self.record.answers(Some(false)), "answersOpen": self.record.answers(None),
            "reuses": self.record.reuses(Some(true)), "reusesAfterLostAnswer": self.record.reuses(Some(false)),
            "reusesUndecided": self.record.reuses(None),
            "refused": c.refused, "refusedClients": c.refused_clients,
            "freshRefreshTokens": self.refresh.values().filter(|t| t.life.is_fresh()).count(),
        })
    }

    #[cfg(test)]
    pub(crate) fn grant_of_code(&self, code: &str) -> Option<&Grant> {
        self.codes.get(code).map(|c| &c.grant)
    }

    pub(crate) fn secrets(&self) -> Value {
        self.secrets.iter().map(|(kind, value)| json!({"kind": kind, "value": value})).collect()
    }
}

/// Whether a PKCE verifier fits its challenge.
fn proves(verifier: &str, challenge: &str, hashed: bool) -> bool {
    let legal = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if !legal || !hashed {
        return legal && verifier == challenge;
    }
    let verifier = oauth2::PkceCodeVerifier::new(verifier.to_owned());
    oauth2::PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str() == challenge
}

#[cfg(test)]
mod tests;
