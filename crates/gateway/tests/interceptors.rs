//! Rules of exchanges as AMQP 0-9-1 clients meet them.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use amqp091::method::tx;
use amqp091::properties::{Change, Edit, Properties};
use amqp091::{RawTable, ShortStr, Table, Value};
use common::{Client, Message, Node};
use ferry_broker::Policy;
use ferry_core::arguments::{Arguments, Value as Argument};

/// Sets the rules of all exchanges.
fn set(node: &Node, rules: &[(&str, Argument)]) {
    let definition = Arguments::from_iter(rules.iter().cloned());
    let said = Arguments::from_iter([
        ("pattern", Argument::from("")),
        ("apply-to", Argument::from("exchanges")),
        ("definition", Argument::Table(definition)),
    ]);
    let policy = Policy::read("/", "p", &said).unwrap();
    node.broker.set_policy(policy).unwrap();
}

fn required(name: &str) -> [(&'static str, Argument); 1] {
    [("require", Argument::Array(vec![name.into()]))]
}

fn start() -> (Node, Client) {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", true);
    (node, client)
}

fn publish(client: &mut Client, properties: &Edit<'_>) {
    client.publish_with(1, "", "q", false, properties, b"body");
}

fn refused(client: &mut Client) -> String {
    let (code, text) = client.expect_channel_error(1);
    assert_eq!(code, 406, "{text}");
    text
}

fn took(client: &mut Client) -> Message {
    client.get(1, "q", true).expect("a message")
}

/// A property that is there, by the name of its field.
macro_rules! given {
    ($field:ident: $value:expr) => {
        Edit {
            $field: Change::Set($value),
            ..Edit::default()
        }
    };
}

#[test]
fn each_property_can_be_required() {
    let (node, mut client) = start();
    let text = ShortStr::lit("guest");
    for (name, given) in [
        ("message_id", given!(message_id: text)),
        ("correlation_id", given!(correlation_id: text)),
        ("content_type", given!(content_type: text)),
        ("content_encoding", given!(content_encoding: text)),
        ("type", given!(type_: text)),
        ("app_id", given!(app_id: text)),
        ("reply_to", given!(reply_to: text)),
        ("user_id", given!(user_id: text)),
        ("timestamp", given!(timestamp: u64::MAX)),
        ("expiration", given!(expiration: ShortStr::lit("60000"))),
        ("priority", given!(priority: 0)),
        ("headers.a", given!(headers: RawTable::new(b"\x01aV"))),
    ] {
        set(&node, &required(name));
        publish(&mut client, &given);
        assert_eq!(took(&mut client).body, b"body", "{name}");
        publish(&mut client, &given!(cluster_id: text));
        assert_eq!(
            refused(&mut client),
            format!(
                "PRECONDITION_FAILED - exchange '' in vhost '/' refuses the message: require: \
                 {name} is missing"
            )
        );
        assert_eq!(client.ready(1, "q"), 0);
    }
}

#[test]
fn a_message_that_no_rule_changes_keeps_its_bytes() {
    let (node, mut client) = start();
    let gone = [("remove-headers", Argument::Array(vec!["b".into()]))];
    set(&node, &gone);
    // A value and a name that would be written otherwise than they were read.
    let table = b"\x01aL\0\0\0\0\0\0\0\x07\x01\xfft\x02";
    let with = Edit {
        headers: Change::Set(RawTable::new(table)),
        ..Edit::default()
    };
    for properties in [Edit::default(), with] {
        publish(&mut client, &properties);
        assert_eq!(took(&mut client).properties, properties.build());
    }
    let more = [&table[..], b"\x01bt\x01"].concat();
    let more = Edit {
        headers: Change::Set(RawTable::new(&more)),
        ..with
    };
    publish(&mut client, &more);
    assert_eq!(took(&mut client).properties, with.build());
}

#[test]
fn messages_are_stamped_with_time_and_origin() {
    let (node, mut client) = start();
    set(
        &node,
        &[("stamp-time", true.into()), ("stamp-origin", true.into())],
    );
    publish(&mut client, &Edit::default());
    let message = took(&mut client);
    let Some(Value::I64(ms)) = message.header("timestamp_in_ms") else {
        panic!("a stamp: {message:?}");
    };
    let properties = Properties::parse(&message.properties).unwrap();
    assert_eq!(properties.timestamp(), Some(ms as u64 / 1000));
    assert!(ms as u64 + 60_000 > node.broker.now());
    assert_eq!(message.header("x-origin-user"), Some(Value::from("guest")));
    assert_eq!(message.header("x-origin-exchange"), Some(Value::from("")));
    let connections = node.broker.connections();
    let address = Value::from(connections[0].peer.as_str());
    assert_eq!(message.header("x-origin-address"), Some(address));

    let mut forged = Table::new();
    forged.push(ShortStr::lit("x-origin-user"), "root");
    forged.push(ShortStr::lit("timestamp_in_ms"), 5i64);
    forged.push(ShortStr::lit("x-origin-user"), "root");
    let forged = forged.to_bytes();
    publish(
        &mut client,
        &Edit {
            headers: Change::Set(RawTable::new(&forged)),
            timestamp: Change::Set(7),
            ..Edit::default()
        },
    );
    let message = took(&mut client);
    let properties = Properties::parse(&message.properties).unwrap();
    let names = properties.headers().unwrap().iter();
    let names: Vec<_> = names
        .map(|entry| entry.unwrap().0.as_str_lossy().into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "timestamp_in_ms",
            "x-origin-user",
            "x-origin-address",
            "x-origin-exchange"
        ]
    );
    assert_eq!(message.header("x-origin-user"), Some(Value::from("guest")));
    assert_eq!(message.header("timestamp_in_ms"), Some(Value::I64(5)));
    assert_eq!(properties.timestamp(), Some(7));
}

#[test]
fn nothing_of_a_transaction_stays_when_a_message_is_refused() {
    let (node, mut client) = start();
    set(&node, &[("max-message-bytes", 4.into())]);
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    client.publish(1, "", "q", b"ok");
    client.publish(1, "", "q", b"too long");
    assert!(refused(&mut client).contains("max-message-bytes: 8 bytes are more than 4"));
    assert_eq!(client.ready(1, "q"), 0);
}

#[test]
fn what_was_confirmed_before_a_refusal_stays() {
    let (node, mut client) = start();
    set(&node, &[("max-message-bytes", 4.into())]);
    client.confirm_select(1);
    client.publish(1, "", "q", b"ok");
    client.wait_confirmed(1, 1);
    client.publish(1, "", "q", b"too long");
    refused(&mut client);
    assert_eq!(client.ready(1, "q"), 1);
    assert_eq!(node.counted("messages_refused"), 1);
}

#[test]
fn a_direct_reply_keeps_the_rules_of_the_default_exchange() {
    let node = Node::start();
    let mut asker = node.channel();
    asker.send_consume(1, "amq.rabbitmq.reply-to", "r", true);
    asker.expect(1, "basic.consume_ok");
    let mut answerer = node.channel();
    answerer.declare(1, "questions", false);
    let request = Edit {
        reply_to: Change::Set(ShortStr::lit("amq.rabbitmq.reply-to")),
        ..Edit::default()
    };
    set(&node, &required("reply_to"));
    asker.publish_with(1, "", "questions", false, &request, b"?");
    node.wait_ready("questions", 1);
    let question = answerer.get(1, "questions", true).expect("a question");
    let key = Properties::parse(&question.properties).unwrap().reply_to();
    let key = key.unwrap().as_str_lossy().into_owned();
    assert!(key.starts_with("amq.rabbitmq.reply-to."), "{key}");
    answerer.publish(1, "", &key, b"refused");
    refused(&mut answerer);
    set(
        &node,
        &[
            ("stamp-origin", true.into()),
            ("max-message-bytes", 1.into()),
        ],
    );
    answerer.publish(1, "", &key, b"!");
    let reply = asker.next_message(1);
    assert_eq!(reply.body, b"!");
    assert_eq!(reply.header("x-origin-user"), Some(Value::from("guest")));
}

#[test]
fn a_query_without_a_way_back_is_refused() {
    let (node, mut client) = start();
    set(&node, &[("kind-strict", true.into())]);
    let kind = common::headers(&[("x-kind", Value::from("query"))]);
    let query = Edit {
        headers: Change::Set(RawTable::new(&kind)),
        ..Edit::default()
    };
    publish(&mut client, &query);
    assert!(refused(&mut client).contains("kind-strict: a query needs reply_to"));
    publish(
        &mut client,
        &Edit {
            reply_to: Change::Set(ShortStr::lit("answers")),
            ..query
        },
    );
    assert_eq!(took(&mut client).body, b"body");
    assert_eq!(node.counted("queries_published"), 1);
}
