//! A feed that fails for long: told as `bridge.feed-stalled`, once per stall, and as `bridge.feed-recovered` when it
//! is read again.
//!
//! The checkpoint stands still during a stall and has moved after it, so where it stands names the stall, also after a
//! restart. Whether a stall was told is asked of the journal.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

use super::Error;
use super::notices::{Notice, Notices};
use super::poller::Polled;
use super::recorder::Recorder;
use crate::domain::entity;
use crate::domain::feed::FeedName;
use crate::ffn;
use crate::schema::event::{FeedRecoveredData, FeedStalledData};
use crate::store;
use crate::telemetry::Chain;

const STALLED: &str = "feed-stalled";
const RECOVERED: &str = "feed-recovered";

/// Watches over the polls of one feed.
pub(super) struct Stall {
    notices: Notices,
    recorder: Recorder,
    feed: FeedName,
    /// How long it fails before it is told.
    after: Duration,
    /// Where the checkpoint stood when it was last looked at.
    seen: Option<Position>,
    /// Whether a stall at that position may be on record, and its end not.
    is_open: bool,
    failing: Option<Failing>,
}

/// A checkpoint's position; `None` where a feed was never read.
type Position = Option<DateTime<Utc>>;

/// Polls that fail, one after the other.
struct Failing {
    /// On FFN's clock, in whole milliseconds.
    since: DateTime<Utc>,
    begun: Instant,
    failures: u32,
    is_told: bool,
}

impl Stall {
    pub(super) fn new(recorder: &Recorder, feed: FeedName, after: Duration) -> Self {
        let notices = Notices {
            account: recorder.account().clone(),
            role: recorder.client.role(),
            journal: recorder.journal.clone(),
            exchange: recorder.exchange.clone(),
            mode: recorder.mode,
        };
        // An earlier process may have told a stall.
        Self { notices, recorder: recorder.clone(), feed, after, seen: None, is_open: true, failing: None }
    }

    /// Before a poll: remembers where the checkpoint stands, unless that is known.
    pub(super) async fn look(&mut self) {
        if self.seen.is_none() {
            self.seen = self.position().await.ok();
        }
    }

    /// After a poll: tells what has to be told. A store that fails is tried again after the next poll.
    pub(super) async fn note(&mut self, polled: &Result<Polled, Error>) {
        let now = self.recorder.client.server_now().trunc_subsecs(3);
        let told = match polled {
            // It says nothing about the feed.
            Ok(Polled { is_waiting: true, .. }) => Ok(()),
            Ok(_) => self.read(now).await,
            Err(error) => self.failed(now, error).await,
        };
        if let Err(error) = told {
            let (account, feed) = (&self.notices.account, self.feed);
            tracing::warn!(%account, %feed, error = %Chain(&error), "the state of a feed could not be told; trying again after the next poll");
        }
    }

    async fn failed(&mut self, now: DateTime<Utc>, error: &Error) -> Result<(), store::Error> {
        let begun = || Failing { since: now, begun: Instant::now(), failures: 0, is_told: false };
        let failing = self.failing.get_or_insert_with(begun);
        failing.failures = failing.failures.saturating_add(1);
        if failing.is_told || failing.begun.elapsed() < self.after {
            return Ok(());
        }
        let (since, failures) = (failing.since, failing.failures);
        let position = self.position().await?;
        let data = FeedStalledData {
            account: self.notices.account.to_string(),
            feed: self.feed.to_string(),
            since,
            position,
            failures,
            error: Chain(error).to_string(),
            action: action(error).to_owned(),
        };
        let discriminator = self.discriminator(position);
        self.notices.tell(Notice { event: STALLED, at: since, discriminator, data }).await?;
        (self.seen, self.is_open) = (Some(position), true);
        if let Some(failing) = &mut self.failing {
            failing.is_told = true;
        }
        Ok(())
    }

    async fn read(&mut self, now: DateTime<Utc>) -> Result<(), store::Error> {
        self.failing = None;
        let (true, Some(seen)) = (self.is_open, self.seen) else { return Ok(()) };
        let position = self.position().await?;
        // One that brought it no further is no end of a stall.
        let Some(position) = position.filter(|position| Some(*position) != seen) else { return Ok(()) };
        let discriminator = self.discriminator(seen);
        let stalled = self.notices.id(STALLED, &discriminator);
        if let Some(stalled_since) = self.notices.journal.event_time(stalled).await? {
            let data = FeedRecoveredData {
                account: self.notices.account.to_string(),
                feed: self.feed.to_string(),
                stalled_since,
                recovered_at: now,
                position,
            };
            self.notices.tell(Notice { event: RECOVERED, at: now, discriminator, data }).await?;
        }
        self.is_open = false;
        Ok(())
    }

    async fn position(&self) -> Result<Position, store::Error> {
        let checkpoint = self.notices.journal.checkpoint(&self.notices.account, self.feed).await?;
        Ok(checkpoint.map(|checkpoint| checkpoint.position))
    }

    /// What names a stall of this feed.
    fn discriminator(&self, position: Position) -> Vec<String> {
        vec![self.feed.to_string(), position.map(entity::id_part).unwrap_or_default()]
    }
}

/// What to do about a feed that fails.
fn action(error: &Error) -> &'static str {
    match error {
        Error::Ffn(ffn::Error::NoToken {
            source: ffn::auth::Error::NeedsLogin { .. } | ffn::auth::Error::ClientRefused { .. },
            ..
        }) => "do what the account's event login-required says; the feed is read on afterwards",
        Error::Ffn(_) => "look at the error, and whether FFN can be reached; the feed is tried again by itself",
        Error::Store(_) => {
            "look at the error, and whether the database can be written; the feed is tried again by itself"
        }
        Error::Endless(_) => "look at the error; shorter windows are tried by themselves, until one can be read",
        Error::Nonsense(_) | Error::Open(_) => "look at the error and report it; the feed is tried again by itself",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::testing::Bench;
    use super::*;
    use crate::ffn::testing::Reply;

    const FEED: FeedName = FeedName::Returns;
    const STALLED: &str = "acme.bridge.feed-stalled";
    const RECOVERED: &str = "acme.bridge.feed-recovered";
    const AFTER: Duration = Duration::from_secs(3600);

    async fn bench() -> Bench {
        Bench::new(|_| Reply::json(200, "{}")).await
    }

    fn stall(bench: &Bench, after: Duration) -> Stall {
        Stall::new(&bench.recorder, FEED, after)
    }

    async fn fails(stall: &mut Stall) {
        stall.look().await;
        stall.note(&Err(Error::Nonsense("two pages are the same".to_owned()))).await;
    }

    /// So much time passes while the feed fails.
    fn pass(stall: &mut Stall, time: Duration) {
        stall.failing.as_mut().unwrap().begun -= time;
    }

    /// A poll that goes well, and moves the checkpoint.
    async fn reads(stall: &mut Stall, bench: &Bench, seconds: i64) {
        stall.look().await;
        bench.read_to(FEED, seconds).await;
        stall.note(&Ok(Polled { events: 0, is_behind: false, is_waiting: false })).await;
    }

    #[tokio::test]
    async fn polls_that_ask_for_nothing_put_no_stall_off() {
        let bench = bench().await;
        bench.read_to(FEED, 100).await;
        let mut stall = stall(&bench, AFTER);
        fails(&mut stall).await;
        pass(&mut stall, AFTER);
        // FFN has refused so many windows that the next one ends too early to have anything new.
        stall.note(&Ok(Polled { events: 0, is_behind: false, is_waiting: true })).await;
        assert!(bench.told().await.is_empty());
        fails(&mut stall).await;
        assert_eq!(bench.told().await, [STALLED]);
    }

    #[tokio::test]
    async fn a_stall_is_told_once_and_its_end_as_well() {
        let bench = bench().await;
        let mut stall = stall(&bench, Duration::ZERO);
        reads(&mut stall, &bench, 100).await;
        assert!(bench.told().await.is_empty(), "nothing had stalled");
        for _ in 0..3 {
            fails(&mut stall).await;
        }
        assert_eq!(bench.told().await, [STALLED]);
        let data: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert_eq!((&data["feed"], &data["failures"]), (&"returns".into(), &1.into()));
        assert_eq!(data["position"], "1970-01-01T00:01:40Z");
        assert!(data["error"].as_str().unwrap().contains("two pages are the same"), "{data}");
        let since = data["since"].clone();
        // There was nothing to read: it is not read again.
        reads(&mut stall, &bench, 100).await;
        fails(&mut stall).await;
        assert_eq!(bench.told().await, [STALLED]);
        for seconds in [200, 300] {
            reads(&mut stall, &bench, seconds).await;
        }
        assert_eq!(bench.told().await, [STALLED, RECOVERED]);
        let data: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert_eq!(data["position"], "1970-01-01T00:03:20Z");
        assert_eq!(data["stalledSince"], since);
        // The next one is another.
        fails(&mut stall).await;
        reads(&mut stall, &bench, 400).await;
        assert_eq!(bench.told().await, [STALLED, RECOVERED, STALLED, RECOVERED]);
    }

    #[tokio::test]
    async fn a_stall_is_told_when_it_has_lasted_for_so_long_and_since_when() {
        let bench = bench().await;
        let mut stall = stall(&bench, AFTER);
        fails(&mut stall).await;
        let begun = Utc::now();
        while Utc::now() < begun + TimeDelta::milliseconds(1) {}
        pass(&mut stall, AFTER / 2);
        fails(&mut stall).await;
        assert!(bench.told().await.is_empty());
        pass(&mut stall, AFTER / 2);
        fails(&mut stall).await;
        assert_eq!(bench.told().await, [STALLED]);
        let data: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        let since: DateTime<Utc> = data["since"].as_str().unwrap().parse().unwrap();
        assert!(since <= begun, "{data}");
        assert_eq!(data["failures"], 3);
    }

    #[tokio::test]
    async fn short_troubles_are_not_told_however_many() {
        let bench = bench().await;
        let mut stall = stall(&bench, AFTER);
        for seconds in [100, 200, 200] {
            fails(&mut stall).await;
            pass(&mut stall, AFTER / 2);
            fails(&mut stall).await;
            reads(&mut stall, &bench, seconds).await;
        }
        assert!(bench.told().await.is_empty());
    }

    #[tokio::test]
    async fn what_could_not_be_recorded_is_told_after_the_next_poll() {
        let bench = bench().await;
        bench.read_to(FEED, 100).await;
        let mut stall = stall(&bench, Duration::ZERO);
        let refuse =
            || bench.alter("CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no'); END");
        refuse();
        fails(&mut stall).await;
        bench.alter("DROP TRIGGER refuse");
        fails(&mut stall).await;
        assert_eq!(bench.told().await, [STALLED]);
        refuse();
        reads(&mut stall, &bench, 200).await;
        bench.alter("DROP TRIGGER refuse");
        reads(&mut stall, &bench, 300).await;
        assert_eq!(bench.told().await, [STALLED, RECOVERED]);
    }

    #[tokio::test]
    async fn a_stall_goes_on_when_somebody_else_reads_the_feed() {
        let bench = bench().await;
        let mut stall = stall(&bench, Duration::ZERO);
        for seconds in [100, 200] {
            bench.read_to(FEED, seconds).await;
            fails(&mut stall).await;
        }
        assert_eq!(bench.told().await, [STALLED]);
    }

    #[tokio::test]
    async fn each_feed_has_stalls_of_its_own() {
        let bench = bench().await;
        for feed in [FEED, FeedName::Products] {
            fails(&mut Stall::new(&bench.recorder, feed, Duration::ZERO)).await;
        }
        assert_eq!(bench.told().await, [STALLED; 2]);
    }

    #[test]
    fn who_has_to_act_is_told_of_it() {
        let source = ffn::auth::Error::NeedsLogin { account: "acme".parse().unwrap(), reason: String::new() };
        assert!(action(&ffn::Error::NoToken { operation: "x", source }.into()).contains("login-required"));
        let wait = Duration::ZERO;
        assert!(action(&ffn::Error::AskedToWait { operation: "x", wait }.into()).contains("by itself"));
    }

    #[tokio::test]
    async fn another_process_tells_neither_again_and_the_end_if_it_sees_it() {
        let bench = bench().await;
        bench.read_to(FEED, 100).await;
        fails(&mut stall(&bench, Duration::ZERO)).await;
        let mut second = stall(&bench, Duration::ZERO);
        fails(&mut second).await;
        assert_eq!(bench.told().await, [STALLED]);
        let mut third = stall(&bench, Duration::ZERO);
        reads(&mut third, &bench, 200).await;
        reads(&mut stall(&bench, Duration::ZERO), &bench, 300).await;
        assert_eq!(bench.told().await, [STALLED, RECOVERED]);
    }

    #[tokio::test]
    async fn a_feed_that_was_never_read_can_stall() {
        let bench = bench().await;
        let mut stall = stall(&bench, Duration::ZERO);
        fails(&mut stall).await;
        let data: serde_json::Value = serde_json::from_str(&bench.last().await).unwrap();
        assert!(data.get("position").is_none(), "{data}");
        reads(&mut stall, &bench, 100).await;
        assert_eq!(bench.told().await, [STALLED, RECOVERED]);
    }
}
