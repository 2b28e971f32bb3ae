//! What can go wrong with a call to FFN, and what is to be done about it.
//!
//! Every call of this component ends in an answer or in an [`Error`]. The one question both flows ask of an
//! error is [`Error::disposition`]: again later, look first, never, or a person has to sign in. The
//! guarantee: a call that may have been carried out is never called "not sent", and no text here holds a
//! token, a URL or a payload; the source is in the chain, not in the text.

use std::time::Duration;

use http::StatusCode;

use super::auth;
use super::refusal::Refusal;

/// Why a call gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no token to call with; nothing was sent.
    #[error("{operation} can't be sent: there is no access token")]
    NoToken {
        /// The operation.
        operation: &'static str,
        /// Why there is none.
        #[source]
        source: auth::Error,
    },
    /// No connection was made (refused, DNS, TLS); nothing was sent.
    #[error("{operation} was not sent: FFN can't be reached")]
    NotSent {
        /// The operation.
        operation: &'static str,
        /// Why, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// FFN has asked this account not to call for longer than somebody should wait; nothing was sent.
    #[error("{operation} was not sent: FFN has asked this account to wait, {} s more", .wait.as_secs())]
    AskedToWait {
        /// The operation.
        operation: &'static str,
        /// How long.
        wait: Duration,
    },
    /// The call can't be put into a request as it is; nothing was sent.
    #[error("{operation} can't be sent: {reason}")]
    Unsendable {
        /// The operation.
        operation: &'static str,
        /// What is wrong, in words for the caller.
        reason: String,
    },
    /// The connection broke or time ran out after the request may have reached FFN.
    #[error("no answer to {operation}: whether FFN carried it out is unknown")]
    NoAnswer {
        /// The operation.
        operation: &'static str,
        /// Why, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// FFN answered with success, but what it sent can't be read.
    #[error("FFN's answer to {operation} can't be read: {reason}")]
    Unreadable {
        /// The operation.
        operation: &'static str,
        /// What is wrong with it, without its content.
        reason: String,
    },
    /// FFN answered with success, and with more than is ever read of an answer.
    #[error("FFN's answer to {operation} is larger than {limit} bytes")]
    TooLarge {
        /// The operation.
        operation: &'static str,
        /// How much is read, in bytes.
        limit: usize,
    },
    /// FFN has nothing with the number that was given in the place of its id.
    #[error("{operation}: FFN has nothing with the given {param}")]
    NotFound {
        /// The operation.
        operation: &'static str,
        /// The member that was given.
        param: &'static str,
    },
    /// FFN answered, and the answer was no.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

/// What is to be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing was done at FFN: the same call may be sent again.
    Again {
        /// Not sooner than this, if FFN said so.
        after: Option<Duration>,
    },
    /// It may have been done, or something is there already: look before sending again.
    InDoubt,
    /// The same call can't ever succeed.
    Never,
    /// The account can't call until a person has acted: signed in again or mended the credentials.
    NeedsLogin,
}

impl Error {
    /// What is to be done about it (contract 5).
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NoToken { source, .. } => match source {
                auth::Error::NeedsLogin { .. } | auth::Error::ClientRefused { .. } => Disposition::NeedsLogin,
                auth::Error::Temporary { .. } | auth::Error::Busy { .. } | auth::Error::Store(_) => {
                    Disposition::Again { after: None }
                }
            },
            Self::NotSent { .. } => Disposition::Again { after: None },
            Self::AskedToWait { wait, .. } => Disposition::Again { after: Some(*wait) },
            Self::NoAnswer { .. } | Self::Unreadable { .. } | Self::TooLarge { .. } => Disposition::InDoubt,
            Self::Unsendable { .. } | Self::NotFound { .. } => Disposition::Never,
            Self::Refused(refusal) => refusal.disposition(),
        }
    }

    /// Whether FFN refuses just what was asked for: that will not pass, and the account may ask for others. A 403 that
    /// names no code says that the token lacks a scope (contract 2.4).
    pub fn is_about_this_one(&self) -> bool {
        let Some(refusal) = self.refusal() else { return false };
        let lacks_scope = refusal.status == StatusCode::FORBIDDEN && refusal.code.is_none();
        refusal.status != StatusCode::UNAUTHORIZED && !lacks_scope && refusal.disposition() == Disposition::Never
    }

    /// Whether it may be only this that FFN fails to show: its own error, no answer in time, or one that can't be read.
    pub fn may_be_about_this_one(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.status.is_server_error(),
            Self::NoAnswer { .. } | Self::Unreadable { .. } | Self::TooLarge { .. } => true,
            _ => false,
        }
    }

    /// FFN's answer, if it gave one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The status of FFN's answer, if it gave one.
    pub fn status(&self) -> Option<StatusCode> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// FFN's error code, the only stable part of its answers (contract 5).
    pub fn code(&self) -> Option<&str> {
        self.refusal().and_then(|refusal| refusal.code.as_deref())
    }

    /// How long FFN asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AskedToWait { wait, .. } => Some(*wait),
            _ => self.refusal().and_then(|refusal| refusal.retry_after),
        }
    }

    /// Sorts a failure of the HTTP client: nothing was sent, or nobody knows.
    pub(super) fn from_transport(operation: &'static str, error: reqwest::Error) -> Self {
        let source = error.without_url();
        if source.is_builder() {
            Self::Unsendable { operation, reason: "the request can't be built".to_owned() }
        } else if source.is_connect() {
            Self::NotSent { operation, source }
        } else {
            Self::NoAnswer { operation, source }
        }
    }
}
