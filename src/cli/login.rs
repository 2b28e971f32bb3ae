//! `ffn-bridge login ACCOUNT`: a person signs an account in (contract 2.1).
//!
//! Three ways to the same end: the browser with a redirect to this machine, the browser on another machine
//! with a pasted answer, or a refresh token that exists already. All bring a pair of tokens that is not stored
//! yet; [`fit`] looks whether it suits the configuration, and only then [`Auth`] stores it. The guarantees: a
//! code counts only with the state that was sent out; neither codes nor tokens are printed; what was stored
//! stays until a pair that fits is there; a sign-in that worked is not lost because FFN's API is away for a
//! while; an error says what happened, why, and what to do next. [`status`] shows what is stored.

mod callback;
pub(super) mod fit;
mod sentences;
mod status;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use secrecy::SecretString;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::net::TcpListener;
use url::{Host, Url};

use super::{account_named, opened_or_made};
use crate::app::Account;
use crate::config;
use crate::domain::account::AccountName;
use crate::domain::token::TokenStore;
use crate::ffn::auth::{Authorization, NewLogin};
use crate::ffn::{Auth, Client, Config};
use crate::metrics::Metrics;
use callback::{Arrival, Callback, Ending, Receiver};
use fit::Verdict;
pub(super) use sentences::Misfit;
pub(super) use status::moment;

/// How long the browser may take.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Without an option it opens the browser. FFN's sign-in page sends it back to this machine: to redirect_uri of the \
account, as registered for the OAuth client, or without one to a free port. What the sign-in brings is looked at \
before it is stored: scopes and role must fit the configuration, else nothing is stored and an earlier sign-in stays.

A running bridge on the same database uses a new sign-in within seconds.

Exit codes: 0 done (with --status: signed in), 1 failed (with --status: somebody has to sign in), 2 bad usage or \
configuration.")]
pub(super) struct Arguments {
    /// The account, as it is called in the configuration
    account: AccountName,
    /// Prints the page's address and reads the answer from standard input, for a machine without a browser
    #[arg(long, group = "way")]
    manual: bool,
    /// Adopts a refresh token that exists already: `-` reads it from standard input. It is spent at once
    #[arg(long, value_name = "-", value_parser = ["-"], group = "way")]
    refresh_token: Option<String>,
    /// Shows what is stored of the sign-in: age, last refresh, expiry, scopes; never a token. Asks nobody else
    #[arg(long, group = "way")]
    status: bool,
    /// With --status: prints JSON
    #[arg(long, requires = "status")]
    json: bool,
    /// Prints the answers of the OAuth server that could not be read. They may hold tokens
    #[arg(long, group = "way")]
    kept_answers: bool,
}

/// The way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A browser on this machine.
    Browser,
    /// A browser elsewhere; the code or the address it ended at is pasted.
    Manual,
    /// A refresh token is read from the input.
    RefreshToken,
}

pub(super) async fn run(config: &config::Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let account = account_named(config, &arguments.account)?;
    let store = opened_or_made(config).await?;
    if arguments.status {
        return status::show(&account.ffn, &*store, arguments.json).await;
    }
    if arguments.kept_answers {
        return status::show_kept_answers(&account.ffn.account, &*store).await;
    }
    let way = match (&arguments.refresh_token, arguments.manual) {
        (Some(_), _) => Way::RefreshToken,
        (None, true) => Way::Manual,
        (None, false) => Way::Browser,
    };
    // Before the person is sent to the browser: what they bring could not be stored.
    store.login(&arguments.account).await?;
    let Account { config: account, auth, client } = Account::new(account, store, &Metrics::new()?)?;
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    SignIn { auth: &auth, client: &client, config: &account.ffn, output: &mut std::io::stdout() }
        .by(way, input)
        .await?;
    Ok(ExitCode::SUCCESS)
}

/// One sign-in. `output` is what the person reads in the terminal.
struct SignIn<'a, W> {
    auth: &'a Auth,
    client: &'a Client,
    config: &'a Config,
    output: &'a mut W,
}

impl<W: Write + Send> SignIn<'_, W> {
    /// Signs in and stores what that brings. `input` is where a person pastes.
    async fn by(&mut self, way: Way, input: impl AsyncBufRead + Unpin) -> anyhow::Result<()> {
        match way {
            Way::Browser => self.browser(open_browser).await,
            Way::Manual => self.manual(input).await,
            Way::RefreshToken => self.adopt(input).await,
        }
    }

    /// The browser on this machine answers to a port of our own. `open` says whether it could be opened.
    async fn browser(&mut self, open: impl FnOnce(&Url) -> bool) -> anyhow::Result<()> {
        let (listener, redirect) = listen(self.config.redirect_uri.as_ref()).await?;
        let authorization = self.auth.authorize(&redirect);
        let (account, role) = (&self.config.account, self.config.role);
        self.say(&format!(
            "Opening the browser, to sign account {account} in as a {role}. If none opens, open this page on this \
             machine:\n\n{}\n",
            authorization.url
        ));
        let mut receiver = Receiver::start(listener, redirect.path(), authorization.state.clone());
        if !open(&authorization.url) {
            self.say(&format!(
                "No browser could be opened here. Open the page by hand, or end this with Ctrl-C and run `ffn-bridge \
                 login {account} --manual`, which takes the answer of a browser on another machine."
            ));
        }
        let minutes = PATIENCE.as_secs() / 60;
        let place = &redirect[..url::Position::AfterPath];
        self.say(&format!("Waiting up to {minutes} minutes for the browser to come back to {place} …"));
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                match receiver.arrival().await {
                    Some(Arrival::Answer(callback, page)) => return Ok((callback, page)),
                    Some(Arrival::Stray) => self.say(
                        "The browser came back with an answer that belongs to another sign-in: its state is not the one \
                         that was sent out. It was turned away. Still waiting for the right one …",
                    ),
                    None => bail!("the local server for the browser's answer has ended by itself; run the command again"),
                }
            }
        });
        let Ok(arrival) = waited.await else {
            bail!(
                "no answer came from the browser within {minutes} minutes, and nothing was stored. Run the command \
                 again, or with --manual if the browser can't reach this machine"
            );
        };
        let (callback, page) = arrival?;
        let result = self.finish(authorization, callback).await;
        page.show(match &result {
            Ok(words) => Ending { is_signed_in: true, words: words.clone() },
            Err(error) => Ending { is_signed_in: false, words: as_sentence(&format!("{error:#}")) },
        });
        receiver.stop().await;
        result.map(drop)
    }

    /// The browser is elsewhere; a person carries the answer.
    async fn manual(&mut self, input: impl AsyncBufRead + Unpin) -> anyhow::Result<()> {
        let redirect = match &self.config.redirect_uri {
            Some(redirect) => redirect.clone(),
            None => Url::parse("http://127.0.0.1/callback").context("the built-in redirect URI is none")?,
        };
        let authorization = self.auth.authorize(&redirect);
        let (account, role) = (&self.config.account, self.config.role);
        self.say(&format!(
            "To sign account {account} in as a {role}, open this page in any browser:\n\n{}\n\nThe browser ends at an \
             address that begins with {redirect}; the page may not load, that is as it should be. Paste the whole \
             address here, or the code in it alone:",
            authorization.url
        ));
        let pasted = line(input).await?;
        let callback = if pasted.contains("code=") || pasted.contains("error=") {
            let query = pasted.split_once('?').map_or(pasted.as_str(), |(_, query)| query);
            let query = query.split_once('#').map_or(query, |(query, _)| query);
            Callback::read(query, &authorization.state)
        } else {
            Callback::Code(pasted.into())
        };
        self.finish(authorization, callback).await.map(drop)
    }

    /// A token from elsewhere is spent at once, and what comes back is stored.
    async fn adopt(&mut self, input: impl AsyncBufRead + Unpin) -> anyhow::Result<()> {
        let (account, config) = (&self.config.account, self.config);
        self.say(&format!("Reading the refresh token of account {account} from standard input …"));
        let token = SecretString::from(line(input).await?);
        self.say("Exchanging it for new tokens …");
        let login = self.auth.adopt(token).await.map_err(|error| sentences::about_refresh_token(error, config))?;
        let kept = self.keep(login).await;
        kept.map(drop).map_err(|error| {
            anyhow!("{error:#} The refresh token that was given is spent: it works once, and this was its use")
        })
    }

    /// The browser's answer becomes tokens, and these are kept. Gives the last words.
    async fn finish(&mut self, authorization: Authorization, callback: Callback) -> anyhow::Result<String> {
        let config = self.config;
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Denied(reason) => bail!(sentences::denied(config, &reason)),
            Callback::Foreign => bail!(
                "the pasted address belongs to another sign-in: its state is not the one sent out. \
                 Run the command again and use the page it prints"
            ),
        };
        self.say("The sign-in page has given a code. Exchanging it for tokens …");
        let login =
            self.auth.sign_in(authorization, code).await.map_err(|error| sentences::about_code(error, config))?;
        self.keep(login).await
    }

    /// Stores a sign-in that fits, or of which nobody can say now. Gives the last words.
    async fn keep(&mut self, login: NewLogin) -> anyhow::Result<String> {
        let config = self.config;
        let account = &config.account;
        let refuse = |misfit: &Misfit| {
            anyhow!("{misfit} Nothing was stored; what was stored for account {account} before stays.")
        };
        if let Some(misfit) = fit::scopes(config, login.scopes()) {
            return Err(refuse(&misfit));
        }
        let scopes = match login.scopes() {
            [] => "FFN does not name the scopes".to_owned(),
            scopes => format!("Granted: {}", sentences::printable(&scopes.join(", "))),
        };
        self.say(&format!("{scopes}. Asking FFN who has signed in …"));
        let words = match fit::ask(self.client, config, login.scopes(), login.access()).await {
            Verdict::Misfit(misfit) => return Err(refuse(&misfit)),
            Verdict::Fits(Some(user)) => format!("Signed in as {user} ({}).", config.role),
            Verdict::Fits(None) => format!("Signed in ({}). FFN does not say as whom.", config.role),
            Verdict::Unknown(why) => format!(
                "Signed in, but whether user and role are the right ones could not be checked now: {why}. The tokens are \
                 stored all the same. Run `ffn-bridge check` in a while."
            ),
        };
        self.auth.accept(login).await.map_err(|error| sentences::not_stored(error, config))?;
        self.say(&format!("The tokens of account {account} are stored."));
        self.say(&words);
        Ok(words)
    }

    /// Tells how far it is. Nobody reading it must not cost a sign-in.
    fn say(&mut self, words: &str) {
        drop(writeln!(self.output, "{words}").and_then(|()| self.output.flush()));
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
        Some(Host::Ipv4(ip)) if ip.is_loopback() => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) if ip.is_loopback() => Some(ip.into()),
        _ => None,
    };
    let (Some(host), "http", Some(port)) = (host, redirect.scheme(), redirect.port_or_known_default()) else {
        bail!(
            "redirect_uri {redirect} is not a plain HTTP address of this machine, so the browser's answer can't \
             arrive here. Run the command with --manual"
        );
    };
    let listener = TcpListener::bind((host, port)).await.map_err(|error| {
        let instead = "or run the command with --manual, which needs no port";
        match error.kind() {
            std::io::ErrorKind::AddrInUse => anyhow!(
                "port {port} of redirect_uri {redirect} is in use by another program, so the browser's answer can't \
                 arrive here. End that program, {instead}"
            ),
            std::io::ErrorKind::PermissionDenied => anyhow!(
                "this user may not listen on port {port} of redirect_uri {redirect}. Register an address with a port \
                 above 1023 for the client, {instead}"
            ),
            _ => anyhow!("port {port} of redirect_uri {redirect} can't be used: {error}. Mend that, {instead}"),
        }
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

/// Whether a browser was opened. One that can't be is no trouble: the page's address is printed as well.
fn open_browser(url: &Url) -> bool {
    open::that_detached(url.as_str()).inspect_err(|error| tracing::debug!(%error, "no browser could be opened")).is_ok()
}

/// An error as it stands on a page: a capital letter first, a full stop last.
fn as_sentence(error: &str) -> String {
    let mut letters = error.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if error.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
