//! `ffn-bridge login ACCOUNT`: a person signs an account in (contract 2.1).
//!
//! Three ways to the same end: the browser with a redirect to this machine, the browser on another machine
//! with a pasted answer, or a refresh token that exists already. All end in [`Auth`], which stores the pair,
//! and in one call that shows who has signed in. The guarantees: a code counts only with the state that was
//! sent out; neither codes nor tokens are printed; what was stored stays until a new pair is there; an error
//! says what happened, why, and what to do next.

mod callback;
mod sentences;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::net::TcpListener;
use url::{Host, Url};

use crate::ffn::auth::{Authorization, NewLogin};
use crate::ffn::{Auth, Client, Config, users};
use callback::{Callback, Receiver};

/// How long the browser may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A browser on this machine.
    Browser,
    /// A browser elsewhere; the code or the address it ended at is pasted.
    Manual,
    /// A refresh token is read from the input.
    RefreshToken,
}

/// Signs an account in and says who it is. `input` is where a person pastes, `output` what they read.
///
/// # Errors
/// A sentence for the person.
pub async fn login(
    auth: &Auth,
    client: &Client,
    config: &Config,
    way: Way,
    input: impl AsyncBufRead + Unpin,
    output: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    let login = match way {
        Way::Browser => browser(auth, config, output, open_browser).await?,
        Way::Manual => manual(auth, config, input, output).await?,
        Way::RefreshToken => adopt(auth, config, input, output).await?,
    };
    let scopes = login.scopes().to_vec();
    auth.accept(login).await?;
    writeln!(output, "The tokens of account {} are stored.", config.account)?;
    let missing: Vec<&str> =
        config.role.scopes().into_iter().filter(|scope| !scopes.iter().any(|granted| granted == scope)).collect();
    if !scopes.is_empty() && !missing.is_empty() {
        writeln!(output, "Beware: the sign-in was not granted {}; calls that need it fail.", missing.join(" and "))?;
    }
    let user = users::current_user(client).await.map_err(|error| sentences::about_user(error, config))?.id;
    writeln!(output, "Signed in as {user} ({}).", config.role)?;
    Ok(())
}

/// The browser on this machine answers to a port of our own.
async fn browser(
    auth: &Auth,
    config: &Config,
    output: &mut impl Write,
    open: impl FnOnce(&Url),
) -> anyhow::Result<NewLogin> {
    let (listener, redirect) = listen(config.redirect_uri.as_ref()).await?;
    let authorization = auth.authorize(&redirect);
    writeln!(output, "Open this page and sign in, if the browser does not open by itself:\n\n{}\n", authorization.url)?;
    let mut receiver = Receiver::start(listener, redirect.path(), authorization.state.clone());
    open(&authorization.url);
    let Ok(arrival) = tokio::time::timeout(PATIENCE, receiver.arrival()).await else {
        bail!(
            "no answer came from the browser within {} minutes. Run the command again, \
             or with --manual if the browser can't reach this machine",
            PATIENCE.as_secs() / 60
        );
    };
    let (callback, page) = arrival.context("the local server for the browser's answer ended by itself")?;
    let result = finish(auth, config, authorization, callback).await;
    page.show(result.is_ok());
    receiver.stop().await;
    result
}

/// The browser is elsewhere; a person carries the answer.
async fn manual(
    auth: &Auth,
    config: &Config,
    input: impl AsyncBufRead + Unpin,
    output: &mut impl Write,
) -> anyhow::Result<NewLogin> {
    let redirect = match &config.redirect_uri {
        Some(redirect) => redirect.clone(),
        None => Url::parse("http://127.0.0.1/callback").context("the built-in redirect URI is none")?,
    };
    let authorization = auth.authorize(&redirect);
    writeln!(output, "Open this page in any browser and sign in:\n\n{}\n", authorization.url)?;
    writeln!(output, "Then paste the address the browser ends at (it may show an error), or the code alone:")?;
    let pasted = line(input).await?;
    let callback = if pasted.contains("code=") || pasted.contains("error=") {
        let query = pasted.split_once('?').map_or(pasted.as_str(), |(_, query)| query);
        Callback::read(query, &authorization.state)
    } else {
        Callback::Code(pasted.into())
    };
    finish(auth, config, authorization, callback).await
}

/// A token from elsewhere is spent at once, and what comes back is stored.
async fn adopt(
    auth: &Auth,
    config: &Config,
    input: impl AsyncBufRead + Unpin,
    output: &mut impl Write,
) -> anyhow::Result<NewLogin> {
    writeln!(output, "Reading the refresh token of account {} from standard input.", config.account)?;
    let token = SecretString::from(line(input).await?);
    auth.adopt(token).await.map_err(|error| sentences::about_refresh_token(error, config))
}

async fn finish(
    auth: &Auth,
    config: &Config,
    authorization: Authorization,
    callback: Callback,
) -> anyhow::Result<NewLogin> {
    match callback {
        Callback::Code(code) => {
            auth.sign_in(authorization, code).await.map_err(|error| sentences::about_code(error, config))
        }
        Callback::Denied(reason) => bail!(
            "the sign-in was refused: {reason}. Sign in with a JTL account that may use the client {} and allow access",
            config.client_id
        ),
        Callback::Foreign => bail!(
            "the pasted address belongs to another sign-in: its state is not the one sent out. \
             Run the command again and use the page it prints"
        ),
    }
}

/// A port of this machine, and the address the browser is to come to.
async fn listen(redirect: Option<&Url>) -> anyhow::Result<(TcpListener, Url)> {
    let Some(redirect) = redirect else {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no local port is free")?;
        let address = listener.local_addr().context("the local port has no address")?;
        let url = Url::parse(&format!("http://{address}/callback")).context("the local port makes no URL")?;
        return Ok((listener, url));
    };
    let host = match redirect.host() {
        Some(Host::Domain("localhost")) => Some(Ipv4Addr::LOCALHOST.into()),
        Some(Host::Ipv4(ip)) if ip.is_loopback() => Some(std::net::IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) if ip.is_loopback() => Some(ip.into()),
        _ => None,
    };
    let (Some(host), "http", Some(port)) = (host, redirect.scheme(), redirect.port_or_known_default()) else {
        bail!(
            "redirect_uri {redirect} is not a plain HTTP address of this machine, so the browser's answer can't \
             arrive here. Run the command with --manual"
        );
    };
    let listener = TcpListener::bind((host, port)).await.with_context(|| {
        format!("port {port} of redirect_uri can't be used. End what uses it, or run the command with --manual")
    })?;
    Ok((listener, redirect.clone()))
}

async fn line(mut input: impl AsyncBufRead + Unpin) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line).await.context("standard input can't be read")?;
    match line.trim() {
        "" => bail!("nothing was given on standard input"),
        text => Ok(text.to_owned()),
    }
}

/// A browser that can't be opened is no trouble: the page is printed as well.
fn open_browser(url: &Url) {
    if let Err(error) = open::that_detached(url.as_str()) {
        tracing::debug!(%error, "no browser could be opened");
    }
}
