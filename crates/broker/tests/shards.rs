//! Order per key and choosy consumers, through the broker: over policies, kills, dead letters.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;

use common::properties::{FORMAT_FULL, Full};
use common::{Node, Seen, Sink};
use ferry_broker::{Choice, ConsumerSpec, Outcome, Policy, QueueSpec};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::filter::Filter;
use ferry_core::message::Draft;

const SHARDED: [(&str, Value); 1] = [("x-shards", Value::I32(16))];

fn stage(node: &mut Node, queue: &str, body: &str, headers: &[(&str, Value)]) {
    let draft = Draft {
        format: FORMAT_FULL,
        persistent: true,
        dead_lettered: false,
        priority: 0,
        ttl_ms: None,
        published_ms: node.broker.now(),
        deliver_at: None,
        id: None,
        exchange: b"",
        routing_key: queue.as_bytes(),
        properties: &Full::new("", headers).write(),
        body: body.as_bytes(),
    };
    let headers = Arguments::from_iter(headers.iter().cloned());
    let Node {
        broker,
        burst,
        publisher,
        ..
    } = node;
    burst
        .publish(broker, publisher, &draft, &headers, None)
        .unwrap();
}

fn publish(node: &mut Node, queue: &str, body: &str, headers: &[(&str, Value)]) {
    stage(node, queue, body, headers);
    node.burst.submit(&node.broker);
}

/// Publishes messages that are named after their keys: the first letter is the key.
fn keyed(node: &mut Node, queue: &str, bodies: &[&str]) {
    for body in bodies {
        publish(
            node,
            queue,
            body,
            &[("x-shard-key", Value::from(&body[..1]))],
        );
    }
}

fn bodies(seen: &[Seen]) -> Vec<String> {
    let text = |seen: &Seen| String::from_utf8_lossy(&seen.body).into_owned();
    seen.iter().map(text).collect()
}

fn of_key(seen: &[Seen], key: &str) -> Vec<String> {
    let mut all = bodies(seen);
    all.retain(|body| body.starts_with(key));
    all
}

fn choosing(node: &Node, queue: &str, sink: &Arc<Sink>, filter: &str) {
    let spec = ConsumerSpec {
        tag: "c".to_owned(),
        no_ack: false,
        exclusive: false,
        priority: 0,
        prefetch: 0,
        choice: Choice {
            filter: Filter::compile(filter).unwrap(),
            ..Choice::default()
        },
        outlet: sink.clone(),
    };
    let queue = node.queue(queue);
    node.broker.consume(&queue, spec, &mut || ()).unwrap();
}

fn policy(definition: &[(&str, Value)]) -> Policy {
    let said = Arguments::from_iter([
        ("pattern", Value::from("^q$")),
        ("priority", Value::I64(0)),
        (
            "definition",
            Value::Table(definition.iter().cloned().collect()),
        ),
    ]);
    Policy::read("/", "p", &said).unwrap()
}

#[test]
fn each_key_has_one_consumer_and_keeps_its_order() {
    let mut node = Node::new();
    let queue = node.declare("q", &SHARDED).queue;
    let sinks = [Sink::open(), Sink::open()];
    for sink in &sinks {
        node.consume(&queue, sink, false, 2);
    }
    keyed(
        &mut node,
        "q",
        &["a1", "b1", "c1", "d1", "e1", "a2", "b2", "a3"],
    );
    let seen = sinks.each_ref().map(|sink| sink.take());
    for key in ["a", "b", "c", "d", "e"] {
        let by = seen.iter().filter(|seen| !of_key(seen, key).is_empty());
        assert!(by.count() <= 1, "{key} has one consumer");
    }
    let (mut left, mut all) = (seen.concat(), Vec::new());
    while let Some(one) = left.pop() {
        all.push(one.clone());
        node.settle(&one, Outcome::Accept);
        left.extend(sinks.iter().flat_map(|sink| sink.take()));
        left.sort_by_key(|seen| std::cmp::Reverse(seen.body[1]));
    }
    assert_eq!(all.len(), 8);
    assert_eq!(of_key(&all, "a"), ["a1", "a2", "a3"]);
    assert_eq!(of_key(&all, "b"), ["b1", "b2"]);
}

#[test]
fn keys_outlive_a_kill_with_and_without_a_checkpoint() {
    for checkpoint in [false, true] {
        let mut node = Node::new();
        let queue = node.declare("q", &SHARDED).queue;
        keyed(&mut node, "q", &["a1", "a2", "b1", "a3", "b2"]);
        let sink = Sink::open();
        node.consume(&queue, &sink, false, 3);
        let seen = sink.take();
        assert_eq!(bodies(&seen), ["a1", "a2", "b1"]);
        node.settle(&seen[0], Outcome::Delay(Some(1_000)));
        node.broker.commit_log().unwrap();
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        drop(queue);
        let node = node.killed(2);
        let sink = Sink::open();
        node.consume(&node.queue("q"), &sink, true, 0);
        assert_eq!(
            sink.bodies(),
            ["b1", "b2"],
            "a1 waits, and a2 and a3 with it"
        );
        node.pass(1_000);
        assert_eq!(sink.bodies(), ["a1", "a2", "a3"]);
    }
}

#[test]
fn a_policy_divides_a_queue_and_makes_it_one_again() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let header = ("shard-key-header", Value::from("customer"));
    let settings = [("shards", Value::I32(4)), header];
    node.broker.set_policy(policy(&settings)).unwrap();
    for (customer, body) in [(1, "a1"), (1, "a2"), (2, "b1")] {
        publish(&mut node, "q", body, &[("customer", Value::I32(customer))]);
    }
    let sinks = [Sink::open(), Sink::open()];
    node.consume(&queue, &sinks[0], false, 1);
    let first = sinks[0].take();
    assert_eq!(bodies(&first), ["a1"]);
    node.consume(&queue, &sinks[1], false, 5);
    assert!(of_key(&sinks[1].take(), "a").is_empty(), "the key is held");
    node.broker.clear_policy("/", "p").unwrap();
    assert_eq!(sinks[1].bodies(), ["a2"], "no key is, without shards");
}

#[test]
fn a_transaction_writes_keys_down() {
    let mut node = Node::new();
    node.declare("q", &SHARDED);
    for body in ["a1", "b1", "a2"] {
        let key = ("x-shard-key", Value::from(&body[..1]));
        stage(&mut node, "q", body, &[key]);
    }
    node.broker.commit(&mut node.burst).unwrap();
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    let sink = Sink::open();
    node.consume(&node.queue("q"), &sink, false, 1);
    assert_eq!(sink.bodies(), ["a1"]);
    assert_eq!(node.get("q").unwrap().body, b"b1");
    assert!(node.get("q").is_none(), "the key of a2 is held");
}

#[test]
fn dead_letters_bring_their_keys() {
    let mut node = Node::new();
    let target = node.declare("q", &SHARDED).queue;
    let source = [
        ("x-dead-letter-exchange", Value::from("")),
        ("x-dead-letter-routing-key", Value::from("q")),
    ];
    let source = node.declare("source", &source).queue;
    keyed(&mut node, "source", &["a1", "a2", "b1"]);
    let sink = Sink::open();
    node.consume(&source, &sink, false, 0);
    for seen in sink.take() {
        node.settle(&seen, Outcome::Reject);
    }
    let target_sink = Sink::open();
    node.consume(&target, &target_sink, false, 1);
    let held = target_sink.take();
    assert_eq!(bodies(&held), ["a1"]);
    assert_eq!(node.get("q").unwrap().body, b"b1");
    assert!(node.get("q").is_none(), "a1 and with it its key are held");
    node.settle(&held[0], Outcome::Accept);
    assert_eq!(target_sink.bodies(), ["a2"]);
}

#[test]
fn a_consumer_gets_what_its_filter_lets_through_wherever_it_is_kept() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let colors = ["red", "blue", "red", "green"];
    for (number, color) in colors.into_iter().enumerate() {
        publish(
            &mut node,
            "q",
            &format!("{color}{number}"),
            &[("color", Value::from(color))],
        );
    }
    node.broker.commit_log().unwrap();
    let mut node = node.killed(2);
    let (red, rest) = (Sink::open(), Sink::open());
    choosing(&node, "q", &red, "color = 'red'");
    assert_eq!(red.bodies(), ["red0", "red2"], "read from the log");
    publish(&mut node, "q", "red4", &[("color", Value::from("red"))]);
    assert_eq!(red.bodies(), ["red4"]);
    choosing(&node, "q", &rest, "color <> 'red'");
    assert_eq!(rest.bodies(), ["blue1", "green3"]);
    node.publish("q", &["bare"]);
    assert_eq!(node.ready("q"), 1, "without a color nobody wants it");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let node = Node::new();
    let shards = |value: Value| vec![("x-shards", value)];
    for arguments in [
        shards(Value::I32(1)),
        shards(Value::I32(1025)),
        shards(Value::I32(-2)),
        shards(Value::from("16")),
        vec![("x-shard-key-header", Value::from("customer"))],
        vec![
            ("x-shards", Value::I32(2)),
            ("x-shard-key-header", Value::I32(1)),
        ],
    ] {
        let spec = QueueSpec {
            name: "q".to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: arguments.iter().cloned().collect(),
        };
        let refused = node.vhost.declare_queue(spec, node.connection);
        assert!(refused.is_err(), "{arguments:?}");
    }
}
