//! Filters that consumers ask for: which are taken, and what is said of the others.

mod common;

use amqp091::method::basic;
use amqp091::{RawTable, ShortStr, Table, Value};
use common::{Client, Node};

/// Asks for a consumer without acks, so that replies can be consumed, too.
fn consume(client: &mut Client, queue: &'static str, filter: Value) {
    let mut arguments = Table::new();
    arguments.push(ShortStr::lit("x-filter"), filter);
    let arguments = arguments.to_bytes();
    client.method(
        1,
        basic::Consume {
            ticket: 0,
            queue: ShortStr::lit(queue),
            consumer_tag: ShortStr::EMPTY,
            no_local: false,
            no_ack: true,
            exclusive: false,
            no_wait: false,
            arguments: RawTable::new(&arguments),
        },
    );
}

#[test]
fn a_filter_that_compiles_is_taken() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let long = format!("a = '{}'", "x".repeat(8000));
    for filter in ["a = 1", "", "  ", "\"x-kind\" = 'größe'", &long] {
        consume(&mut client, "q", Value::from(filter));
        client.expect(1, "basic.consume_ok");
    }
    client.close();
}

#[test]
fn a_filter_that_does_not_is_refused_with_its_place() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let deep = "(".repeat(9000);
    let slow = format!("a LIKE '{}'", "%a_".repeat(400));
    let nested = format!("{}a", "NOT ".repeat(40));
    let broken = Value::LongStr(b"a = '\xFF'".as_slice().into());
    for (filter, why) in [
        (
            Value::from("a ="),
            "at character 4: expected a value, found the end",
        ),
        (
            Value::from("größe != 1"),
            "at character 7: unequal is written <>, not !=",
        ),
        (
            Value::from(&*deep),
            "at character 8193: a filter may not be longer than 8192 bytes",
        ),
        (
            Value::from(&*nested),
            "at character 129: parentheses, NOT and signs may not nest deeper than 32",
        ),
        (
            Value::from(&*slow),
            "at character 8: a pattern may not be longer than 1024 bytes",
        ),
        (broken, "it is not UTF-8"),
        (Value::I32(1), "expected text, got signedint"),
        (Value::Bool(true), "expected text, got bool"),
    ] {
        consume(&mut client, "q", filter);
        let expected = format!(
            "PRECONDITION_FAILED - invalid arg 'x-filter' for queue 'q' in vhost '/': {why}"
        );
        assert_eq!(client.expect_channel_error(1), (406, expected));
    }
    client.publish(1, "", "q", b"for nobody");
    assert_eq!(client.ready(1, "q"), 1, "no consumer was left behind");
    client.close();
}

#[test]
fn replies_cannot_be_filtered() {
    let node = Node::start();
    let mut client = node.channel();
    consume(&mut client, "amq.rabbitmq.reply-to", Value::from("a = 1"));
    let expected = "PRECONDITION_FAILED - replies cannot be filtered".to_owned();
    assert_eq!(client.expect_channel_error(1), (406, expected));
    client.close();
}
