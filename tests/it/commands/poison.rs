//! Messages that AMQP allows and client libraries do not make: short texts that are no UTF-8.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{only, order, outcome, run, setup};
use crate::support::broker::shared_url;

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

#[tokio::test]
#[ignore = "holds up every command for about a minute: lapin drops the connection until the delivery limit is reached"]
async fn a_message_whose_texts_are_no_utf_8_holds_up_nobody() {
    const MESSAGE_ID: u16 = 1 << 7;
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let commands = world.names.commands();
    let body = order("SO-1").to_string();
    Raw::connect().publish(&commands, b"acme.outbound.create", MESSAGE_ID, &short(b"\xff\xfe"), body.as_bytes());
    let good = run(&world, &mut results, "acme.outbound.create", "good", &order("SO-2")).await;
    assert_eq!(outcome(&good), "succeeded");
    only(&world.simulator, "SO-2").await;
    assert_eq!(world.broker.depth(&world.names.dead()).await, 1);
}
