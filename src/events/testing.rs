//! What the tests of this component share: an account at an API that answers as told, with a real store.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::normalizer::{Item, Telling};
use super::recorder::Recorder;
use crate::domain::account::Role;
use crate::domain::feed::{Checkpoint, FeedName};
use crate::domain::message::{ContentMode, Lane};
use crate::ffn::shipping_methods::ShippingMethods;
use crate::ffn::testing::{Account, Call, Reply};
use crate::store::{Append, Journal, JournalRow, Keyring, Sqlite};

pub(super) struct Bench {
    pub(super) recorder: Recorder,
    pub(super) store: Arc<Sqlite>,
    dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new(handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Role::Merchant, handler).await
    }

    /// One whose account has this role.
    pub(super) async fn of(role: Role, handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Account::of(role, handler).await).await
    }

    /// One of this account.
    pub(super) async fn with(account: Account) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&dir.path().join("bridge.db"), Keyring::default()).await.unwrap());
        let recorder = Recorder {
            client: account.client.clone(),
            shipping_methods: Arc::new(ShippingMethods::new(account.client.clone())),
            journal: store.clone(),
            exchange: "ffn.events".to_owned(),
            mode: ContentMode::Structured,
            metrics: account.metrics.events.clone(),
        };
        Self { recorder, store, dir }
    }

    /// A feed has been read to so many seconds after 1970.
    pub(super) async fn read_to(&self, feed: FeedName, seconds: i64) {
        let position = DateTime::from_timestamp(seconds, 0).unwrap();
        let started_at = DateTime::UNIX_EPOCH;
        let checkpoint = Checkpoint { started_at, position, with_snapshot: false, again: None };
        let checkpoint = Some((self.recorder.account().clone(), feed, checkpoint));
        self.store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
    }

    /// These items have been read.
    pub(super) async fn record(&self, feed: FeedName, items: &[String]) {
        let item = |json: &String| Item::from(RawValue::from_string(json.clone()).unwrap());
        let items: Vec<Item> = items.iter().map(item).collect();
        let telling = Telling::since(DateTime::UNIX_EPOCH);
        self.recorder.record(feed, &items, telling, Append::default()).await.unwrap();
    }

    /// Does something to the database that the bridge would not.
    pub(super) fn alter(&self, sql: &str) {
        rusqlite::Connection::open(self.dir.path().join("bridge.db")).unwrap().execute_batch(sql).unwrap();
    }

    /// The routing keys of all events, in order.
    pub(super) async fn told(&self) -> Vec<String> {
        let lane = Lane::Events(self.recorder.account().clone());
        let rows = self.store.rows_after(&lane, 0, 1000).await.unwrap();
        rows.into_iter().map(|row| row.message.destination.routing_key).collect()
    }

    /// The versions of a ledger and the gaps that were told, by their first version.
    pub(super) async fn versions(&self) -> (Vec<i64>, Vec<i64>) {
        let lane = Lane::Events(self.recorder.account().clone());
        let rows = self.store.rows_after(&lane, 0, 1000).await.unwrap();
        let told = |name: &str| {
            let of = |row: &JournalRow| {
                let event: serde_json::Value = serde_json::from_slice(&row.message.body).unwrap();
                event["data"][name].as_i64()
            };
            let mut versions: Vec<i64> = rows.iter().filter_map(of).collect();
            versions.sort_unstable();
            versions
        };
        (told("stockVersion"), told("fromVersion"))
    }

    /// `data` of the newest event.
    pub(super) async fn last(&self) -> String {
        let lane = Lane::Events(self.recorder.account().clone());
        let rows = self.store.rows_after(&lane, 0, 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&rows.last().unwrap().message.body).unwrap();
        body["data"].to_string()
    }
}

/// A product that was made and last changed at such seconds.
pub(super) fn product(id: &str, made: u32, changed: u32) -> String {
    format!(
        r#"{{"jfsku":"{id}","modificationInfo":{{"createdAt":"2026-01-05T08:00:{made:02}Z","updatedAt":"2026-01-05T08:00:{changed:02}Z"}}}}"#
    )
}

/// The page of a list that has these rows.
pub(super) fn listed(call: &Call, rows: &[String]) -> Reply {
    let skip = call.uri.split_once("$skip=").map_or("0", |(_, skip)| skip).parse().unwrap();
    let page: Vec<&str> = rows.iter().skip(skip).map(String::as_str).collect();
    Reply::json(200, &format!(r#"{{"items":[{}]}}"#, page.join(",")))
}

/// A parameter of a call.
pub(super) fn query<T: FromStr>(call: &Call, name: &str) -> Option<T> {
    let (_, query) = call.uri.split_once('?')?;
    let (_, value) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name)?;
    value.parse().ok()
}

/// The bounds of the window that is asked for.
pub(super) fn bounds(call: &Call) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    query(call, "fromDate").zip(query(call, "toDate"))
}

/// A product that was made then and last changed at another time, as [`updates`] takes it.
pub(super) fn shown(id: &str, made: DateTime<Utc>, changed: DateTime<Utc>) -> (DateTime<Utc>, String) {
    let stamp = format!(r#""createdAt":"{}","updatedAt":"{}""#, made.to_rfc3339(), changed.to_rfc3339());
    (changed, format!(r#"{{"jfsku":"{id}","modificationInfo":{{{stamp}}}}}"#))
}

/// The page of a feed that has these items, each with the time of its last change; to other calls who is signed in.
pub(super) fn updates(call: &Call, items: &[(DateTime<Utc>, String)]) -> Reply {
    let Some((from, to)) = bounds(call) else {
        return Reply::json(200, r#"{"userId":"ACME"}"#);
    };
    let shown = items.iter().filter(|(at, _)| from <= *at && *at < to).map(|(_, item)| item.as_str());
    Reply::json(200, &format!(r#"{{"data":[{}]}}"#, shown.collect::<Vec<_>>().join(",")))
}
