//! Streams over a real socket: what consumers see, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use amqp091::method::{basic, queue};
use amqp091::{RawTable, ShortStr, Table, Value};
use common::{Client, Message, Node};

fn table(entries: &[(&'static str, Value)]) -> Table {
    let mut table = Table::new();
    for (name, value) in entries {
        table.push(ShortStr::lit(name), value.clone());
    }
    table
}

fn declare(client: &mut Client, name: &'static str, entries: &[(&'static str, Value)]) {
    client.send_declare(1, name, true, false, &table(entries));
}

fn stream(node: &Node) -> Client {
    let mut client = node.channel();
    declare(&mut client, "s", &[("x-queue-type", Value::from("stream"))]);
    client.expect_declared(1);
    client
}

fn qos(client: &mut Client, prefetch_count: u16) {
    client.method(
        1,
        basic::Qos {
            prefetch_size: 0,
            prefetch_count,
            global: false,
        },
    );
    client.expect(1, "basic.qos_ok");
}

fn send_consume(
    client: &mut Client,
    queue: &'static str,
    no_ack: bool,
    entries: &[(&'static str, Value)],
) {
    let arguments = table(entries).to_bytes();
    client.method(
        1,
        basic::Consume {
            ticket: 0,
            queue: ShortStr::lit(queue),
            consumer_tag: ShortStr::lit("c"),
            no_local: false,
            no_ack,
            exclusive: false,
            no_wait: false,
            arguments: RawTable::new(&arguments),
        },
    );
}

fn consume(client: &mut Client, offset: Value) {
    send_consume(client, "s", false, &[("x-stream-offset", offset)]);
    client.expect(1, "basic.consume_ok");
}

fn offset(message: &Message) -> i64 {
    let value = message.header("x-stream-offset").unwrap();
    let Value::I64(offset) = value else {
        panic!("a long, not {value:?}");
    };
    offset
}

#[test]
fn each_message_comes_with_its_offset_and_each_settlement_brings_one_more() {
    let node = Node::start();
    let mut client = stream(&node);
    for number in 0..6u8 {
        client.publish(1, "", "s", &[number]);
    }
    assert_eq!(client.ready(1, "s"), 6);
    qos(&mut client, 2);
    consume(&mut client, Value::from("first"));
    for number in 0..6u8 {
        let message = client.next_message(1);
        assert_eq!(
            (message.body.as_slice(), offset(&message)),
            (&[number][..], number.into())
        );
        assert!(!message.redelivered);
        let delivery_tag = message.tag;
        match number {
            0 => client.ack(1, delivery_tag, false),
            1 => client.method(
                1,
                basic::Nack {
                    delivery_tag,
                    multiple: false,
                    requeue: true,
                },
            ),
            2 => client.method(
                1,
                basic::Reject {
                    delivery_tag,
                    requeue: false,
                },
            ),
            _ => client.ack(1, delivery_tag, true),
        }
    }
    assert_eq!(client.ready(1, "s"), 6, "nothing went");
    client.close();
}

#[test]
fn what_streams_can_not_do_is_refused() {
    let node = Node::start();
    let mut client = stream(&node);
    let of_type = "in vhost '/' of queue type rabbit_";
    declare(
        &mut client,
        "x",
        &[("x-queue-type", "stream".into()), ("x-expires", 1.into())],
    );
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'x' {of_type}stream_queue"
    );
    assert_eq!(client.expect_channel_error(1), (406, text));
    send_consume(&mut client, "s", false, &[]);
    let text = "PRECONDITION_FAILED - consumer prefetch count is not set for stream queue 's' \
                in vhost '/'";
    assert_eq!(client.expect_channel_error(1), (406, text.to_owned()));
    for (argument, value, why) in [
        (
            "x-priority",
            Value::from(1),
            format!("{of_type}stream_queue"),
        ),
        (
            "x-cancel-on-ha-failover",
            Value::from(true),
            format!("{of_type}stream_queue"),
        ),
        (
            "x-stream-offset",
            Value::from("1x"),
            "in vhost '/': {invalid_stream_offset_arg,{longstr,<<\"1x\">>}}".to_owned(),
        ),
    ] {
        qos(&mut client, 5);
        send_consume(&mut client, "s", false, &[(argument, value)]);
        let text = format!("PRECONDITION_FAILED - invalid arg '{argument}' for queue 's' {why}");
        assert_eq!(client.expect_channel_error(1), (406, text));
    }
    client.declare(1, "classic", true);
    send_consume(
        &mut client,
        "classic",
        false,
        &[("x-stream-offset", "first".into())],
    );
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'classic' \
         {of_type}classic_queue"
    );
    assert_eq!(client.expect_channel_error(1), (406, text));
    client.close();
}

#[test]
fn what_is_not_implemented_for_streams_closes_the_connection() {
    let node = Node::start();
    let refused = |what: &str, ask: &dyn Fn(&mut Client)| {
        let mut client = stream(&node);
        qos(&mut client, 5);
        ask(&mut client);
        let whom = match what {
            "automatic acknowledgement" => "",
            _ => " queues",
        };
        let text = format!(
            "NOT_IMPLEMENTED - {what} not supported by stream{whom} queue 's' in vhost '/'"
        );
        assert_eq!(client.expect_close(0), (540, text));
    };
    refused("automatic acknowledgement", &|client| {
        send_consume(client, "s", true, &[])
    });
    refused("basic.get", &|client| {
        let queue = ShortStr::lit("s");
        client.method(
            1,
            basic::Get {
                ticket: 0,
                queue,
                no_ack: false,
            },
        );
    });
    refused("queue.purge", &|client| {
        let queue = ShortStr::lit("s");
        client.method(
            1,
            queue::Purge {
                ticket: 0,
                queue,
                no_wait: false,
            },
        );
    });
}
