//! Hash exchanges and filters of bindings, as stock clients ask for them.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::collections::BTreeMap;

use amqp091::method::{basic, exchange, queue};
use amqp091::properties::{Change, Edit};
use amqp091::{RawTable, ShortStr, Table, Value};
use common::{Client, Node, headers};

const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

fn text(text: &'static str) -> Value {
    Value::from(text)
}

fn declare_with(
    client: &mut Client,
    name: &'static str,
    kind: &'static str,
    arguments: &[(&'static str, Value)],
) {
    let arguments = headers(arguments);
    client.method(
        1,
        exchange::Declare {
            ticket: 0,
            exchange: ShortStr::lit(name),
            kind: ShortStr::lit(kind),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: RawTable::new(&arguments),
        },
    );
}

fn send_bind(
    client: &mut Client,
    queue: &'static str,
    (exchange, key): (&'static str, &'static str),
    arguments: &[(&'static str, Value)],
) {
    let arguments = headers(arguments);
    client.method(
        1,
        queue::Bind {
            ticket: 0,
            queue: ShortStr::lit(queue),
            exchange: ShortStr::lit(exchange),
            routing_key: ShortStr::lit(key),
            no_wait: false,
            arguments: RawTable::new(&arguments),
        },
    );
}

fn bind_filtered(
    client: &mut Client,
    queue: &'static str,
    source: (&'static str, &'static str),
    filter: &'static str,
) {
    send_bind(client, queue, source, &[("x-filter", text(filter))]);
    client.expect(1, "queue.bind_ok");
}

/// An exchange with four queues.
fn spread_over_four(
    client: &mut Client,
    kind: &'static str,
    key: &'static str,
    arguments: &[(&'static str, Value)],
) {
    declare_with(client, "e", kind, arguments);
    client.expect(1, "exchange.declare_ok");
    for queue in QUEUES {
        client.declare(1, queue, false);
        client.bind(1, queue, "e", key);
        client.expect(1, "queue.bind_ok");
    }
}

/// The bodies in each queue.
fn drained(client: &mut Client) -> BTreeMap<&'static str, Vec<String>> {
    let mut bodies = BTreeMap::new();
    for queue in QUEUES {
        let next = || client.get(1, queue, true).map(|message| message.body);
        let all = std::iter::from_fn(next);
        let all = all.map(|body| String::from_utf8(body).unwrap());
        bodies.insert(queue, all.collect());
    }
    bodies
}

#[test]
fn each_message_goes_to_one_queue_and_one_value_to_one() {
    for (kind, key, arguments, by_value) in [
        ("x-consistent-hash", "10", vec![], true),
        (
            "x-consistent-hash",
            "1",
            vec![("hash-header", text("h"))],
            true,
        ),
        (
            "x-consistent-hash",
            "1",
            vec![("hash-property", text("correlation_id"))],
            true,
        ),
        ("x-modulus-hash", "", vec![], true),
        ("x-random", "whatever", vec![], false),
        ("x-local-random", "", vec![], false),
    ] {
        let node = Node::start();
        let mut client = node.channel();
        spread_over_four(&mut client, kind, key, &arguments);
        for round in 0..3 {
            for value in 0..40 {
                let value = format!("value {value}");
                let table = headers(&[("h", Value::from(value.as_str()))]);
                let properties = Edit {
                    headers: Change::Set(RawTable::new(&table)),
                    correlation_id: Change::Set(ShortStr::clipped(value.as_bytes())),
                    ..Edit::default()
                };
                // Where something else is hashed, the key is another one each time.
                let key = match arguments.is_empty() {
                    true => value.clone(),
                    false => format!("{round} {value}"),
                };
                client.publish_with(1, "e", &key, true, &properties, value.as_bytes());
            }
        }
        let bodies = drained(&mut client);
        let total: usize = bodies.values().map(Vec::len).sum();
        assert_eq!(total, 120, "{kind} {arguments:?}");
        assert!(bodies.values().all(|bodies| bodies.len() > 9), "{bodies:?}");
        let once = bodies.values().flatten().all(|body| {
            let has = |bodies: &&Vec<String>| bodies.contains(body);
            bodies.values().filter(has).count() == 1
        });
        assert_eq!(once, by_value, "{kind} {arguments:?}");
        client.close();
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_the_words_of_the_plug_ins() {
    let node = Node::start();
    let mut client = node.channel();
    let hash = "x-consistent-hash";
    let property = |name| ("hash-property", text(name));
    let header = ("hash-header", text("h"));
    for (kind, arguments, expected) in [
        (
            hash,
            vec![header.clone(), property("timestamp")],
            "hash-header and hash-property are mutually exclusive",
        ),
        (
            hash,
            vec![property("app_id")],
            "Unsupported property: app_id",
        ),
        (
            hash,
            vec![("hash-header", Value::I32(1))],
            "Invalid argument, 'hash-header' must be text",
        ),
        (
            "x-recent-history",
            vec![],
            "unknown exchange type 'x-recent-history'",
        ),
    ] {
        declare_with(&mut client, "e", kind, &arguments);
        let expected = format!("PRECONDITION_FAILED - {expected}");
        assert_eq!(client.expect_channel_error(1), (406, expected));
    }
    declare_with(&mut client, "hash", hash, &[header]);
    client.expect(1, "exchange.declare_ok");
    declare_with(&mut client, "hash", hash, &[]);
    let inequivalent = "PRECONDITION_FAILED - inequivalent arg 'hash-header' for exchange 'hash' \
                        in vhost '/': received none but current is the value 'h' of type 'longstr'";
    assert_eq!(
        client.expect_channel_error(1),
        (406, inequivalent.to_owned())
    );
    declare_with(&mut client, "local", "x-local-random", &[]);
    client.expect(1, "exchange.declare_ok");
    client.declare(1, "q0", false);
    for (source, expected) in [
        (
            ("hash", "k"),
            "The binding key must be an integer: <<\"k\">>",
        ),
        (("hash", ""), "The binding key must be an integer: <<>>"),
        (("hash", "0"), "The binding key must be greater than 0"),
        (("hash", "-3"), "The binding key must be greater than 0"),
        (
            ("hash", "1048576"),
            "The binding key must be at most 1048575",
        ),
        (("local", "k"), "Non empty binding 'k' key not permitted"),
    ] {
        send_bind(&mut client, "q0", source, &[]);
        let expected = format!("PRECONDITION_FAILED - {expected}");
        assert_eq!(client.expect_channel_error(1), (406, expected));
    }
    client.close();
}

#[test]
fn a_binding_takes_what_its_filter_lets_through() {
    let node = Node::start();
    let mut client = node.channel();
    for queue in QUEUES {
        client.declare(1, queue, false);
    }
    let source = ("amq.topic", "order.*");
    bind_filtered(&mut client, "q0", source, "region = 'eu'");
    bind_filtered(
        &mut client,
        "q1",
        source,
        "total > 100 AND JMSCorrelationID LIKE 'c%'",
    );
    bind_filtered(&mut client, "q2", source, "amqp.routing_key = 'order.new'");
    bind_filtered(&mut client, "q3", source, "");
    for (key, region, total, body) in [
        ("order.new", "eu", 50, "1"),
        ("order.new", "us", 150, "2"),
        ("order.paid", "eu", 500, "3"),
        ("stock.new", "eu", 500, "4"),
        ("order.new", "us", 150, "5"),
    ] {
        let table = headers(&[("region", text(region)), ("total", Value::I32(total))]);
        let properties = Edit {
            headers: Change::Set(RawTable::new(&table)),
            correlation_id: Change::Set(ShortStr::lit("c-1")),
            ..Edit::default()
        };
        client.publish_with(1, "amq.topic", key, false, &properties, body.as_bytes());
    }
    let got: Vec<String> = drained(&mut client)
        .into_values()
        .map(|bodies| bodies.concat())
        .collect();
    assert_eq!(got, ["13", "235", "125", "1235"]);
    client.close();
}

#[test]
fn a_filter_that_is_none_is_refused_with_the_place() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q0", false);
    for (filter, expected) in [
        (Value::I32(1), "expected text, got signedint"),
        (text("total >"), "at character 8"),
        (text("region = 'eu"), "at character 10"),
    ] {
        send_bind(
            &mut client,
            "q0",
            ("amq.direct", "k"),
            &[("x-filter", filter)],
        );
        let (code, got) = client.expect_channel_error(1);
        assert_eq!(code, 406);
        let start = "PRECONDITION_FAILED - invalid arg 'x-filter' of binding: ";
        assert!(got.starts_with(start) && got.contains(expected), "{got}");
    }
    assert_eq!(node.broker.vhost("/").unwrap().bindings().len(), 0);
    client.close();
}

#[test]
fn a_dead_letter_is_hashed_and_filtered_with_all_its_properties() {
    let node = Node::start();
    let mut client = node.channel();
    let by_id = [("hash-property", text("correlation_id"))];
    spread_over_four(&mut client, "x-consistent-hash", "1", &by_id);
    declare_with(&mut client, "dlx", "fanout", &[]);
    client.expect(1, "exchange.declare_ok");
    let filter = text("JMSCorrelationID <> 'c 0' AND amqp.exchange = 'dlx'");
    let filter = headers(&[("x-filter", filter)]);
    let chosen = exchange::Bind {
        ticket: 0,
        destination: ShortStr::lit("e"),
        source: ShortStr::lit("dlx"),
        routing_key: ShortStr::EMPTY,
        no_wait: false,
        arguments: RawTable::new(&filter),
    };
    client.method(1, chosen);
    client.expect(1, "exchange.bind_ok");
    let mut dying = Table::new();
    dying.push(ShortStr::lit("x-dead-letter-exchange"), "dlx");
    client.send_declare(1, "dying", false, false, &dying);
    client.expect(1, "queue.declare_ok");
    for id in 0..20 {
        let id = format!("c {id}");
        let properties = Edit {
            correlation_id: Change::Set(ShortStr::clipped(id.as_bytes())),
            ..Edit::default()
        };
        client.publish_with(1, "e", "k", false, &properties, id.as_bytes());
        client.publish_with(1, "", "dying", false, &properties, id.as_bytes());
        let delivery_tag = client.get(1, "dying", false).unwrap().tag;
        let requeue = false;
        client.method(
            1,
            basic::Reject {
                delivery_tag,
                requeue,
            },
        );
    }
    // Each is in the queue that its correlation id led to when it was alive.
    let bodies = drained(&mut client);
    let mut twice = 0;
    for bodies in bodies.values() {
        for body in bodies {
            let count = bodies.iter().filter(|other| *other == body).count();
            assert_eq!(count, if body == "c 0" { 1 } else { 2 }, "{body}");
            twice += count / 2;
        }
    }
    assert_eq!(twice, 2 * 19);
    client.close();
}
