//! The OAuth server: authorization codes, access tokens, refresh tokens that work once.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::answer::Answer;
use crate::catalog::Role;
use crate::flags::{Flags, RefreshAnswer};

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
    expires: i64,
    revoked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Fresh,
    Spent { answered: bool },
    Revoked,
}

#[derive(Debug)]
struct Refresh {
    grant: Grant,
    life: Life,
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
    reuses: u64,
    reuses_after_lost_answer: u64,
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

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn refusal(status: u16, error: &str, text: &str) -> Answer {
    Answer::json(status, json!({"error": error, "error_description": text, "message": text}).to_string())
        .header("Cache-Control", "no-store")
}

impl OAuth {
    pub(crate) fn new(flags: &Flags, seed: u64) -> Self {
        let mut oauth = OAuth {
            random: fastrand::Rng::with_seed(seed ^ 0x6f61_7574_6821),
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            chains: 0,
            count: Counters::default(),
            secrets: vec![("client_secret", flags.client_secret.clone())],
        };
        for (role, token) in
            [(Role::Merchant, &flags.initial_refresh_token), (Role::Fulfiller, &flags.initial_fulfiller_refresh_token)]
        {
            oauth.chains += 1;
            let scopes = rights(role).map(str::to_owned).to_vec();
            let grant = Grant { role, scopes, chain: oauth.chains };
            oauth.refresh.insert(token.clone(), Refresh { grant, life: Life::Fresh });
            oauth.secrets.push(("refresh_token", token.clone()));
        }
        oauth
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.random.u8(..)).take(count).collect()
    }

    fn hex(&mut self, count: usize) -> String {
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

    /// `GET /authorize` shows a page (or approves at once), `POST /authorize` is its buttons.
    pub(crate) fn authorize(&mut self, flags: &Flags, query: &[u8], form: Option<&[u8]>, now: i64) -> Answer {
        let fields = pairs(form.unwrap_or(query));
        let get = |name| field(&fields, name);
        if get("client_id") != Some(flags.client_id.as_str()) {
            return refusal(401, "invalid_client", "Client authentication failed");
        }
        let redirect = match get("redirect_uri").map(|text| (text, url::Url::parse(text))) {
            Some((text, Ok(url))) if flags.redirect_uri.is_empty() || flags.redirect_uri.iter().any(|r| r == text) => {
                (text.to_owned(), url)
            }
            _ => return refusal(401, "invalid_client", "The redirect_uri is missing or was not registered"),
        };
        let state = get("state").map(str::to_owned);
        let back = move |values: &[(&str, &str)]| {
            let mut url = redirect.1.clone();
            {
                let mut query = url.query_pairs_mut();
                for (name, value) in values {
                    query.append_pair(name, value);
                }
                if let Some(state) = &state {
                    query.append_pair("state", state);
                }
            }
            Answer::empty(302).header("Location", url.as_str()).header("Cache-Control", "no-store")
        };
        if get("response_type") != Some("code") {
            return back(&[("error", "unsupported_response_type")]);
        }
        let challenge = match (get("code_challenge"), get("code_challenge_method")) {
            (None, _) => None,
            (Some(challenge), Some("S256")) => Some((challenge.to_owned(), true)),
            (Some(challenge), None | Some("plain")) => Some((challenge.to_owned(), false)),
            _ => return back(&[("error", "invalid_request")]),
        };
        let asked: Vec<&str> = get("scope").unwrap_or_default().split_whitespace().collect();
        // The account that signs in is the one whose rights are asked for first; what it lacks is dropped.
        let role = match asked.iter().find(|s| s.starts_with("ffn.")) {
            Some(scope) if scope.starts_with("ffn.fulfiller.") => Role::Fulfiller,
            _ => Role::Merchant,
        };
        let known = |s: &&str| rights(role).contains(s) || !s.starts_with("ffn.");
        let scopes: Vec<String> = asked.iter().copied().filter(known).map(str::to_owned).collect();
        let decision = if flags.auto_approve { Some("approve") } else { form.and_then(|_| get("decision")) };
        match decision {
            None => Answer::html(200, page(role, &scopes, &fields)),
            Some("approve") => {
                let code = format!("def502{}", self.hex(40));
                self.chains += 1;
                let grant = Grant { role, scopes, chain: self.chains };
                let redirect = get("redirect_uri").unwrap_or_default().to_owned();
                let entry = Code { grant, redirect, challenge, expires: now.saturating_add(CODE_LIFE), used: false };
                self.codes.insert(code.clone(), entry);
                self.secrets.push(("code", code.clone()));
                self.count.codes_issued += 1;
                back(&[("code", &code)]).effect("authorization code issued")
            }
            Some(_) => back(&[
                ("error", "access_denied"),
                ("error_description", "The resource owner or authorization server denied the request."),
            ]),
        }
    }

    fn client_is_known(flags: &Flags, header: Option<&str>) -> bool {
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
        same(id, &flags.client_id) && same(secret, &flags.client_secret)
    }

    /// `POST /token`. The second value is the refresh token that this call spent.
    pub(crate) fn token(
        &mut self,
        flags: &Flags,
        header: Option<&str>,
        form_type: bool,
        body: &[u8],
        now: i64,
    ) -> (Answer, Option<String>) {
        if !Self::client_is_known(flags, header) {
            self.count.refused_clients += 1;
            let answer = refusal(401, "invalid_client", "Client authentication failed");
            return (answer.header("WWW-Authenticate", "Basic realm=\"OAuth\""), None);
        }
        if !form_type {
            return (refusal(400, "unsupported_grant_type", "A form is needed"), None);
        }
        let form = pairs(body);
        match field(&form, "grant_type") {
            Some("authorization_code") => (self.redeem(flags, &form, now), None),
            Some("refresh_token") => self.renew(flags, field(&form, "refresh_token").unwrap_or_default(), now),
            _ => {
                let text = "The authorization grant type is not supported by the authorization server.";
                (refusal(400, "unsupported_grant_type", text), None)
            }
        }
    }

    fn redeem(&mut self, flags: &Flags, form: &[(String, String)], now: i64) -> Answer {
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

    fn renew(&mut self, flags: &Flags, token: &str, now: i64) -> (Answer, Option<String>) {
        let hint = match self.refresh.get_mut(token) {
            Some(refresh) if refresh.life == Life::Fresh => {
                refresh.life = Life::Spent { answered: true };
                let grant = refresh.grant.clone();
                self.count.refreshes += 1;
                if flags.refresh_ends_access {
                    for access in self.access.values_mut().filter(|a| a.grant.chain == grant.chain) {
                        access.revoked = true;
                    }
                }
                return (self.issue(flags, grant, now).effect("refresh token spent"), Some(token.to_owned()));
            }
            Some(refresh) => {
                match refresh.life {
                    Life::Spent { answered: true } => self.count.reuses += 1,
                    Life::Spent { answered: false } => self.count.reuses_after_lost_answer += 1,
                    _ => (),
                }
                "Token has been revoked"
            }
            None => "Cannot decrypt the refresh token",
        };
        self.count.refused += 1;
        let (status, error) = match flags.refresh_reuse_answer {
            RefreshAnswer::InvalidRequest => (401, "invalid_request"),
            RefreshAnswer::InvalidGrant => (400, "invalid_grant"),
        };
        let text = "The refresh token is invalid.";
        let body = json!({"error": error, "error_description": text, "hint": hint, "message": text});
        (Answer::json(status, body.to_string()).header("Cache-Control", "no-store"), None)
    }

    fn issue(&mut self, flags: &Flags, grant: Grant, now: i64) -> Answer {
        let ttl = i64::from(flags.access_token_ttl);
        let seconds = now.div_euclid(1000);
        let subject = match grant.role {
            Role::Merchant => &flags.user_merchant,
            Role::Fulfiller => &flags.user_fulfiller,
        };
        let claims = json!({
            "aud": flags.client_id, "jti": self.hex(40), "iat": seconds, "nbf": seconds, "exp": seconds + ttl,
            "sub": subject, "scopes": grant.scopes,
        });
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signature = URL_SAFE_NO_PAD.encode(self.bytes(256));
        let access = format!("{}.{}.{signature}", part(r#"{"typ":"JWT","alg":"RS256"}"#), part(&claims.to_string()));
        let refresh = format!("def50200{}", self.hex(120));
        self.count.access_issued += 1;
        self.count.refresh_issued += 1;
        self.secrets.push(("access_token", access.clone()));
        self.secrets.push(("refresh_token", refresh.clone()));
        let name = format!("access-{}", self.count.access_issued);
        let expires = now.saturating_add(ttl * 1000);
        self.access.insert(access.clone(), Access { name, grant: grant.clone(), expires, revoked: false });
        self.refresh.insert(refresh.clone(), Refresh { grant, life: Life::Fresh });
        let body = json!({"token_type": "Bearer", "expires_in": ttl, "access_token": access, "refresh_token": refresh});
        Answer::json(200, body.to_string()).header("Cache-Control", "no-store")
    }

    /// Notes that the answer to a refresh never reached the client.
    pub(crate) fn answer_lost(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.get_mut(token)
            && refresh.life == (Life::Spent { answered: true })
        {
            refresh.life = Life::Spent { answered: false };
        }
    }

    pub(crate) fn revoke(&mut self, access: bool, refresh: bool) -> (usize, usize) {
        let mut done = (0, 0);
        for token in self.access.values_mut().filter(|t| access && !t.revoked) {
            token.revoked = true;
            done.0 += 1;
        }
        for token in self.refresh.values_mut().filter(|t| refresh && t.life == Life::Fresh) {
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
            "refreshes": c.refreshes, "reuses": c.reuses, "reusesAfterLostAnswer": c.reuses_after_lost_answer,
            "refused": c.refused, "refusedClients": c.refused_clients,
            "freshRefreshTokens": self.refresh.values().filter(|t| t.life == Life::Fresh).count(),
        })
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(role: Role, scopes: &[String], fields: &[(String, String)]) -> String {
    let hidden: String = fields
        .iter()
        .filter(|(name, _)| name != "decision")
        .map(|(n, v)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(n), escape(v)))
        .collect();
    let scopes: String = scopes.iter().map(|s| format!("<li>{}</li>", escape(s))).collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>FFN simulator: sign in</title>\
         <body style=\"font-family:sans-serif;max-width:32em;margin:4em auto\"><h1>FFN simulator</h1>\
         <p>An application asks for access to the {} account:</p><ul>{scopes}</ul>\
         <form method=\"post\" action=\"/authorize\">{hidden}\
         <button name=\"decision\" value=\"approve\">Approve</button> \
         <button name=\"decision\" value=\"refuse\">Refuse</button></form></body></html>",
        role.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    fn refresh(oauth: &mut OAuth, flags: &Flags, token: &str) -> (u16, Value) {
        let body = format!("grant_type=refresh_token&refresh_token={token}");
        let (answer, _) = oauth.token(flags, Some(&basic("demo-client:demo-secret")), true, body.as_bytes(), 0);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    #[test]
    fn a_refresh_token_works_once() {
        let flags = Flags::for_test();
        let mut oauth = OAuth::new(&flags, 1);
        let (status, body) = refresh(&mut oauth, &flags, "demo-refresh-token");
        assert_eq!((status, body["expires_in"].as_i64()), (200, Some(1800)));
        let (status, again) = refresh(&mut oauth, &flags, "demo-refresh-token");
        assert_eq!((status, again["error"].as_str()), (401, Some("invalid_request")));
        assert_eq!(again["hint"], "Token has been revoked");
        assert_eq!(oauth.counters()["reuses"], 1);
        assert_eq!(refresh(&mut oauth, &flags, body["refresh_token"].as_str().unwrap()).0, 200);
        let header = format!("Bearer {}", body["access_token"].as_str().unwrap());
        assert!(oauth.caller(Some(&header), 1_799_999).is_some(), "a refresh does not end it");
        assert!(oauth.caller(Some(&header), 1_800_000).is_none());
    }

    #[test]
    fn a_lost_answer_is_no_double_spend() {
        let flags = Flags::for_test();
        let mut oauth = OAuth::new(&flags, 1);
        refresh(&mut oauth, &flags, "demo-refresh-token");
        oauth.answer_lost("demo-refresh-token");
        assert_eq!(refresh(&mut oauth, &flags, "demo-refresh-token").0, 401);
        assert_eq!(oauth.counters()["reuses"], 0);
        assert_eq!(oauth.counters()["reusesAfterLostAnswer"], 1);
    }

    #[test]
    fn wrong_clients_are_refused() {
        let flags = Flags::for_test();
        let mut oauth = OAuth::new(&flags, 1);
        for header in [None, Some(basic("demo-client:x")), Some(basic("demo-client")), Some("Basic !".to_owned())] {
            let (answer, _) = oauth.token(&flags, header.as_deref(), true, b"grant_type=refresh_token", 0);
            assert_eq!(answer.status, 401);
            assert!(answer.body.contains("invalid_client"));
        }
        assert_eq!(refresh(&mut oauth, &flags, "demo-refresh-token").0, 200);
    }

    #[test]
    fn codes_are_bound_to_redirect_and_verifier() {
        let flags = Flags { auto_approve: true, ..Flags::for_test() };
        let mut oauth = OAuth::new(&flags, 1);
        let ask = "response_type=code&client_id=demo-client&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&state=s%201\
                   &scope=ffn.merchant.read&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        let answer = oauth.authorize(&flags, ask.as_bytes(), None, 0);
        let location = url::Url::parse(&answer.headers[0].1).unwrap();
        let fields = pairs(location.query().unwrap().as_bytes());
        assert_eq!(field(&fields, "state"), Some("s 1"));
        let code = field(&fields, "code").unwrap();
        let mut redeem = |redirect: &str, verifier: &str| {
            let body =
                format!("grant_type=authorization_code&code={code}&redirect_uri={redirect}&code_verifier={verifier}");
            oauth.token(&flags, Some(&basic("demo-client:demo-secret")), true, body.as_bytes(), 0).0.status
        };
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(redeem("http://localhost/other", verifier), 400);
        assert_eq!(redeem("http://localhost/cb", "short"), 400);
        assert_eq!(redeem("http://localhost/cb", &verifier.replace('d', "e")), 400);
        assert_eq!(redeem("http://localhost/cb", verifier), 200);
        assert_eq!(redeem("http://localhost/cb", verifier), 400, "single use");
    }
}
