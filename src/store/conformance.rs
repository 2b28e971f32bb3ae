//! What every store has to do, whatever it is made of: the promises of the traits, as tests.
//!
//! An implementation names its way to open a fresh store in [`conformance!`] and gets them all.

use std::collections::BTreeMap;

use chrono::SubsecRound;
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::*;
use crate::domain::cause::{Clue, Effect};
use crate::domain::feed::{Again, Stretch};
use crate::domain::listing::{Cursor, Row};
use crate::domain::message::{ContentMode, Destination};
use crate::domain::token::{Lease, Origin, RefreshEnding, StoredLogin, TokenPair};

/// Makes a test of each promise, on a store of its own. `$open` gives the store and whatever has to
/// live as long as it.
macro_rules! conformance {
    ($open:expr; $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (store, _kept) = $open.await;
                $crate::store::conformance::$promise(&store).await;
            }
        )*
    };
    ($open:expr) => {
        $crate::store::conformance::conformance! {
            $open;
            a_lane_gives_its_rows_in_order_and_only_its_own
            a_unique_draft_enters_once_and_others_as_often_as_they_come
            positions_rise_across_appends_and_stand_in_the_message
            a_checkpoint_never_moves_back_and_keeps_its_start
            what_is_known_of_an_entity_is_replaced_and_the_unknown_is_missing
            what_is_known_is_gone_through_by_id
            how_far_a_list_is_enters_with_what_it_told
            confirms_never_move_back_and_leave_other_lanes_alone
            the_backlog_counts_what_is_not_confirmed
            an_append_is_announced_after_it_can_be_read
            what_was_published_is_selected_in_order_and_in_pages
            what_is_old_and_published_leaves_the_journal_a_step_at_a_time
            entries_of_ledgers_stay_as_long_as_they_may_be_read_again
            entities_and_parked_items_leave_when_they_are_old
            what_is_parked_is_listed_shown_counted_and_taken_out
            commands_leave_when_they_are_old_and_finished
            a_command_that_is_put_back_and_not_on_record_is_in_doubt
            a_command_is_executed_once_and_then_answered_from_the_log
            an_attempt_without_an_outcome_is_in_doubt
            starts_without_an_end_are_counted_until_one_has_an_end
            setbacks_count_and_doubt_as_they_should
            a_waiting_command_holds_back_later_ones_of_its_key
            a_held_command_holds_back_later_ones_of_its_key_until_it_is_begun_or_released
            a_command_is_not_begun_before_it_is_due_and_no_repetition_costs_an_attempt
            what_was_before_a_command_was_held_is_no_trouble_of_its_own
            the_same_id_for_something_else_is_a_conflict
            a_result_enters_the_journal_with_the_outcome
            an_event_names_the_command_that_it_came_from
            a_change_of_a_kind_is_told_of_one_command_once
            what_is_better_named_at_the_end_is_found_by_that
            what_surely_had_no_effect_has_caused_nothing_and_what_may_have_is_found_later
            causes_go_with_their_commands
            a_newer_sign_in_clears_that_one_is_needed
            a_refreshed_pair_takes_only_the_place_of_the_one_it_came_from
            a_lease_has_one_holder_until_it_is_given_back_or_over
            a_refresh_is_on_record_until_it_brings_a_pair
            a_sign_out_forgets_the_tokens_and_keeps_count
        }
    };
}
pub(super) use conformance;

fn acme() -> AccountName {
    "acme".parse().unwrap()
}

fn other() -> AccountName {
    "other".parse().unwrap()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn draft(lane: Lane, id: u128, unique: bool) -> Draft {
    Draft {
        lane,
        destination: Destination { exchange: "ffn.events".into(), routing_key: format!("acme.outbound.{id}") },
        unique,
        correlation_id: None,
        mode: ContentMode::Structured,
        headers: BTreeMap::from([("traceparent".to_owned(), "00-1".to_owned())]),
        clue: None,
        event: CloudEvent {
            id: Uuid::from_u128(id),
            event_type: "ffn.outbound.shipped.v1".into(),
            subject: Some("ACME02X".into()),
            time: at(1_700_000_000),
            account: "acme".into(),
            role: None,
            recorded_time: at(1_700_000_001),
            causation_id: None,
            is_snapshot: false,
            data: RawValue::from_string(r#"{"price":1.10}"#.into()).unwrap(),
        },
    }
}

fn drafts(lane: &Lane, ids: impl IntoIterator<Item = u128>) -> Append {
    Append { drafts: ids.into_iter().map(|id| draft(lane.clone(), id, true)).collect(), ..Append::default() }
}

fn keys(rows: &[JournalRow]) -> Vec<&str> {
    rows.iter().map(|row| row.message.destination.routing_key.rsplit('.').next().unwrap()).collect()
}

pub(super) async fn a_lane_gives_its_rows_in_order_and_only_its_own(store: &impl Store) {
    let (mine, others) = (Lane::Events(acme()), Lane::Events(other()));
    assert_eq!(store.append(drafts(&mine, [3, 1])).await.unwrap().events, 2);
    assert_eq!(store.append(drafts(&others, [7])).await.unwrap().events, 1);
    assert_eq!(store.append(drafts(&Lane::Results, [8])).await.unwrap().events, 1);
    assert_eq!(store.append(drafts(&mine, [2])).await.unwrap().events, 1);
    let rows = store.rows_after(&mine, 0, 10).await.unwrap();
    assert_eq!(keys(&rows), ["3", "1", "2"]);
    assert!(rows.is_sorted_by(|one, two| one.position < two.position));
    let [first, second, ..] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(keys(&store.rows_after(&mine, first.position, 1).await.unwrap()), ["1"]);
    assert_eq!(keys(&store.rows_after(&mine, second.position, 10).await.unwrap()), ["2"]);
    assert_eq!(keys(&store.rows_after(&others, 0, 10).await.unwrap()), ["7"]);
    assert_eq!(keys(&store.rows_after(&Lane::Results, 0, 10).await.unwrap()), ["8"]);
}

pub(super) async fn a_unique_draft_enters_once_and_others_as_often_as_they_come(store: &impl Store) {
    let lane = Lane::Events(acme());
    // Also within one append, and if another lane has it.
    assert_eq!(store.append(drafts(&lane, [1, 2, 1])).await.unwrap().events, 2);
    assert_eq!(store.append(drafts(&lane, [2, 3])).await.unwrap().events, 1);
    assert_eq!(store.append(drafts(&Lane::Events(other()), [3])).await.unwrap().events, 0);
    for _ in 0..2 {
        let repeated = Append { drafts: vec![draft(Lane::Results, 1, false)], ..Append::default() };
        assert_eq!(store.append(repeated).await.unwrap().events, 1);
    }
    assert_eq!(keys(&store.rows_after(&lane, 0, 10).await.unwrap()), ["1", "2", "3"]);
    assert_eq!(store.rows_after(&Lane::Results, 0, 10).await.unwrap().len(), 2);
}

pub(super) async fn positions_rise_across_appends_and_stand_in_the_message(store: &impl Store) {
    let lane = Lane::Events(acme());
    let appends = (1..=20).map(|id| store.append(drafts(&lane, [id, id + 100])));
    for entered in futures_util::future::join_all(appends).await {
        assert_eq!(entered.unwrap().events, 2);
    }
    let rows = store.rows_after(&lane, 0, 100).await.unwrap();
    assert_eq!(rows.len(), 40);
    for row in &rows {
        let body = String::from_utf8(row.message.body.clone()).unwrap();
        assert!(body.contains(&format!(r#""sequence":"{:020}""#, row.position)), "{body}");
        assert!(body.contains(r#""data":{"price":1.10}"#), "{body}");
        assert_eq!(row.message.headers["traceparent"], "00-1");
        assert_eq!(row.time, at(1_700_000_000));
    }
    // What one append brings stays together.
    for pair in rows.chunks(2) {
        let [one, two] = pair else { panic!("{pair:?}") };
        assert_eq!(two.position, one.position + 1);
        assert_eq!(two.message.message_id, Uuid::from_u128(100 + one.message_id()).to_string());
    }
}

impl JournalRow {
    fn message_id(&self) -> u128 {
        self.message.message_id.parse::<Uuid>().unwrap().as_u128()
    }
}

pub(super) async fn a_checkpoint_never_moves_back_and_keeps_its_start(store: &impl Store) {
    let feed = FeedName::Outbounds;
    let again = |from, until| {
        Some(Again { next: Some(Stretch { from: at(from + 1), until: at(until) }), ..Again::new(at(from), at(until)) })
    };
    let made = |started_at, position, again| Checkpoint {
        started_at: at(started_at),
        position: at(position),
        with_snapshot: true,
        again,
    };
    let save = async |checkpoint| {
        let checkpoint = Some((acme(), feed, checkpoint));
        store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
        store.checkpoint(&acme(), feed).await.unwrap().unwrap()
    };
    assert_eq!(store.checkpoint(&acme(), feed).await.unwrap(), None);
    assert_eq!(save(made(100, 100, None)).await, made(100, 100, None));
    assert_eq!(save(made(100, 200, again(90, 210))).await, made(100, 200, again(90, 210)));
    // Somebody who is behind changes nothing.
    assert_eq!(save(made(150, 150, again(80, 160))).await, made(100, 200, again(90, 210)));
    assert_eq!(save(made(100, 200, None)).await, made(100, 200, None));
    assert_eq!(store.checkpoint(&acme(), FeedName::OutboundShipments).await.unwrap(), None);
    assert_eq!(store.checkpoint(&other(), feed).await.unwrap(), None);
}

pub(super) async fn what_is_known_of_an_entity_is_replaced_and_the_unknown_is_missing(store: &impl Store) {
    let feed = FeedName::Outbounds;
    let mut before = None;
    for status in ["Pending", "Shipped"] {
        let mut known = Known { status: Some(status.to_owned()), ..Known::default() };
        known.remember(status);
        let entity = KnownEntity { account: acme(), feed, id: "A".into(), before, known: known.clone() };
        store.append(Append { known: vec![entity], ..Append::default() }).await.unwrap();
        before = Some(known);
    }
    // Somebody who has not seen the last writing changes nothing.
    for before in [None, Some(Known::default())] {
        let entity = KnownEntity { account: acme(), feed, id: "A".into(), before, known: Known::default() };
        let outdated = store.append(Append { known: vec![entity], ..Append::default() }).await;
        assert!(matches!(outdated, Err(Error::Outdated)), "{outdated:?}");
    }
    let found = store.known(&acme(), feed, vec!["A".into(), "B".into()]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found["A"].status.as_deref(), Some("Shipped"));
    assert!(found["A"].has_told("Shipped") && !found["A"].has_told("Pending"));
    assert!(store.known(&acme(), FeedName::OutboundShipments, vec!["A".into()]).await.unwrap().is_empty());
    assert!(store.known(&other(), feed, vec!["A".into()]).await.unwrap().is_empty());
}

pub(super) async fn what_is_known_is_gone_through_by_id(store: &impl Store) {
    let feed = FeedName::Outbounds;
    let entity = |account: AccountName, feed, id: &str| {
        let known = Known { status: Some(id.to_owned()), ..Known::default() };
        KnownEntity { account, feed, id: id.to_owned(), before: None, known }
    };
    let mut known: Vec<KnownEntity> = ["C", "A", "D", "B"].map(|id| entity(acme(), feed, id)).into();
    known.extend([entity(other(), feed, "X"), entity(acme(), FeedName::Inbounds, "Y")]);
    store.append(Append { known, ..Append::default() }).await.unwrap();
    let after = async |id: &str| -> Vec<String> {
        let found = store.known_after(&acme(), feed, id.to_owned(), 3).await.unwrap();
        assert!(found.iter().all(|(id, known)| known.status.as_ref() == Some(id)));
        found.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(after("").await, ["A", "B", "C"]);
    assert_eq!(after("C").await, ["D"]);
    assert!(after("D").await.is_empty());
}

pub(super) async fn how_far_a_list_is_enters_with_what_it_told(store: &impl Store) {
    let feed = FeedName::Outbounds;
    let listing = async |purpose| store.listing(&acme(), feed, purpose).await.unwrap();
    assert_eq!(listing(Purpose::Snapshot).await, None);
    for rows in [100, 200] {
        let last = Some(Row { id: rows.to_string(), created_at: Some(at(1)) });
        let cursor = Cursor { rows, last, restarts: 0 };
        let read = Listing { cursor, total: Some(300), missed_at: Some(at(2)), ..Listing::default() };
        let with = Some((acme(), feed, Purpose::Snapshot, read.clone()));
        store.append(Append { listing: with, ..Append::default() }).await.unwrap();
        assert_eq!(listing(Purpose::Snapshot).await, Some(read));
    }
    assert_eq!(listing(Purpose::Sweep).await, None);
    assert_eq!(store.listing(&other(), feed, Purpose::Snapshot).await.unwrap(), None);
    // What is refused takes it along.
    let known = Known::default();
    let known = vec![KnownEntity { account: acme(), feed, id: "A".into(), before: Some(known.clone()), known }];
    let with = Some((acme(), feed, Purpose::Sweep, Listing::default()));
    assert!(store.append(Append { known, listing: with, ..Append::default() }).await.is_err());
    assert_eq!(listing(Purpose::Sweep).await, None);
}

pub(super) async fn confirms_never_move_back_and_leave_other_lanes_alone(store: &impl Store) {
    let (mine, others) = (Lane::Events(acme()), Lane::Events(other()));
    assert_eq!(store.confirmed(&mine).await.unwrap(), 0);
    store.confirm(&mine, 5, vec![]).await.unwrap();
    store.confirm(&mine, 3, vec![]).await.unwrap();
    assert_eq!(store.confirmed(&mine).await.unwrap(), 5);
    assert_eq!(store.confirmed(&others).await.unwrap(), 0);
}

pub(super) async fn the_backlog_counts_what_is_not_confirmed(store: &impl Store) {
    let lane = Lane::Events(acme());
    assert_eq!(store.backlog().await.unwrap(), []);
    store.append(drafts(&lane, 1..=3)).await.unwrap();
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog, [Backlog { lane: lane.key(), rows: 3 }]);
    let rows = store.rows_after(&lane, 0, 10).await.unwrap();
    store.confirm(&lane, rows[1].position, vec![rows[0].position]).await.unwrap();
    assert_eq!(store.backlog().await.unwrap()[0].rows, 1);
    // What no queue was bound for stays to be replayed.
    assert_eq!(store.rows_after(&lane, 0, 10).await.unwrap().len(), 3);
    store.confirm(&lane, rows[2].position, vec![]).await.unwrap();
    assert_eq!(store.backlog().await.unwrap(), []);
}

pub(super) async fn an_append_is_announced_after_it_can_be_read(store: &impl Store) {
    let lane = Lane::Events(acme());
    let mut appended = store.appended();
    appended.mark_unchanged();
    let (announced, entered) = tokio::join!(
        async {
            appended.changed().await.unwrap();
            store.rows_after(&lane, 0, 10).await.unwrap().len()
        },
        store.append(drafts(&lane, [1]))
    );
    assert_eq!((announced, entered.unwrap().events), (1, 1));
}

pub(super) async fn what_was_published_is_selected_in_order_and_in_pages(store: &impl Store) {
    let (mine, others) = (Lane::Events(acme()), Lane::Events(other()));
    let typed = |lane: &Lane, id: u128, event_type: &str, second: i64| {
        let mut draft = draft(lane.clone(), id, true);
        draft.event.event_type = event_type.into();
        draft.event.time = at(second);
        draft
    };
    let drafts = vec![
        typed(&mine, 1, "ffn.outbound.created.v1", 10),
        typed(&others, 2, "ffn.outbound.shipped.v1", 20),
        typed(&Lane::Results, 3, "ffn.outbound.created.v1", 20),
        typed(&mine, 4, "ffn.outbound.shipped.v1", 30),
        typed(&mine, 5, "ffn.shipment.dispatched.v1", 40),
        typed(&mine, 6, "ffn.outbound.created.v1", 50),
    ];
    store.append(Append { drafts, ..Append::default() }).await.unwrap();
    assert_eq!(store.accounts().await.unwrap(), ["acme", "other"]);
    let everything = Selection::default();
    let none = store.survey(everything.clone()).await.unwrap();
    assert!(none.types.is_empty() && none.waiting == 5, "nothing is published: {none:?}");
    store.confirm(&Lane::Results, 3, vec![]).await.unwrap();
    store.confirm(&others, 2, vec![]).await.unwrap();
    store.confirm(&mine, 5, vec![]).await.unwrap();

    let found = async |selection: &Selection| {
        let survey = store.survey(selection.clone()).await.unwrap();
        let (mut position, mut found) = (0, Vec::new());
        loop {
            let rows = store.published(selection.clone(), survey.ends.clone(), position, 2).await.unwrap();
            let Some(last) = rows.last() else { break };
            position = last.position;
            found.extend(keys(&rows).into_iter().map(str::to_owned));
        }
        assert_eq!(survey.types.values().sum::<u64>(), found.len() as u64);
        found
    };
    assert_eq!(found(&everything).await, ["1", "2", "4", "5"]);
    let survey = store.survey(everything.clone()).await.unwrap();
    assert_eq!((survey.waiting, survey.types["ffn.outbound.shipped.v1"]), (1, 2));
    assert_eq!(survey.exchanges, ["ffn.events"]);
    assert_eq!(found(&Selection { accounts: vec![acme()], ..Selection::default() }).await, ["1", "4", "5"]);
    let types = |types: &[&str]| Selection {
        types: types.iter().map(|pattern| (*pattern).to_owned()).collect(),
        ..Selection::default()
    };
    assert_eq!(found(&types(&["ffn.outbound.*"])).await, ["1", "2", "4"]);
    assert_eq!(found(&types(&["ffn.shipment.dispatched.v1", "*.created.*"])).await, ["1", "5"]);
    assert!(found(&types(&["ffn.outbound", "[f]fn.*", "ffn.outbound.created.v?"])).await.is_empty());
    let times = Selection { since: Some(at(20)), until: Some(at(40)), ..Selection::default() };
    assert_eq!(found(&times).await, ["2", "4"]);
    // What is confirmed later is not within the ends of an earlier survey.
    store.confirm(&mine, 6, vec![]).await.unwrap();
    let rows = store.published(everything.clone(), survey.ends, 0, 10).await.unwrap();
    assert_eq!(keys(&rows), ["1", "2", "4", "5"]);
}

/// A bound that everything written so far is before.
fn soon() -> DateTime<Utc> {
    Utc::now() + chrono::TimeDelta::seconds(1)
}

pub(super) async fn what_is_old_and_published_leaves_the_journal_a_step_at_a_time(store: &impl Store) {
    let (mine, others) = (Lane::Events(acme()), Lane::Events(other()));
    let aged = |lane: &Lane, id, second| {
        let mut draft = draft(lane.clone(), id, true);
        draft.event.recorded_time = at(second);
        draft
    };
    let mut drafts: Vec<Draft> = (1..=5u8).map(|id| aged(&mine, id.into(), 100 + i64::from(id))).collect();
    drafts.extend((6..=8).map(|id| aged(&others, id, 100)));
    drafts.extend((9..=10).map(|id| aged(&Lane::Results, id, 100)));
    store.append(Append { drafts, ..Append::default() }).await.unwrap();
    let left = async |lane: &Lane| store.rows_after(lane, 0, 100).await.unwrap().len();
    // Whatever its age, what the broker has not confirmed stays.
    assert_eq!(store.prune(Table::Journal, soon(), 100).await.unwrap(), 0);
    store.confirm(&mine, 4, vec![2]).await.unwrap();
    store.confirm(&others, 7, vec![]).await.unwrap();
    assert_eq!(store.prune(Table::Journal, at(100), 100).await.unwrap(), 0);
    assert_eq!(store.prune(Table::Journal, at(103), 100).await.unwrap(), 2 + 2);
    assert_eq!((left(&mine).await, left(&others).await, left(&Lane::Results).await), (3, 1, 2));
    assert_eq!(store.prune(Table::Journal, at(104), 100).await.unwrap(), 1);
    store.confirm(&Lane::Results, 10, vec![]).await.unwrap();
    assert_eq!(store.prune(Table::Journal, soon(), 1).await.unwrap(), 1);
    assert_eq!(store.prune(Table::Journal, soon(), 2).await.unwrap(), 2);
    assert_eq!(store.prune(Table::Journal, soon(), 2).await.unwrap(), 0);
    assert_eq!((left(&mine).await, left(&others).await, left(&Lane::Results).await), (1, 1, 0));
    // Positions go on rising.
    store.append(Append { drafts: vec![aged(&mine, 11, 100)], ..Append::default() }).await.unwrap();
    assert_eq!(store.rows_after(&mine, 10, 10).await.unwrap().len(), 1);
    assert_eq!(store.backlog().await.unwrap().iter().map(|backlog| backlog.rows).sum::<i64>(), 3);
}

pub(super) async fn entries_of_ledgers_stay_as_long_as_they_may_be_read_again(store: &impl Store) {
    const DAY: i64 = 86_400;
    let lane = Lane::Events(acme());
    let told = |id: u128, event_type: &str, day: i64| {
        let mut draft = draft(lane.clone(), id, true);
        (draft.event.event_type, draft.event.time) = (event_type.to_owned(), at(day * DAY));
        draft.event.recorded_time = at(day * DAY);
        draft
    };
    let read_to = async |day: i64, again: Option<i64>| {
        let again = again.map(|day| Again::new(at(day * DAY), at(day * DAY)));
        let checkpoint = Checkpoint { started_at: at(0), position: at(day * DAY), with_snapshot: false, again };
        let checkpoint = Some((acme(), FeedName::Stocks, checkpoint));
        store.append(Append { checkpoint, ..Append::default() }).await.unwrap();
    };
    let entry = "ffn.stock.changed.v1";
    let drafts = vec![
        told(1, entry, 5),
        told(2, entry, 7),
        told(3, "ffn.outbound.shipped.v1", 10),
        told(4, entry, 9),
        told(5, "ffn.stock.gap.v1", 10),
        told(6, entry, 10),
    ];
    store.append(Append { drafts, ..Append::default() }).await.unwrap();
    store.confirm(&lane, 6, vec![]).await.unwrap();
    let left = async || store.rows_after(&lane, 0, 100).await.unwrap().into_iter().map(|row| row.position);
    // It has stood still since, and reads next from a day before, or from where more has to be read again.
    read_to(10, Some(7)).await;
    assert_eq!(store.prune(Table::Journal, soon(), 1).await.unwrap(), 1);
    assert_eq!(store.prune(Table::Journal, soon(), 100).await.unwrap(), 2);
    assert_eq!(left().await.collect::<Vec<_>>(), [2, 4, 6]);
    read_to(10, None).await;
    assert_eq!(store.prune(Table::Journal, soon(), 100).await.unwrap(), 1);
    assert_eq!(left().await.collect::<Vec<_>>(), [4, 6]);
    read_to(12, None).await;
    assert_eq!(store.prune(Table::Journal, soon(), 100).await.unwrap(), 2);
}

pub(super) async fn entities_and_parked_items_leave_when_they_are_old(store: &impl Store) {
    let feed = FeedName::Outbounds;
    let known = |id: &str| KnownEntity { account: acme(), feed, id: id.into(), before: None, known: Known::default() };
    let parked =
        |item: &str| Parked { account: acme(), feed, item: item.into(), print: item.into(), reason: "odd".into() };
    let known = ["1", "2", "3"].map(known).to_vec();
    let parked = ["1", "2", "3"].map(parked).to_vec();
    store.append(Append { known, parked, ..Append::default() }).await.unwrap();
    for table in [Table::Entities, Table::Parked] {
        assert_eq!(store.prune(table, at(100), 10).await.unwrap(), 0);
        assert_eq!(store.prune(table, soon(), 2).await.unwrap(), 2);
        assert_eq!(store.prune(table, soon(), 2).await.unwrap(), 1);
    }
    let ids = vec!["1".to_owned(), "2".to_owned(), "3".to_owned()];
    assert!(store.known(&acme(), feed, ids).await.unwrap().is_empty());
}

pub(super) async fn what_is_parked_is_listed_shown_counted_and_taken_out(store: &impl Store) {
    let parked = |account, feed, item: &str| Parked {
        account,
        feed,
        item: item.into(),
        print: item.into(),
        reason: "odd".into(),
    };
    let (one, two) = (FeedName::Outbounds, FeedName::Returns);
    // Bytes that are no text, twice.
    let item = b"\"Gr\xfcn\"".to_vec();
    let foreign = || Parked { account: acme(), feed: two, item: item.clone(), print: vec![0xfc], reason: "odd".into() };
    for is_new in [true, false] {
        let appended = store.append(Append { parked: vec![foreign(), foreign()], ..Append::default() }).await.unwrap();
        assert_eq!(appended.parked.len(), usize::from(is_new));
    }
    let found = store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
    let [entry] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(store.parked_item(entry.id).await.unwrap().unwrap().item, foreign().item);
    // The same in other bytes.
    let again = Parked { item: b"7".to_vec(), ..foreign() };
    let appended = store.append(Append { parked: vec![again], ..Append::default() }).await.unwrap();
    assert!(appended.parked.is_empty());
    assert_eq!(store.parked_item(entry.id).await.unwrap().unwrap().item, foreign().item);
    store.append(Append { unparked: vec![entry.id], ..Append::default() }).await.unwrap();
    let items = vec![parked(acme(), one, "{\"é\":1.10}"), parked(acme(), two, "2"), parked(other(), one, "3")];
    store.append(Append { parked: items, ..Append::default() }).await.unwrap();
    let everything = store.parked(ParkedFilter::default(), 0, 10).await.unwrap();
    let places: Vec<(&str, &str)> =
        everything.iter().map(|entry| (entry.account.as_str(), entry.feed.as_str())).collect();
    assert_eq!(places, [("acme", "outbounds"), ("acme", "returns"), ("other", "outbounds")]);
    let [first, second, third] = everything.as_slice() else { panic!("{everything:?}") };
    assert_eq!((first.size, first.reason.as_str()), (11, "odd"), "in bytes");
    assert_eq!(store.parked(ParkedFilter::default(), first.id, 1).await.unwrap(), std::slice::from_ref(second));
    let of = |account: Option<&str>, feed: Option<&str>| ParkedFilter {
        account: account.map(str::to_owned),
        feed: feed.map(str::to_owned),
    };
    let found = store.parked(of(Some("acme"), Some("outbounds")), 0, 10).await.unwrap();
    assert_eq!(found, std::slice::from_ref(first));
    assert_eq!(store.parked(of(None, Some("outbounds")), 0, 10).await.unwrap(), [first.clone(), third.clone()]);
    let shown = store.parked_item(first.id).await.unwrap().unwrap();
    assert_eq!((&shown.entry, shown.item.as_slice()), (first, "{\"é\":1.10}".as_bytes()));
    // Out with what it tells.
    let lane = Lane::Events(acme());
    let told = Append { unparked: vec![first.id, third.id], ..drafts(&lane, [1]) };
    assert_eq!(store.append(told).await.unwrap().events, 1);
    assert!(store.parked_item(first.id).await.unwrap().is_none());
    let counts = store.parked_counts().await.unwrap();
    assert_eq!(counts, [ParkedCount { account: "acme".into(), feed: "returns".into(), items: 1 }]);
}

pub(super) async fn commands_leave_when_they_are_old_and_finished(store: &impl Store) {
    for id in ["running", "waiting", "done", "failed", "aside"] {
        execute_in_a_key_of_its_own(store, id).await;
    }
    let key = |id: &str| arrival(id, "d").key;
    let failed = || Finished { error: Some(("rejected".into(), "no".into())), ..finished() };
    store.wait(&key("waiting"), Setback::NoEffect, over()).await.unwrap();
    store.finish(&key("done"), finished(), vec![], none()).await.unwrap();
    store.finish(&key("failed"), failed(), vec![], none()).await.unwrap();
    store.finish(&key("aside"), failed(), vec![], none()).await.unwrap();
    store.set_aside(&key("aside")).await.unwrap();
    assert_eq!(store.prune(Table::Commands, at(100), 10).await.unwrap(), 0);
    assert_eq!(store.prune(Table::Commands, soon(), 1).await.unwrap(), 1);
    assert_eq!(store.prune(Table::Commands, soon(), 10).await.unwrap(), 1);
    // One that failed and has not reached the dead-letter queue yet is answered from the record.
    assert!(matches!(store.begin(arrival("failed", "d")).await.unwrap(), Begin::Finished(_)));
    assert_eq!(execute(store, "running").await, (2, true));
    assert_eq!(execute(store, "waiting").await, (2, false));
    assert_eq!(execute(store, "done").await, (1, false), "forgotten");
}

async fn execute_in_a_key_of_its_own(store: &impl Store, id: &str) {
    let arrival = Arrival { ordering_key: id.to_owned(), ..arrival(id, "d") };
    assert!(matches!(store.begin(arrival).await.unwrap(), Begin::Execute(_)));
}

pub(super) async fn a_command_that_is_put_back_and_not_on_record_is_in_doubt(store: &impl Store) {
    let put_back = Arrival { put_back: Some(PutBack { failed_at: at(100), in_doubt: true }), ..arrival("c1", "d") };
    assert!(matches!(store.begin(put_back).await.unwrap(), Begin::Execute(Trial { attempt: 1, in_doubt: true, .. })));
}

fn none() -> Effects {
    Effects { at: at(0), list: Vec::new() }
}

fn arrival(id: &str, digest: &str) -> Arrival {
    Arrival {
        key: CommandKey { account: acme(), id: id.to_owned() },
        routing_key: "acme.outbound.create".into(),
        digest: digest.to_owned(),
        ordering_key: "SO-1".into(),
        put_back: None,
        effects: none(),
    }
}

/// A wait that holds nobody back any more.
fn over() -> Wait {
    Wait { due: at(0), hold_until: at(0) }
}

/// A wait that holds others back, though it is due.
fn holding() -> Wait {
    Wait { due: at(0), hold_until: Utc::now() + chrono::TimeDelta::hours(1) }
}

fn finished() -> Finished {
    let event = draft(Lane::Results, 9, false).event;
    Finished { event, error: None, attempts: 1, first_failed_at: None, set_aside: false }
}

/// Begins and gives attempt and doubt.
async fn execute(store: &impl Store, id: &str) -> (u32, bool) {
    match store.begin(arrival(id, "d")).await.unwrap() {
        Begin::Execute(Trial { attempt, in_doubt, .. }) => (attempt, in_doubt),
        other => panic!("{id}: {other:?}"),
    }
}

pub(super) async fn a_command_is_executed_once_and_then_answered_from_the_log(store: &impl Store) {
    let key = arrival("c1", "d").key;
    assert_eq!(execute(store, "c1").await, (1, false));
    store.finish(&key, finished(), vec![], none()).await.unwrap();
    for set_aside in [false, true] {
        let Begin::Finished(found) = store.begin(arrival("c1", "d")).await.unwrap() else { panic!("not finished") };
        assert_eq!((found.event.id, found.set_aside), (Uuid::from_u128(9), set_aside));
        store.set_aside(&key).await.unwrap();
    }
    // A wait that comes late makes nothing unfinished.
    store.wait(&key, Setback::InDoubt, Wait { due: at(0), hold_until: at(4_000_000_000) }).await.unwrap();
    assert!(matches!(store.begin(arrival("c1", "d")).await.unwrap(), Begin::Finished(_)));
    // Another account's command of that id is another command.
    let mut foreign = arrival("c1", "d");
    foreign.key.account = other();
    assert!(matches!(store.begin(foreign).await.unwrap(), Begin::Execute(Trial { attempt: 1, in_doubt: false, .. })));
}

pub(super) async fn an_attempt_without_an_outcome_is_in_doubt(store: &impl Store) {
    assert_eq!(execute(store, "c1").await, (1, false));
    assert_eq!(execute(store, "c1").await, (2, true));
}

pub(super) async fn starts_without_an_end_are_counted_until_one_has_an_end(store: &impl Store) {
    let key = arrival("c1", "d").key;
    let crashes = async || match store.begin(arrival("c1", "d")).await.unwrap() {
        Begin::Execute(trial) => trial.crashes,
        other => panic!("{other:?}"),
    };
    assert_eq!([crashes().await, crashes().await, crashes().await], [0, 1, 2]);
    // Held back or put off it was not begun; after a setback it has survived.
    store.wait(&key, Setback::Behind, over()).await.unwrap();
    assert_eq!([crashes().await, crashes().await], [2, 3]);
    store.wait(&key, Setback::Suspected, over()).await.unwrap();
    assert_eq!(crashes().await, 3);
    store.wait(&key, Setback::NotTried, over()).await.unwrap();
    assert_eq!([crashes().await, crashes().await], [0, 1]);
    let failed = Finished { error: Some(("outcome-unknown".into(), "no".into())), ..finished() };
    store.finish(&key, failed.clone(), vec![], none()).await.unwrap();
    let put_back =
        Arrival { put_back: Some(PutBack { failed_at: failed.event.time, in_doubt: true }), ..arrival("c1", "d") };
    let Begin::Execute(trial) = store.begin(put_back).await.unwrap() else { panic!("not put back") };
    assert_eq!((trial.attempt, trial.crashes, trial.in_doubt), (1, 0, true));
}

pub(super) async fn setbacks_count_and_doubt_as_they_should(store: &impl Store) {
    let key = arrival("c1", "d").key;
    assert_eq!(execute(store, "c1").await, (1, false));
    store.wait(&key, Setback::NotTried, over()).await.unwrap();
    // Whether an attempt that was begun and not made leaves a doubt is the worker's word: none.
    assert_eq!(execute(store, "c1").await, (1, false));
    store.wait(&key, Setback::InDoubt, over()).await.unwrap();
    assert_eq!(execute(store, "c1").await, (2, true));
    store.wait(&key, Setback::NotTried, over()).await.unwrap();
    assert_eq!(execute(store, "c1").await, (2, true));
    store.wait(&key, Setback::NoEffect, over()).await.unwrap();
    let Begin::Execute(Trial { attempt, in_doubt, first_failed_at, .. }) =
        store.begin(arrival("c1", "d")).await.unwrap()
    else {
        panic!("not to be executed")
    };
    assert_eq!((attempt, in_doubt), (3, false));
    assert!(first_failed_at.is_some());
}

pub(super) async fn a_waiting_command_holds_back_later_ones_of_its_key(store: &impl Store) {
    let first = arrival("c1", "d").key;
    execute(store, "c1").await;
    store.wait(&first, Setback::NoEffect, holding()).await.unwrap();
    assert!(matches!(store.begin(arrival("c2", "d")).await.unwrap(), Begin::Behind(_)));
    let mut elsewhere = arrival("c3", "d");
    elsewhere.ordering_key = "SO-2".into();
    assert!(matches!(store.begin(elsewhere).await.unwrap(), Begin::Execute(_)));
    // The first of the key itself may go on; once it is through, so may the next.
    assert_eq!(execute(store, "c1").await, (2, false));
    store.finish(&first, finished(), vec![], none()).await.unwrap();
    assert_eq!(execute(store, "c2").await, (1, false));
    // One that waits too long counts as lost.
    let second = arrival("c2", "d").key;
    store.wait(&second, Setback::NoEffect, over()).await.unwrap();
    assert_eq!(execute(store, "c4").await, (1, false));
}

pub(super) async fn a_held_command_holds_back_later_ones_of_its_key_until_it_is_begun_or_released(store: &impl Store) {
    let first = arrival("c1", "d").key;
    // What was never begun leaves no record, and what was cut off stays in doubt.
    store.hold(&first).await.unwrap();
    assert_eq!(execute(store, "c1").await, (1, false));
    store.hold(&first).await.unwrap();
    assert_eq!(execute(store, "c1").await, (2, true));
    store.wait(&first, Setback::NoEffect, over()).await.unwrap();
    store.hold(&first).await.unwrap();
    assert!(matches!(store.begin(arrival("c2", "d")).await.unwrap(), Begin::Behind(_)));
    assert_eq!(execute(store, "c1").await, (3, false));
    store.wait(&first, Setback::NotTried, Wait::HELD).await.unwrap();
    store.release(&other()).await.unwrap();
    assert!(matches!(store.begin(arrival("c2", "d")).await.unwrap(), Begin::Behind(_)));
    store.release(&acme()).await.unwrap();
    assert_eq!(execute(store, "c2").await, (1, false));
    // A wait in the ladder is none of that.
    store.wait(&first, Setback::NoEffect, holding()).await.unwrap();
    store.release(&acme()).await.unwrap();
    assert!(matches!(store.begin(arrival("c3", "d")).await.unwrap(), Begin::Behind(_)));
}

pub(super) async fn a_command_is_not_begun_before_it_is_due_and_no_repetition_costs_an_attempt(store: &impl Store) {
    let key = arrival("c1", "d").key;
    assert_eq!(execute(store, "c1").await, (1, false));
    let due = Utc::now().trunc_subsecs(3) + chrono::TimeDelta::hours(1);
    store.wait(&key, Setback::NoEffect, Wait { due, hold_until: due }).await.unwrap();
    for _ in 0..3 {
        let Begin::Early { trial, due: told } = store.begin(arrival("c1", "d")).await.unwrap() else {
            panic!("begun too early")
        };
        assert_eq!((trial.attempt, told), (1, due));
        // It is sent to wait again: that leaves its time as it was.
        store.wait(&key, Setback::Behind, Wait { due: at(0), hold_until: due }).await.unwrap();
    }
    store.wait(&key, Setback::NoEffect, over()).await.unwrap();
    assert_eq!(execute(store, "c1").await, (2, false));
    // No wait is as long as this: the clock was ahead.
    let some_day = Utc::now() + chrono::TimeDelta::days(365);
    store.wait(&key, Setback::NoEffect, Wait { due: some_day, hold_until: some_day }).await.unwrap();
    assert_eq!(execute(store, "c1").await, (3, false));
}

pub(super) async fn what_was_before_a_command_was_held_is_no_trouble_of_its_own(store: &impl Store) {
    let key = arrival("c1", "d").key;
    let begun = async || match store.begin(arrival("c1", "d")).await.unwrap() {
        Begin::Execute(trial) => (trial.first_failed_at.is_some(), trial.failing_since.is_some()),
        other => panic!("{other:?}"),
    };
    assert_eq!(begun().await, (false, false));
    store.wait(&key, Setback::NoEffect, over()).await.unwrap();
    assert_eq!(begun().await, (true, true));
    store.wait(&key, Setback::NotTried, Wait::HELD).await.unwrap();
    assert_eq!(begun().await, (true, false));
    store.wait(&key, Setback::Away, over()).await.unwrap();
    assert_eq!(begun().await, (true, true));
    store.wait(&key, Setback::NoEffect, over()).await.unwrap();
    store.hold(&key).await.unwrap();
    assert_eq!(begun().await, (true, false));
}

pub(super) async fn the_same_id_for_something_else_is_a_conflict(store: &impl Store) {
    execute(store, "c1").await;
    assert!(matches!(store.begin(arrival("c1", "other")).await.unwrap(), Begin::Conflict));
    store.finish(&arrival("c1", "d").key, finished(), vec![], none()).await.unwrap();
    assert!(matches!(store.begin(arrival("c1", "other")).await.unwrap(), Begin::Conflict));
    assert!(matches!(store.begin(arrival("c1", "d")).await.unwrap(), Begin::Finished(_)));
}

pub(super) async fn a_result_enters_the_journal_with_the_outcome(store: &impl Store) {
    execute(store, "c1").await;
    let mut appended = store.appended();
    appended.mark_unchanged();
    let results = vec![draft(Lane::Results, 9, false), draft(Lane::Results, 9, false)];
    store.finish(&arrival("c1", "d").key, finished(), results, none()).await.unwrap();
    assert!(appended.has_changed().unwrap());
    assert_eq!(store.rows_after(&Lane::Results, 0, 10).await.unwrap().len(), 2);
}

/// An attempt that may cancel the order of that number, from a second on.
fn cancel(id: &str, number: &str, second: i64) -> Arrival {
    Arrival { effects: canceled(number, second), ordering_key: id.to_owned(), ..arrival(id, "d") }
}

fn canceled(number: &str, second: i64) -> Effects {
    let effect =
        |name: String, changes: [&str; 2]| Effect { name: Some(name), changes: changes.map(str::to_owned).into() };
    let other = effect("outbound/else".to_owned(), ["outbound.updated", "outbound.shipped"]);
    let list = vec![other, effect(format!("outbound/{number}"), ["outbound.canceled", "stock.ReservationCanceled"])];
    Effects { at: at(second), list }
}

/// What the journal says to have caused an event of that order.
async fn cause_of(store: &impl Store, change: &str, number: &str, time: DateTime<Utc>) -> Option<String> {
    part_of(store, change, number, "J", time).await
}

async fn part_of(store: &impl Store, change: &str, number: &str, part: &str, time: DateTime<Utc>) -> Option<String> {
    cause_in(store, acme(), change, &[&["of-no-command"], &["its-id", number]], part, time).await
}

async fn cause_in(
    store: &impl Store,
    account: AccountName,
    change: &str,
    names: &[&[&str]],
    part: &str,
    time: DateTime<Utc>,
) -> Option<String> {
    let lane = Lane::Events(account.clone());
    let mut draft = draft(lane.clone(), Uuid::new_v4().as_u128(), true);
    let name = |name: &&str| format!("outbound/{name}");
    let names = names.iter().map(|names| names.iter().map(name).collect()).collect();
    draft.clue =
        Some(Clue { change: change.to_owned(), names, part: change.starts_with("stock.").then(|| part.to_owned()) });
    draft.event.time = time;
    draft.event.account = account.to_string();
    let id = draft.event.id;
    // The second time it is known, and uses nothing up.
    for entered in [1, 0] {
        let append = Append { drafts: vec![draft.clone()], ..Append::default() };
        assert_eq!(store.append(append).await.unwrap().events, entered);
    }
    let mut rows = store.rows_after(&lane, 0, 1000).await.unwrap();
    let message = rows.pop().unwrap().message;
    assert_eq!(message.message_id, id.to_string());
    let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    let cause = message.headers.get("cloudEvents_causationid").cloned();
    assert_eq!(body.get("causationid"), cause.clone().map(Into::into).as_ref());
    cause
}

async fn begun(store: &impl Store, arrival: Arrival) {
    assert!(matches!(store.begin(arrival).await.unwrap(), Begin::Execute(_)));
}

pub(super) async fn an_event_names_the_command_that_it_came_from(store: &impl Store) {
    let ms = chrono::TimeDelta::milliseconds;
    let of = async |change, number, time| cause_of(store, change, number, time).await;
    assert_eq!(of("outbound.canceled", "A", at(100)).await, None);
    // Also while it is under way.
    begun(store, cancel("c1", "A", 100)).await;
    begun(store, cancel("c2", "B", 100)).await;
    assert_eq!(of("stock.ReservationCanceled", "A", at(98)).await.as_deref(), Some("c1"));
    for (change, number, time) in [
        ("stock.ReservationCanceled", "A", at(98) - ms(1)),
        ("stock.ReservationCanceled", "C", at(100)),
        ("stock.Reservation", "A", at(100)),
        ("outbound.cancel", "A", at(100)),
        ("outbound.updated", "A", at(100)),
    ] {
        assert_eq!(of(change, number, time).await, None, "{change} of {number} at {time}");
    }
    assert_eq!(cause_in(store, other(), "stock.ReservationCanceled", &[&["A"]], "J", at(100)).await, None);
    store.finish(&arrival("c1", "d").key, finished(), vec![], canceled("A", 110)).await.unwrap();
    let cause = of("stock.ReservationCanceled", "A", at(112)).await;
    assert_eq!(cause.as_deref(), Some("c1"));
    assert_eq!(of("stock.ReservationCanceled", "A", at(112) + ms(1)).await, None);
    // Results and what else has no clue are let alone.
    let lane = Lane::Events(acme());
    store.append(drafts(&lane, [5])).await.unwrap();
    let last = store.rows_after(&lane, 0, 1000).await.unwrap().pop().unwrap();
    assert_eq!(last.message.headers.get("cloudEvents_causationid"), None);
}

pub(super) async fn a_change_of_a_kind_is_told_of_one_command_once(store: &impl Store) {
    // FFN's clock is known by the second: which of the two was at it can't be told, but which came first.
    for id in ["c1", "c2"] {
        begun(store, cancel(id, "A", 100)).await;
        store.finish(&arrival(id, "d").key, finished(), vec![], canceled("A", 100)).await.unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(cause_of(store, "outbound.canceled", "A", at(100)).await);
    }
    assert_eq!(told, [Some("c1".to_owned()), Some("c2".to_owned()), None]);
    // Entries of the ledger may be many: one of each part for each of them first.
    for (part, wanted) in [("J", "c1"), ("K", "c1"), ("J", "c2"), ("J", "c1"), ("J", "c1"), ("K", "c2")] {
        let cause = part_of(store, "stock.ReservationCanceled", "A", part, at(100)).await;
        assert_eq!(cause.as_deref(), Some(wanted), "{part}");
    }
    // One that was at it goes before one that was only near.
    begun(store, cancel("c3", "B", 200)).await;
    store.finish(&arrival("c3", "d").key, finished(), vec![], canceled("B", 200)).await.unwrap();
    begun(store, cancel("c4", "B", 201)).await;
    let at = at(201) + chrono::TimeDelta::milliseconds(500);
    assert_eq!(cause_of(store, "outbound.canceled", "B", at).await.as_deref(), Some("c4"));
    // The most exact name goes before what both have in common.
    let names: &[&[&str]] = &[&["B2"], &["B"]];
    begun(store, cancel("c5", "B2", 201)).await;
    let cause = cause_in(store, acme(), "stock.ReservationCanceled", names, "J", at).await;
    assert_eq!(cause.as_deref(), Some("c5"));
}

pub(super) async fn what_is_better_named_at_the_end_is_found_by_that(store: &impl Store) {
    let effects = |name: Option<&str>| {
        let name = name.map(|name| format!("outbound/{name}"));
        Effects { at: at(100), list: vec![Effect { name, changes: vec!["outbound.created".to_owned()] }] }
    };
    for (id, name) in [("c1", None), ("c2", Some("number"))] {
        begun(store, Arrival { effects: effects(name), ..cancel(id, "", 0) }).await;
    }
    let of = async |name| cause_of(store, "outbound.created", name, at(100)).await;
    for id in ["c1", "c2"] {
        store.finish(&arrival(id, "d").key, finished(), vec![], effects(Some(id))).await.unwrap();
        assert_eq!(of(id).await.as_deref(), Some(id));
    }
    assert_eq!(of("number").await, None);
}

pub(super) async fn what_surely_had_no_effect_has_caused_nothing_and_what_may_have_is_found_later(store: &impl Store) {
    let of = async |number, second| cause_of(store, "stock.ReservationCanceled", number, at(second)).await;
    let key = |id: &str| arrival(id, "d").key;
    begun(store, cancel("c1", "A", 100)).await;
    store.wait(&key("c1"), Setback::NoEffect, over()).await.unwrap();
    assert_eq!(of("A", 100).await, None);
    begun(store, cancel("c1", "A", 200)).await;
    assert_eq!((of("A", 100).await, of("A", 200).await), (None, Some("c1".to_owned())));
    // In doubt, and begun again: the first time counts, and until a day after the last.
    store.wait(&key("c1"), Setback::InDoubt, over()).await.unwrap();
    begun(store, cancel("c1", "A", 300)).await;
    store.wait(&key("c1"), Setback::NotTried, over()).await.unwrap();
    for second in [200, 250, 300, 300 + 86_400] {
        assert_eq!(of("A", second).await.as_deref(), Some("c1"), "{second}");
    }
    assert_eq!((of("A", 197).await, of("A", 303 + 86_400).await), (None, None));
    // Cut off by a crash: the same.
    begun(store, cancel("c2", "B", 100)).await;
    begun(store, cancel("c2", "B", 300)).await;
    assert_eq!(of("B", 100).await.as_deref(), Some("c2"));
    let failed = || Finished { error: Some(("rejected".into(), "no".into())), ..finished() };
    store.finish(&key("c2"), failed(), vec![], none()).await.unwrap();
    assert_eq!(of("B", 100).await, None);
    store.finish(&key("c1"), failed(), vec![], canceled("A", 300)).await.unwrap();
    assert_eq!((of("A", 300).await, of("A", 310).await), (Some("c1".to_owned()), None));
}

pub(super) async fn causes_go_with_their_commands(store: &impl Store) {
    begun(store, cancel("c1", "A", 100)).await;
    store.finish(&arrival("c1", "d").key, finished(), vec![], canceled("A", 100)).await.unwrap();
    assert_eq!(store.prune(Table::Commands, soon(), 10).await.unwrap(), 1);
    begun(store, cancel("c2", "B", 100)).await;
    assert_eq!(cause_of(store, "outbound.canceled", "A", at(100)).await, None);
}

fn pair(refresh: &str) -> TokenPair {
    TokenPair {
        access: SecretString::from(format!("access of {refresh}")),
        access_expires_at: at(1_700_001_800),
        refresh: SecretString::from(refresh),
        obtained_at: at(1_700_000_000),
        scopes: vec!["read".into(), "write".into()],
    }
}

async fn login(store: &impl Store) -> StoredLogin {
    store.login(&acme()).await.unwrap().unwrap()
}

pub(super) async fn a_newer_sign_in_clears_that_one_is_needed(store: &impl Store) {
    assert!(store.login(&acme()).await.unwrap().is_none());
    let first = store.save_tokens(&acme(), pair("one"), Origin::SignIn).await.unwrap();
    store.require_login(&acme(), first.generation, "refused".into()).await.unwrap();
    let required = login(store).await;
    assert_eq!(required.login_required.as_deref(), Some("refused"));
    let since = required.login_required_since.unwrap();
    assert!(since >= first.signed_in_at);
    // Found out again: since the first time.
    store.require_login(&acme(), first.generation, "refused again".into()).await.unwrap();
    let again = login(store).await;
    assert_eq!((again.login_required.as_deref(), again.login_required_since), (Some("refused again"), Some(since)));
    let second = store.save_tokens(&acme(), pair("two"), Origin::SignIn).await.unwrap();
    assert!(second.generation > first.generation && second.signed_in_at >= first.signed_in_at);
    // The refusal of an older token says nothing of the newer one.
    store.require_login(&acme(), first.generation, "refused".into()).await.unwrap();
    let now = login(store).await;
    assert_eq!((now.generation, now.login_required), (second.generation, None));
    assert_eq!(now.login_required_since, None);
    let tokens = now.tokens.unwrap();
    assert_eq!((tokens.refresh.expose_secret(), tokens.access.expose_secret()), ("two", "access of two"));
    assert_eq!((tokens.scopes, tokens.access_expires_at), (pair("two").scopes, pair("two").access_expires_at));
    assert!(store.login(&other()).await.unwrap().is_none());
}

pub(super) async fn a_refreshed_pair_takes_only_the_place_of_the_one_it_came_from(store: &impl Store) {
    let first = store.save_tokens(&acme(), pair("one"), Origin::SignIn).await.unwrap();
    let refreshed = store.save_tokens(&acme(), pair("two"), Origin::Refresh { of: first.generation }).await.unwrap();
    assert_eq!(refreshed.tokens.unwrap().refresh.expose_secret(), "two");
    assert_eq!(refreshed.signed_in_at, first.signed_in_at, "nobody has signed in");
    // Somebody was faster: what is newer stays, and is what counts.
    let late = store.save_tokens(&acme(), pair("late"), Origin::Refresh { of: first.generation }).await.unwrap();
    assert_eq!(late.tokens.unwrap().refresh.expose_secret(), "two");
    assert_eq!(login(store).await.generation, refreshed.generation);
    // One that a slow process brings after its token was given up is good all the same.
    store.require_login(&acme(), refreshed.generation, "refused".into()).await.unwrap();
    let of = Origin::Refresh { of: refreshed.generation };
    assert_eq!(store.save_tokens(&acme(), pair("three"), of).await.unwrap().login_required, None);
}

pub(super) async fn a_lease_has_one_holder_until_it_is_given_back_or_over(store: &impl Store) {
    const LONG: std::time::Duration = std::time::Duration::from_secs(60);
    let lease = store.take_lease(&acme(), LONG).await.unwrap().unwrap();
    assert!(store.take_lease(&acme(), LONG).await.unwrap().is_none());
    assert!(store.take_lease(&other(), LONG).await.unwrap().is_some());
    store.release_lease(lease).await.unwrap();
    let short = store.take_lease(&acme(), std::time::Duration::ZERO).await.unwrap().unwrap();
    let taken_over = store.take_lease(&acme(), LONG).await.unwrap().unwrap();
    assert_ne!(short, taken_over);
    // Who has lost it gives nothing back.
    store.release_lease(short).await.unwrap();
    assert!(store.take_lease(&acme(), LONG).await.unwrap().is_none());
}

pub(super) async fn a_refresh_is_on_record_until_it_brings_a_pair(store: &impl Store) {
    const LONG: std::time::Duration = std::time::Duration::from_secs(60);
    let generation = store.save_tokens(&acme(), pair("one"), Origin::SignIn).await.unwrap().generation;
    let lease = store.take_lease(&acme(), LONG).await.unwrap().unwrap();
    let begin = |generation| store.begin_refresh(&lease, generation, "name".into(), LONG);
    assert!(!begin(generation + 1).await.unwrap() && login(store).await.refresh.is_none());
    assert!(begin(generation).await.unwrap());
    let record = async || login(store).await.refresh.unwrap();
    let begun = record().await;
    assert_eq!((begun.fingerprint.as_str(), begun.is_open, begun.unclear), ("name", true, 0));
    store.end_refresh(&acme(), generation, RefreshEnding::NotSpent).await.unwrap();
    assert!(!record().await.is_doubtful());
    assert!(begin(generation).await.unwrap());
    store.end_refresh(&acme(), generation, RefreshEnding::Unclear).await.unwrap();
    assert!(begin(generation).await.unwrap());
    store.end_refresh(&acme(), generation, RefreshEnding::Unreadable("<html>".into())).await.unwrap();
    let ended = record().await;
    assert_eq!((ended.is_open, ended.unclear, ended.unreadable, ended.began_at), (false, 1, 1, begun.began_at));
    let kept = store.kept_answers(&acme()).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.body.expose_secret()).collect::<Vec<_>>(), ["<html>"]);
    // Without the lease, and with a token that was refused, nothing may be sent.
    store.require_login(&acme(), generation, "refused".into()).await.unwrap();
    assert!(!begin(generation).await.unwrap() && login(store).await.refresh.is_none(), "nothing is in doubt any more");
    let next = store.save_tokens(&acme(), pair("two"), Origin::SignIn).await.unwrap();
    assert!(next.refresh.is_none() && store.kept_answers(&acme()).await.unwrap().is_empty());
    store.release_lease(Lease { account: acme(), owner: lease.owner.clone() }).await.unwrap();
    assert!(!begin(next.generation).await.unwrap() && login(store).await.refresh.is_none());
}

pub(super) async fn a_sign_out_forgets_the_tokens_and_keeps_count(store: &impl Store) {
    assert!(!store.sign_out(&acme()).await.unwrap());
    let first = store.save_tokens(&acme(), pair("one"), Origin::SignIn).await.unwrap();
    store.end_refresh(&acme(), 0, RefreshEnding::Unreadable("<html>".into())).await.unwrap();
    assert!(store.sign_out(&acme()).await.unwrap() && !store.sign_out(&acme()).await.unwrap());
    let now = login(store).await;
    assert!(now.tokens.is_none() && now.login_required.is_some() && now.generation > first.generation);
    assert!(now.login_required_since >= Some(first.signed_in_at));
    assert!(store.kept_answers(&acme()).await.unwrap().is_empty());
    // A refresh that was in flight does not undo it.
    let late = Origin::Refresh { of: first.generation };
    assert!(store.save_tokens(&acme(), pair("late"), late).await.unwrap().tokens.is_none());
}
