//! Bytes that make no sense, frames out of order, handshakes that fail.

mod common;

use amqp091::method::{access, basic, channel, connection, queue};
use amqp091::properties::{Change, Edit};
use amqp091::{LongStr, Method, RawTable, ShortStr, Table, Value};
use common::{Client, Node};

fn empty() -> ShortStr<'static> {
    ShortStr::EMPTY
}

fn declare_queue(name: &'static str) -> Method<'static> {
    Method::from(queue::Declare {
        ticket: 0,
        queue: ShortStr::lit(name),
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
}

fn get(queue: &'static str) -> Method<'static> {
    Method::from(basic::Get {
        ticket: 0,
        queue: ShortStr::lit(queue),
        no_ack: true,
    })
}

#[test]
fn after_a_channel_error_its_frames_are_ignored_until_close_ok() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let mut bytes = Vec::new();
    get("no").write_frame(&mut bytes, 1);
    declare_queue("never").write_frame(&mut bytes, 1);
    client.send(&bytes);
    client.publish(1, "", "q", b"ignored");
    assert_eq!(client.expect_close(1).0, 404);
    client.method(1, channel::CloseOk {});
    client.open_channel(1);
    assert_eq!(client.ready(1, "q"), 0);
    client.passive_declare(1, "never");
    assert_eq!(client.expect_channel_error(1).0, 404);
    client.close();
}

#[test]
fn frames_out_of_order_close_the_connection() {
    let node = Node::start();
    let publish = basic::Publish {
        ticket: 0,
        exchange: empty(),
        routing_key: ShortStr::lit("q"),
        mandatory: false,
        immediate: false,
    };
    let frame = |method: Method<'_>| {
        let mut out = Vec::new();
        method.write_frame(&mut out, 1);
        out
    };
    let mut body = Vec::new();
    amqp091::frame::write_body(&mut body, 1, b"body", 4096);
    let twice = [frame(publish.into()), frame(publish.into())].concat();
    let mut wrong_class = frame(publish.into());
    amqp091::frame::write_header(&mut wrong_class, 1, 10, 4, &[0, 0]);
    for (bytes, code, text) in [
        (
            body.clone(),
            505,
            "expected method frame, got non method frame instead",
        ),
        (
            twice,
            505,
            "expected content header for class 60, got non content header frame instead",
        ),
        (
            wrong_class,
            505,
            "expected content header for class 60, got one for class 10 instead",
        ),
        (
            vec![1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 99, 0xCE],
            540,
            "unknown method (60,99)",
        ),
        (
            vec![9, 0, 1, 0, 0, 0, 0, 0xCE],
            501,
            "type 9, all octets = <<>>: unknown_frame",
        ),
        (
            vec![8, 0, 0, 0, 0, 0, 0, 0x00],
            501,
            "type 8, all octets = <<>>: {invalid_frame_end_marker,0}",
        ),
        (
            vec![3, 0, 1, 0x7f, 0, 0, 0],
            501,
            "type 3, all octets = <<>>: {frame_too_large,2130706432,131064}",
        ),
    ] {
        let mut client = node.channel();
        client.send(&bytes);
        let (got_code, got_text) = client.expect_close(0);
        assert_eq!(got_code, code, "{got_text}");
        assert!(got_text.ends_with(text), "{got_text}");
    }
}

#[test]
fn immediate_is_not_implemented_and_old_tickets_are_given() {
    let node = Node::start();
    let mut client = node.channel();
    client.method(
        1,
        access::Request {
            realm: ShortStr::lit("/data"),
            exclusive: false,
            passive: true,
            active: true,
            write: true,
            read: true,
        },
    );
    client.expect(1, "access.request_ok");
    let publish = basic::Publish {
        ticket: 0,
        exchange: empty(),
        routing_key: empty(),
        mandatory: false,
        immediate: true,
    };
    let mut bytes = Vec::new();
    Method::from(publish).write_frame(&mut bytes, 1);
    amqp091::frame::write_header(&mut bytes, 1, 60, 0, &[0, 0]);
    client.send(&bytes);
    assert_eq!(
        client.expect_close(0),
        (540, "NOT_IMPLEMENTED - immediate=true".to_owned())
    );
}

#[test]
fn malformed_headers_are_refused_at_the_publisher() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let mut deep: Vec<u8> = Vec::new();
    for _ in 0..18_000 {
        let len = (deep.len() as u32).to_be_bytes();
        deep = [&[1, b'a', b'F'][..], &len, &deep].concat();
    }
    let broken = [1, b'a', b'S', 0, 0, 0, 99];
    for headers in [&broken[..], &deep] {
        let mut client = node.channel();
        let properties = Edit {
            headers: Change::Set(RawTable::new(headers)),
            ..Edit::default()
        };
        client.publish_with(1, "", "q", false, &properties, b"x");
        assert!(matches!(client.expect_close(0).0, 501 | 502));
    }
    assert_eq!(client.ready(1, "q"), 0);
    client.close();
}

#[test]
fn handshakes_that_fail_end_as_in_rabbitmq() {
    let node = Node::start();
    let mut client = Client::raw(node.address);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.read_to_end(), b"AMQP\0\0\x09\x01");
    let mut client = Client::raw(node.address);
    client.send(&amqp091::handshake::REPLY);
    client.expect(0, "connection.start");
    let mut can = Table::new();
    can.push(ShortStr::lit("authentication_failure_close"), true);
    let mut properties = Table::new();
    properties.push(ShortStr::lit("capabilities"), Value::from(can));
    let properties = properties.to_bytes();
    client.method(
        0,
        connection::StartOk {
            client_properties: RawTable::new(&properties),
            mechanism: ShortStr::lit("PLAIN"),
            response: LongStr::new(b"\0guest\0wrong"),
            locale: ShortStr::lit("en_US"),
        },
    );
    let (code, text) = client.expect_close(0);
    assert_eq!(code, 403);
    assert!(text.starts_with("ACCESS_REFUSED - Login was refused using authentication mechanism"));
    let mut client = Client::raw(node.address);
    client.send(&amqp091::handshake::REPLY);
    client.expect(0, "connection.start");
    client.method(
        0,
        connection::StartOk {
            client_properties: RawTable::EMPTY,
            mechanism: ShortStr::lit("PLAIN"),
            response: LongStr::new(b"\0guest\0guest"),
            locale: ShortStr::lit("en_US"),
        },
    );
    client.expect(0, "connection.tune");
    let tune_ok = connection::TuneOk {
        channel_max: 10,
        frame_max: 4096,
        heartbeat: 0,
    };
    client.method(0, tune_ok);
    client.open("/missing");
    let expected = (530, "NOT_ALLOWED - vhost /missing not found".to_owned());
    assert_eq!(client.expect_close(0), expected);
}
