use super::*;

const START: &str = "2026-01-05T00:00:00Z";

fn time(text: &str) -> DateTime<Utc> {
    parse_time(text).unwrap()
}

/// Normalizes with a feed that began at `START` and gives the events as (name, time, data).
fn read(json: &str, known: &mut Option<Known>) -> Vec<(String, DateTime<Utc>, serde_json::Value)> {
    let account = "acme".parse().unwrap();
    let carriers = HashMap::new();
    let scope = Scope {
        account: &account,
        role: Role::Merchant,
        started_at: time(START),
        recorded_time: time("2026-01-06T00:00:00Z"),
        exchange: "ffn.events",
        mode: ContentMode::Structured,
        carriers: &carriers,
    };
    let item = RawValue::from_string(json.to_owned()).unwrap();
    let normalized = normalize(&scope, &item, known.as_ref()).unwrap();
    *known = Some(normalized.known);
    let prefix = "acme.outbound.";
    let tell = |draft: Draft| {
        let name = draft.destination.routing_key.strip_prefix(prefix).unwrap().to_owned();
        (name, draft.event.time, serde_json::from_str(draft.event.data.get()).unwrap())
    };
    normalized.drafts.into_iter().map(tell).collect()
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
fn missing_fields_and_wrong_types_do_not_stop_it() {
    let odd = r#"{"outboundId":"ACME02K7Q2","status":7,"statusTimestamp":[],"modificationInfo":"?","merchantOutboundNumber":null}"#;
    assert_eq!(names(&read(odd, &mut None)), ["created"]);
    for broken in ["7", "[]", "{}", r#"{"outboundId":7}"#, r#"{"outboundId":""}"#] {
        assert!(id(&RawValue::from_string(broken.into()).unwrap()).is_err(), "{broken}");
    }
}

#[test]
fn numbers_keep_every_digit() {
    let account = "acme".parse().unwrap();
    let scope = Scope {
        account: &account,
        role: Role::Merchant,
        started_at: time(START),
        recorded_time: time(START),
        exchange: "ffn.events",
        mode: ContentMode::Structured,
        carriers: &HashMap::new(),
    };
    let json = order("Pending", &[], "08:00:00", r#""orderValue":12345678901234.5678,"shippingFee":0.10,"#);
    let normalized = normalize(&scope, &RawValue::from_string(json).unwrap(), None).unwrap();
    let body = String::from_utf8(normalized.drafts[0].finish(1).unwrap().body).unwrap();
    assert!(body.contains(r#""orderValue":12345678901234.5678,"shippingFee":0.10,"#), "{body}");
}
