//! Exchange types of the plug-ins, arguments of exchanges, and the broker's own exchange.

mod common;

use amqp091::method::{exchange, queue};
use amqp091::properties::{Change, Edit};
use amqp091::{Method, RawTable, ShortStr, Table, Value};
use common::{Client, Node};

const DELAYED: &str = "x-delayed-message";
const DEDUPLICATING: &str = "x-message-deduplication";
const SETTLE: &str = "ferry.settle";

fn table(entries: &[(&'static str, Value)]) -> Table {
    let mut table = Table::new();
    for (name, value) in entries {
        table.push(ShortStr::lit(name), value.clone());
    }
    table
}

fn text(text: &'static str) -> Value {
    Value::from(text)
}

/// Asks for a durable exchange.
fn send_declare(client: &mut Client, name: &'static str, kind: &'static str, arguments: &Table) {
    let arguments = arguments.to_bytes();
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

fn declare(client: &mut Client, name: &'static str, kind: &'static str, arguments: &Table) {
    send_declare(client, name, kind, arguments);
    client.expect(1, "exchange.declare_ok");
}

fn assert_refused(
    client: &mut Client,
    (name, kind): (&'static str, &'static str),
    arguments: &[(&'static str, Value)],
    expected: &str,
) {
    send_declare(client, name, kind, &table(arguments));
    let expected = format!("PRECONDITION_FAILED - {expected}");
    assert_eq!(client.expect_channel_error(1), (406, expected));
}

fn assert_there(client: &mut Client, name: &'static str, there: bool) {
    client.method(
        1,
        exchange::Declare {
            ticket: 0,
            exchange: ShortStr::lit(name),
            kind: ShortStr::EMPTY,
            passive: true,
            durable: false,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: RawTable::EMPTY,
        },
    );
    if there {
        client.expect(1, "exchange.declare_ok");
    } else {
        let text = format!("NOT_FOUND - no exchange '{name}' in vhost '/'");
        assert_eq!(client.expect_channel_error(1), (404, text));
    }
}

/// Binds `q` by the key `a.*` and the header `h`, and gives the bodies that reach it.
fn routed(client: &mut Client, exchange: &'static str) -> Vec<u8> {
    client.declare(1, "q", false);
    let criteria = table(&[("h", Value::I32(1))]).to_bytes();
    client.method(
        1,
        queue::Bind {
            ticket: 0,
            queue: ShortStr::lit("q"),
            exchange: ShortStr::lit(exchange),
            routing_key: ShortStr::lit("a.*"),
            no_wait: false,
            arguments: RawTable::new(&criteria),
        },
    );
    client.expect(1, "queue.bind_ok");
    let with_header = Edit {
        headers: Change::Set(RawTable::new(&criteria)),
        ..Edit::default()
    };
    let without = Edit::default();
    for (key, properties, body) in [
        ("a.*", &without, b"1"),
        ("a.b", &without, b"2"),
        ("z", &with_header, b"3"),
        ("z", &without, b"4"),
    ] {
        client.publish_with(1, exchange, key, false, properties, body);
    }
    let next = || client.get(1, "q", true).map(|message| message.body);
    std::iter::from_fn(next).flatten().collect()
}

#[test]
fn a_delayed_exchange_routes_as_the_type_that_it_names() {
    let node = Node::start();
    let mut client = node.channel();
    for (name, of, expected) in [
        ("d", "direct", "1"),
        ("f", "fanout", "1234"),
        ("t", "topic", "12"),
        ("h", "headers", "3"),
    ] {
        let arguments = table(&[("x-delayed-type", text(of))]);
        declare(&mut client, name, DELAYED, &arguments);
        declare(&mut client, name, DELAYED, &arguments);
        assert_there(&mut client, name, true);
        let bodies = String::from_utf8(routed(&mut client, name)).unwrap();
        assert_eq!(bodies, expected, "{of}");
    }
    let listed = node.broker.vhost("/").unwrap().exchange("t").unwrap();
    assert_eq!(listed.kind.as_str(), DELAYED);
    client.close();
}

#[test]
fn a_delayed_exchange_needs_a_type_and_keeps_it() {
    let node = Node::start();
    let mut client = node.channel();
    let invalid = "Invalid argument, 'x-delayed-type' must be an existing exchange type: direct, \
                   fanout, topic or headers";
    let new = ("e", DELAYED);
    assert_refused(&mut client, new, &[], invalid);
    for value in [text("no-such"), text(DELAYED), Value::I32(1)] {
        assert_refused(&mut client, new, &[("x-delayed-type", value)], invalid);
    }
    assert_there(&mut client, "e", false);
    let topic = [("x-delayed-type", text("topic"))];
    declare(&mut client, "e", DELAYED, &table(&topic));
    let of = "inequivalent arg 'x-delayed-type' for exchange 'e' in vhost '/': received";
    for (arguments, got) in [
        (
            vec![("x-delayed-type", text("fanout"))],
            "'fanout' but current is 'topic'",
        ),
        (
            vec![],
            "none but current is the value 'topic' of type 'longstr'",
        ),
    ] {
        assert_refused(&mut client, new, &arguments, &format!("{of} {got}"));
    }
    let kind = "inequivalent arg 'type' for exchange 'e' in vhost '/': received 'topic' but \
                current is 'x-delayed-message'";
    assert_refused(&mut client, ("e", "topic"), &topic, kind);
    assert_there(&mut client, "e", true);
    client.close();
}

#[test]
fn a_deduplicating_exchange_takes_the_arguments_of_the_plug_in() {
    let node = Node::start();
    let mut client = node.channel();
    let arguments = [
        ("x-cache-size", text("5")),
        ("x-cache-ttl", Value::I32(1000)),
        ("x-cache-persistence", text("memory")),
    ];
    declare(&mut client, "e", DEDUPLICATING, &table(&arguments));
    declare(&mut client, "e", DEDUPLICATING, &table(&arguments));
    declare(&mut client, "plain", DEDUPLICATING, &Table::new());
    assert_eq!(routed(&mut client, "e"), b"1234");
    let other = [("x-cache-size", text("6")), arguments[1].clone()];
    let inequivalent = "inequivalent arg 'x-cache-size' for exchange 'e' in vhost '/': received \
                        '6' but current is '5'";
    assert_refused(&mut client, ("e", DEDUPLICATING), &other, inequivalent);
    client.close();
}

#[test]
fn arguments_that_make_no_sense_are_refused_by_name_and_range() {
    let node = Node::start();
    let mut client = node.channel();
    let flag = DEDUPLICATING;
    let (target, key) = ("x-dead-letter-exchange", "x-dead-letter-routing-key");
    let count = "an integer from 1 to 268435456";
    let time = "an integer from 1 to 315360000000";
    for (kind, argument, value, expected) in [
        (DEDUPLICATING, "x-cache-size", Value::I32(0), count),
        (DEDUPLICATING, "x-cache-size", Value::I64(i64::MAX), count),
        (DEDUPLICATING, "x-cache-size", text("many"), count),
        (DEDUPLICATING, "x-cache-ttl", Value::I32(-1), time),
        (
            DEDUPLICATING,
            "x-cache-persistence",
            text("tape"),
            "either 'disk' or 'memory'",
        ),
        ("direct", flag, text("yes"), "true or false"),
        ("direct", target, Value::I32(1), "text of at most 255 bytes"),
        (
            "direct",
            key,
            text("k"),
            "given together with 'x-dead-letter-exchange'",
        ),
    ] {
        let expected = format!("Invalid argument, '{argument}' must be {expected}");
        assert_refused(&mut client, ("e", kind), &[(argument, value)], &expected);
    }
    assert_there(&mut client, "e", false);
    client.close();
}

#[test]
fn any_exchange_takes_the_arguments_of_de_duplication_and_dead_letters() {
    let node = Node::start();
    let mut client = node.channel();
    let delayed = ("x-delayed-type", text("fanout"));
    let arguments = [
        ("x-message-deduplication", Value::Bool(true)),
        ("x-cache-size", Value::I32(7)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("lost")),
        delayed,
    ];
    let vhost = node.broker.vhost("/").unwrap();
    for kind in ["direct", "fanout", "topic", "headers", DELAYED] {
        declare(&mut client, kind, kind, &table(&arguments));
        let exchange = vhost.exchange(kind).unwrap();
        assert_eq!(exchange.deduplication().unwrap().ids_max, 7, "{kind}");
        let target = exchange.dead_letter().unwrap();
        assert_eq!(target.routing_key.as_deref(), Some("lost"), "{kind}");
        let inequivalent = format!(
            "inequivalent arg 'x-dead-letter-exchange' for exchange '{kind}' in vhost '/': \
             received none but current is the value '' of type 'longstr'"
        );
        let without = [arguments[0].clone(), arguments[4].clone()];
        assert_refused(&mut client, (kind, kind), &without, &inequivalent);
    }
    client.close();
}

fn binding_of_exchanges(source: &'static str, destination: &'static str) -> Method<'static> {
    Method::from(exchange::Bind {
        ticket: 0,
        destination: ShortStr::lit(destination),
        source: ShortStr::lit(source),
        routing_key: ShortStr::EMPTY,
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
}

#[test]
fn the_settle_exchange_is_there_and_stays_as_it_is() {
    let node = Node::start();
    let mut client = node.channel();
    assert_there(&mut client, SETTLE, true);
    declare(&mut client, SETTLE, "direct", &Table::new());
    let inequivalent = "inequivalent arg 'type' for exchange 'ferry.settle' in vhost '/': received \
                        'fanout' but current is 'direct'";
    assert_refused(&mut client, (SETTLE, "fanout"), &[], inequivalent);
    client.declare(1, SETTLE, false);
    let of_queue = queue::Bind {
        ticket: 0,
        queue: ShortStr::lit(SETTLE),
        exchange: ShortStr::lit(SETTLE),
        routing_key: ShortStr::EMPTY,
        no_wait: false,
        arguments: RawTable::EMPTY,
    };
    let delete = exchange::Delete {
        ticket: 0,
        exchange: ShortStr::lit(SETTLE),
        if_unused: false,
        no_wait: false,
    };
    for (method, what) in [
        (Method::from(delete), "deletion"),
        (Method::from(of_queue), "binding"),
        (binding_of_exchanges(SETTLE, "amq.topic"), "binding"),
        (binding_of_exchanges("amq.topic", SETTLE), "binding"),
    ] {
        client.method(1, method);
        let text = format!(
            "ACCESS_REFUSED - {what} of system exchange 'ferry.settle' in vhost '/' not allowed"
        );
        assert_eq!(client.expect_channel_error(1), (403, text));
    }
    client.bind(1, SETTLE, "amq.direct", "k");
    client.expect(1, "queue.bind_ok");
    assert_there(&mut client, SETTLE, true);
    client.close();
}

/// RabbitMQ's federation takes a fanout exchange where 503 tells it that there is no other type.
#[test]
fn a_federation_link_is_told_to_make_do_with_fanout() {
    let node = Node::start();
    let mut client = node.channel();
    let hops = table(&[("x-max-hops", Value::I64(1))]);
    send_declare(&mut client, "federation: x", "x-federation-upstream", &hops);
    let text = "COMMAND_INVALID - unknown exchange type 'x-federation-upstream'".to_owned();
    assert_eq!(client.expect_close(0), (503, text));
    let mut other = node.channel();
    assert_there(&mut other, "federation: x", false);
    other.close();
}
