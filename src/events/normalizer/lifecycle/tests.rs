use super::*;

const START: &str = "2026-01-05T00:00:00Z";

fn time(text: &str) -> DateTime<Utc> {
    parse_time(text).unwrap()
}

type Told = (String, DateTime<Utc>, serde_json::Value);

/// Normalizes with a feed that began at `START` and gives the events as (name, time, data).
fn read(json: &str, known: &mut Option<Known>) -> Vec<Told> {
    let drafts = drafts(FeedName::Outbounds, json, &[], known, Telling::since(time(START)));
    drafts.into_iter().map(tell).collect()
}

fn tell(draft: Draft) -> Told {
    let name = draft.destination.routing_key.rsplit('.').next().unwrap().to_owned();
    (name, draft.event.time, serde_json::from_str(draft.event.data.get()).unwrap())
}

fn drafts(
    feed: FeedName,
    json: &str,
    changes: &[ReturnChange],
    known: &mut Option<Known>,
    telling: Telling,
) -> Vec<Draft> {
    let account = "acme".parse().unwrap();
    let carriers = HashMap::new();
    let scope = Scope {
        account: &account,
        role: Role::Merchant,
        recorded_time: time("2026-01-06T00:00:00Z"),
        exchange: "ffn.events",
        mode: ContentMode::Structured,
        carriers: &carriers,
        telling,
    };
    let json = RawValue::from_string(json.to_owned()).unwrap();
    let normalized = normalize(&scope, feed, &Item { json, changes: changes.to_vec() }, known.as_ref()).unwrap();
    *known = Some(normalized.known);
    normalized.drafts
}

fn names(events: &[(String, DateTime<Utc>, serde_json::Value)]) -> Vec<&str> {
    events.iter().map(|(name, ..)| name.as_str()).collect()
}

fn order(status: &str, times: &[(&str, &str)], updated: &str, more: &str) -> String {
    let times: Vec<String> = times.iter().map(|(name, at)| format!("\"{name}\":\"2026-01-05T{at}Z\"")).collect();
    format!(
        r#"{{"outboundId":"ACME02K7Q2","merchantOutboundNumber":"SO-1","status":"{status}",{more}
            "modificationInfo":{{"createdAt":"2026-01-05T08:00:00.000+00:00","updatedAt":"2026-01-05T{updated}+00:00"}},
            "statusTimestamp":{{{}}}}}"#,
        times.join(",")
    )
}

#[test]
fn a_new_order_is_created_and_pending() {
    let events = read(&order("Pending", &[("pending", "08:00:00.000")], "08:00:00.000", ""), &mut None);
    assert_eq!(names(&events), ["created", "pending"]);
    assert_eq!(events[1].2["merchantOutboundNumber"], "SO-1");
    assert_eq!(events[1].2["snapshot"]["outboundId"], "ACME02K7Q2");
}

#[test]
fn every_step_between_two_polls_is_told_in_order_with_its_own_time() {
    let mut known = None;
    read(&order("Pending", &[("pending", "08:00:00.000")], "08:00:00.000", ""), &mut known);
    let times = [
        ("shipped", "08:30:00.000"),
        ("pending", "08:00:00.000"),
        ("pickprocess", "08:20:00.000"),
        ("acknowledged", "08:10:00.000"),
    ];
    let events = read(&order("Shipped", &times, "08:30:00.000", r#""items":[1],"#), &mut known);
    assert_eq!(names(&events), ["acknowledged", "pickprocess", "shipped"]);
    assert_eq!(events[0].1, time("2026-01-05T08:10:00Z"));
    assert_eq!(events[0].2["inferred"], true);
    assert_eq!(events[0].2["previousStatus"], "Pending");
    assert_eq!(events[2].2["previousStatus"], "Pickprocess");
    assert_eq!(events[2].2.get("inferred"), None);
}

#[test]
fn reading_again_tells_nothing_new() {
    let json =
        order("Acknowledged", &[("pending", "08:00:00"), ("acknowledged", "08:10:00.1234567")], "08:10:00.123", "");
    let mut known = None;
    assert_eq!(names(&read(&json, &mut known)), ["created", "pending", "acknowledged"]);
    assert!(read(&json, &mut known).is_empty());
    let fewer_decimals = json.replace("08:10:00.1234567", "08:10:00.123");
    assert!(read(&fewer_decimals, &mut known).is_empty());
}

#[test]
fn a_status_that_went_back_is_told_as_such() {
    let mut known = None;
    let before = [("pending", "08:00:00"), ("acknowledged", "08:05:00"), ("locked", "08:10:00")];
    read(&order("Locked", &before, "08:10:00", ""), &mut known);
    // FFN renews the time …
    let renewed = [("pending", "08:00:00"), ("acknowledged", "08:15:00"), ("locked", "08:10:00")];
    let events = read(&order("Acknowledged", &renewed, "08:15:00", ""), &mut known);
    assert_eq!(names(&events), ["acknowledged"]);
    assert_eq!(events[0].2["previousStatus"], "Locked");
    // … or leaves the old one: then the last change is when.
    let events = read(&order("Locked", &renewed, "08:20:00", ""), &mut known);
    assert_eq!(names(&events), ["locked"]);
    assert_eq!(events[0].1, time("2026-01-05T08:20:00Z"));
}

#[test]
fn a_status_that_comes_to_light_before_a_change_that_was_told_is_told_alone() {
    let times = [("pending", "08:00:00"), ("acknowledged", "08:05:00")];
    let mut known = None;
    let events = read(&order("Acknowledged", &times, "08:20:00", ""), &mut known);
    assert_eq!(names(&events).last(), Some(&"updated"));
    let locked = [times[0], times[1], ("locked", "08:10:00")];
    assert_eq!(names(&read(&order("Acknowledged", &locked, "08:20:00", ""), &mut known)), ["locked"]);
}

#[test]
fn an_order_that_went_back_to_preparation_is_told_as_updated() {
    let changes = |told: &[Told]| told.iter().map(|it| it.2["changed"].clone()).collect::<Vec<_>>();
    let (begun, released) = (("preparation", "08:00:00"), ("pending", "08:05:00"));
    // With the status that it begins with only its creation is told.
    let mut known = None;
    assert_eq!(names(&read(&order("Preparation", &[begun], "08:00:00", ""), &mut known)), ["created"]);
    assert_eq!(names(&read(&order("Preparation", &[begun], "08:02:00", ""), &mut known)), ["updated"]);
    assert_eq!(names(&read(&order("Pending", &[begun, released], "08:05:00", ""), &mut known)), ["pending"]);
    // FFN may renew the time of a status, keep the first, or show none.
    for times in [vec![("preparation", "08:10:00"), released], vec![begun, released], vec![]] {
        let back = order("Preparation", &times, "08:10:00", "");
        let mut known = known.clone();
        let told = read(&back, &mut known);
        assert_eq!((names(&told), told[0].1), (vec!["updated"], time("2026-01-05T08:10:00Z")), "{times:?}");
        assert_eq!((&told[0].2["status"], changes(&told)), (&"Preparation".into(), vec![vec!["status"].into()]));
        assert!(read(&back, &mut known).is_empty());
        let again = [("preparation", "08:10:00"), ("pending", "08:15:00")];
        let told = read(&order("Pending", &again, "08:15:00", ""), &mut known);
        assert_eq!((names(&told), &told[0].2["previousStatus"]), (vec!["pending"], &"Preparation".into()));
    }
    // However soon it was.
    let mut known = None;
    read(&order("Pending", &[("pending", "08:00:00.000")], "08:00:00.000", ""), &mut known);
    let soon = [("pending", "08:00:00.000"), ("preparation", "08:00:00.200")];
    let back = order("Preparation", &soon, "08:00:00.200", "");
    assert_eq!(names(&read(&back, &mut known)), ["updated"]);
    assert_eq!(names(&read(&back, &mut None)), ["created", "pending", "updated"]);
    // All at once, with what it is in the end.
    let back = order("Preparation", &[released, ("preparation", "08:10:00")], "08:10:00", "");
    assert_eq!(names(&read(&back, &mut None)), ["created", "pending", "updated"]);
    let kept = order("Preparation", &[begun, released], "08:10:00", "");
    assert_eq!(names(&read(&kept, &mut None)), ["created", "pending", "updated"]);
}

#[test]
fn a_delivery_that_went_back_to_preparation_is_told_as_updated() {
    let inbound = |status: &str, updated: &str| {
        let stamp = format!(r#"{{"createdAt":"2026-01-05T08:00:00Z","updatedAt":"2026-01-05T{updated}Z"}}"#);
        format!(r#"{{"inboundId":"ACME03K7Q2","status":"{status}","modificationInfo":{stamp}}}"#)
    };
    let mut known = None;
    let read = |json: &str, known: &mut Option<Known>| -> Vec<Told> {
        let told = drafts(FeedName::Inbounds, json, &[], known, Telling::since(time(START)));
        told.into_iter().map(tell).collect()
    };
    // Nothing says that it has ever been released.
    assert_eq!(names(&read(&inbound("Preparation", "08:10:00"), &mut None)), ["created", "updated"]);
    assert_eq!(names(&read(&inbound("Pending", "08:00:00"), &mut known)), ["created", "pending"]);
    assert_eq!(names(&read(&inbound("Preparation", "08:00:00.300"), &mut known.clone())), ["updated"]);
    let told = read(&inbound("Preparation", "08:10:00"), &mut known);
    assert_eq!((names(&told), &told[0].2["status"]), (vec!["updated"], &"Preparation".into()));
    assert_eq!((told[0].1, &told[0].2["changed"]), (time("2026-01-05T08:10:00Z"), &vec!["status"].into()));
    assert_eq!(names(&read(&inbound("Pending", "08:20:00"), &mut known)), ["pending"]);
}

#[test]
fn a_delivery_that_is_released_from_preparation_was_pending_only_then() {
    let inbound = |status: &str, second: u32| {
        entity(&format!(r#""inboundId":"ACME03K7Q2","status":"{status}""#), &[0, second], &[], "Modified")
    };
    let mut known = None;
    let mut told = |status: &str, second: u32| of(FeedName::Inbounds, &inbound(status, second), &mut known);
    assert_eq!(short(&told("Preparation", 0)), [("created", 0)]);
    assert_eq!(short(&told("Preparation", 2)), [("updated", 2)]);
    assert_eq!(short(&told("Pending", 5)), [("pending", 5)]);
    assert_eq!(short(&told("Pending", 7)), [("updated", 7)]);
}

#[test]
fn a_status_that_went_back_between_two_polls_is_told_though_ffn_kept_its_first_time() {
    let times = [("pending", "08:00:00"), ("acknowledged", "08:05:00")];
    let locked = [times[0], times[1], ("locked", "08:10:00")];
    let back = order("Acknowledged", &locked, "08:20:00", "");
    let mut known = None;
    read(&order("Acknowledged", &times, "08:05:00", ""), &mut known);
    let events = read(&back, &mut known);
    assert_eq!(names(&events), ["locked", "acknowledged"]);
    assert_eq!(
        (&events[0].2["previousStatus"], &events[1].2["previousStatus"]),
        (&"Acknowledged".into(), &"Locked".into())
    );
    assert_eq!(events[1].1, time("2026-01-05T08:20:00Z"));
    assert!(read(&back, &mut known).is_empty());
    // So it is for who reads all of it at once; what happens later is an edit.
    let mut none = None;
    assert_eq!(names(&read(&back, &mut none)), ["created", "pending", "acknowledged", "locked", "acknowledged"]);
    for known in [&mut known, &mut none] {
        assert_eq!(names(&read(&order("Acknowledged", &locked, "08:30:00", ""), known)), ["updated"]);
    }
    // Nobody knows whether it was locked before it was known, or nothing has happened since, or nothing follows.
    let old = back.replace("2026-01-05T08:10", "2026-01-01T08:10");
    let still = order("Acknowledged", &locked, "08:10:00", "");
    let shipped = order("Shipped", &[("shipped", "08:05:00"), ("locked", "08:10:00")], "08:20:00", "");
    let canceled = order("Acknowledged", &[times[1], ("canceled", "08:10:00")], "08:20:00", "");
    for (item, last) in [(old, "updated"), (still, "locked"), (shipped, "updated"), (canceled, "updated")] {
        assert_eq!(names(&read(&item, &mut None)).last(), Some(&last), "{item}");
    }
}

#[test]
fn a_first_look_shows_the_status_that_it_went_back_to() {
    let times = [("pending", "08:00:00"), ("acknowledged", "08:05:00"), ("locked", "08:10:00")];
    let telling = Telling::with_snapshot(time("2026-01-05T09:00:00Z"));
    // Also if it was so soon that its change may have been that of the status before.
    for updated in ["08:20:00", "08:10:00.500"] {
        let back = order("Acknowledged", &times, updated, "");
        let mut known = None;
        let mut look = || drafts(FeedName::Outbounds, &back, &[], &mut known, telling);
        let events: Vec<Told> = look().into_iter().map(tell).collect();
        assert_eq!(names(&events), ["created", "acknowledged"], "{updated}");
        assert!(look().is_empty());
    }
}

#[test]
fn a_status_is_not_forgotten_for_many_edits() {
    let (mut known, times) = (None, [("pending", "08:00:00"), ("acknowledged", "08:05:00"), ("locked", "08:06:00")]);
    assert_eq!(read(&order("Locked", &times, "08:06:00", ""), &mut known).len(), 4);
    for minute in 10..60 {
        for second in [10, 20, 30] {
            let edited = order("Locked", &times, &format!("08:{minute}:{second}"), "");
            assert_eq!(names(&read(&edited, &mut known)), ["updated"]);
        }
    }
}

#[test]
fn an_edit_names_the_changed_fields_and_keeps_apart_from_a_step() {
    let mut known = None;
    let times = [("pending", "08:00:00")];
    read(&order("Pending", &times, "08:00:00", r#""internalNote":"a","priority":1,"#), &mut known);
    let events = read(&order("Pending", &times, "08:05:00", r#""internalNote":"b","externalNote":"c","#), &mut known);
    assert_eq!(names(&events), ["updated"]);
    assert_eq!(events[0].2["changed"], serde_json::json!(["externalNote", "internalNote", "priority"]));
    assert_eq!(events[0].1, time("2026-01-05T08:05:00Z"));
    // Shipping closes quantities: that is the step, not an edit.
    let times = [("pending", "08:00:00"), ("shipped", "08:10:00")];
    let shipped = order("Shipped", &times, "08:10:00", r#""internalNote":"b","externalNote":"c","items":[0],"#);
    assert_eq!(names(&read(&shipped, &mut known)), ["shipped"]);
}

#[test]
fn an_order_from_before_the_start_gets_only_later_steps() {
    let json = order("Shipped", &[("shipped", "09:00:00")], "09:00:00", "")
        .replace("2026-01-05T08:00:00.000", "2026-01-01T08:00:00.000")
        .replace("\"statusTimestamp\":{", "\"statusTimestamp\":{\"pending\":\"2026-01-01T08:00:00Z\",");
    assert_eq!(names(&read(&json, &mut None)), ["shipped"]);
    let untouched = json.replace("2026-01-05", "2026-01-02");
    assert!(read(&untouched, &mut None).is_empty());
}

#[test]
fn an_edit_of_an_order_from_before_the_start_is_told() {
    let json = order("Pending", &[], "09:00:00", "")
        .replace("2026-01-05T08:00:00.000", "2026-01-01T08:00:00.000")
        .replace("\"statusTimestamp\":{", "\"statusTimestamp\":{\"pending\":\"2026-01-01T08:00:00Z\"");
    assert_eq!(names(&read(&json, &mut None)), ["updated"]);
}

#[test]
fn an_unknown_status_is_passed_on() {
    let mut known = None;
    read(&order("Pending", &[("pending", "08:00:00")], "08:00:00", ""), &mut known);
    let events = read(&order("AwaitingDrone", &[("awaitingDrone", "08:05:00")], "08:05:00", ""), &mut known);
    assert_eq!(names(&events), ["awaiting-drone"]);
    assert_eq!(events[0].2["status"], "AwaitingDrone");
    let events = read(&order("Beamed", &[], "08:06:00", ""), &mut known);
    assert_eq!(names(&events), ["beamed"]);
}

#[test]
fn an_older_reading_brings_no_state_back() {
    let mut known = None;
    let times = [("pending", "08:00:00"), ("acknowledged", "08:10:00")];
    read(&order("Acknowledged", &times, "08:10:00", ""), &mut known);
    assert!(read(&order("Pending", &times[..1], "08:00:00", ""), &mut known).is_empty());
    assert_eq!(known.unwrap().status.as_deref(), Some("Acknowledged"));
}

#[test]
fn a_tombstone_is_told_once() {
    let mut known = None;
    let json = order("Pending", &[("pending", "08:00:00")], "08:00:00", "");
    read(&json, &mut known);
    let gone =
        r#"{"outboundId":"ACME02K7Q2","modificationInfo":{"state":"Deleted","updatedAt":"2026-01-05T10:00:00Z"}}"#;
    assert_eq!(names(&read(gone, &mut known)), ["deleted"]);
    assert!(read(gone, &mut known).is_empty());
}

#[test]
fn what_shows_no_status_or_no_times_gives_events_that_fit_their_schemas() {
    let bare = r#""modificationInfo":{"createdAt":"2026-01-05T08:00:00Z","updatedAt":"2026-01-05T10:00:00Z","state":"Deleted"}"#;
    for (feed, id, member, created) in [
        (FeedName::Outbounds, "outboundId", "status", "created"),
        (FeedName::Inbounds, "inboundId", "status", "created"),
        (FeedName::Returns, "returnId", "state", "announced"),
    ] {
        let told_of = |more: &str| {
            let item = format!(r#"{{"{id}":"ACME02K7Q2",{more}}}"#);
            let drafts = drafts(feed, &item, &[], &mut None, Telling::since(time(START)));
            for draft in &drafts {
                let schema = crate::schema::document(&draft.event.event_type).unwrap().schema;
                let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
                let body = serde_json::from_slice(&draft.finish(1).unwrap().body).unwrap();
                let faults: Vec<String> = validator.iter_errors(&body).map(|fault| fault.to_string()).collect();
                assert!(faults.is_empty(), "{feed}: {faults:?} {body:#}");
            }
            drafts.into_iter().map(|draft| tell(draft).0).collect::<Vec<_>>()
        };
        assert_eq!(told_of(bare), [created, "deleted"]);
        for status in ["Completed", "Pending", "Announced"] {
            assert_eq!(told_of(&format!(r#""{member}":"{status}""#)), [created]);
        }
    }
}

#[test]
fn missing_fields_and_wrong_types_do_not_stop_it() {
    let odd = r#"{"outboundId":"ACME02K7Q2","status":7,"statusTimestamp":[],"modificationInfo":"?","merchantOutboundNumber":null}"#;
    assert_eq!(names(&read(odd, &mut None)), ["created"]);
    for broken in ["7", "[]", "{}", r#"{"outboundId":7}"#, r#"{"outboundId":""}"#] {
        assert!(entity_id(FeedName::Outbounds, &RawValue::from_string(broken.into()).unwrap()).is_err(), "{broken}");
    }
}

#[test]
fn numbers_keep_every_digit() {
    let account = "acme".parse().unwrap();
    let scope = Scope {
        account: &account,
        role: Role::Merchant,
        recorded_time: time(START),
        exchange: "ffn.events",
        mode: ContentMode::Structured,
        carriers: &HashMap::new(),
        telling: Telling::since(time(START)),
    };
    let json = order("Pending", &[], "08:00:00", r#""orderValue":12345678901234.5678,"shippingFee":0.10,"#);
    let normalized =
        normalize(&scope, FeedName::Outbounds, &RawValue::from_string(json).unwrap().into(), None).unwrap();
    let body = String::from_utf8(normalized.drafts[0].finish(1).unwrap().body).unwrap();
    assert!(body.contains(r#""orderValue":12345678901234.5678,"shippingFee":0.10,"#), "{body}");
}

/// An entity of any feed: id and status as given, changes at these seconds after 08:00, the first its creation.
fn entity(members: &str, changes: &[u32], in_range: &[u32], state: &str) -> String {
    let at = |second: &u32| format!("2026-01-05T08:00:{second:02}.000Z");
    let range: Vec<String> = in_range.iter().map(|it| format!(r#"{{"createdAt":"{}"}}"#, at(it))).collect();
    let (created, updated) = (at(changes.first().unwrap()), at(changes.last().unwrap()));
    format!(
        r#"{{{members},"modificationInfo":{{"createdAt":"{created}","updatedAt":"{updated}","state":"{state}",
            "changesInRange":[{}]}}}}"#,
        range.join(",")
    )
}

/// An event's name, the second of its time, whether it is inferred, and its id.
type Row = (String, i64, Option<bool>, String);

fn of(feed: FeedName, json: &str, known: &mut Option<Known>) -> Vec<Row> {
    let drafts = drafts(feed, json, &[], known, Telling::since(time(START)));
    let row = |draft: Draft| {
        let id = draft.event.id.to_string();
        let (name, at, data) = tell(draft);
        (name, at.timestamp().rem_euclid(60), data["inferred"].as_bool(), id)
    };
    drafts.into_iter().map(row).collect()
}

fn short(events: &[Row]) -> Vec<(&str, i64)> {
    events.iter().map(|(name, at, ..)| (name.as_str(), *at)).collect()
}

fn ids(events: &[Vec<Row>]) -> std::collections::BTreeSet<String> {
    events.iter().flatten().map(|(.., id)| id.clone()).collect()
}

#[test]
fn every_change_in_the_range_is_an_event_of_its_own() {
    let product = |changes: &[u32], name: &str, state: &str| {
        entity(&format!(r#""jfsku":"ACME01A1B2C","merchantSku":"MUG","name":"{name}""#), changes, changes, state)
    };
    let mut known = None;
    let first = of(FeedName::Products, &product(&[1], "a", "New"), &mut known);
    assert_eq!(short(&first), [("created", 1)]);
    let second = of(FeedName::Products, &product(&[1, 3, 5], "b", "Modified"), &mut known);
    assert_eq!(short(&second), [("updated", 3), ("updated", 5)]);
    assert_eq!((second[0].2, second[1].2), (Some(true), None), "only the newest was read as it is");
    let third = of(FeedName::Products, &product(&[1, 3, 5, 9], "b", "Deleted"), &mut known);
    assert_eq!(short(&third), [("deleted", 9)]);
    assert!(of(FeedName::Products, &product(&[1, 3, 5, 9], "b", "Deleted"), &mut known).is_empty());
    // All at once, without what was known: the same ids.
    let at_once = of(FeedName::Products, &product(&[1, 3, 5, 9], "b", "Deleted"), &mut None);
    assert_eq!(ids(&[first, second, third]), ids(&[at_once]));
}

#[test]
fn a_status_without_a_time_is_told_with_the_change_that_nothing_else_explains() {
    let inbound = |status: &str, changes: &[u32]| {
        entity(&format!(r#""inboundId":"ACME03X","status":"{status}""#), changes, changes, "Modified")
    };
    let mut known = None;
    let first = of(FeedName::Inbounds, &inbound("Pending", &[1]), &mut known);
    assert_eq!(short(&first), [("created", 1), ("pending", 1)]);
    let second = of(FeedName::Inbounds, &inbound("Receipted", &[1, 4]), &mut known);
    assert_eq!((short(&second), second[0].2), (vec![("receipted", 4)], None));
    let third = of(FeedName::Inbounds, &inbound("Closed", &[1, 4, 6, 8]), &mut known);
    assert_eq!((short(&third), third[1].2), (vec![("updated", 6), ("closed", 8)], Some(true)));
    let back = of(FeedName::Inbounds, &inbound("Pending", &[1, 4, 6, 8, 9]), &mut known);
    assert_eq!(short(&back), [("pending", 9)], "it went back");
    let at_once = of(FeedName::Inbounds, &inbound("Pending", &[1, 4, 6, 8, 9]), &mut None);
    assert_eq!(ids(&[first, second, third, back]), ids(&[at_once]));
}

#[test]
fn a_return_goes_by_what_is_told_of_its_changes() {
    let json = entity(r#""returnId":"ACME05R","state":"Completed""#, &[1, 3, 5, 7], &[1, 3, 5, 7], "Modified");
    let change = |second: u32, state: Option<(&str, &str)>, changed: &str| ReturnChange {
        return_id: "ACME05R".into(),
        at: time(&format!("2026-01-05T08:00:{second:02}Z")),
        state: state.map(|(value, previous)| (value.to_owned(), Some(previous.to_owned()))),
        changed: vec![changed.to_owned()],
    };
    let changes = [
        change(3, None, "contact"),
        change(5, Some(("Arrived", "Announced")), "state"),
        change(7, Some(("Completed", "Arrived")), "state"),
    ];
    let told = drafts(FeedName::Returns, &json, &changes, &mut None, Telling::since(time(START)));
    let told: Vec<Told> = told.into_iter().map(tell).collect();
    assert_eq!(names(&told), ["announced", "updated", "arrived", "completed"]);
    assert_eq!(told[1].2["changed"], serde_json::json!(["contact"]));
    assert_eq!(told[3].2["previousStatus"], "Arrived");
    // Without them only the newest is known.
    let bare = of(FeedName::Returns, &json, &mut None);
    assert_eq!(short(&bare), [("announced", 1), ("updated", 3), ("updated", 5), ("completed", 7)]);
}

#[test]
fn what_comes_back_after_its_end_is_made_again() {
    let grant =
        |changes: &[u32], state: &str| entity(r#""merchantId":"ACME","warehouses":[]"#, changes, changes, state);
    let mut known = None;
    assert_eq!(short(&of(FeedName::Authorizations, &grant(&[1], "New"), &mut known)), [("created", 1)]);
    assert_eq!(short(&of(FeedName::Authorizations, &grant(&[1, 3], "Deleted"), &mut known)), [("deleted", 3)]);
    assert_eq!(short(&of(FeedName::Authorizations, &grant(&[5], "New"), &mut known)), [("created", 5)]);
    assert_eq!(short(&of(FeedName::Authorizations, &grant(&[5, 8], "Deleted"), &mut known)), [("deleted", 8)]);
}

#[test]
fn a_status_stamped_a_little_beside_its_change_is_one_event() {
    let mut known = None;
    read(&order("Pending", &[("pending", "08:00:00.000")], "08:00:00.000", ""), &mut known);
    let times = [("pending", "08:00:00.000"), ("acknowledged", "08:10:00.120")];
    assert_eq!(names(&read(&order("Acknowledged", &times, "08:10:00.450", ""), &mut known)), ["acknowledged"]);
}

#[test]
fn a_first_look_tells_creation_and_present_status() {
    let times = [("pending", "08:00:00"), ("acknowledged", "08:10:00"), ("shipped", "08:20:00")];
    let json = order("Shipped", &times, "08:25:00", "").replace("2026-01-05", "2025-12-01");
    let telling = Telling::with_snapshot(time(START));
    let mut known = None;
    let told = drafts(FeedName::Outbounds, &json, &[], &mut known, telling);
    assert!(told.iter().all(|draft| draft.event.is_snapshot));
    let told: Vec<Told> = told.into_iter().map(tell).collect();
    assert_eq!(names(&told), ["created", "shipped"]);
    assert!(drafts(FeedName::Outbounds, &json, &[], &mut known, telling).is_empty());
}

#[test]
fn a_first_look_that_is_taken_again_tells_no_status_that_was_left_before_it() {
    // FFN gives no time of a delivery's statuses: the first is assumed, and only the present one is of the snapshot.
    let json = r#"{"inboundId":"I","status":"Closed","modificationInfo":{"createdAt":"2026-01-04T08:00:00Z","updatedAt":"2026-01-04T10:00:00Z",
        "changesInRange":[{"createdAt":"2026-01-04T09:00:00Z"},{"createdAt":"2026-01-04T10:00:00Z"}]}}"#;
    let mut known = None;
    let mut look = || -> Vec<String> {
        let told = drafts(FeedName::Inbounds, json, &[], &mut known, Telling::with_snapshot(time(START)));
        told.into_iter().map(|draft| tell(draft).0).collect()
    };
    assert_eq!(look(), ["created", "closed"]);
    assert_eq!(look(), [""; 0]);
}

#[test]
fn a_first_look_that_is_taken_again_tells_nothing_of_what_was_gone_before_it() {
    let json = r#"{"outboundId":"O","status":"Pending","modificationInfo":{"createdAt":"2026-01-04T08:00:00Z",
        "updatedAt":"2026-01-04T10:00:00Z","state":"Deleted"}}"#;
    let mut known = None;
    for _ in 0..2 {
        let told = drafts(FeedName::Outbounds, json, &[], &mut known, Telling::with_snapshot(time(START)));
        assert_eq!(told.len(), 0);
    }
}

#[test]
fn what_is_shown_of_later_is_left_to_the_next_window() {
    let entity = |changes: &[u32], state: &str| {
        entity(&format!(r#""returnId":"R","state":"{state}""#), changes, changes, "Modified")
    };
    let at = |second: u32| time(&format!("2026-01-05T08:00:{second:02}Z"));
    let until = |json: &str, second: u32, known: &mut Option<Known>| -> Vec<String> {
        let telling = Telling { until: at(second), ..Telling::since(at(1)) };
        let told = drafts(FeedName::Returns, json, &[], known, telling).into_iter().map(tell);
        told.map(|(name, time, _)| format!("{name} {}", time.timestamp().rem_euclid(60))).collect()
    };
    // It was there before the start, and its first change is behind the window.
    let mut known = None;
    assert!(until(&entity(&[0, 5], "Announced"), 3, &mut known).is_empty());
    assert_eq!(until(&entity(&[0, 5], "Announced"), 9, &mut known), ["updated 5"]);
    // The state it has by then is not that of the window.
    assert!(until(&entity(&[0, 5, 12], "Arrived"), 11, &mut known).is_empty());
    assert_eq!(until(&entity(&[0, 5, 12], "Arrived"), 20, &mut known), ["arrived 12"]);
}

#[test]
fn a_past_period_that_is_read_again_takes_no_status_back() {
    let times = [("pending", "08:00:00"), ("acknowledged", "08:10:00"), ("shipped", "08:30:00")];
    let shipped = order("Shipped", &times, "08:30:00", "");
    let past = Telling { until: time("2026-01-05T08:20:00Z"), ..Telling::since(time(START)) };
    let mut known = None;
    assert_eq!(names(&read(&shipped, &mut known)).len(), 4);
    assert!(drafts(FeedName::Outbounds, &shipped, &[], &mut known, past).is_empty());
    assert!(read(&shipped, &mut known).is_empty());
    let edited = read(&order("Shipped", &times, "08:40:00", ""), &mut known);
    assert_eq!(names(&edited), ["updated"]);
}

#[test]
fn past_periods_that_are_read_the_latest_first_take_no_status_back() {
    let times = [("pending", "08:00:00"), ("acknowledged", "08:10:00"), ("pickprocess", "08:20:00")];
    let edited = order("Pickprocess", &times, "08:25:00", "");
    let at = |minute: u32| time(&format!("2026-01-05T08:{minute:02}:00Z"));
    let mut known = None;
    for (from, to, told) in [(5, 24, 2), (0, 5, 2)] {
        let past = Telling { until: at(to), ..Telling::since(at(from)) };
        assert_eq!(drafts(FeedName::Outbounds, &edited, &[], &mut known, past).len(), told);
    }
    let shipped = [times[0], times[1], times[2], ("shipped", "08:40:00")];
    let told = drafts(
        FeedName::Outbounds,
        &order("Shipped", &shipped, "08:40:00", ""),
        &[],
        &mut known,
        Telling::since(at(30)),
    );
    let told: Vec<Told> = told.into_iter().map(tell).collect();
    assert_eq!((names(&told), &told[0].2["previousStatus"]), (vec!["shipped"], &"Pickprocess".into()));
}

#[test]
fn what_came_before_the_start_is_where_the_first_step_after_it_came_from() {
    let times = [("pending", "08:00:00"), ("acknowledged", "09:00:00"), ("pickprocess", "10:00:00")];
    let (until_now, later) =
        (order("Acknowledged", &times[..2], "09:00:00", ""), order("Pickprocess", &times, "10:00:00", ""));
    let mut known = None;
    let past = Telling { until: time("2026-01-05T08:30:00Z"), ..Telling::since(time(START)) };
    assert_eq!(drafts(FeedName::Outbounds, &until_now, &[], &mut known, past).len(), 2);
    for telling in [Telling::since, Telling::with_snapshot] {
        let telling = telling(time("2026-01-05T09:30:00Z"));
        let mut told = drafts(FeedName::Outbounds, &later, &[], &mut known.clone(), telling).into_iter().map(tell);
        let (name, _, data) = told.next_back().unwrap();
        assert_eq!((name.as_str(), &data["previousStatus"]), ("pickprocess", &"Acknowledged".into()));
    }
}

#[test]
fn an_edit_of_what_was_only_seen_later_names_no_members() {
    let product = |changes: &[u32]| entity(r#""jfsku":"P1","name":"Mug""#, changes, changes, "Modified");
    let mut known = None;
    let past = Telling { until: time("2026-01-05T08:00:03Z"), ..Telling::since(time(START)) };
    assert_eq!(drafts(FeedName::Products, &product(&[1, 5]), &[], &mut known, past).len(), 1);
    let told = drafts(FeedName::Products, &product(&[1, 5]), &[], &mut known, Telling::since(time(START)))
        .into_iter()
        .map(tell);
    let told: Vec<Told> = told.collect();
    assert_eq!((names(&told), &told[0].2["changed"]), (vec!["updated"], &serde_json::json!([])));
}

#[test]
fn who_comes_first_tells_what_was_there_and_what_came_since() {
    let before = [("pending", "08:00:00"), ("acknowledged", "08:10:00")];
    let shipped =
        [("pending", "08:00:00"), ("acknowledged", "08:10:00"), ("pickprocess", "09:00:00"), ("shipped", "09:10:00")];
    let telling = Telling::with_snapshot(time("2026-01-05T08:30:00Z"));
    let read = |json: &str, known: &mut Option<Known>| -> Vec<(String, bool)> {
        let told = drafts(FeedName::Outbounds, json, &[], known, telling).into_iter();
        told.map(|draft| (draft.event.is_snapshot, tell(draft)))
            .map(|(is_snapshot, told)| (names(&[told])[0].to_owned(), is_snapshot))
            .collect()
    };
    let (old, new) = (order("Acknowledged", &before, "08:10:00", ""), order("Shipped", &shipped, "09:10:00", ""));
    let was_there = [("created".to_owned(), true), ("acknowledged".to_owned(), true)];
    let came = [("pickprocess".to_owned(), false), ("shipped".to_owned(), false)];
    // The list, then the feed.
    let mut known = None;
    assert_eq!(read(&old, &mut known), was_there);
    assert_eq!(read(&new, &mut known), came);
    // The feed, then the list, which was read before.
    let mut known = None;
    assert_eq!(read(&new, &mut known), [was_there, came].concat());
    assert!(read(&old, &mut known).is_empty() && read(&new, &mut known).is_empty());
}

#[test]
fn an_entity_without_any_time_is_told_by_what_it_holds() {
    let mut known = None;
    let read = |json: &str, known: &mut Option<Known>| of(FeedName::Warehouses, json, known);
    let first = read(r#"{"warehouseId":"WARE04X","name":"a"}"#, &mut known);
    assert_eq!((first.len(), first[0].0.as_str()), (1, "created"));
    assert!(read(r#"{"warehouseId":"WARE04X","name":"a"}"#, &mut known).is_empty());
    let changed = read(r#"{"warehouseId":"WARE04X","name":"b"}"#, &mut known);
    assert_eq!(changed[0].0, "updated");
}

/// An order's events as (name, previous status, id).
fn reached(json: &str, known: &mut Option<Known>) -> Vec<(String, String, String)> {
    let told = drafts(FeedName::Outbounds, json, &[], known, Telling::since(time(START)));
    let row = |draft: Draft| {
        let id = draft.event.id.to_string();
        let (name, _, data) = tell(draft);
        (name, data["previousStatus"].as_str().unwrap_or_default().to_owned(), id)
    };
    told.into_iter().map(row).collect()
}

fn columns(rows: &[(String, String, String)]) -> Vec<(&str, &str)> {
    rows.iter().map(|(name, previous, _)| (name.as_str(), previous.as_str())).collect()
}

const AT_ONCE: &str = "08:00:00";

#[test]
fn statuses_of_one_instant_are_told_as_they_follow_each_other() {
    let all = ["shipped", "partiallyShipped", "pickprocess", "acknowledged", "pending"].map(|status| (status, AT_ONCE));
    let told = reached(&order("Shipped", &all, AT_ONCE, ""), &mut None);
    let expected = [
        ("created", ""),
        ("pending", ""),
        ("acknowledged", "Pending"),
        ("pickprocess", "Acknowledged"),
        ("partially-shipped", "Pickprocess"),
        ("shipped", "PartiallyShipped"),
    ];
    assert_eq!(columns(&told), expected);
    assert_eq!(told.iter().map(|(.., id)| id).collect::<std::collections::BTreeSet<_>>().len(), 6);
}

#[test]
fn a_status_that_comes_to_one_of_its_instant_is_the_only_one_told() {
    let (locked, both) = ([("locked", "08:10:00")], [("pickprocess", "08:10:00"), ("locked", "08:10:00")]);
    let readings = [
        order("Locked", &locked, "08:10:00", ""),
        order("Pickprocess", &both, "08:10:00", ""),
        order("Shipped", &[both.as_slice(), &[("shipped", "08:20:00")]].concat(), "08:20:00", ""),
    ];
    let mut known = None;
    let told: Vec<_> = readings.iter().map(|json| reached(json, &mut known)).collect();
    assert_eq!(columns(&told[0]), [("created", ""), ("locked", "")]);
    assert_eq!(columns(&told[1]), [("pickprocess", "Locked")]);
    assert_eq!(columns(&told[2]), [("shipped", "Pickprocess")]);
    assert!(readings.iter().rev().all(|json| reached(json, &mut known).is_empty()), "whatever is read again");
    // Read only when both are there, after a lost database: the same ids.
    let at_once = reached(&readings[1], &mut None);
    assert_eq!(columns(&at_once), [("created", ""), ("locked", ""), ("pickprocess", "Locked")]);
    assert_eq!(at_once, [told[0].clone(), told[1].clone()].concat());
}

#[test]
fn a_status_of_an_instant_that_was_anothers_is_told() {
    let mut known = None;
    reached(&order("Locked", &[("locked", "08:10:00")], "08:10:00", ""), &mut known);
    // Locked once more, so that only the other one has the instant.
    let later = order("Locked", &[("pickprocess", "08:10:00"), ("locked", "08:20:00")], "08:20:00", "");
    assert_eq!(columns(&reached(&later, &mut known)), [("pickprocess", ""), ("locked", "Pickprocess")]);
}

#[test]
fn memories_of_before_know_a_status_by_the_one_that_was_shown() {
    let mut known = None;
    reached(&order("Locked", &[("locked", "08:10:00")], "08:10:00", ""), &mut known);
    for told in &mut known.as_mut().unwrap().told {
        *told = told.split('\u{1f}').next().unwrap().to_owned();
    }
    let both = order("Pickprocess", &[("pickprocess", "08:10:00"), ("locked", "08:10:00")], "08:10:00", "");
    assert_eq!(columns(&reached(&both, &mut known)), [("pickprocess", "Locked")]);
}

#[test]
fn one_bad_entry_of_a_list_loses_no_other() {
    let product = entity(r#""jfsku":"ACME01A1B2C""#, &[1, 5], &[1, 3, 5], "Modified");
    let bad = product.replacen(r#""changesInRange":["#, r#""changesInRange":[7,null,["x"],"#, 1);
    assert_eq!(short(&of(FeedName::Products, &bad, &mut None)), [("created", 1), ("updated", 3), ("updated", 5)]);
    let parcel = r#"{"outboundShippingNotificationId":"S","outboundId":"O","packages":[7,{"trackingUrl":"u","identifier":
        [null,{"identifierType":"TrackingId","value":"T"},"x"]}],"modificationInfo":{"createdAt":"2026-01-05T08:00:00Z"}}"#;
    let told = drafts(FeedName::OutboundShipments, parcel, &[], &mut None, Telling::since(time(START)));
    let (_, _, data) = told.into_iter().map(tell).next().unwrap();
    assert_eq!((&data["trackingIds"], &data["trackingUrls"]), (&serde_json::json!(["T"]), &serde_json::json!(["u"])));
}
