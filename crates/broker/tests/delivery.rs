//! Publishing, delivering and settling through the broker's API.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::{Node, Sink};
use ferry_broker::{BindingSpec, Exchange, ExchangeKind, NoView, Outcome, Promise, Published};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, FORMAT_AMQP091};
use std::sync::atomic::Ordering;

#[test]
fn a_confirm_waits_for_the_sync() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let ticket = node.publish("q", &["a", "b"]);
    let promise = ticket.resolved().unwrap();
    assert!(matches!(promise, Promise::Synced(_)));
    assert!(!node.broker.kept(promise));
    node.broker.commit_log().unwrap();
    assert!(node.broker.kept(promise));
    assert_eq!(node.ready("q"), 2);
}

#[test]
fn a_weaker_policy_waits_for_less() {
    let mut node = Node::new();
    let policy = |name: &str| [("x-sync", Value::Str(name.as_bytes().to_vec()))];
    node.declare("written", &policy("written"));
    node.declare("memory", &policy("memory"));
    let written = node.publish("written", &["a"]).resolved().unwrap();
    assert!(matches!(written, Promise::Written(_)));
    let memory = node.publish("memory", &["a"]).resolved().unwrap();
    assert_eq!(memory, Promise::Now);
}

#[test]
fn what_nobody_gets_is_unroutable_and_confirmed_at_once() {
    let mut node = Node::new();
    assert_eq!(node.stage("nowhere", "x"), Published::Unroutable);
    let ticket = node.burst.submit(&node.broker).unwrap();
    assert_eq!(ticket.resolved(), Some(Promise::Now));
}

#[test]
fn messages_go_through_in_order_and_come_back_to_their_place() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let sink = Sink::open();
    node.consume(&queue, &sink, false, 2);
    node.publish("q", &["1", "2", "3", "4"]);
    let first = sink.take();
    assert_eq!(first.len(), 2);
    node.settle(&first[1], Outcome::Requeue);
    let again = sink.take();
    assert_eq!(
        (again[0].body.as_slice(), again[0].redelivered),
        (&b"2"[..], true)
    );
    node.settle(&first[0], Outcome::Accept);
    node.settle(&again[0], Outcome::Accept);
    assert_eq!(sink.bodies(), ["3", "4"]);
    assert_eq!(queue.unsettled(), 2);
}

#[test]
fn a_consumer_without_room_is_served_when_it_has_some() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let sink = Sink::open();
    sink.room.store(1, Ordering::Relaxed);
    let consumer = node.consume(&queue, &sink, true, 0);
    node.publish("q", &["1", "2", "3"]);
    assert_eq!(sink.bodies(), ["1"]);
    sink.room.store(10, Ordering::Relaxed);
    node.broker.resume(&[consumer]);
    assert_eq!(sink.bodies(), ["2", "3"]);
}

#[test]
fn deleting_a_queue_tells_its_consumers_and_frees_its_name() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let sink = Sink::open();
    node.consume(&queue, &sink, true, 0);
    node.vhost
        .delete_queue("q", false, false, node.connection)
        .unwrap();
    assert_eq!(sink.cancelled.load(Ordering::Relaxed), 1);
    assert_eq!(node.stage("q", "x"), Published::Unroutable);
    node.declare("q", &[]);
    assert_eq!(node.ready("q"), 0);
}

#[test]
fn an_expired_queue_goes_by_itself() {
    let node = Node::new();
    node.declare("q", &[("x-expires", Value::I32(1000))]);
    node.pass(999);
    assert!(node.vhost.check_queue("q", node.connection).is_ok());
    node.pass(999);
    assert!(
        node.vhost.check_queue("q", node.connection).is_ok(),
        "a look starts the time again"
    );
    node.pass(1001);
    assert!(node.vhost.check_queue("q", node.connection).is_err());
}

#[test]
fn transient_memory_is_let_go_when_half_of_it_is_used() {
    let mut node = Node::new();
    let policy = [("x-sync", Value::Str(b"memory".to_vec()))];
    node.declare("q", &policy);
    let body = "x".repeat(10_000);
    for _ in 0..60 {
        node.publish("q", &[&body]);
    }
    let before = node.broker.memory().used_bytes();
    assert!(before > 600_000);
    node.broker.upkeep().unwrap();
    assert_eq!(node.broker.memory().body_bytes(), 0);
    for _ in 0..60 {
        assert_eq!(node.get("q").unwrap().body.len(), 10_000);
    }
    assert_eq!(node.get("q").map(|seen| seen.body), None);
}

#[test]
fn a_body_is_stored_once_however_many_queues_it_goes_to() {
    let mut node = Node::new();
    let exchange = Exchange {
        durable: true,
        ..Exchange::new("fan", ExchangeKind::Fanout)
    };
    node.vhost.declare_exchange(exchange).unwrap();
    for index in 0..100 {
        let name = format!("q{index}");
        node.declare(&name, &[]);
        node.vhost
            .bind(&BindingSpec {
                source: "fan",
                queue: Some(&name),
                exchange: None,
                routing_key: b"",
                arguments: Arguments::new(),
                connection: node.connection,
            })
            .unwrap();
    }
    node.broker.commit_log().unwrap();
    let before = node.broker.log().cleaning().disk_bytes;
    let body = "x".repeat(1 << 20);
    let draft = Draft {
        format: FORMAT_AMQP091,
        persistent: true,
        dead_lettered: false,
        priority: 0,
        ttl_ms: None,
        published_ms: node.broker.now(),
        deliver_at: None,
        id: None,
        exchange: b"fan",
        routing_key: b"",
        properties: &[0, 0],
        body: body.as_bytes(),
    };
    let Node {
        broker,
        burst,
        publisher,
        ..
    } = &mut node;
    burst
        .publish(broker, publisher, &draft, &NoView, None)
        .unwrap();
    burst.submit(broker);
    node.broker.commit_log().unwrap();
    let grown = node.broker.log().cleaning().disk_bytes - before;
    assert!(grown < 2 << 20, "100 copies of 1 MiB took {grown} bytes");
    assert_eq!(node.ready("q0") + node.ready("q99"), 2);
    assert_eq!(node.get("q42").unwrap().body.len(), 1 << 20);
}

#[test]
fn a_long_queue_goes_piece_by_piece_whoever_ends_it() {
    const MESSAGES: u64 = 20_000;
    let mut node = Node::new();
    let bodies = vec!["body"; 500];
    for purge in [true, false] {
        node.declare("long", &[]);
        (0..MESSAGES / 500).for_each(|_| drop(node.publish("long", &bodies)));
        assert_eq!(node.ready("long"), MESSAGES);
        let (dropped, _) = match purge {
            true => node.vhost.purge_queue("long", node.connection).unwrap(),
            false => node
                .vhost
                .delete_queue("long", false, false, node.connection)
                .unwrap(),
        };
        assert_eq!(dropped, MESSAGES);
        assert_eq!(node.broker.memory().index_bytes(), 0);
        // Of a deleted queue the rest follows with the next ticks.
        let pieces = std::iter::from_fn(|| {
            let due = node.broker.next_deadline() == 0;
            due.then(|| node.broker.tick())
        });
        assert_eq!(pieces.count(), if purge { 0 } else { 2 });
        node.broker.commit_log().unwrap();
        let live: u64 = node
            .broker
            .log()
            .segments()
            .iter()
            .map(|used| used.live_refs)
            .sum();
        assert_eq!((node.broker.memory().body_bytes(), live), (0, 0));
    }
}
