//! `x-delay` and `x-deliver-at` over a real socket.

mod common;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amqp091::method::{basic, exchange, queue, tx};
use amqp091::properties::{Change, Edit, Properties};
use amqp091::{Method, RawTable, ShortStr, Value};
use common::{Client, Node, headers, is_early};

const DELAY: &str = "x-delay";
const DELIVER_AT: &str = "x-deliver-at";
/// Long enough to look before it is over.
const WAIT_MS: u64 = 400;

fn unix_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later");
    now.as_millis() as u64
}

fn wait() -> Vec<(&'static str, Value)> {
    vec![(DELAY, Value::I32(WAIT_MS as i32))]
}

fn publish(client: &mut Client, entries: &[(&'static str, Value)], body: &[u8]) {
    client.publish_headers(("", "q"), entries, body);
}

fn reject(delivery_tag: u64, requeue: bool) -> basic::Reject {
    basic::Reject {
        delivery_tag,
        requeue,
    }
}

fn declare_delayed_exchange(client: &mut Client, name: &'static str) {
    let arguments = headers(&[("x-delayed-type", Value::from("direct"))]);
    client.method(
        1,
        exchange::Declare {
            ticket: 0,
            exchange: ShortStr::lit(name),
            kind: ShortStr::lit("x-delayed-message"),
            passive: false,
            durable: false,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: RawTable::new(&arguments),
        },
    );
    client.expect(1, "exchange.declare_ok");
}

#[test]
fn every_exchange_delays_and_the_copy_says_so() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", true);
    declare_delayed_exchange(&mut client, "later");
    let exchanges = [
        "",
        "amq.direct",
        "amq.fanout",
        "amq.topic",
        "amq.headers",
        "later",
    ];
    for name in &exchanges[1..] {
        client.bind(1, "q", name, "q");
        client.expect(1, "queue.bind_ok");
    }
    let start = Instant::now();
    for (number, name) in exchanges.iter().enumerate() {
        client.publish_headers((name, "q"), &wait(), &[number as u8]);
    }
    assert_eq!(client.ready(1, "q"), 0, "what is delayed is not ready");
    assert_eq!(client.get(1, "q", true), None);
    assert_eq!(node.delayed("q"), exchanges.len() as u64);
    client.consume(1, "q", true);
    for number in 0..exchanges.len() {
        let message = client.next_message(1);
        assert_eq!(message.body, [number as u8]);
        assert_eq!(message.header(DELAY), Some(Value::I32(-(WAIT_MS as i32))));
        assert!(!message.redelivered);
    }
    assert!(!is_early(start, WAIT_MS));
    assert_eq!(node.delayed("q"), 0);
    client.close();
}

#[test]
fn a_time_is_kept_and_counts_more_than_a_delay() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let at = unix_ms() + WAIT_MS;
    let deliver_at = (DELIVER_AT, Value::I64(at as i64));
    publish(&mut client, std::slice::from_ref(&deliver_at), b"alone");
    publish(&mut client, &[(DELAY, Value::I32(1)), deliver_at], b"both");
    assert_eq!(client.ready(1, "q"), 0);
    let past = [(DELIVER_AT, Value::I32(5)), wait()[0].clone()];
    publish(&mut client, &past, b"past");
    assert_eq!(client.get(1, "q", true).unwrap().body, b"past");
    client.consume(1, "q", true);
    for (body, delay) in [(&b"alone"[..], None), (b"both", Some(Value::I32(-1)))] {
        let message = client.next_message(1);
        assert!(unix_ms() >= at);
        assert_eq!((&message.body[..], message.header(DELAY)), (body, delay));
        assert_eq!(message.header(DELIVER_AT), Some(Value::I64(at as i64)));
    }
    client.close();
}

#[test]
fn what_is_no_delay_is_delivered_at_once_as_it_came_and_counted() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let values = [
        Value::from("60000"),
        Value::F64(60_000.0),
        Value::I32(-60_000),
        Value::Timestamp(unix_ms() / 1000 + 60),
        Value::Bool(true),
    ];
    let mut count = 0;
    for name in [DELAY, DELIVER_AT] {
        for value in &values {
            publish(&mut client, &[(name, value.clone())], b"now");
            count += 1;
            let message = client.get(1, "q", true).expect("a message at once");
            assert_eq!(message.header(name).as_ref(), Some(value));
            assert_eq!(node.counted("messages_delay_ignored"), count);
        }
    }
    publish(&mut client, &[(DELAY, Value::I32(0))], b"now");
    assert_eq!(client.get(1, "q", true).unwrap().body, b"now");
    assert_eq!(node.counted("messages_delay_ignored"), count);
    client.close();
}

#[test]
fn a_delay_out_of_range_closes_the_channel() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    for (name, value) in [
        (DELAY, (1 << 40) + 1),
        (DELIVER_AT, unix_ms() as i64 + (1 << 40) + 60_000),
        (DELAY, i64::MAX),
        (DELIVER_AT, i64::MAX),
    ] {
        publish(&mut client, &[(name, Value::I64(value))], b"never");
        let (code, text) = client.expect_channel_error(1);
        assert_eq!(code, 406);
        assert!(
            text.contains(name) && text.contains("1099511627776"),
            "{text}"
        );
    }
    assert_eq!((client.ready(1, "q"), node.delayed("q")), (0, 0));
    client.close();
}

#[test]
fn a_delayed_message_is_routed_and_confirmed_when_it_is_published() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", true);
    client.confirm_select(1);
    let table = headers(&[(DELAY, Value::I32(60_000))]);
    let properties = Edit {
        headers: Change::Set(RawTable::new(&table)),
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    client.publish_with(1, "", "q", true, &properties, b"routed");
    assert!(client.wait_confirmed(1, 1).is_empty());
    client.publish_with(1, "", "nowhere", true, &properties, b"unroutable");
    let returned = client.next_message(1);
    assert_eq!(returned.refusal(), (312, "NO_ROUTE"));
    assert_eq!(
        returned.properties,
        properties.build(),
        "it comes back as it went"
    );
    assert!(client.wait_confirmed(1, 2).is_empty());
    assert_eq!(node.delayed("q"), 1);
    client.close();
}

#[test]
fn the_time_to_live_starts_when_the_message_is_ready() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.declare(1, "idle", false);
    let table = headers(&wait());
    let properties = Edit {
        headers: Change::Set(RawTable::new(&table)),
        expiration: Change::Set(ShortStr::lit("100")),
        ..Edit::default()
    };
    let start = Instant::now();
    client.publish_with(1, "", "idle", false, &properties, b"expires");
    client.publish_with(1, "", "q", false, &properties, b"in time");
    client.consume(1, "q", true);
    assert_eq!(client.next_message(1).body, b"in time");
    assert!(!is_early(start, WAIT_MS));
    let expired = start + Duration::from_millis(WAIT_MS + 100);
    let slack = Duration::from_millis(300);
    std::thread::sleep(expired.saturating_duration_since(Instant::now()) + slack);
    assert_eq!(
        (client.get(1, "idle", true), node.delayed("idle")),
        (None, 0)
    );
    client.close();
}

#[test]
fn a_delay_acts_once() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.declare(1, "dead", false);
    let target = [
        ("x-dead-letter-exchange", Value::from("")),
        ("x-dead-letter-routing-key", Value::from("dead")),
    ];
    let mut arguments = amqp091::Table::new();
    for (name, value) in target {
        arguments.push(ShortStr::lit(name), value);
    }
    client.send_declare(1, "source", false, false, &arguments);
    client.expect_declared(1);
    for queue in ["q", "source"] {
        client.publish_headers(("", queue), &wait(), b"once");
        node.wait_ready(queue, 1);
    }
    let message = client.get(1, "q", false).unwrap();
    client.method(1, reject(message.tag, true));
    let again = client.get(1, "q", true).expect("it is there at once");
    assert_eq!((again.redelivered, &again.body[..]), (true, &b"once"[..]));
    let message = client.get(1, "source", false).unwrap();
    client.method(1, reject(message.tag, false));
    let dead = client.get(1, "dead", true).expect("it is there at once");
    assert_eq!(dead.header(DELAY), Some(Value::I32(-(WAIT_MS as i32))));
    client.publish_headers(
        ("", "q"),
        &[(DELAY, dead.header(DELAY).unwrap())],
        b"as it came",
    );
    assert_eq!(client.get(1, "q", true).unwrap().body, b"as it came");
    client.close();
}

#[test]
fn a_purge_and_the_check_for_emptiness_look_at_ready_messages_only() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    publish(&mut client, &wait(), b"later");
    publish(&mut client, &[], b"now");
    let purge = queue::Purge {
        ticket: 0,
        queue: ShortStr::lit("q"),
        no_wait: false,
    };
    client.method(1, purge);
    let got = client.expect(1, "queue.purge_ok");
    assert!(matches!(got.method(), Method::QueuePurgeOk(ok) if ok.message_count == 1));
    client.consume(1, "q", true);
    assert_eq!(client.next_message(1).body, b"later");
    publish(&mut client, &wait(), b"goes with its queue");
    let delete = queue::Delete {
        ticket: 0,
        queue: ShortStr::lit("q"),
        if_unused: false,
        if_empty: true,
        no_wait: false,
    };
    client.method(1, delete);
    let got = client.expect(1, "queue.delete_ok");
    assert!(matches!(got.method(), Method::QueueDeleteOk(ok) if ok.message_count == 0));
    client.expect(1, "basic.cancel");
    client.close();
}

#[test]
fn a_delay_in_a_transaction_counts_from_the_publish() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", true);
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    let start = Instant::now();
    publish(&mut client, &wait(), b"later");
    client.method(1, tx::Commit {});
    client.expect(1, "tx.commit_ok");
    assert_eq!((client.ready(1, "q"), node.delayed("q")), (0, 1));
    client.consume(1, "q", true);
    assert_eq!(client.next_message(1).body, b"later");
    assert!(!is_early(start, WAIT_MS));
    client.close();
}

#[test]
fn more_routing_keys_and_a_delay_go_together() {
    let node = Node::start();
    let mut client = node.channel();
    for queue in ["q", "copy", "blind"] {
        client.declare(1, queue, false);
    }
    let list = |key: &str| Value::from(vec![Value::from(key)]);
    let entries = [
        ("BCC", list("blind")),
        ("n", Value::I32(1)),
        wait()[0].clone(),
        ("CC", list("copy")),
    ];
    publish(&mut client, &entries, b"three");
    assert_eq!(client.ready(1, "copy"), 0);
    for queue in ["q", "copy", "blind"] {
        node.wait_ready(queue, 1);
        let message = client.get(1, queue, true).unwrap();
        let properties = Properties::parse(&message.properties).unwrap();
        let names = properties.headers().unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|entry| entry.unwrap().0.as_bytes())
            .collect();
        assert_eq!(names, [&b"n"[..], b"x-delay", b"CC"]);
        assert_eq!(message.header(DELAY), Some(Value::I32(-(WAIT_MS as i32))));
    }
    client.close();
}
