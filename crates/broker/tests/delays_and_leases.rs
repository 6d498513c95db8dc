//! What happens by itself when its time has come, and how much of it at once.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::doors::{Door, Post, counter, drain};
use common::{Node, Sink};
use ferry_broker::{Delivery, Outcome};
use ferry_core::arguments::Value;

const HOUR_MS: u64 = 3_600_000;

fn later(node: &Node, ms: u64) -> Option<u64> {
    Some(node.broker.now() + ms)
}

/// A node with `count` messages in `q` that are due in a second.
fn waiting(count: usize) -> (Node, Door) {
    let node = Node::new();
    node.declare("q", &[]);
    let mut door = Door::new(&node, 1);
    let deliver_at = later(&node, 1000);
    let post = Post {
        deliver_at,
        ..Post::new("", "q", "x")
    };
    for _ in 0..count.div_ceil(100) {
        door.send(&node, &[post; 100][..count.min(100)]);
    }
    (node, door)
}

#[test]
fn the_earliest_of_everything_is_the_next_deadline() {
    let node = Node::new();
    node.declare("q", &[("x-lease-timeout", 700.into())]);
    node.declare("r", &[]);
    let mut door = Door::new(&node, 1);
    let now = node.broker.now();
    assert_eq!(node.broker.next_deadline(), u64::MAX);
    for (queue, ms) in [("q", 1000), ("r", 500), ("q", 2000)] {
        let post = Post {
            deliver_at: later(&node, ms),
            ..Post::new("", queue, "x")
        };
        door.send(&node, &[post]);
    }
    assert_eq!(node.broker.next_deadline(), now + 500);
    node.pass(499);
    assert_eq!(
        (node.ready("r"), node.broker.next_deadline()),
        (0, now + 500)
    );
    node.pass(1);
    assert_eq!(
        (node.ready("r"), node.broker.next_deadline()),
        (1, now + 1000)
    );
    let sink = Sink::open();
    node.consume(&node.queue("q"), &sink, false, 0);
    node.pass(500);
    assert_eq!(
        (sink.take().len(), node.broker.next_deadline()),
        (1, now + 1700)
    );
    node.pass(700);
    assert_eq!(sink.take().len(), 1, "its lease ended");
    assert_eq!(node.broker.next_deadline(), now + 2000);
}

#[test]
fn ten_thousand_due_at_once_are_done_in_turns() {
    let (node, mut door) = waiting(10_000);
    let queue = node.queue("q");
    node.clock.0.fetch_add(1000, Ordering::Relaxed);
    let mut turns = Vec::new();
    while node.broker.next_deadline() <= node.broker.now() {
        node.broker.tick();
        turns.push(queue.ready());
        door.send(&node, &[Post::new("", "q", "between")]);
    }
    assert!(turns.len() >= 4, "{turns:?}");
    assert_eq!(drain(&node, "q").len(), 10_000 + turns.len());
}

#[test]
fn a_tick_does_a_bounded_number_of_queues() {
    let node = Node::new();
    let mut door = Door::new(&node, 1);
    let deliver_at = later(&node, 1000);
    for number in 0..10_000 {
        let name = format!("q{number}");
        node.declare(&name, &[]);
        door.send(
            &node,
            &[Post {
                deliver_at,
                ..Post::new("", &name, "x")
            }],
        );
    }
    node.clock.0.fetch_add(1000, Ordering::Relaxed);
    let mut ticks = 0;
    while node.broker.next_deadline() <= node.broker.now() {
        node.broker.tick();
        ticks += 1;
    }
    assert!((2..100).contains(&ticks), "{ticks}");
    let ready: u64 = node.vhost.queues().iter().map(|queue| queue.ready()).sum();
    assert_eq!(ready, 10_000);
}

#[test]
fn an_ended_lease_goes_to_another_consumer_and_its_settle_is_late() {
    let node = Node::new();
    let queue = node.declare("q", &[("x-lease-timeout", 1000.into())]).queue;
    let (one, two) = (Sink::open(), Sink::open());
    node.consume(&queue, &one, false, 1);
    let mut door = Door::new(&node, 1);
    door.send(&node, &[Post::new("", "q", "1"), Post::new("", "q", "2")]);
    let held = one.take().remove(0);
    node.pass(500);
    node.consume(&queue, &two, false, 2);
    assert_eq!(two.bodies(), ["2"]);
    node.pass(500);
    let again = two.take();
    assert_eq!((again[0].body.as_slice(), again[0].count), (&b"1"[..], 1));
    assert_eq!(one.take().len(), 0, "it owes a settle still");
    door.settle(&held, Outcome::Accept);
    door.burst.submit(&node.broker);
    assert_eq!(counter(&node, "messages_settled_late"), 1);
    assert_eq!((node.ready("q"), queue.unsettled()), (0, 2));
    assert_eq!(one.bodies(), Vec::<String>::new());
    door.settle(&again[0], Outcome::Accept);
    door.burst.submit(&node.broker);
    assert_eq!(queue.unsettled(), 1);
}

#[test]
fn a_clock_that_leaps_a_year_loses_nothing() {
    let node = Node::new();
    let arguments: [(&str, Value); 2] = [
        ("x-lease-timeout", 1000.into()),
        ("x-retry-delay", 5000.into()),
    ];
    let queue = node.declare("q", &arguments).queue;
    let sink = Sink::open();
    node.consume(&queue, &sink, false, 0);
    let mut door = Door::new(&node, 1);
    door.send(&node, &[Post::new("", "q", "held")]);
    let delayed = Post {
        deliver_at: later(&node, 1000),
        ..Post::new("", "q", "delayed")
    };
    door.send(&node, &[delayed]);
    sink.take();
    for passed in [365 * 24 * HOUR_MS, 0, 365 * 24 * HOUR_MS] {
        node.pass(passed);
    }
    let mut bodies = sink.bodies();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies, ["delayed", "held"]);
}

#[test]
fn a_lease_counts_from_when_the_message_is_given_and_not_from_when_it_was_waited_for() {
    let node = Node::new();
    let queue = node.declare("q", &[("x-lease-timeout", 1000.into())]).queue;
    let mut door = Door::new(&node, 1);
    door.send(&node, &[Post::new("", "q", "x"); 2]);
    let began = node.broker.now();
    let until = std::thread::scope(|scope| {
        let mut waiter = None;
        let mut hold = |_: Delivery<'_>| {
            // The partition is taken: who comes now has to wait for it.
            waiter = Some(scope.spawn(|| node.get_with_lease("q").lease.unwrap()));
            std::thread::sleep(Duration::from_millis(50));
            node.clock.0.fetch_add(5000, Ordering::Relaxed);
        };
        node.broker.get(&queue, false, &mut hold).unwrap();
        let lease = waiter.unwrap().join().unwrap();
        node.broker.lease_until(&queue, lease)
    });
    assert_eq!(until, Some(began + 5000 + 1000));
}

#[test]
fn a_clock_that_falls_an_hour_wakes_nothing_early() {
    let (node, _door) = waiting(1);
    node.clock.0.fetch_sub(HOUR_MS, Ordering::Relaxed);
    node.pass(HOUR_MS);
    assert_eq!((node.ready("q"), node.queue("q").delayed()), (0, 1));
    node.pass(999);
    assert_eq!(node.ready("q"), 0);
    node.pass(1);
    assert_eq!(node.ready("q"), 1);
}

#[test]
fn what_waits_survives_a_kill_with_its_time() {
    for checkpoint in [false, true] {
        let (node, _door) = waiting(3);
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        node.broker.commit_log().unwrap();
        let due = node.broker.now() + 1000;
        let node = node.killed(2);
        assert_eq!((node.ready("q"), node.broker.next_deadline()), (0, due));
        node.pass(1000);
        assert!(node.get("q").is_some_and(|seen| !seen.redelivered));
        assert_eq!(drain(&node, "q").len(), 2);
    }
}
