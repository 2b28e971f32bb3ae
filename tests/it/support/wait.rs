//! Waiting for a state: ask again and again until it is there, or say what never came.

use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a test that needs it has failed anyway.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// Waits until `look` finds something, not longer than `patience`.
pub async fn until_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
