//! Whatever FFN shows as an item of a feed is told in events that fit a message, or it is odd and can be parked.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::normalizer::{
    Item, Normalized, Origin, Scope, Telling, changed_at, changes_of, entity_id, gap, normalize, read_return_change,
    shipped_order, shipping_methods, stock_version,
};
use crate::domain::account::Role;
use crate::domain::entity::Known;
use crate::domain::feed::FeedName;
use crate::domain::message::ContentMode;
use crate::domain::resource::Resource;
use crate::fuzz::{self, Input};
use crate::schema::{Kind, catalog};

/// Items as the simulator shows them and as the schemas' examples do, each with its feed.
fn seeds() -> Vec<(FeedName, Vec<u8>)> {
    #[derive(Deserialize)]
    struct Page {
        data: Vec<Box<RawValue>>,
    }
    let mut seeds = Vec::new();
    for answer in fuzz::answers() {
        let feed = if answer.kind == "returns.changes" { Ok(FeedName::Returns) } else { answer.kind.parse() };
        if let (Ok(feed), Ok(page)) = (feed, serde_json::from_str::<Page>(&answer.body)) {
            seeds.extend(page.data.iter().map(|item| (feed, item.get().as_bytes().to_vec())));
        }
    }
    for document in catalog().iter().filter(|document| document.kind == Kind::Event) {
        let snapshot = &document.schema["examples"][0]["data"]["snapshot"];
        let feed = FeedName::ALL.into_iter().find(|feed| {
            let resource = Resource::of(*feed).name;
            document.name.starts_with(&format!("ffn.{resource}."))
        });
        if let Some(feed) = feed.filter(|_| snapshot.is_object()) {
            seeds.push((feed, snapshot.to_string().into_bytes()));
        }
    }
    seeds
}

fn raw(bytes: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(std::str::from_utf8(bytes).ok()?.to_owned()).ok()
}

/// Which changes are told, as readings and sweeps do it.
fn telling(dice: u32, recorded_time: DateTime<Utc>) -> Telling {
    match dice % 5 {
        0 => Telling::with_snapshot(recorded_time),
        1 => Telling { origin: Origin::Sweep, until: recorded_time, ..Telling::since(DateTime::UNIX_EPOCH) },
        2 => Telling::since(recorded_time),
        _ => Telling::since(DateTime::<Utc>::MIN_UTC),
    }
}

/// Reads the item, perhaps after another one of the same entity, and holds what comes of it; whether it was told.
fn answer(feeds: &[FeedName], input: &Input) -> bool {
    let [feed, tells, binary, ..] = input.dice;
    let feed = if feed % 8 == 0 { FeedName::ALL[feed as usize / 8 % 12] } else { feeds[input.seed] };
    let Some(json) = raw(&input.bytes) else { return false };
    let (account, carriers) = ("acme".parse().unwrap(), HashMap::from([("WARE0A0001".to_owned(), "DHL".to_owned())]));
    let recorded_time = "2026-11-28T00:00:00Z".parse().unwrap();
    let mode = if binary % 2 == 0 { ContentMode::Structured } else { ContentMode::Binary };
    let exchange = "ffn.events";
    let telling = telling(tells, recorded_time);
    let role = Role::Merchant;
    let scope = Scope { account: &account, role, recorded_time, exchange, mode, carriers: &carriers, telling };
    let other = raw(&input.other);
    let changes = other.iter().filter_map(|other| read_return_change(other).ok()).collect();
    let before: Option<Known> =
        other.and_then(|other| Some(normalize(&scope, feed, &Item::from(other), None).ok()?.known)).map(stored);
    let item = Item { json, changes };
    // What else is asked of an item.
    let _ = (changed_at(feed, &item.json), changes_of(feed, &item.json), shipping_methods(feed, &item.json));
    let _ = (shipped_order(&item.json), stock_version(&item.json));
    let told = match normalize(&scope, feed, &item, before.as_ref()) {
        Ok(told) => told,
        Err(odd) => {
            assert!((10..300).contains(&odd.to_string().len()), "{odd}");
            return false;
        }
    };
    let id = entity_id(feed, &item.json).expect("what is told has an id");
    hold(&told, &id, feed);
    let known = stored(told.known.clone());
    assert_eq!(known, told.known, "the store forgets");
    if let Ok(Some(gap)) = gap(&scope, &id, &known) {
        hold(&gap, &id, feed);
    }
    // The same item once more makes no event that is not there yet.
    let ids = |known: Option<&Known>| -> BTreeSet<_> {
        let told = normalize(&scope, feed, &item, known).map(|told| told.drafts).unwrap_or_default();
        told.into_iter().map(|draft| draft.event.id).collect()
    };
    let there: BTreeSet<_> = ids(before.as_ref()).into_iter().chain(ids(None)).collect();
    assert!(ids(Some(&known)).is_subset(&there), "an item that was read is told otherwise when it is read again");
    true
}

/// As it comes back from the store.
fn stored(known: Known) -> Known {
    serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap()
}

fn hold(told: &Normalized, id: &str, feed: FeedName) {
    assert!(!id.is_empty());
    let ids: BTreeSet<_> = told.drafts.iter().map(|draft| draft.event.id).collect();
    assert_eq!(ids.len(), told.drafts.len(), "two events of {feed} have one id");
    for draft in &told.drafts {
        let message = draft.finish(i64::MAX).unwrap();
        let key = &message.destination.routing_key;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        assert!(key.len() <= 255 && key.split('.').count() == 3 && key.split('.').all(is_word), "{key}");
        assert!(message.message_type.len() <= 255);
        assert!(serde_json::from_slice::<&RawValue>(&message.body).is_ok());
        for name in ["cloudEvents_time", "cloudEvents_recordedtime"] {
            let time = &message.headers[name];
            assert!(time.len() >= 20 && time.as_bytes()[4] == b'-', "{time} is no time of RFC 3339");
            assert!(DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        }
        let subject = draft.event.subject.as_deref();
        assert!(subject.is_some_and(|subject| !subject.is_empty() && id.ends_with(subject)), "{subject:?} {id}");
    }
}

#[test]
fn whatever_stands_in_a_feed_is_told_or_can_be_parked() {
    let (feeds, seeds): (Vec<FeedName>, Vec<Vec<u8>>) = seeds().into_iter().unzip();
    fuzz::run("items of feeds", &seeds, |input| answer(&feeds, input));
}

#[test]
fn an_entity_with_many_changes_is_told_in_a_time_that_grows_with_them() {
    let count = 20_000;
    let time = |n: usize| {
        format!("2026-01-05T{:02}:{:02}:{:02}.{:03}Z", n / 3_600_000, n / 60_000 % 60, n / 1000 % 60, n % 1000)
    };
    let stamps: Vec<String> = (0..count).map(|n| format!("\"s{n}\":\"{}\"", time(n * 2))).collect();
    let edits: Vec<String> = (0..count).map(|n| format!("{{\"createdAt\":\"{}\"}}", time(n * 3))).collect();
    let json = format!(
        "{{\"outboundId\":\"O\",\"status\":\"Shipped\",\"statusTimestamp\":{{{}}},\
         \"modificationInfo\":{{\"changesInRange\":[{}]}}}}",
        stamps.join(","),
        edits.join(",")
    );
    let account = "acme".parse().unwrap();
    let carriers = HashMap::new();
    let scope = Scope {
        account: &account,
        role: Role::Merchant,
        recorded_time: Utc::now(),
        exchange: "ffn.events",
        mode: ContentMode::Structured,
        carriers: &carriers,
        telling: Telling::since(DateTime::<Utc>::MAX_UTC),
    };
    let begun = std::time::Instant::now();
    normalize(&scope, FeedName::Outbounds, &Item::from(RawValue::from_string(json).unwrap()), None).unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}
