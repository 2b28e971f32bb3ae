//! Why reading from FFN into the journal failed.

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
    /// An answer that does not end, or repeats itself.
    #[error("the feed makes no sense: {0}")]
    Nonsense(String),
}
