//! Whether a sign-in fits the configuration: its scopes and the user's role (contract 2.4 and 3).
//!
//! `login` asks before it stores anything, `check` asks of what is stored. Only what FFN clearly says counts
//! against a sign-in: while FFN can't be reached or is in trouble it is [`Verdict::Unknown`], because a
//! sign-in that worked is not to be lost over that.

use http::StatusCode;
use secrecy::SecretString;

use super::sentences::{self, Misfit};
use crate::ffn::users::{self, User};
use crate::ffn::{Client, Config, Error};
use crate::telemetry::Chain;

/// What is known of a sign-in.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Verdict {
    /// It fits; the user's id, as far as FFN tells it.
    Fits(Option<String>),
    /// It does not.
    Misfit(Misfit),
    /// Nobody could say, and why: part of a sentence.
    Unknown(String),
}

/// Why scopes that FFN has named are not enough, if they are not. Those that it has not named are no reason.
pub(in crate::cli) fn scopes(config: &Config, granted: &[String]) -> Option<Misfit> {
    let is_missing = |scope: &&str| !granted.is_empty() && !granted.iter().any(|it| it == scope);
    let missing: Vec<&str> = config.role.scopes().into_iter().filter(is_missing).collect();
    (!missing.is_empty()).then(|| sentences::missing_scopes(config, &missing, granted))
}

/// Asks FFN whose `token` is, and whether it has the role of the configuration.
pub(in crate::cli) async fn ask(client: &Client, config: &Config, granted: &[String], token: &SecretString) -> Verdict {
    match users::user_of(client, token).await {
        Ok(user) => prove(client, config, granted, token, Some(user)).await,
        // FFN has accepted the token, and the role can still be proved.
        Err(Error::Unreadable { .. }) => prove(client, config, granted, token, None).await,
        Err(error) => judge(error, config),
    }
}

/// Whether the user of `token` has the role of the configuration, by FFN's words or by a read.
pub(in crate::cli) async fn prove(
    client: &Client,
    config: &Config,
    granted: &[String],
    token: &SecretString,
    user: Option<User>,
) -> Verdict {
    match user.as_ref().and_then(|user| user.has(config.role)) {
        Some(false) => return Verdict::Misfit(sentences::other_role(config, user.map(|user| user.id).as_deref())),
        // The scopes that are named were looked at before; those that are not are proved by using them.
        Some(true) if !granted.is_empty() => {}
        Some(true) | None => {
            if let Err(error) = users::prove_role(client, token).await {
                return judge(error, config);
            }
        }
    }
    Verdict::Fits(user.map(|user| sentences::printable(&user.id)))
}

fn judge(error: Error, config: &Config) -> Verdict {
    let is_about_role = matches!(error.code(), Some("Shared_UserIsNotAMerchant" | "Shared_UserIsNotAFulfiller"));
    match (error.status(), error.code()) {
        (Some(StatusCode::FORBIDDEN), Some(_)) if is_about_role => Verdict::Misfit(sentences::other_role(config, None)),
        (Some(StatusCode::FORBIDDEN), None) => Verdict::Misfit(sentences::no_scope(config)),
        (Some(StatusCode::UNAUTHORIZED), None) => Verdict::Misfit(sentences::token_not_accepted(config)),
        (Some(StatusCode::NOT_FOUND), None) => Verdict::Misfit(sentences::never_in_the_portal(config)),
        _ => Verdict::Unknown(Chain(&error).to_string()),
    }
}
