//! What a person is told when a sign-in fails: what happened, why, and what to do next.

use std::fmt;

use crate::domain::account::Role;
use crate::ffn::{Config, auth};

/// Where a person signs in to FFN itself (contract 1).
const PORTALS: [&str; 2] = ["https://fulfillment.jtl-software.com", "https://fulfillment-sandbox.jtl-software.com"];

/// Foreign words as they may stand in a terminal: without control characters, and not endless.
pub(super) fn printable(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The person said no, or the OAuth server did.
pub(super) fn denied(config: &Config, reason: &str) -> String {
    let account = &config.account;
    if reason.starts_with("invalid_scope") {
        let [read, write] = config.role.scopes();
        return format!(
            "the sign-in was refused: {reason}. The JTL account or the client {} may not have {read} and {write}, which \
             a {} needs. Sign in as a {}, or mend role or client_id of account {account} in the configuration",
            config.client_id, config.role, config.role,
        );
    }
    format!(
        "the sign-in was refused: {reason}. Run `ffn-bridge login {account}` again, sign in with a JTL account that may \
         use the client {}, and allow access",
        config.client_id
    )
}

/// The code of a sign-in was not accepted.
pub(super) fn about_code(error: auth::Error, config: &Config) -> anyhow::Error {
    match error {
        auth::Error::NeedsLogin { reason, .. } => anyhow::anyhow!(
            "{reason}. A code works once and for a short time, and only with the redirect URI that is registered \
             for the client: check redirect_uri, then run the command again"
        ),
        auth::Error::ClientRefused { .. }
        | auth::Error::Temporary { .. }
        | auth::Error::Busy { .. }
        | auth::Error::Store(_) => about_server(error, config, "Nothing was stored; run the command again"),
    }
}

/// A refresh token from elsewhere was not accepted.
pub(super) fn about_refresh_token(error: auth::Error, config: &Config) -> anyhow::Error {
    match error {
        auth::Error::NeedsLogin { reason, .. } => anyhow::anyhow!(
            "{reason}. A refresh token works once and only with the client it was issued to. What was stored for \
             account {account} stays; sign in with `ffn-bridge login {account}`",
            account = config.account
        ),
        auth::Error::ClientRefused { .. }
        | auth::Error::Temporary { .. }
        | auth::Error::Busy { .. }
        | auth::Error::Store(_) => about_server(error, config, "Run the command again with the same token"),
    }
}

/// The sign-in worked and fits, and can't be stored.
pub(super) fn not_stored(error: auth::Error, config: &Config) -> anyhow::Error {
    about_server(error, config, "Check store.url, that the disk has room and that this user may write there")
}

/// Why a sign-in is of no use for an account as it is configured.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Misfit {
    /// A sentence without its full stop.
    pub(in crate::cli) why: String,
    /// What to do: likewise.
    pub(in crate::cli) remedy: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}. {}.", self.why, self.remedy)
    }
}

/// Scopes were named, and these are not among them.
pub(super) fn missing_scopes(config: &Config, missing: &[&str], granted: &[String]) -> Misfit {
    let Config { account, role, .. } = config;
    let s = if missing.len() == 1 { "" } else { "s" };
    let (missing, granted) = (missing.join(" and "), printable(&granted.join(", ")));
    Misfit {
        why: format!(
            "The sign-in lacks the scope{s} {missing}, which the role {role} of account {account} needs; it has {granted}"
        ),
        remedy: allow_all(config),
    }
}

/// FFN says by a 403 without a reason that a scope is missing (contract 2.4).
pub(super) fn no_scope(config: &Config) -> Misfit {
    let (role, [read, _]) = (config.role, config.role.scopes());
    Misfit {
        why: format!("FFN takes the sign-in but does not let it read as a {role}: it lacks the scope {read}"),
        remedy: allow_all(config),
    }
}

fn allow_all(config: &Config) -> String {
    let Config { account, role, .. } = config;
    let [read, write] = role.scopes();
    format!(
        "Run `ffn-bridge login {account}`, sign in as a {role} and allow {read} and {write}, or mend role or client_id of \
         account {account} in the configuration"
    )
}

/// The user has the other role, or at least not the one in the configuration.
pub(super) fn other_role(config: &Config, user: Option<&str>) -> Misfit {
    let Config { account, role, .. } = config;
    let other = match role {
        Role::Merchant => Role::Fulfiller,
        Role::Fulfiller => Role::Merchant,
    };
    let user = user.map(|user| format!(" ({})", printable(user))).unwrap_or_default();
    Misfit {
        why: format!(
            "The JTL account that signed in{user} is a {other} at FFN, but account {account} is configured as a {role}"
        ),
        remedy: format!(
            "Run `ffn-bridge login {account}` and sign in as a {role}, or write role = \"{other}\" for account {account} \
             in the configuration"
        ),
    }
}

/// FFN answers a fresh token with 401.
pub(super) fn token_not_accepted(config: &Config) -> Misfit {
    let Config { account, base_url, .. } = config;
    Misfit {
        why: format!("FFN at {base_url} does not accept the token that the OAuth server gave"),
        remedy: format!(
            "Do environment, base_url and token_url of account {account} belong together? Mend them, then run \
             `ffn-bridge login {account}`"
        ),
    }
}

/// FFN has no user for the JTL account (contract 2.4).
pub(super) fn never_in_the_portal(config: &Config) -> Misfit {
    let Config { account, base_url, .. } = config;
    let is_sandbox = base_url.host_str().is_some_and(|host| host.contains("-sbx") || host.contains("sandbox"));
    let [production, sandbox] = PORTALS;
    let portal = if is_sandbox { sandbox } else { production };
    Misfit {
        why: "You have never signed in to the fulfillment portal: FFN does not know this JTL account yet".to_owned(),
        remedy: format!(
            "Sign in once at {portal}, then run `ffn-bridge login {account}`. If you have been there, look at \
             environment and base_url of account {account}: {base_url} may be the wrong place"
        ),
    }
}

fn about_server(error: auth::Error, config: &Config, next: &str) -> anyhow::Error {
    let account = &config.account;
    let sentence = match &error {
        auth::Error::ClientRefused { .. } => format!(
            "the OAuth server does not accept the client id {} with its secret. Mend client_id and client_secret of \
             account {account} in the configuration. {next}",
            config.client_id
        ),
        auth::Error::Store(_) => format!("the new tokens can't be stored. {next}"),
        auth::Error::Temporary { .. } | auth::Error::Busy { .. } | auth::Error::NeedsLogin { .. } => {
            format!("the OAuth server at {} gave no clear answer. {next}", config.token_url)
        }
    };
    anyhow::Error::new(error).context(sentence)
}
