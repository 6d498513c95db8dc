//! What doors need that keep no connection: waiting for a queue, leases as numbers, rates.

#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Node, Sink};
use ferry_broker::{Lease, LimitsOf, Outcome, ReadyWaiter, Settled};
use ferry_core::arguments::Value;

#[derive(Default)]
struct Count(AtomicU32);

impl ReadyWaiter for Count {
    fn ready(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wait(node: &Node, queue: &str) -> Arc<Count> {
    let count = Arc::new(Count::default());
    let waiter: Arc<dyn ReadyWaiter> = Arc::clone(&count) as _;
    node.queue(queue).when_ready(Arc::downgrade(&waiter));
    count
}

fn told(count: &Count) -> u32 {
    count.0.load(Ordering::Relaxed)
}

#[test]
fn who_waits_is_told_once_of_what_becomes_ready() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let both = [wait(&node, "q"), wait(&node, "q")];
    assert_eq!(told(&both[0]), 0);
    node.publish("q", &["a"]);
    node.publish("q", &["b"]);
    assert_eq!([told(&both[0]), told(&both[1])], [1, 1]);
    assert!(node.get("q").is_some() && node.get("q").is_some());
    let again = wait(&node, "q");
    assert!(node.get("q").is_none());
    assert_eq!(told(&again), 0);
    node.publish("q", &["c"]);
    assert_eq!(told(&again), 1);
}

#[test]
fn who_waits_is_not_told_of_what_a_consumer_got_but_of_what_comes_back() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let sink = Sink::open();
    let consumer = node.consume(&queue, &sink, false, 0);
    let waiter = wait(&node, "q");
    node.publish("q", &["a"]);
    assert_eq!(told(&waiter), 0);
    node.broker.cancel(&consumer);
    node.settle(&sink.take()[0], Outcome::Requeue);
    assert_eq!(told(&waiter), 1);
    node.publish("q", &["b"]);
    let last = wait(&node, "q");
    node.vhost
        .delete_queue("q", false, false, node.connection)
        .unwrap();
    assert_eq!(told(&last), 1, "the queue has gone");
}

#[test]
fn a_lease_is_a_number_and_ends_once() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    node.publish("q", &["a"]);
    let lease = node.get_with_lease("q").lease.unwrap();
    let again = Lease::from_u64(lease.to_u64());
    assert_eq!(again, lease);
    assert_eq!(node.broker.lease_until(&queue, again), None);
    node.broker.extend_lease(&queue, again, Some(500));
    assert_eq!(node.broker.lease_until(&queue, again), Some(1_000_500));
    let settle = || node.broker.settle_now(&queue, again, Outcome::Accept);
    assert_eq!([settle(), settle()], [Settled::Done, Settled::Late]);
    assert_eq!(node.broker.lease_until(&queue, again), None);
}

#[test]
fn what_a_consumer_holds_goes_back_with_it_in_order() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let (sink, other) = (Sink::open(), Sink::open());
    let consumer = node.consume(&queue, &sink, false, 600);
    let bodies: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
    node.publish("q", &texts);
    let held = sink.take();
    assert_eq!(held.len(), 600);
    node.settle(&held[7], Outcome::Accept);
    let beside = node.consume(&queue, &other, false, 1);
    node.publish("q", &["more"]);
    node.broker.cancel(&beside);
    node.broker.cancel_and_give_back(&consumer);
    // What the other consumer holds stays with it.
    assert_eq!((queue.ready(), queue.unsettled()), (599, 1));
    assert_eq!(node.get("q").unwrap().body, b"0");
}

#[test]
fn all_who_publish_for_a_user_share_its_rate() {
    let node = Node::new();
    let of = LimitsOf::User("guest".into());
    let rates = node.broker.rates_for("guest", "/");
    assert!(!rates.meters_publishes());
    let set = node.broker.set_limit(of, "publish-rate", &Value::I64(1));
    set.unwrap();
    assert!(rates.meters_publishes());
    let now = node.broker.now();
    assert_eq!(rates.publish_owed(now), None);
    let mut hold = None;
    for _ in 0..3 {
        hold = rates.charge_publish(10, now);
    }
    assert!(hold.is_some_and(|hold| hold.resumes_at > now));
    let others = node.broker.rates_for("guest", "/");
    assert!(others.publish_owed(now).is_some());
}

#[test]
fn partitions_and_the_log_show_what_they_hold() {
    let mut node = Node::new();
    for name in ["a", "b", "c"] {
        node.declare(name, &[]);
        node.publish(name, &["x", "y"]);
    }
    let uses = node.broker.partition_uses();
    let sum = |part: fn(&ferry_broker::PartitionUse) -> u64| uses.iter().map(part).sum::<u64>();
    assert_eq!((sum(|one| one.queues), sum(|one| one.ready)), (3, 6));
    let before = node.broker.log_state();
    assert!(before.durable <= before.written && before.written <= before.end);
    node.broker.commit_log().unwrap();
    let after = node.broker.log_state();
    assert_eq!(after.durable, after.end);
    assert!(!after.segments.is_empty());
}
