//! Messages that the bridge does not survive, and such that AMQP allows and client libraries do not make: short
//! texts that are no UTF-8.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::{leaves_nothing, only, order, outcome, requested, result_of, results_of, run, setup};
use crate::support::broker::shared_url;
use crate::support::{World, until_within};

/// As much of AMQP 0.9.1 as it takes to publish one message byte for byte.
struct Raw(TcpStream);

impl Raw {
    fn connect() -> Self {
        let url = url::Url::parse(&shared_url()).unwrap();
        let socket = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap_or(5672))).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let mut raw = Self(socket);
        raw.0.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        raw.expect(10, 10);
        let login = format!("\0{}\0{}", url.username(), url.password().unwrap_or_default());
        let response = [&u32::try_from(login.len()).unwrap().to_be_bytes(), login.as_bytes()].concat();
        raw.method(0, 10, 11, &[&[0; 4], &short(b"PLAIN"), &response, &short(b"en_US")]);
        let tune = raw.expect(10, 30);
        raw.method(0, 10, 31, &[&tune[..6], &[0, 0]]);
        raw.method(0, 10, 40, &[&short(b"/"), &short(b""), &[0]]);
        raw.expect(10, 41);
        raw.method(1, 20, 10, &[&short(b"")]);
        raw.expect(20, 11);
        raw.method(1, 85, 10, &[&[0]]);
        raw.expect(85, 11);
        raw
    }

    /// Publishes, confirmed. `flags` and `properties` as they stand in the content header.
    fn publish(&mut self, exchange: &str, key: &[u8], flags: u16, properties: &[u8], body: &[u8]) {
        self.method(1, 60, 40, &[&[0; 2], &short(exchange.as_bytes()), &short(key), &[0]]);
        let size = u64::try_from(body.len()).unwrap().to_be_bytes();
        self.frame(2, 1, &[&[0, 60, 0, 0][..], &size, &flags.to_be_bytes(), properties].concat());
        self.frame(3, 1, body);
        self.expect(60, 80);
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[&[u8]]) {
        let begin = [class.to_be_bytes(), method.to_be_bytes()].concat();
        self.frame(1, channel, &[begin, arguments.concat()].concat());
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&[kind], &channel.to_be_bytes()[..], &size, payload, &[0xce]].concat()).unwrap();
    }

    /// Reads the next frame, which has to be this method; gives its arguments.
    fn expect(&mut self, class: u16, method: u16) -> Vec<u8> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).unwrap();
        let size = u32::from_be_bytes(head[3..7].try_into().unwrap());
        let mut payload = vec![0; usize::try_from(size).unwrap() + 1];
        self.0.read_exact(&mut payload).unwrap();
        let wanted = [class.to_be_bytes(), method.to_be_bytes()].concat();
        assert_eq!(payload[..4], wanted[..], "{}", String::from_utf8_lossy(&payload));
        payload[4..payload.len() - 1].to_vec()
    }
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// lapin can't read it and drops the connection, until the broker has counted its deliveries and sets it aside.
#[tokio::test]
async fn a_message_whose_texts_are_no_utf_8_is_set_aside_and_none_behind_it() {
    const MESSAGE_ID: u16 = 1 << 7;
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    let commands = world.names.commands();
    // All of them are there when it begins: each of its deliveries is one of theirs.
    assert_eq!(world.bridge.stop().await, Some(0));
    let body = order("SO-1").to_string();
    Raw::connect().publish(&commands, b"acme.outbound.create", MESSAGE_ID, &short(b"\xff\xfe"), body.as_bytes());
    for number in 0..20 {
        world.broker.command("acme.user.get", &format!("c-{number}"), &json!({})).await;
    }
    world.bridge.start().await;
    until_within(Duration::from_secs(100), "it to be set aside", async || {
        (world.broker.depth(&world.names.dead()).await == 1).then_some(())
    })
    .await;
    for number in 0..20 {
        assert_eq!(outcome(&result_of(&mut results, &format!("c-{number}")).await), "succeeded");
    }
    assert_eq!(world.broker.depth(&world.names.dead()).await, 1);
}

#[tokio::test]
async fn a_command_in_whose_middle_the_process_dies_three_times_is_set_aside() {
    let mut world = setup().start().await;
    let broker = crate::support::Broker::connect(&shared_url(), world.names.clone()).await;
    let (mut results, mut dead) = (broker.results().await, broker.dead_letters().await);
    // Every call of the command hangs, and the test ends the process there: as a command would that crashes it.
    let post = json!({"match": {"method": "POST", "path": "/outbounds", "body": "SO-1"}, "kind": "hang_after"});
    world.simulator.fault(post).await;
    let looks = json!({"match": {"method": "GET", "query": "SO-1"}, "times": 0, "kind": "hang"});
    world.simulator.fault(looks).await;
    // At work beside it, and not to blame: begun as often, if nobody sees to it.
    let beside = json!({"match": {"body": "SO-9"}, "kind": "hang"});
    world.simulator.fault(beside).await;
    world.simulator.fault(json!({"match": {"query": "SO-9"}, "times": 0, "kind": {"delay_ms": 500}})).await;
    broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    broker.command("acme.outbound.create", "c-9", &order("SO-9")).await;
    let hanging = async |world: &World, method: &str, count: usize| {
        crate::support::until("the call to hang", async || {
            let calls = world.simulator.requests(method, "/merchant/outbounds").await;
            let hang =
                calls.iter().filter(|call| call["fault"].as_str().is_some_and(|fault| fault.starts_with("hang")));
            (hang.count() >= count).then_some(())
        })
        .await;
    };
    hanging(&world, "POST", 2).await;
    for looks in 1..=2 {
        world.bridge.kill();
        world.bridge.start().await;
        hanging(&world, "GET", looks).await;
    }
    world.bridge.kill();
    world.bridge.start().await;
    let result = result_of(&mut results, "c-1").await;
    assert_eq!((outcome(&result), &result.data()["attempts"]), ("failed outcome-unknown".to_owned(), &json!(3)));
    let letter = dead.next().await;
    assert_eq!((letter.id(), letter.text()), ("c-1".to_owned(), order("SO-1").to_string()));
    assert_eq!(letter.header("ffn-error-code").as_deref(), Some("outcome-unknown"));
    assert!(letter.header("ffn-error-message").unwrap().contains("3 times in a row"));
    assert_eq!(outcome(&result_of(&mut results, "c-9").await), "succeeded");
    // Others of its key go on, and nobody calls for it any more.
    let get = json!({"outboundId": "SO-1"});
    assert_eq!(outcome(&run(&world, &mut results, "acme.outbound.get", "c-2", &get).await), "succeeded");
    let sent = world.simulator.requests("POST", "/outbounds").await.len();
    // Put back when it is mended, it is looked up first.
    world.simulator.control("DELETE", "faults", None).await;
    broker.publish(&world.names.commands(), &letter.routing_key, letter.properties, &letter.body).await;
    let again = results_of(&mut results, "c-1", 2).await;
    assert_eq!((outcome(&again[1]), &again[1].data()["reconciled"]), ("succeeded".to_owned(), &json!(true)));
    only(&world.simulator, "SO-1").await;
    only(&world.simulator, "SO-9").await;
    assert_eq!(world.simulator.requests("POST", "/outbounds").await.len(), sent, "sent again");
    leaves_nothing(&mut world, &broker).await;
}

#[tokio::test]
async fn a_command_that_ends_in_between_is_not_set_aside_however_often_the_process_dies() {
    let mut world = setup().start().await;
    let mut results = world.broker.results().await;
    for number in 0..4 {
        let post = json!({"match": {"method": "POST", "path": "/outbounds"}, "kind": "hang"});
        world.simulator.fault(post).await;
        let id = format!("c-{number}");
        world.broker.command("acme.outbound.create", &id, &order(&format!("SO-{number}"))).await;
        requested(&world.simulator, "POST", "/outbounds", number * 2 + 1).await;
        world.bridge.kill();
        world.bridge.start().await;
        assert_eq!(outcome(&result_of(&mut results, &id).await), "succeeded");
    }
}
