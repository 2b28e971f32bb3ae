//! What is no command: answered with the reason, set aside as it came, and nobody else is held up.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde_json::{Value, json};

use super::{header, order, outcome, result_of, run, setup, with_id};
use crate::support::{Message, Subscription, World};

/// A message that is no command, and what the result has to say of it.
struct Case {
    name: &'static str,
    key: String,
    content_type: &'static str,
    headers: FieldTable,
    body: Vec<u8>,
    code: &'static str,
    /// The path of the first fault, where one is to be named.
    path: Option<&'static str>,
}

impl Case {
    fn of(name: &'static str, body: impl Into<Vec<u8>>, path: &'static str) -> Self {
        Self {
            name,
            key: "acme.outbound.create".to_owned(),
            content_type: "application/json",
            headers: FieldTable::default(),
            body: body.into(),
            code: "invalid-command",
            path: Some(path),
        }
    }

    fn changed(name: &'static str, path: &'static str, change: impl FnOnce(&mut Value)) -> Self {
        let mut body = order("SO-BAD");
        change(&mut body);
        Self::of(name, body.to_string(), path)
    }

    fn keyed(name: &'static str, key: &str, code: &'static str) -> Self {
        let body = order("SO-BAD").to_string().into_bytes();
        Self { key: key.to_owned(), code, path: None, ..Self::of(name, body, "") }
    }

    fn event(name: &'static str, body: &Value, path: &'static str) -> Self {
        let content_type = "Application/CloudEvents+JSON; charset=UTF-8";
        Self { content_type, ..Self::of(name, body.to_string(), path) }
    }
}

/// Headers of a publisher, of every kind that AMQP has, and some that look like the broker's own.
fn user_headers(mut headers: FieldTable) -> FieldTable {
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::Boolean(false));
    let list: Vec<AMQPValue> = vec![AMQPValue::LongInt(1), AMQPValue::LongString("two".into())];
    for (name, value) in [
        ("h-bool", AMQPValue::Boolean(true)),
        ("h-byte", AMQPValue::ShortShortInt(-5)),
        ("h-short", AMQPValue::ShortInt(-300)),
        ("h-int", AMQPValue::LongInt(-70_000)),
        ("h-long", AMQPValue::LongLongInt(9_007_199_254_740_993)),
        ("h-double", AMQPValue::Double(0.1)),
        ("h-time", AMQPValue::Timestamp(1_700_000_000)),
        ("h-void", AMQPValue::Void),
        ("h-text", AMQPValue::LongString("größer".into())),
        ("h-bytes", AMQPValue::LongString(vec![0xff, 0x00, 0xfe].into())),
        ("h-list", AMQPValue::FieldArray(FieldArray::from(list))),
        ("h-table", AMQPValue::FieldTable(inner)),
        ("x-mine", AMQPValue::LongString("kept".into())),
    ] {
        headers.insert(name.into(), value);
    }
    headers
}

fn nested(depth: usize) -> String {
    let mut body = order("SO-BAD").to_string();
    body.pop();
    format!("{body},\"attributes\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
}

fn bodies() -> Vec<Case> {
    let not_utf8 = [br#"{"merchantOutboundNumber":""#.as_slice(), &[0xc3, 0x28], b"\"}".as_slice()].concat();
    let many = |count: usize| (0..count).map(|n| json!({"outboundItemId": n.to_string()})).collect::<Vec<_>>();
    vec![
        Case::of("empty body", "", ""),
        Case::of("not JSON", "merchantOutboundNumber=SO-1", ""),
        Case::of("half a JSON object", r#"{"merchantOutboundNumber": "#, ""),
        Case::of("something behind the object", format!("{} {{}}", order("SO-BAD")), ""),
        Case::of("not UTF-8", not_utf8, ""),
        Case::of("zero bytes", vec![0; 64], ""),
        Case::of("a megabyte of garbage", vec![b'x'; 1024 * 1024], ""),
        Case::of("an array", "[]", ""),
        Case::of("a text", "\"create\"", ""),
        Case::of("null", "null", ""),
        Case::of("a thousand levels deep", nested(1000), ""),
        Case::of("a hundred thousand brackets", "[".repeat(100_000), ""),
        Case::changed("a line's quantity is no number", "items[0].quantity", |body| {
            body["items"][0]["quantity"] = json!("two");
        }),
        Case::changed("items are no list", "items", |body| body["items"] = json!({"1": 2})),
        Case::changed("no lines", "items", |body| body["items"] = json!([])),
        Case::changed("fifty thousand bad lines", "items[0].quantity", |body| {
            body["items"] = Value::Array(many(50_000));
        }),
        Case::changed("a line id twice", "items[1].outboundItemId", |body| {
            let line = body["items"][0].clone();
            body["items"] = json!([line, line]);
        }),
        Case::changed("no warehouse", "warehouseId", |body| drop(body.as_object_mut().unwrap().remove("warehouseId"))),
        Case::changed("no city", "shippingAddress.city", |body| {
            body["shippingAddress"].as_object_mut().unwrap().remove("city");
        }),
        Case::changed("an unknown member", "warehouse", |body| body["warehouse"] = json!("W")),
        Case::changed("an unknown member of a line", "items[0].sku", |body| body["items"][0]["sku"] = json!("X")),
        Case::changed("a date that is none", "desiredDeliveryDate", |body| {
            body["desiredDeliveryDate"] = json!("tomorrow");
        }),
        Case {
            key: "acme.outbound.cancel".to_owned(),
            ..Case::of("nothing to cancel", r#"{"cancelReason":"x"}"#, "outboundId")
        },
        Case {
            key: "acme.outbound.get".to_owned(),
            ..Case::of("an id that is no text", r#"{"outboundId":7}"#, "outboundId")
        },
    ]
}

fn keys() -> Vec<Case> {
    let long = format!("acme.outbound.create.{}", "x".repeat(234));
    assert_eq!(long.len(), 255);
    vec![
        Case::keyed("an account that nobody has", "nobody.outbound.create", "unknown-account"),
        Case::keyed("an account with odd letters", "Ünknown \"acme\"/é.outbound.create", "unknown-account"),
        Case::keyed("one word that is an account", "acme", "unknown-command"),
        Case::keyed("one word", "create", "unknown-account"),
        Case::keyed("an empty routing key", "", "unknown-account"),
        Case::keyed("dots only", "...", "unknown-account"),
        Case::keyed("an action that nobody has", "acme.outbound.explode", "unknown-command"),
        Case::keyed("no action", "acme.outbound", "unknown-command"),
        Case::keyed("a word too many", "acme.outbound.create.now", "unknown-command"),
        Case::keyed("another case", "acme.Outbound.Create", "unknown-command"),
        Case::keyed("the longest routing key", &long, "unknown-command"),
    ]
}

fn events() -> Vec<Case> {
    let event = |event_type: &str| json!({"specversion": "1.0", "id": "e", "source": "/s", "type": event_type, "data": order("SO-BAD")});
    let mut without_data = event("ffn.outbound.create");
    without_data.as_object_mut().unwrap().remove("data");
    let binary = |name, header_name| Case {
        headers: header(header_name, "ffn.outbound.cancel"),
        ..Case::of(name, order("SO-BAD").to_string(), "type")
    };
    let mut bad_data = event("ffn.outbound.create");
    bad_data["data"]["items"][0]["quantity"] = json!(true);
    vec![
        Case::event("a CloudEvent of another type", &event("com.example.order"), "type"),
        Case::event("a CloudEvent of another command", &event("ffn.outbound.cancel"), "type"),
        Case::event("a CloudEvent without data", &without_data, "data"),
        Case::event("a CloudEvent that is a list", &json!([event("ffn.outbound.create")]), ""),
        Case::event("a CloudEvent with bad data", &bad_data, "items[0].quantity"),
        binary("a binary CloudEvent of another command", "cloudEvents_type"),
        binary("a binary CloudEvent of another command, with colons", "cloudEvents:type"),
    ]
}

#[tokio::test]
async fn a_body_that_is_no_command_is_answered_with_the_field_and_set_aside_as_it_came() {
    refuses(bodies()).await;
}

#[tokio::test]
async fn a_routing_key_that_names_no_command_is_answered_and_set_aside_as_it_came() {
    refuses(keys()).await;
}

#[tokio::test]
async fn a_cloud_event_that_is_no_command_is_answered_with_the_field_and_set_aside_as_it_came() {
    refuses(events()).await;
}

/// Sends each case, and a good command after it.
async fn refuses(cases: Vec<Case>) {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    let reply_queue = world.broker.bind("reply", "", &[]).await;
    let mut replies = world.broker.subscribe(&reply_queue).await;
    let mut dead = world.broker.dead_letters().await;
    for (index, case) in cases.iter().enumerate() {
        let id = format!("bad-{index}");
        let sent = BasicProperties::default()
            .with_message_id(id.as_str().into())
            .with_correlation_id(format!("about {}", case.name).into())
            .with_reply_to(reply_queue.as_str().into())
            .with_type("my.type".into())
            .with_content_type(case.content_type.into())
            .with_content_encoding("identity".into())
            .with_timestamp(1_700_000_000)
            .with_app_id("a-shop".into())
            .with_priority(3)
            .with_delivery_mode(2)
            .with_headers(user_headers(case.headers.clone()));
        world.broker.publish(&world.names.commands(), &case.key, sent.clone(), &case.body).await;
        let result = result_of(&mut results, &id).await;
        judge_result(case, &result);
        let reply = result_of(&mut replies, &id).await;
        assert_eq!((reply.data(), reply.id()), (result.data(), result.id()), "{}: the reply differs", case.name);
        assert_eq!(reply.properties.correlation_id(), sent.correlation_id(), "{}", case.name);
        judge_dead_letter(case, &sent, &dead.next().await);
        goes_on(&world, &mut results, index).await;
    }
    super::no_more_dead_letters(&world.broker, &world.names, &mut dead).await;
    assert!(super::outbounds_of(&world.simulator, "SO-BAD").await.is_empty());
    drop((results, replies, dead));
    leaves_nothing(&mut world).await;
}

async fn leaves_nothing(world: &mut World) {
    let broker = crate::support::Broker::connect(&crate::support::broker::shared_url(), world.names.clone()).await;
    super::leaves_nothing(world, &broker).await;
}

async fn goes_on(world: &World, results: &mut Subscription, index: usize) {
    let good =
        run(world, results, "acme.outbound.create", &format!("good-{index}"), &order(&format!("SO-{index}"))).await;
    assert_eq!(outcome(&good), "succeeded");
}

fn judge_result(case: &Case, result: &Message) {
    let data = result.data();
    let name = case.name;
    let ending = ".failed";
    let begin = case.key.get(..case.key.len().min(255 - ending.len())).unwrap();
    assert_eq!(result.routing_key, format!("{begin}{ending}"), "{name}");
    assert_eq!(data["error"]["code"], case.code, "{name}: {data}");
    assert_eq!(data["error"]["retryable"], false, "{name}");
    assert_eq!(data["attempts"], 0, "{name}");
    let message = data["error"]["message"].as_str().unwrap();
    assert!((10..2000).contains(&message.len()), "{name}: {message}");
    assert!(result.body.len() < 64 * 1024, "{name}: a result of {} bytes", result.body.len());
    if let Some(path) = case.path {
        let paths: Vec<&str> =
            data["error"]["fields"].as_array().unwrap().iter().map(|field| field["path"].as_str().unwrap()).collect();
        assert!(paths.contains(&path), "{name}: {path:?} is not among {:?}: {data}", paths.first());
    }
}

fn judge_dead_letter(case: &Case, sent: &BasicProperties, letter: &Message) {
    let name = case.name;
    assert!(letter.body == case.body, "{name}: the body is another");
    assert_eq!(letter.routing_key, case.key, "{name}");
    let came = &letter.properties;
    assert_eq!(came.message_id(), sent.message_id(), "{name}");
    assert_eq!(came.correlation_id(), sent.correlation_id(), "{name}");
    assert_eq!(came.reply_to(), sent.reply_to(), "{name}");
    assert_eq!(came.kind(), sent.kind(), "{name}");
    assert_eq!(came.content_type(), sent.content_type(), "{name}");
    assert_eq!(came.content_encoding(), sent.content_encoding(), "{name}");
    assert_eq!(came.timestamp(), sent.timestamp(), "{name}");
    assert_eq!(came.app_id(), sent.app_id(), "{name}");
    assert_eq!(came.priority(), sent.priority(), "{name}");
    assert_eq!(came.delivery_mode(), sent.delivery_mode(), "{name}");
    let headers = came.headers().as_ref().unwrap().inner();
    for (header, value) in sent.headers().as_ref().unwrap() {
        assert_eq!(headers.get(header), Some(value), "{name}: header {header}");
    }
    assert_eq!(letter.header("ffn-error-code").as_deref(), Some(case.code), "{name}");
    assert!(letter.header("ffn-error-message").is_some_and(|message| !message.is_empty()), "{name}");
    assert_eq!(letter.header("ffn-attempts").as_deref(), Some("0"), "{name}");
    for header in ["ffn-first-failed-at", "ffn-last-failed-at"] {
        let at = letter.header(header).unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(&at).is_ok(), "{name}: {header} {at}");
    }
}

#[tokio::test]
async fn a_bad_command_without_any_property_is_answered_and_set_aside_too() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    world.broker.publish(&world.names.commands(), "acme.outbound.create", BasicProperties::default(), b"{}").await;
    let result = results.next().await;
    assert_eq!(outcome(&result), "failed invalid-command");
    assert!(!result.data()["commandId"].as_str().unwrap().is_empty());
    let letter = dead.next().await;
    assert_eq!(letter.body, b"{}");
    assert_eq!(letter.properties.message_id(), &None, "the publisher gave none");
    assert_eq!(letter.header("ffn-error-code").as_deref(), Some("invalid-command"));
}

#[tokio::test]
async fn a_body_larger_than_allowed_is_refused_unread_and_one_of_that_size_is_not() {
    const LIMIT: usize = 64 * 1024;
    let world = super::setup_with("max_body = \"64KiB\"").start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    let padded = |size: usize| {
        let body = order("SO-1").to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    for (id, size, wanted) in [("large", LIMIT + 1, "failed invalid-command"), ("fits", LIMIT, "succeeded")] {
        world
            .broker
            .publish(&world.names.commands(), "acme.outbound.create", with_id(id), padded(size).as_bytes())
            .await;
        let result = result_of(&mut results, id).await;
        assert_eq!(outcome(&result), wanted, "{}", result.text());
    }
    let letter = dead.next().await;
    assert_eq!((letter.id().as_str(), letter.body.len()), ("large", LIMIT + 1));
    let told = letter.header("ffn-error-message").unwrap();
    assert!(told.contains("65537") && told.contains("commands.max_body"), "{told}");
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), 1);
}

#[tokio::test]
async fn headers_that_no_frame_has_room_for_are_refused_and_hold_up_nobody() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    let mut headers = header("huge", &"x".repeat(130_000));
    headers.insert("small".into(), AMQPValue::LongString("kept".into()));
    let (body, properties) = (order("SO-1").to_string(), with_id("c-1").with_headers(headers));
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    let refused = result_of(&mut results, "c-1").await;
    assert_eq!(outcome(&refused), "failed invalid-command");
    assert_eq!(refused.data()["error"]["fields"][0]["path"], "headers");
    let letter = dead.next().await;
    assert_eq!((letter.id(), letter.text()), ("c-1".to_owned(), body));
    assert_eq!(letter.header("ffn-dropped-headers").as_deref(), Some("huge"));
    assert_eq!(letter.header("small").as_deref(), Some("kept"));
    let next = run(&world, &mut results, "acme.outbound.create", "c-2", &order("SO-2")).await;
    assert_eq!(outcome(&next), "succeeded");
    assert!(world.bridge.lines().iter().all(|line| !line.contains("can't be sent on")), "it was tried");
}

#[tokio::test]
async fn an_ordering_key_that_is_no_text_is_refused() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut headers = FieldTable::default();
    headers.insert("ffn-ordering-key".into(), AMQPValue::LongInt(5));
    let (body, properties) = (order("SO-1").to_string(), with_id("c-1").with_headers(headers));
    world.broker.publish(&world.names.commands(), "acme.outbound.create", properties, body.as_bytes()).await;
    let refused = result_of(&mut results, "c-1").await;
    assert_eq!(outcome(&refused), "failed invalid-command");
    assert_eq!(refused.data()["error"]["fields"][0]["path"], "ffn-ordering-key");
}
