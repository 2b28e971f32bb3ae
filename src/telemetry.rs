//! Logs: `tracing` events to standard error, as text or JSON; where a terminal shows bars, above them.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use indicatif::MultiProgress;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The bars that a terminal shows.
pub static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Standard error, a line at a time above the bars.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// How logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Layout of a line.
    pub format: Format,
    /// A filter in `tracing`'s syntax, for example `info,ffn_bridge=debug`.
    pub filter: String,
}

/// Layout of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logs can't be written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not in `tracing`'s syntax.
    #[error("the log filter {filter:?} can't be read")]
    Filter {
        /// The filter.
        filter: String,
        /// Why.
        #[source]
        source: ParseError,
    },
    /// Something in this process receives logs already.
    #[error("logs can't be set up a second time")]
    Twice(#[source] TryInitError),
}

/// Libraries whose news below a warning is noise, until the filter names them.
const QUIET: [&str; 8] =
    ["lapin", "amq_protocol", "async_rs", "hyper", "hyper_util", "reqwest", "rustls", "rustls_platform_verifier"];

/// A channel that the broker closes, which is how it says no: whoever asked tells of it, in words that help.
const CLOSED_CHANNELS: &str = "lapin::channel=off,";

/// What would write whole messages, with people's addresses in them, into the log: never.
const PAYLOADS: &str = "lapin::returned_messages=off";
/// What would write the sign-in at the broker, byte by byte, where a filter asks for the library's traces.
const FRAMES: &str = ",lapin::io_loop=info,lapin::channel=info,lapin::frames=info,amq_protocol=info";

/// Sends the logs of this process to standard error; coloured if that is a terminal.
///
/// # Errors
/// If the filter can't be read, or logs are set up already.
pub fn init(config: &Config) -> Result<(), InitError> {
    let colours = io::stderr().is_terminal();
    subscriber(config, colours, || AboveBars)?.try_init().map_err(InitError::Twice)
}

fn subscriber<W>(config: &Config, colours: bool, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, InitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&config.filter)?).with_writer(writer);
    Ok(match config.format {
        Format::Text => Box::new(builder.compact().with_ansi(colours).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).with_span_list(false).finish()),
    })
}

/// The filter as configured, behind one that holds noisy libraries at warnings and what is told twice at nothing. A
/// directive of the configuration that names such a library replaces ours; a level below warnings needs none.
fn filter(text: &str) -> Result<EnvFilter, InitError> {
    let level_of_all = text.split(',').rev().find_map(|directive| directive.trim().parse::<LevelFilter>().ok());
    let quiet = if level_of_all.is_some_and(|level| level > LevelFilter::WARN) {
        QUIET.map(|library| format!("{library}=warn")).join(",") + ","
    } else {
        String::new()
    };
    let closed = if text.contains("lapin") { "" } else { CLOSED_CHANNELS };
    let asks = text.contains("trace") && (text.contains("lapin") || text.contains("amq_protocol"));
    let frames = if asks { FRAMES } else { "" };
    EnvFilter::builder()
        .parse(format!("{closed}{quiet}{text},{PAYLOADS}{frames}"))
        .map_err(|source| InitError::Filter { filter: text.to_owned(), source })
}

/// An error with everything that led to it, for logs and people: `what happened: why: why that`.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let config = Config { format, filter: filter.to_owned() };
        let subscriber = subscriber(&config, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_is_one_plain_line() {
        let line = logged(Format::Text, "info", || tracing::info!(account = "acme", "signed in"));
        assert!(line.contains("signed in") && line.contains("account=\"acme\""), "{line}");
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let line = logged(Format::Json, "info", || tracing::info!(account = "acme", "signed in"));
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["message"], "signed in");
        assert_eq!(object["account"], "acme");
    }

    #[test]
    fn libraries_are_quiet_until_they_are_named() {
        let log = || {
            tracing::debug!(target: "lapin::channel", "frame");
            tracing::warn!(target: "lapin::io_loop", "lost");
            tracing::error!(target: "lapin::channel", "closed");
            tracing::debug!(target: "ffn_bridge", "ours");
        };
        assert!(!logged(Format::Text, "info", log).contains("closed"), "who asked tells it");
        assert!(logged(Format::Text, "info,lapin=info", log).contains("closed"));
        for (filter, frame, lost, ours) in [
            ("info", false, true, false),
            ("debug", false, true, true),
            ("debug,lapin=debug", true, true, true),
            ("info,ffn_bridge=debug", false, true, true),
            ("error", false, false, false),
            ("off", false, false, false),
            ("error,ffn_bridge=debug", false, false, true),
        ] {
            let lines = logged(Format::Text, filter, log);
            assert_eq!(
                (lines.contains("frame"), lines.contains("lost"), lines.contains("ours")),
                (frame, lost, ours),
                "{filter}: {lines}"
            );
        }
    }

    #[test]
    fn errors_are_told_to_their_last_cause() {
        let cause = "sideways".parse::<LevelFilter>().unwrap_err();
        #[derive(Debug, thiserror::Error)]
        #[error("the log filter can't be read")]
        struct Outer(#[source] tracing_subscriber::filter::LevelParseError);
        let text = Chain(&Outer(cause)).to_string();
        assert!(text.starts_with("the log filter can't be read: "), "{text}");
    }
}
