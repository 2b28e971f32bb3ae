//! What a person is told when a sign-in fails: what happened, why, and what to do next.

use http::StatusCode;

use crate::ffn::{Config, Error, auth};

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

/// The tokens are stored, but the first call with them failed (contract 2.4).
pub(super) fn about_user(error: Error, config: &Config) -> anyhow::Error {
    let account = &config.account;
    let next = "The tokens are stored; once that is mended, run `ffn-bridge check`";
    let sentence = match error.status() {
        Some(StatusCode::NOT_FOUND) => format!(
            "FFN knows no user for this JTL account: it has never signed in to the fulfillment portal. Sign in there \
             once (https://fulfillment.jtl-software.com, or https://fulfillment-sandbox.jtl-software.com for the \
             sandbox). {next}"
        ),
        Some(StatusCode::UNAUTHORIZED) => format!(
            "FFN at {} does not accept the token it was given. Check environment, base_url and token_url of account \
             {account}, then run `ffn-bridge login {account}` again",
            config.base_url
        ),
        Some(StatusCode::FORBIDDEN) => format!(
            "FFN refuses this token: it lacks a scope. Allow the client {} the scopes {}, then run `ffn-bridge login \
             {account}` again",
            config.client_id,
            config.role.scopes().join(" and ")
        ),
        Some(status) => format!("FFN answered with status {} when asked who signed in. {next}", status.as_u16()),
        None => format!("FFN at {} could not be asked who signed in. {next}", config.base_url),
    };
    anyhow::Error::new(error).context(sentence)
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
