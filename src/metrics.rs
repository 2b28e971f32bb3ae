//! Every metric of the bridge: one struct a component, one registry for all.
//!
//! Labels come from closed sets only. What must keep growing while nothing happens (lag, age) is
//! computed when it is scraped, from stored instants.

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// All metrics and the registry that shows them.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The API and its tokens.
    pub ffn: FfnMetrics,
    /// Reading feeds and publishing events.
    pub events: EventMetrics,
    /// Executing commands.
    pub commands: CommandMetrics,
    /// The broker.
    pub broker: BrokerMetrics,
    /// The store.
    pub store: StoreMetrics,
    registry: Registry,
}

/// The API and its tokens.
#[derive(Debug, Clone)]
pub struct FfnMetrics {
    /// Calls to the API by operation and status (`error` where no answer came): `{account,operation,status}`.
    pub requests: IntCounterVec,
    /// Seconds from request to answer: `{operation}`.
    pub request_duration: HistogramVec,
    /// When the access token ends, seconds since 1970: `{account}`.
    pub token_expires: GaugeVec,
    /// Token refreshes by outcome `refreshed`, `refused`, `failed`: `{account,outcome}`.
    pub token_refreshes: IntCounterVec,
    /// 1 while a person has to sign in again: `{account}`.
    pub login_required: IntGaugeVec,
    /// Seconds the server's clock is ahead of this machine's: `{account}`.
    pub clock_skew: GaugeVec,
    /// Calls a second that the account may make now: `{account}`.
    pub budget: GaugeVec,
}

/// Reading feeds and publishing events.
#[derive(Debug, Clone)]
pub struct EventMetrics {
    /// Events confirmed by the broker: `{account,type}`.
    pub published: IntCounterVec,
    /// Seconds from the change at FFN to the broker's confirm: `{account}`.
    pub delay: HistogramVec,
    /// Events that no queue was bound for; they are kept in the journal: `{account,type}`.
    pub unroutable: IntCounterVec,
    /// Holes in stock ledgers that could not be mended: `{account}`.
    pub stock_gaps: IntCounterVec,
    /// Items of feeds that could not be told; they are kept: `{account,feed}`.
    pub items_parked: IntCounterVec,
    /// Items that are parked; computed at scrape: `{account,feed}`.
    pub parked: IntGaugeVec,
    /// Polls by outcome `changed`, `empty`, `failed`: `{account,feed,outcome}`.
    pub polls: IntCounterVec,
    /// Seconds between the server's clock and the end of what has been read; computed at scrape: `{account,feed}`.
    pub feed_lag: GaugeVec,
    /// Journal rows that wait for the broker; computed at scrape: `{account}`.
    pub pending: IntGaugeVec,
    /// Looks for what a feed has missed, by outcome `done`, `failed`: `{account,feed,outcome}`.
    pub sweeps: IntCounterVec,
    /// Events that a feed had missed: `{account,feed}`. 0 in a healthy system.
    pub sweep_missed: IntCounterVec,
    /// When it was last found that a feed had missed something, seconds since 1970; computed at scrape: `{account,feed}`.
    pub missed_at: GaugeVec,
    /// When the last look was complete, seconds since 1970: `{account,feed}`.
    pub swept_at: GaugeVec,
    /// Rows that a snapshot has read: `{account,feed}`.
    pub snapshot_rows: IntGaugeVec,
    /// Rows that it will be, as FFN told at its begin: `{account,feed}`.
    pub snapshot_expected: IntGaugeVec,
    /// 1 when it is complete: `{account,feed}`.
    pub snapshot_complete: IntGaugeVec,
}

/// Executing commands.
#[derive(Debug, Clone)]
pub struct CommandMetrics {
    /// Commands by outcome `succeeded`, `failed`, `duplicate`, `retried`, `held`: `{account,command,outcome}`.
    pub finished: IntCounterVec,
    /// Seconds from delivery to outcome: `{command}`.
    pub duration: HistogramVec,
    /// Attempts after the first: `{account,command}`.
    pub retries: IntCounterVec,
    /// Commands set aside by error code: `{account,code}`.
    pub dead_letters: IntCounterVec,
    /// 1 while the account can't call and its commands wait in its held queue: `{account}`.
    pub paused: IntGaugeVec,
    /// Commands in the account's held queue; asked of the broker at scrape: `{account}`.
    pub held: IntGaugeVec,
}

/// The broker.
#[derive(Debug, Clone)]
pub struct BrokerMetrics {
    /// 1 while the publishing connection stands.
    pub connected: IntGauge,
    /// Connections made after the first.
    pub reconnects: IntCounter,
}

/// The store.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Rows taken out because they were old enough: `{table}`.
    pub pruned: IntCounterVec,
}

const DELAY_BUCKETS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
const CALL_BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

impl Metrics {
    /// Makes and registers every metric.
    ///
    /// # Errors
    /// Two metrics of one name: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let ffn = FfnMetrics {
            requests: counter(
                &registry,
                "api_requests_total",
                "Calls to the FFN API.",
                &["account", "operation", "status"],
            )?,
            request_duration: histogram(
                &registry,
                "api_request_duration_seconds",
                "Time from request to answer.",
                &CALL_BUCKETS,
                &["operation"],
            )?,
            token_expires: gauge(
                &registry,
                "token_expires_timestamp_seconds",
                "When the access token ends.",
                &["account"],
            )?,
            token_refreshes: counter(&registry, "token_refreshes_total", "Token refreshes.", &["account", "outcome"])?,
            login_required: int_gauge(
                &registry,
                "login_required",
                "1 while a person has to sign in again.",
                &["account"],
            )?,
            clock_skew: gauge(
                &registry,
                "clock_skew_seconds",
                "How far the server's clock is ahead of this machine's.",
                &["account"],
            )?,
            budget: gauge(
                &registry,
                "api_budget_calls_per_second",
                "Calls that the account may make now: as configured, or less where FFN says so.",
                &["account"],
            )?,
        };
        let events = EventMetrics {
            published: counter(
                &registry,
                "events_published_total",
                "Events confirmed by the broker.",
                &["account", "type"],
            )?,
            delay: histogram(
                &registry,
                "event_delay_seconds",
                "Time from the change at FFN to the broker's confirm.",
                &DELAY_BUCKETS,
                &["account"],
            )?,
            stock_gaps: counter(
                &registry,
                "stock_gaps_total",
                "Holes in stock ledgers that could not be mended.",
                &["account"],
            )?,
            parked: int_gauge(
                &registry,
                "parked_items",
                "Items that could not be told as events.",
                &["account", "feed"],
            )?,
            items_parked: counter(
                &registry,
                "items_parked_total",
                "Items of feeds that could not be told as events; they are kept.",
                &["account", "feed"],
            )?,
            unroutable: counter(
                &registry,
                "events_unroutable_total",
                "Events no queue was bound for; kept in the journal.",
                &["account", "type"],
            )?,
            polls: counter(&registry, "polls_total", "Polls of a feed.", &["account", "feed", "outcome"])?,
            feed_lag: gauge(
                &registry,
                "feed_lag_seconds",
                "Time between the server's clock and the end of what has been read.",
                &["account", "feed"],
            )?,
            sweeps: counter(
                &registry,
                "sweeps_total",
                "Lists compared with what is known.",
                &["account", "feed", "outcome"],
            )?,
            sweep_missed: counter(
                &registry,
                "sweep_missed_events_total",
                "Events that a feed had missed and a sweep has found.",
                &["account", "feed"],
            )?,
            missed_at: gauge(
                &registry,
                "last_missed_timestamp_seconds",
                "When it was last found that the feed had missed changes.",
                &["account", "feed"],
            )?,
            swept_at: gauge(
                &registry,
                "last_sweep_timestamp_seconds",
                "When a list was last compared with what is known.",
                &["account", "feed"],
            )?,
            snapshot_rows: int_gauge(
                &registry,
                "snapshot_rows",
                "Rows that the snapshot has read.",
                &["account", "feed"],
            )?,
            snapshot_expected: int_gauge(
                &registry,
                "snapshot_expected_rows",
                "Rows that there were when the snapshot began.",
                &["account", "feed"],
            )?,
            snapshot_complete: int_gauge(
                &registry,
                "snapshot_complete",
                "1 when what was there at the start has been told.",
                &["account", "feed"],
            )?,
            pending: int_gauge(&registry, "journal_pending_events", "Events that wait for the broker.", &["account"])?,
        };
        let commands = CommandMetrics {
            finished: counter(&registry, "commands_total", "Commands by outcome.", &["account", "command", "outcome"])?,
            duration: histogram(
                &registry,
                "command_duration_seconds",
                "Time from delivery to outcome.",
                &CALL_BUCKETS,
                &["command"],
            )?,
            retries: counter(
                &registry,
                "retries_total",
                "Attempts of commands after the first.",
                &["account", "command"],
            )?,
            dead_letters: counter(&registry, "dead_letters_total", "Commands set aside.", &["account", "code"])?,
            paused: int_gauge(
                &registry,
                "commands_paused",
                "1 while the account can't call and its commands wait.",
                &["account"],
            )?,
            held: int_gauge(
                &registry,
                "commands_held",
                "Commands that wait until the account can call.",
                &["account"],
            )?,
        };
        let broker = BrokerMetrics {
            connected: register(
                &registry,
                IntGauge::new("ffn_bridge_broker_connected", "1 while the publishing connection stands.")?,
            )?,
            reconnects: register(
                &registry,
                IntCounter::new("ffn_bridge_broker_reconnects_total", "Connections made after the first.")?,
            )?,
        };
        let store = StoreMetrics {
            pruned: counter(&registry, "pruned_rows_total", "Rows taken out because of their age.", &["table"])?,
        };
        let build = int_gauge(&registry, "build_info", "The version that runs.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { ffn, events, commands, broker, store, registry })
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// A metric that can't be written: a fault of this code.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("ffn_bridge_{name}"), help)
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(options(name, help), labels)?)
}

fn int_gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(options(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    register(registry, GaugeVec::new(options(name, help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts { common_opts: options(name, help), buckets: buckets.to_vec() };
    register(registry, HistogramVec::new(options, labels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_shows() {
        let metrics = Metrics::new().unwrap();
        let text = metrics.render().unwrap();
        assert!(text.contains("ffn_bridge_build_info{version="), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }

    #[test]
    fn every_metric_is_in_the_readme() {
        let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let (code, _) = include_str!("metrics.rs").split_once("#[cfg(test)]").unwrap();
        let names: Vec<&str> = code.split("&registry,").skip(1).map(|call| call.split('"').nth(1).unwrap()).collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names.iter().map(|name| name.strip_prefix("ffn_bridge_").unwrap_or(name)) {
            assert!(
                readme.lines().any(|line| line.starts_with("| `") && line.contains(&format!("`ffn_bridge_{name}`"))),
                "{name}"
            );
        }
    }
}
