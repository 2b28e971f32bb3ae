//! Why reading from FFN into the journal failed.

use http::StatusCode;

use crate::{ffn, store};

/// Why a reading failed. Whatever of it was stored stays; reading it again does no harm.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// FFN.
    #[error("FFN could not be read")]
    Ffn(#[from] ffn::Error),
    /// The store.
    #[error("what was read could not be stored")]
    Store(#[from] store::Error),
    /// A window that does not end, has too large a page, or is answered only as far as it was read before: a shorter one
    /// may be read.
    #[error("the window can't be read as it is: {0}")]
    Endless(String),
    /// An answer that repeats itself.
    #[error("the feed makes no sense: {0}")]
    Nonsense(String),
    /// So many ledgers of stocks lack entries, and FFN's list does not say for how long.
    #[error("entries of {0} ledgers of stocks are missing, and FFN's list could not be read or not be looked through")]
    Open(usize),
}

impl Error {
    /// Whether a window that ends earlier, or is shorter, may be read.
    pub(super) fn is_about_the_window(&self) -> bool {
        match self {
            Self::Ffn(error) => error.status() == Some(StatusCode::BAD_REQUEST),
            Self::Endless(_) => true,
            Self::Store(_) | Self::Nonsense(_) | Self::Open(_) => false,
        }
    }
}
