//! Events about the bridge itself: what its operators have to know of an account.
//!
//! A notice goes the way of every event, through the journal and the account's lane. It is told once: its
//! id is a function of what it is about, and the journal takes an id once, so a crash, a restart or another
//! process on the same store adds nothing. What has passed before it could be recorded is not told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::account::{AccountName, Role};
use crate::domain::entity;
use crate::domain::message::{CloudEvent, ContentMode, Destination, Draft, Lane};
use crate::ffn::auth::Need;
use crate::schema::event::LoginRequiredData;
use crate::store::{self, Append, Journal};
use crate::telemetry::Chain;

/// Pauses between tries while the store can't be written.
const RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(Duration::from_secs(10))
    .without_max_times();

/// The types of the events about the bridge itself.
pub(super) const TYPES: [&str; 3] =
    ["ffn.bridge.feed-recovered.v1", "ffn.bridge.feed-stalled.v1", "ffn.bridge.login-required.v1"];

/// Tells what has to be known of one account.
#[derive(Clone)]
pub struct Notices {
    /// The account.
    pub account: AccountName,
    /// Its role.
    pub role: Role,
    /// Where events go.
    pub journal: Arc<dyn Journal>,
    /// The events exchange.
    pub exchange: String,
    /// How events are laid into messages.
    pub mode: ContentMode,
}

/// Something that an operator has to know.
pub(super) struct Notice<T> {
    /// Last word of the routing key.
    pub(super) event: &'static str,
    /// When it was found out.
    pub(super) at: DateTime<Utc>,
    /// What tells it from others of the same name.
    pub(super) discriminator: Vec<String>,
    pub(super) data: T,
}

impl Notices {
    /// Tells of each need of a person until `stop` is cancelled. A store that fails is tried again.
    pub async fn run(self, mut needs: watch::Receiver<Option<Need>>, stop: CancellationToken) {
        let mut backoff = RETRY.build();
        loop {
            let need = needs.borrow_and_update().clone();
            let told = match &need {
                Some(need) => self.tell(login_required(&self.account, need)).await,
                None => Ok(()),
            };
            let again = match told {
                Ok(()) => {
                    backoff = RETRY.build();
                    None
                }
                Err(error) => {
                    let error = Chain(&error).to_string();
                    tracing::warn!(account = %self.account, error, "that a person is needed could not be told; trying again");
                    backoff.next()
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = needs.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
        }
    }

    /// Records a notice, unless it is on record.
    pub(super) async fn tell<T: Serialize>(&self, notice: Notice<T>) -> Result<(), store::Error> {
        let event = notice.event;
        match self.draft(notice) {
            Ok(draft) => {
                let entered = self.journal.append(Append { drafts: vec![draft], ..Append::default() }).await?.events;
                tracing::debug!(account = %self.account, event, entered, "a notice is on record");
            }
            // A fault of this program that another try would not mend.
            Err(error) => tracing::error!(account = %self.account, event, %error, "a notice can't be written"),
        }
        Ok(())
    }

    /// The id of a notice: a function of what it is about.
    pub(super) fn id(&self, event: &str, discriminator: &[String]) -> Uuid {
        let mut id = vec![self.account.as_str(), "bridge", event];
        id.extend(discriminator.iter().map(String::as_str));
        entity::event_id(&id)
    }

    fn draft<T: Serialize>(&self, notice: Notice<T>) -> Result<Draft, serde_json::Error> {
        let Notice { event, at, discriminator, data } = notice;
        let account = self.account.as_str();
        Ok(Draft {
            lane: Lane::Events(self.account.clone()),
            destination: Destination {
                exchange: self.exchange.clone(),
                routing_key: format!("{account}.bridge.{event}"),
            },
            unique: true,
            correlation_id: None,
            mode: self.mode,
            headers: BTreeMap::new(),
            clue: None,
            event: CloudEvent {
                id: self.id(event, &discriminator),
                event_type: format!("ffn.bridge.{event}.v1"),
                subject: Some(account.to_owned()),
                time: at,
                account: account.to_owned(),
                role: Some(self.role),
                recorded_time: Utc::now(),
                causation_id: None,
                is_snapshot: false,
                data: serde_json::value::to_raw_value(&data)?,
            },
        })
    }
}

/// A person is needed. Generations begin anew when the store is lost: the time of the sign-in tells those apart.
fn login_required(account: &AccountName, need: &Need) -> Notice<LoginRequiredData> {
    let signed_in = need.signed_in_at.map(entity::id_part).unwrap_or_default();
    Notice {
        event: "login-required",
        at: need.since,
        discriminator: vec![need.cause.as_str().to_owned(), need.generation.to_string(), signed_in],
        data: LoginRequiredData {
            account: account.to_string(),
            cause: need.cause,
            reason: need.reason.clone(),
            since: need.since,
            action: need.action(account),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::sync::Mutex;

    use super::*;
    use crate::domain::entity::Known;
    use crate::domain::feed::{Checkpoint, FeedName};
    use crate::domain::listing::{Listing, Purpose};
    use crate::domain::token::Cause;
    use crate::store::{Appended, Backlog, JournalRow, Pending};

    /// A journal that keeps drafts, refuses repeats, and fails as often as it is told to.
    #[derive(Default)]
    struct Memory {
        drafts: Mutex<Vec<Draft>>,
        failures: Mutex<usize>,
        calls: watch::Sender<u64>,
    }

    impl Memory {
        fn told(&self) -> Vec<Draft> {
            self.drafts.lock().unwrap().clone()
        }
    }

    impl Journal for Memory {
        fn append(&self, append: Append) -> Pending<'_, Appended> {
            Box::pin(async move {
                self.calls.send_modify(|calls| *calls += 1);
                let mut failures = self.failures.lock().unwrap();
                if *failures > 0 {
                    *failures -= 1;
                    return Err(store::Error::Closed);
                }
                let mut drafts = self.drafts.lock().unwrap();
                let known: HashSet<_> = drafts.iter().map(|draft| draft.event.id).collect();
                let new: Vec<_> = append.drafts.into_iter().filter(|draft| !known.contains(&draft.event.id)).collect();
                let events = new.len();
                drafts.extend(new);
                Ok(Appended { events, ..Appended::default() })
            })
        }

        fn checkpoint<'a>(&'a self, _: &'a AccountName, _: FeedName) -> Pending<'a, Option<Checkpoint>> {
            panic!("notices ask for nothing")
        }
        fn go_back<'a>(&'a self, _: &'a AccountName, _: FeedName, _: Checkpoint) -> Pending<'a, ()> {
            panic!("notices move no checkpoint")
        }
        fn known<'a>(&'a self, _: &'a AccountName, _: FeedName, _: Vec<String>) -> Pending<'a, HashMap<String, Known>> {
            panic!("notices ask for nothing")
        }
        fn known_after<'a>(
            &'a self,
            _: &'a AccountName,
            _: FeedName,
            _: String,
            _: usize,
        ) -> Pending<'a, Vec<(String, Known)>> {
            panic!("notices ask for nothing")
        }
        fn listing<'a>(&'a self, _: &'a AccountName, _: FeedName, _: Purpose) -> Pending<'a, Option<Listing>> {
            panic!("notices ask for nothing")
        }
        fn event_time(&self, _: Uuid) -> Pending<'_, Option<DateTime<Utc>>> {
            panic!("notices ask for nothing")
        }
        fn held(&self, _: Vec<Uuid>) -> Pending<'_, HashSet<Uuid>> {
            panic!("notices ask for nothing")
        }
        fn holes<'a>(&'a self, _: &'a AccountName) -> Pending<'a, Vec<(String, Known)>> {
            panic!("notices ask for nothing")
        }
        fn rows_after<'a>(&'a self, _: &'a Lane, _: i64, _: usize) -> Pending<'a, Vec<JournalRow>> {
            panic!("notices ask for nothing")
        }
        fn confirmed<'a>(&'a self, _: &'a Lane) -> Pending<'a, i64> {
            panic!("notices ask for nothing")
        }
        fn confirm<'a>(&'a self, _: &'a Lane, _: i64, _: Vec<i64>) -> Pending<'a, ()> {
            panic!("notices ask for nothing")
        }
        fn backlog(&self) -> Pending<'_, Vec<Backlog>> {
            panic!("notices ask for nothing")
        }
        fn probe(&self) -> Pending<'_, ()> {
            panic!("notices ask for nothing")
        }
        fn appended(&self) -> watch::Receiver<u64> {
            panic!("notices ask for nothing")
        }
    }

    fn need(cause: Cause, generation: i64) -> Need {
        let at = DateTime::from_timestamp(1_767_600_000, 0).unwrap();
        Need { cause, generation, signed_in_at: Some(at), reason: "it was refused".to_owned(), since: at }
    }

    fn notices(journal: &Arc<Memory>) -> Notices {
        let journal: Arc<dyn Journal> = Arc::<Memory>::clone(journal);
        let (account, exchange) = ("acme".parse().unwrap(), "ffn.events".to_owned());
        Notices { account, role: Role::Merchant, journal, exchange, mode: ContentMode::Structured }
    }

    /// The task, and what it listens to; it ends with the sender.
    fn running(journal: &Arc<Memory>) -> watch::Sender<Option<Need>> {
        let needs = watch::Sender::new(None);
        tokio::spawn(notices(journal).run(needs.subscribe(), CancellationToken::new()));
        needs
    }

    async fn until_called(journal: &Memory, times: u64) {
        let mut calls = journal.calls.subscribe();
        let called = calls.wait_for(|calls| *calls >= times);
        tokio::time::timeout(Duration::from_secs(10), called).await.expect("in time").unwrap();
    }

    #[tokio::test]
    async fn a_need_is_told_once_for_each_generation_and_cause() {
        let journal = Arc::new(Memory::default());
        let needs = [
            need(Cause::TokenRefused, 3),
            need(Cause::AccessRejected, 3),
            need(Cause::TokenRefused, 3),
            Need { reason: "in other words".to_owned(), ..need(Cause::TokenRefused, 3) },
            need(Cause::TokenRefused, 5),
            Need { signed_in_at: DateTime::from_timestamp(1_767_700_000, 0), ..need(Cause::TokenRefused, 3) },
        ];
        // Each in a process of its own.
        for (before, need) in needs.into_iter().enumerate() {
            running(&journal).send_replace(Some(need));
            until_called(&journal, before as u64 + 1).await;
        }
        let told: Vec<String> = journal.told().iter().map(|draft| draft.event.data.to_string()).collect();
        assert_eq!(told.len(), 4, "{told:#?}");
    }

    #[tokio::test]
    async fn a_store_that_fails_is_tried_again_until_it_has_the_event() {
        let journal = Arc::new(Memory { failures: Mutex::new(3), ..Memory::default() });
        let needs = running(&journal);
        needs.send_replace(Some(need(Cause::TokenRefused, 3)));
        until_called(&journal, 4).await;
        while journal.told().is_empty() {
            tokio::task::yield_now().await;
        }
        let draft = journal.told().remove(0);
        assert_eq!(draft.destination.routing_key, "acme.bridge.login-required");
        assert_eq!(draft.event.event_type, "ffn.bridge.login-required.v1");
        assert_eq!((draft.event.subject.as_deref(), draft.lane), (Some("acme"), Lane::Events("acme".parse().unwrap())));
        let data: serde_json::Value = serde_json::from_str(draft.event.data.get()).unwrap();
        let wanted = serde_json::json!({
            "account": "acme", "cause": "token-refused", "reason": "it was refused",
            "since": "2026-01-05T08:00:00Z", "action": "run `ffn-bridge login acme`",
        });
        assert_eq!(data, wanted);
    }

    #[tokio::test]
    async fn a_need_that_ends_before_it_could_be_recorded_is_not_told() {
        let journal = Arc::new(Memory { failures: Mutex::new(1), ..Memory::default() });
        let needs = running(&journal);
        needs.send_replace(Some(need(Cause::TokenRefused, 3)));
        until_called(&journal, 1).await;
        needs.send_replace(None);
        let signed_in = need(Cause::TokenRefused, 4);
        needs.send_replace(Some(Need { reason: "the second".to_owned(), ..signed_in }));
        until_called(&journal, 2).await;
        while journal.told().is_empty() {
            tokio::task::yield_now().await;
        }
        let told = journal.told();
        assert!(told.len() == 1 && told[0].event.data.get().contains("the second"), "{told:#?}");
    }
}
