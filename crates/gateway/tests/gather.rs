//! Requests whose replies the broker gathers, over a real socket.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::Duration;

use amqp091::method::tx;
use amqp091::properties::{Change, Edit, Properties};
use amqp091::{RawTable, ShortStr, Table, Value};
use common::{Client, Message, Node, headers, publish_frames};

const DIRECT: &str = "amq.rabbitmq.reply-to";

/// Sends a request with these headers to the exchange `ask`.
fn request(client: &mut Client, reply_to: &'static str, entries: &[(&'static str, Value)]) {
    let table = headers(entries);
    let properties = Edit {
        headers: Change::Set(RawTable::new(&table)),
        reply_to: match reply_to {
            "" => Change::Keep,
            reply_to => Change::Set(ShortStr::lit(reply_to)),
        },
        correlation_id: Change::Set(ShortStr::lit("c-7")),
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    client.publish_with(1, "ask", "price", false, &properties, b"?");
}

/// Two responders behind one exchange.
fn responders(node: &Node) -> Client {
    let mut client = node.channel();
    client.declare_exchange(1, "ask", "fanout");
    client.expect(1, "exchange.declare_ok");
    for queue in ["east", "west"] {
        client.declare(1, queue, false);
        client.bind(1, queue, "ask", "");
        client.expect(1, "queue.bind_ok");
    }
    client
}

/// What a responder is asked, and where its reply goes.
fn asked(client: &mut Client, queue: &'static str) -> (Message, String) {
    let message = client.get(1, queue, true).unwrap();
    let properties = Properties::parse(&message.properties).unwrap();
    let key = properties.reply_to().unwrap().as_str_lossy().into_owned();
    (message, key)
}

fn reply(client: &mut Client, key: &str, body: &[u8]) {
    let table = headers(&[("who", Value::from("me"))]);
    let properties = Edit {
        content_type: Change::Set(ShortStr::lit("text/plain")),
        app_id: Change::Set(ShortStr::lit("seller")),
        headers: Change::Set(RawTable::new(&table)),
        ..Edit::default()
    };
    client.publish_with(1, "", key, true, &properties, body);
}

fn told(message: &Message) -> Vec<Table> {
    let Some(Value::Array(told)) = message.header("x-gather-replies") else {
        panic!("{message:?}");
    };
    let table = |value: &Value| match value {
        Value::Table(table) => Table::clone(table),
        other => panic!("a table, not {other:?}"),
    };
    told.iter().map(table).collect()
}

#[test]
fn replies_of_several_responders_come_as_one_answer() {
    let node = Node::start();
    for reply_to in ["answers", DIRECT] {
        let mut responders = responders(&node);
        let mut client = node.channel();
        client.declare(1, "answers", false);
        if reply_to == DIRECT {
            client.send_consume(1, DIRECT, "r", true);
            client.expect(1, "basic.consume_ok");
        }
        let extra = [
            ("x-gather-count", Value::I32(2)),
            ("x-gather-timeout", Value::I64(60_000)),
            ("mine", Value::from("stays")),
        ];
        request(&mut client, reply_to, &extra);
        node.wait_ready("west", 1);
        let (question, key) = asked(&mut responders, "east");
        assert_eq!(asked(&mut responders, "west").1, key, "one key for all");
        assert!(key.starts_with("amq.rabbitmq.reply-to.gather."), "{key}");
        assert_eq!(question.header("x-gather-count"), None);
        assert_eq!(question.header("x-gather-timeout"), None);
        assert_eq!(question.header("mine"), Some(Value::from("stays")));
        reply(&mut responders, &key, b"12 ");
        reply(&mut responders, &key, b"13.50");
        let answer = match reply_to {
            DIRECT => client.next_message(1),
            _ => {
                node.wait_ready("answers", 1);
                client.get(1, "answers", true).unwrap()
            }
        };
        assert_eq!(answer.body, b"12 13.50");
        let properties = Properties::parse(&answer.properties).unwrap();
        assert_eq!(properties.correlation_id().unwrap().as_bytes(), b"c-7");
        assert_eq!(properties.delivery_mode(), Some(2));
        assert_eq!(answer.header("x-gather-complete"), Some(Value::Bool(true)));
        assert_eq!(answer.header("x-gather-received"), Some(Value::I64(2)));
        let told = told(&answer);
        let lengths: Vec<_> = told.iter().map(|one| one.get(b"bytes").cloned()).collect();
        assert_eq!(lengths, [Some(Value::I64(3)), Some(Value::I64(5))]);
        assert_eq!(
            told[0].get(b"content_type"),
            Some(&Value::from("text/plain"))
        );
        assert_eq!(told[0].get(b"app_id"), Some(&Value::from("seller")));
        assert!(matches!(told[0].get(b"headers"), Some(Value::Table(_))));
        assert!(
            responders.is_quiet(Duration::from_millis(20)),
            "nothing is returned"
        );
        reply(&mut responders, &key, b"late");
        let (code, text) = responders.expect_return();
        assert_eq!((code, text.as_str()), (312, "NO_ROUTE"));
        client.close();
        responders.close();
    }
    assert_eq!(node.counted("gather_replies_late"), 2);
}

#[test]
fn an_answer_without_replies_comes_at_the_deadline() {
    let node = Node::start();
    let responders = responders(&node);
    let mut client = node.channel();
    client.declare(1, "answers", false);
    request(
        &mut client,
        "answers",
        &[("x-gather-timeout", Value::I32(50))],
    );
    node.wait_ready("answers", 1);
    let answer = client.get(1, "answers", true).unwrap();
    assert_eq!(answer.body, b"");
    assert_eq!(answer.header("x-gather-complete"), Some(Value::Bool(false)));
    assert!(told(&answer).is_empty());
    client.close();
    responders.close();
}

/// Reply-to, a header, and what the refusal says.
fn refused() -> [(&'static str, &'static str, Value, &'static str); 12] {
    [
        ("", "x-gather-count", Value::I32(1), "need a reply_to"),
        ("", "x-gather-timeout", Value::I32(1), "need a reply_to"),
        (
            DIRECT,
            "x-gather-count",
            Value::I32(1),
            "fast reply consumer does not exist",
        ),
        (
            "q",
            "x-gather-count",
            Value::I32(0),
            "'x-gather-count': a count of 0 is not in 1..10000",
        ),
        (
            "q",
            "x-gather-count",
            Value::I32(10_001),
            "a count of 10001 is not in",
        ),
        (
            "q",
            "x-gather-count",
            Value::I32(-1),
            "'x-gather-count': -1 is negative",
        ),
        (
            "q",
            "x-gather-count",
            Value::from("3"),
            "'x-gather-count': longstr is no integer",
        ),
        (
            "q",
            "x-gather-count",
            Value::F64(3.0),
            "'x-gather-count': double is no integer",
        ),
        (
            "q",
            "x-gather-timeout",
            Value::I32(0),
            "'x-gather-timeout': a timeout of 0 is not in",
        ),
        (
            "q",
            "x-gather-timeout",
            Value::I64(86_400_001),
            "is not in 1..86400000",
        ),
        ("q", "x-gather-timeout", Value::I64(i64::MIN), "is negative"),
        (
            "q",
            "x-gather-timeout",
            Value::Bool(true),
            "'x-gather-timeout': bool is no integer",
        ),
    ]
}

#[test]
fn what_can_not_be_gathered_is_refused_by_name() {
    let node = Node::start();
    let responders = responders(&node);
    let mut client = node.channel();
    for (reply_to, header, value, text) in refused() {
        request(&mut client, reply_to, &[(header, value)]);
        let (code, refusal) = client.expect_channel_error(1);
        assert_eq!(code, 406, "{refusal}");
        assert!(refusal.contains(text), "{refusal}");
    }
    assert_eq!(
        (node.broker.gatherings(), node.queue("east").ready()),
        (0, 0)
    );
    client.close();
    responders.close();
}

#[test]
fn a_request_to_no_exchange_leaves_nothing_behind() {
    let node = Node::start();
    let mut client = node.channel();
    request(&mut client, "q", &[("x-gather-count", Value::I32(1))]);
    assert_eq!(client.expect_channel_error(1).0, 404);
    assert_eq!(node.counted("gathers_begun"), 0);
    client.close();
}

#[test]
fn a_gathering_begins_with_the_commit_of_its_request() {
    let node = Node::start();
    let mut responders = responders(&node);
    let mut client = node.channel();
    client.declare(1, "answers", false);
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    let one = [("x-gather-count", Value::I32(1))];
    request(&mut client, "answers", &one);
    client.method(1, tx::Rollback {});
    client.expect(1, "tx.rollback_ok");
    assert_eq!(node.counted("gathers_begun"), 0);
    request(&mut client, "answers", &one);
    client.method(1, tx::Commit {});
    client.expect(1, "tx.commit_ok");
    assert_eq!(
        (node.counted("gathers_begun"), node.broker.gatherings()),
        (1, 1)
    );
    let (_, key) = asked(&mut responders, "east");
    reply(&mut responders, &key, b"!");
    node.wait_ready("answers", 1);
    client.close();
    responders.close();
}

#[test]
fn a_requester_that_goes_takes_its_gathering_with_it() {
    let node = Node::start();
    let mut responders = responders(&node);
    let mut client = node.channel();
    client.send_consume(1, DIRECT, "r", true);
    client.expect(1, "basic.consume_ok");
    request(&mut client, DIRECT, &[("x-gather-count", Value::I32(1))]);
    node.wait_ready("east", 1);
    assert_eq!(node.broker.gatherings(), 1);
    let (_, key) = asked(&mut responders, "east");
    drop(client);
    for _ in 0..500 {
        if node.broker.gatherings() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(node.broker.gatherings(), 0);
    let frames = publish_frames(1, "", &key, true, &Edit::default(), b"nobody");
    responders.send(&frames);
    assert_eq!(responders.expect_return().0, 312);
    responders.close();
}
