//! Taking out of the store what is old, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::metrics::StoreMetrics;
use crate::store::{self, Pruning, Retention, Table};
use crate::telemetry::Chain;

/// After the start, so that commands whose end was not acknowledged come again before they are forgotten.
const FIRST: Duration = Duration::from_secs(10);
/// Between the end of one look and the next.
const EVERY: Duration = Duration::from_secs(600);
/// Rows of one transaction: writers wait that long at the most.
const STEP: usize = 500;
/// Between two transactions; the store is the writers' meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes out what is old.
#[derive(Clone)]
pub(super) struct Pruner {
    pub(super) store: Arc<dyn Pruning>,
    pub(super) retention: Retention,
    pub(super) metrics: StoreMetrics,
}

impl Pruner {
    /// Looks again and again until `stop`. A store that fails is tried again with the next look: nothing
    /// waits for this.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pause = FIRST;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            for table in Table::ALL {
                // Between two steps it can be stopped; a step itself is brought to its end.
                match self.prune(table, &stop).await {
                    Ok(0) => {}
                    Ok(rows) => tracing::info!(table = table.as_str(), rows, "old rows were taken out of the store"),
                    Err(error) => {
                        let table = table.as_str();
                        tracing::warn!(table, error = %Chain(&error), "old rows can't be taken out; trying again later");
                    }
                }
            }
            pause = EVERY;
        }
    }

    async fn prune(&self, table: Table, stop: &CancellationToken) -> Result<usize, store::Error> {
        let kept = TimeDelta::from_std(self.retention.of(table)).ok();
        let Some(before) = kept.and_then(|kept| Utc::now().checked_sub_signed(kept)) else { return Ok(0) };
        let pruned = self.metrics.pruned.with_label_values(&[table.as_str()]);
        let mut rows = 0;
        loop {
            let taken = self.store.prune(table, before, STEP).await?;
            pruned.inc_by(u64::try_from(taken).unwrap_or(0));
            rows += taken;
            if taken < STEP || stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return Ok(rows);
            }
        }
    }
}
