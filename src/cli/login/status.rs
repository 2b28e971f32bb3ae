//! `login ACCOUNT --status` and `--kept-answers`: what the store knows of a sign-in.
//!
//! Reads the store and asks nobody, so it works beside a running bridge and without a network. The guarantee:
//! the status holds no token; the kept answers do, which is why they are asked for by a name of their own.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{fit, sentences};
use crate::cli::complain;
use crate::domain::account::{AccountName, Role};
use crate::domain::token::{StoredLogin, TokenStore};
use crate::ffn::Config;

/// What is known of a sign-in; also the JSON for scripts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    account: AccountName,
    role: Role,
    state: State,
    /// Why somebody has to sign in.
    reason: Option<String>,
    /// Since when, where the store knows.
    required_since: Option<DateTime<Utc>>,
    signed_in_at: Option<DateTime<Utc>>,
    /// `None` as long as the sign-in's own tokens are in use.
    last_refresh_at: Option<DateTime<Utc>>,
    access_token_expires_at: Option<DateTime<Utc>>,
    /// Empty where FFN did not name them.
    scopes: Vec<String>,
    refresh_in_doubt: Option<Doubt>,
    kept_answers: usize,
}

/// Whether the account can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Required,
    SignedOut,
    Missing,
}

/// A refresh token was sent, and nobody knows what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Doubt {
    since: DateTime<Utc>,
    /// On its way, or cut off by the end of a process.
    is_open: bool,
    unclear_answers: u32,
    unreadable_answers: u32,
}

/// Prints what is stored of an account's sign-in.
pub(super) async fn show(config: &Config, store: &impl TokenStore, json: bool) -> anyhow::Result<ExitCode> {
    let account = &config.account;
    let unreadable = || format!("the sign-in of account {account} can't be read from the store");
    let login = store.login(account).await.with_context(unreadable)?;
    let kept = store.kept_answers(account).await.with_context(unreadable)?.len();
    let status = Status::of(config, login, kept);
    let text = if json { serde_json::to_string(&status)? + "\n" } else { status.text(Utc::now()) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if status.state == State::Ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the bodies of answers that could not be read, one after the other.
pub(super) async fn show_kept_answers(account: &AccountName, store: &impl TokenStore) -> anyhow::Result<ExitCode> {
    let kept =
        store.kept_answers(account).await.with_context(|| format!("the kept answers of {account} can't be read"))?;
    if kept.is_empty() {
        complain(&format!("No answer of the OAuth server is kept for account {account}: every one could be read."));
        return Ok(ExitCode::SUCCESS);
    }
    complain(
        "Beware: what follows on standard output is as the OAuth server sent it and may hold tokens that are valid. \
         Show it to nobody. The next new pair of tokens or `ffn-bridge logout` removes it.",
    );
    for (at, answer) in kept.iter().enumerate() {
        complain(&format!("Answer {} of {}, of {}:", at + 1, kept.len(), moment(answer.received_at)));
        writeln!(io::stdout(), "{}", answer.body.expose_secret())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Status {
    pub(super) fn of(config: &Config, login: Option<StoredLogin>, kept_answers: usize) -> Self {
        let account = config.account.clone();
        let mut status = Self {
            account,
            role: config.role,
            state: State::Missing,
            reason: None,
            required_since: None,
            signed_in_at: None,
            last_refresh_at: None,
            access_token_expires_at: None,
            scopes: Vec::new(),
            refresh_in_doubt: None,
            kept_answers,
        };
        let Some(login) = login else { return status };
        status.signed_in_at = Some(login.signed_in_at);
        status.required_since = login.login_required_since;
        let Some(pair) = login.tokens else {
            status.state = State::SignedOut;
            return status;
        };
        let misfit = fit::scopes(config, &pair.scopes).map(|misfit| misfit.why);
        status.reason = login.login_required.or(misfit);
        status.state = if status.reason.is_none() { State::Ok } else { State::Required };
        // The store notes the sign-in a moment after its tokens were obtained.
        status.last_refresh_at = (pair.obtained_at > login.signed_in_at).then_some(pair.obtained_at);
        status.access_token_expires_at = Some(pair.access_expires_at);
        status.scopes = pair.scopes;
        status.refresh_in_doubt = login.refresh.filter(|record| record.is_doubtful()).map(|record| Doubt {
            since: record.began_at,
            is_open: record.is_open,
            unclear_answers: record.unclear,
            unreadable_answers: record.unreadable,
        });
        status
    }

    /// For people, a line a fact.
    pub(super) fn text(&self, now: DateTime<Utc>) -> String {
        let Self { account, role, .. } = self;
        let login = format!("run `ffn-bridge login {account}`");
        let ago = |at: DateTime<Utc>| format!("{}, {} ago", moment(at), span(now - at));
        let state = match (self.state, &self.reason) {
            (State::Ok, _) => "signed in".to_owned(),
            (State::Required, reason) => {
                let reason = sentences::printable(reason.as_deref().unwrap_or("it is not known why"));
                format!("a person has to sign in again: {reason}; {login}")
            }
            (State::SignedOut, _) => format!("signed out; {login}"),
            (State::Missing, _) => format!("nobody has signed in yet; {login}"),
        };
        let mut facts = vec![("state", state)];
        if let Some(at) = self.required_since {
            facts.push(("since", ago(at)));
        }
        if let Some(at) = self.signed_in_at {
            facts.push((if self.state == State::SignedOut { "last sign-in" } else { "signed in" }, ago(at)));
        }
        if let Some(end) = self.access_token_expires_at {
            let never = || "none since the sign-in".to_owned();
            facts.push(("last refresh", self.last_refresh_at.map_or_else(never, ago)));
            let access = match (end > now, self.state) {
                (true, _) => format!("lives until {}, {} from now", moment(end), span(end - now)),
                (false, State::Ok) => format!("ended at {}; it is renewed when it is needed", ago(end)),
                (false, _) => format!("ended at {}", ago(end)),
            };
            facts.push(("access token", access));
            let scopes = match self.scopes.as_slice() {
                [] => "FFN did not name them".to_owned(),
                scopes => sentences::printable(&scopes.join(", ")),
            };
            facts.push(("scopes", scopes));
            let doubt = self.refresh_in_doubt.as_ref();
            facts.push(("refresh", doubt.map_or_else(|| "none in doubt".to_owned(), |doubt| doubt.words(now))));
        }
        if self.kept_answers > 0 {
            let (count, s) = (self.kept_answers, if self.kept_answers == 1 { "" } else { "s" });
            let show = format!("`ffn-bridge login {account} --kept-answers` prints them");
            facts.push(("kept answers", format!("{count} answer{s} that could not be read; {show}")));
        }
        let lines: String = facts.iter().map(|(name, words)| format!("  {name:<14}{words}\n")).collect();
        format!("Account {account} ({role})\n{lines}")
    }
}

impl Doubt {
    fn words(&self, now: DateTime<Utc>) -> String {
        let since = format!("{}, {} ago", moment(self.since), span(now - self.since));
        if self.is_open {
            return format!(
                "in doubt since {since}: it is on its way, or a process ended meanwhile. The bridge tries the same token again"
            );
        }
        let mut answers = Vec::new();
        for (count, what) in [(self.unclear_answers, "unclear"), (self.unreadable_answers, "unreadable")] {
            if count > 0 {
                answers.push(format!("{count} {what}"));
            }
        }
        let answers = answers.join(" and ");
        format!("in doubt since {since}: {answers} answer(s) came. The bridge tries the same token again")
    }
}

/// To the second, as the machine's clock has it.
pub(in crate::cli) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A length of time as people say it.
fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::{RefreshRecord, TokenPair};
    use crate::ffn::testing::{Account, Api, Reply};

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-23T{text}Z").parse().unwrap()
    }

    fn login() -> StoredLogin {
        let tokens = TokenPair {
            access: "access-one".into(),
            access_expires_at: at("12:30:00"),
            refresh: "refresh-one".into(),
            obtained_at: at("12:00:00"),
            scopes: ["ffn.merchant.read", "ffn.merchant.write"].map(str::to_owned).to_vec(),
        };
        StoredLogin {
            tokens: Some(tokens),
            generation: 3,
            signed_in_at: at("09:15:30"),
            login_required: None,
            login_required_since: None,
            refresh: None,
        }
    }

    async fn status(login: Option<StoredLogin>, kept: usize) -> Status {
        let account = Account::against(Api::start(|_| Reply::json(500, "")).await);
        Status::of(&account.config, login, kept)
    }

    async fn text(change: impl FnOnce(&mut StoredLogin)) -> String {
        let mut login = login();
        change(&mut login);
        let text = status(Some(login), 0).await.text(at("12:10:05"));
        assert!(!text.contains("access-one") && !text.contains("refresh-one"), "{text}");
        text
    }

    #[tokio::test]
    async fn a_sign_in_that_works_is_told_with_its_times_and_scopes() {
        let wanted = "\
Account acme (merchant)
  state         signed in
  signed in     2026-11-23 09:15:30 UTC, 2 h 54 min ago
  last refresh  2026-11-23 12:00:00 UTC, 10 min ago
  access token  lives until 2026-11-23 12:30:00 UTC, 19 min from now
  scopes        ffn.merchant.read, ffn.merchant.write
  refresh       none in doubt
";
        assert_eq!(text(|_| {}).await, wanted);
        let fresh = text(|login| login.signed_in_at = at("12:00:00.100")).await;
        assert!(fresh.contains("last refresh  none since the sign-in"), "{fresh}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_sign_in_is_told_with_what_to_do() {
        let ended = text(|login| login.tokens.as_mut().unwrap().access_expires_at = at("12:09:00")).await;
        assert!(ended.contains("ended at 2026-11-23 12:09:00 UTC, 1 min ago; it is renewed"), "{ended}");
        let refused = text(|login| {
            login.login_required = Some("it was refused".to_owned());
            login.login_required_since = Some(at("12:09:00"));
        })
        .await;
        assert!(refused.contains("since         2026-11-23 12:09:00 UTC, 1 min ago"), "{refused}");
        assert!(refused.contains("has to sign in again: it was refused; run `ffn-bridge login acme`"), "{refused}");
        let narrow = text(|login| drop(login.tokens.as_mut().unwrap().scopes.pop())).await;
        assert!(narrow.contains("has to sign in again: The sign-in lacks the scope ffn.merchant.write"), "{narrow}");
        let silent = text(|login| login.tokens.as_mut().unwrap().scopes.clear()).await;
        assert!(silent.contains("state         signed in") && silent.contains("FFN did not name them"), "{silent}");
        let out = text(|login| login.tokens = None).await;
        assert!(out.contains("signed out; run `ffn-bridge login acme`") && !out.contains("scopes"), "{out}");
        let never = status(None, 2).await.text(at("12:00:00"));
        assert!(never.contains("nobody has signed in yet") && never.contains("2 answers that could not"), "{never}");
    }

    #[tokio::test]
    async fn a_refresh_in_doubt_is_told() {
        let record = RefreshRecord {
            fingerprint: "name".to_owned(),
            began_at: at("12:08:00"),
            is_open: true,
            unclear: 0,
            unreadable: 0,
        };
        let open = text(|login| login.refresh = Some(record.clone())).await;
        assert!(open.contains("in doubt since 2026-11-23 12:08:00 UTC, 2 min ago: it is on its way"), "{open}");
        let answered = RefreshRecord { is_open: false, unclear: 2, unreadable: 1, ..record.clone() };
        let answered = text(|login| login.refresh = Some(answered)).await;
        assert!(answered.contains("2 unclear and 1 unreadable"), "{answered}");
        let unsent = RefreshRecord { is_open: false, ..record };
        assert!(text(|login| login.refresh = Some(unsent)).await.contains("none in doubt"));
    }

    #[tokio::test]
    async fn scripts_get_the_same_as_json() {
        let json = serde_json::to_value(status(Some(login()), 0).await).unwrap();
        assert_eq!(
            (&json["state"], &json["account"], &json["role"]),
            (&"ok".into(), &"acme".into(), &"merchant".into())
        );
        assert_eq!(json["signedInAt"], "2026-11-23T09:15:30Z");
        assert_eq!(json["lastRefreshAt"], "2026-11-23T12:00:00Z");
        assert_eq!(json["accessTokenExpiresAt"], "2026-11-23T12:30:00Z");
        assert_eq!(json["scopes"].as_array().unwrap().len(), 2);
        assert!(json["reason"].is_null() && json["refreshInDoubt"].is_null() && json["keptAnswers"] == 0);
        assert!(!json.to_string().contains("-one"), "{json}");
        let out = StoredLogin { tokens: None, ..login() };
        assert_eq!(serde_json::to_value(status(Some(out), 0).await).unwrap()["state"], "signed-out");
    }
}
