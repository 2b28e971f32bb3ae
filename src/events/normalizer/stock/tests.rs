use super::*;

fn time(text: &str) -> DateTime<Utc> {
    parse_time(text).unwrap()
}

fn scope<'a>(account: &'a AccountName, carriers: &'a HashMap<String, String>) -> Scope<'a> {
    Scope {
        account,
        role: Role::Merchant,
        recorded_time: time("2026-01-06T00:00:00Z"),
        exchange: "ffn.events",
        mode: ContentMode::Structured,
        carriers,
        telling: Telling::since(time("2026-01-05T00:00:00Z")),
    }
}

fn read(version: i64, known: &mut Option<Known>) -> Vec<serde_json::Value> {
    texts(version, known).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

fn texts(version: i64, known: &mut Option<Known>) -> Vec<String> {
    let json = format!(
        r#"{{"stockChangeId":{{"warehouseId":"WARE04X","jfsku":"ACME01A1B2C","stockVersion":{version}}},"quantity":-1.50,
            "stockLevel":12345678901234.5678,"changeType":"Reservation","outboundItem":{{"outboundId":"ACME02X"}},
            "inboundItem":null,"merchantSku":"MUG","modificationInfo":{{"createdAt":"2026-01-05T08:00:{version:02}.000Z"}}}}"#
    );
    let item = RawValue::from_string(json).unwrap();
    let (account, carriers) = ("acme".parse().unwrap(), HashMap::new());
    let normalized = normalize(&scope(&account, &carriers), &item, known.as_ref()).unwrap();
    *known = Some(normalized.known);
    let body = |draft: &Draft| String::from_utf8(draft.finish(1).unwrap().body).unwrap();
    normalized.drafts.iter().map(body).collect()
}

fn tell_gap(known: &mut Option<Known>) -> Option<serde_json::Value> {
    let (account, carriers) = ("acme".parse().unwrap(), HashMap::new());
    let normalized = gap(&scope(&account, &carriers), "WARE04X:ACME01A1B2C", known.as_ref().unwrap()).unwrap()?;
    *known = Some(normalized.known);
    Some(serde_json::from_slice(&normalized.drafts[0].finish(1).unwrap().body).unwrap())
}

#[test]
fn an_entry_says_levels_deltas_and_cause_digit_for_digit() {
    let mut known = None;
    let event = read(7, &mut known).remove(0);
    assert_eq!(event["type"], "ffn.stock.changed.v1");
    assert_eq!((&event["subject"], &event["time"]), (&"ACME01A1B2C".into(), &"2026-01-05T08:00:07Z".into()));
    let data = &event["data"];
    assert_eq!((&data["stockVersion"], &data["warehouseId"]), (&7.into(), &"WARE04X".into()));
    let text = texts(7, &mut None).remove(0);
    for digits in [r#""quantity":-1.50"#, r#""stockLevel":12345678901234.5678"#] {
        assert_eq!(text.matches(digits).count(), 2, "in data and snapshot: {text}");
    }
    assert_eq!(data["outboundItem"]["outboundId"], "ACME02X");
    assert_eq!(data.get("inboundItem"), None);
    assert_eq!(read(7, &mut known)[0]["id"], event["id"]);
    assert_ne!(read(8, &mut known)[0]["id"], event["id"]);
}

#[test]
fn a_hole_is_told_once_and_only_when_it_is_given_up() {
    let mut known = None;
    for version in [3, 4, 7, 9] {
        assert_eq!(read(version, &mut known).len(), 1);
    }
    let event = tell_gap(&mut known).unwrap();
    assert_eq!(event["type"], "ffn.stock.gap.v1");
    assert_eq!((&event["data"]["fromVersion"], &event["data"]["toVersion"]), (&5.into(), &6.into()));
    assert_eq!((&event["time"], &event["data"]["merchantSku"]), (&"2026-01-05T08:00:07Z".into(), &"MUG".into()));
    assert_eq!(read(8, &mut known).len(), 1);
    assert_eq!(tell_gap(&mut known), None);
    // What comes late after all is told.
    assert_eq!(read(5, &mut known).len(), 1);
    assert_eq!(tell_gap(&mut known), None);
}

#[test]
fn an_entry_that_does_not_say_when_it_was_written_is_told_with_the_time_of_the_reading() {
    let (account, carriers) = ("acme".parse().unwrap(), HashMap::new());
    // The reading is after the period, and before it where this machine's clock is behind FFN's.
    let periods = [("2026-01-05T00:00:00Z", "2026-01-05T12:00:00Z"), ("2026-01-06T00:00:01Z", "2026-01-07T00:00:00Z")];
    for (since, until) in periods.map(|(since, until)| (time(since), time(until))) {
        let scope = Scope { telling: Telling { until, ..Telling::since(since) }, ..scope(&account, &carriers) };
        for stamp in ["", r#","modificationInfo":{"createdAt":"soon"},"fulfillerTimestamp":7"#] {
            let id = r#"{"warehouseId":"W","jfsku":"J","stockVersion":7}"#;
            let item = RawValue::from_string(format!(r#"{{"stockChangeId":{id}{stamp}}}"#)).unwrap();
            let Normalized { drafts, known } = normalize(&scope, &item, None).unwrap();
            assert_eq!(drafts.len(), 1, "{since} {stamp}");
            assert_eq!(drafts[0].event.time, scope.recorded_time);
            assert_eq!(known.versions.unwrap().first, Some(7), "it is looked up whether one was lost before it");
            let later = Scope { recorded_time: time("2026-01-08T00:00:00Z"), ..scope };
            let again = normalize(&later, &item, None).unwrap().drafts.remove(0);
            assert_eq!(again.event.id, drafts[0].event.id);
        }
    }
}

#[test]
fn an_entry_without_identity_is_odd() {
    for odd in ["7", "{}", r#"{"stockChangeId":{"warehouseId":"W","jfsku":"J"}}"#, r#"{"stockChangeId":"x"}"#] {
        assert!(memory_id(&RawValue::from_string(odd.into()).unwrap()).is_err(), "{odd}");
    }
}

#[test]
fn a_version_that_no_ledger_can_have_is_odd_and_those_at_the_ends_are_counted_on_with() {
    let entry = |version: i64| {
        let id = format!(r#"{{"warehouseId":"W","jfsku":"J","stockVersion":{version}}}"#);
        RawValue::from_string(format!(r#"{{"stockChangeId":{id}}}"#)).unwrap()
    };
    for version in [i64::MIN, VERSIONS.start - 1, VERSIONS.end, i64::MAX] {
        assert_eq!(stock_version(&entry(version)), None, "{version}");
    }
    let (account, carriers) = ("acme".parse().unwrap(), HashMap::new());
    let mut known = None;
    for version in [VERSIONS.start, VERSIONS.end - 1, 0] {
        let normalized = normalize(&scope(&account, &carriers), &entry(version), known.as_ref()).unwrap();
        known = Some(normalized.known);
    }
    let versions = known.unwrap().versions.unwrap();
    assert_eq!(versions.missing(), VERSIONS.end.abs_diff(VERSIONS.start) - 3);
}
