//! Health and status: what `/readyz` and `/status` say.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::scrape::{Scrape, rows_of};
use crate::domain::account::Role;
use crate::domain::feed::FeedName;
use crate::domain::token::{Cause, RefreshRecord, TokenStore};
use crate::events::FeedProgress;
use crate::store::Journal;
use crate::telemetry::Chain;

/// Answers questions about the running bridge.
pub(super) struct Status {
    pub(super) scrape: Scrape,
}

/// One thing that readiness depends on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `/readyz`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    pub(super) ready: bool,
    checks: Vec<Check>,
}

/// `/status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    version: &'static str,
    started_at: DateTime<Utc>,
    ready: bool,
    checks: Vec<Check>,
    accounts: Vec<AccountReport>,
    /// Results of commands that wait for the broker.
    pending_results: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountReport {
    name: String,
    role: Role,
    login: Login,
    /// Events that wait for the broker.
    pending_events: i64,
    feeds: Vec<FeedReport>,
}

/// The sign-in of an account; never a token.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    /// `ok`, `missing`, `required` or, if the store can't be read, `unknown`.
    state: &'static str,
    /// Why a person is needed, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    /// Since when a person is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// When a person last signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_in_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_expires_at: Option<DateTime<Utc>>,
    /// When the newest tokens were obtained, by a sign-in or a refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    obtained_at: Option<DateTime<Utc>>,
    /// The last refresh since the sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshed_at: Option<DateTime<Utc>>,
    /// Whether a refresh began whose outcome is not known: it is on its way, or its answer was lost.
    refresh_in_doubt: bool,
    scopes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedReport {
    name: FeedName,
    lag_seconds: Option<f64>,
    #[serde(flatten)]
    progress: FeedProgress,
}

impl Status {
    /// Whether the bridge can do its work: broker, store, and at least one account able to call.
    pub(super) async fn readiness(&self) -> Readiness {
        let mut checks = Vec::new();
        let connected = self.scrape.publishing.is_connected();
        let reason = (!connected).then(|| "no connection to the broker".to_owned());
        checks.push(Check { name: "broker", ok: connected, reason });
        let written = self.scrape.store.probe().await;
        let reason = written.as_ref().err().map(|error| Chain(error).to_string());
        checks.push(Check { name: "store", ok: written.is_ok(), reason });
        let mut reasons = Vec::new();
        let mut able = false;
        for account in &self.scrape.accounts {
            let login = self.login(account).await;
            able |= login.state == "ok";
            if let Some(reason) = login.reason {
                reasons.push(format!("{}: {reason}", account.client.account()));
            }
        }
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        checks.push(Check { name: "accounts", ok: able, reason });
        Readiness { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// Everything at a glance.
    pub(super) async fn report(&self) -> Result<Report, String> {
        let Readiness { ready, checks } = self.readiness().await;
        let backlog = self.scrape.backlog().await.map_err(|error| Chain(&error).to_string())?;
        let mut accounts = Vec::new();
        for account in &self.scrape.accounts {
            let name = account.client.account();
            let feeds = self.scrape.feeds(name).into_iter();
            let report = |(feed, progress): (FeedName, FeedProgress)| FeedReport {
                name: feed,
                lag_seconds: self.scrape.lag_seconds(name, &progress),
                progress,
            };
            accounts.push(AccountReport {
                name: name.to_string(),
                role: account.client.role(),
                login: self.login(account).await,
                pending_events: rows_of(&backlog, name),
                feeds: feeds.map(report).collect(),
            });
        }
        let pending_results = backlog.iter().find(|it| it.lane == "results").map_or(0, |it| it.rows);
        let version = env!("CARGO_PKG_VERSION");
        let started_at = self.scrape.started_at;
        Ok(Report { version, started_at, ready, checks, accounts, pending_results })
    }

    /// Whether an account can call: [`Auth`](crate::ffn::Auth) decides it, the store has the details.
    async fn login(&self, account: &super::Account) -> Login {
        let name = account.client.account();
        let need = account.auth.needs_login().borrow().clone();
        let stored = match self.scrape.store.login(name).await {
            Ok(stored) => stored,
            Err(error) => {
                return Login { state: "unknown", reason: Some(Chain(&error).to_string()), ..Login::default() };
            }
        };
        let tokens = stored.as_ref().and_then(|login| login.tokens.as_ref());
        let signed_in_at = stored.as_ref().map(|login| login.signed_in_at);
        let obtained_at = tokens.map(|pair| pair.obtained_at);
        let refresh = stored.as_ref().and_then(|login| login.refresh.as_ref());
        let (state, reason) = match &need {
            None => ("ok", None),
            Some(need) if need.cause == Cause::NeverSignedIn => {
                ("missing", Some(format!("no sign-in yet: {}", need.action(name))))
            }
            Some(need) => ("required", Some(format!("{}: {}", need.reason, need.action(name)))),
        };
        Login {
            state,
            reason,
            cause: need.as_ref().map(|need| need.cause),
            since: need.as_ref().map(|need| need.since),
            signed_in_at,
            access_token_expires_at: tokens.map(|pair| pair.access_expires_at),
            obtained_at,
            refreshed_at: obtained_at.filter(|at| signed_in_at.is_some_and(|signed_in_at| *at > signed_in_at)),
            refresh_in_doubt: refresh.is_some_and(RefreshRecord::is_doubtful),
            scopes: tokens.map(|pair| pair.scopes.clone()).unwrap_or_default(),
        }
    }
}
