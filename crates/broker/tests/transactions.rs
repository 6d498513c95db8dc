//! A transaction over several queues is there whole or not at all, wherever a kill cuts the log.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::doors::{self, Door, Post, drain, dying_to, take};
use common::{HandClock, Node, Sink};
use ferry_broker::{Outcome, Promise};

/// Queues that each have one message: `a` to be accepted, `r` rejected without and `d` with a
/// dead-letter exchange, `w` delayed.
fn node() -> (Node, Door) {
    let node = Node::new();
    node.declare("dead", &[]);
    node.declare("d", &dying_to("dead"));
    for queue in ["a", "r", "w", "new"] {
        node.declare(queue, &[]);
    }
    let mut door = Door::new(&node, 1);
    for queue in ["a", "r", "d", "w"] {
        door.send(&node, &[Post::new("", queue, queue)]);
    }
    (node, door)
}

const OUTCOMES: [(&str, Outcome); 4] = [
    ("a", Outcome::Accept),
    ("r", Outcome::Reject),
    ("d", Outcome::Reject),
    ("w", Outcome::Delay(Some(1000))),
];

fn stage(node: &Node, door: &mut Door) {
    for (queue, outcome) in OUTCOMES {
        let seen = take(node, &node.queue(queue)).unwrap();
        door.settle(&seen, outcome);
    }
    for queue in ["new", "a"] {
        let post = Post {
            confirm: false,
            ..Post::new("", queue, "t")
        };
        door.stage(node, &post);
    }
}

/// What each queue has, and what waits in `w`, after the time of all delays.
fn contents(node: &Node) -> (Vec<Vec<String>>, u64) {
    node.pass(0);
    let delayed = node.queue("w").delayed();
    node.pass(1000);
    let queues = ["a", "r", "d", "w", "dead", "new"];
    let mut found = queues.map(|queue| drain(node, queue)).to_vec();
    // A dead letter that a kill finds at its target and at its source arrives again.
    found[4].dedup();
    (found, delayed)
}

fn texts(bodies: [&[&str]; 6]) -> Vec<Vec<String>> {
    let all = |bodies: &[&str]| bodies.iter().map(|body| body.to_string()).collect();
    bodies.iter().map(|bodies| all(bodies)).collect()
}

#[test]
fn a_kill_at_any_place_leaves_all_or_nothing_of_it() {
    let nothing = (texts([&["a"], &["r"], &["d"], &["w"], &[], &[]]), 0);
    let all = (texts([&["t"], &[], &[], &["w"], &["d"], &["t"]]), 1);
    for checkpoint in [false, true] {
        let (node, mut door) = node();
        stage(&node, &mut door);
        if checkpoint {
            node.broker.checkpoint().unwrap();
        } else {
            node.broker.commit_log().unwrap();
        }
        let start = node.broker.log().end().offset();
        let Promise::Synced(end) = door.commit(&node).unwrap() else {
            panic!("a commit waits for the disk");
        };
        node.broker.commit_log().unwrap();
        let (now, mut seen) = (node.broker.now(), [0, 0]);
        doors::cuts(&node.disk, start, |disk, cut| {
            let clock = Arc::new(HandClock(AtomicU64::new(now)));
            let node = Node::on(disk, clock, 2);
            let whole = cut >= end.offset();
            seen[usize::from(whole)] += 1;
            let expected = if whole { &all } else { &nothing };
            assert_eq!(contents(&node), *expected, "{cut} of {end} {checkpoint}");
        });
        assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
    }
}

#[test]
fn a_rollback_leaves_everything_as_it_was() {
    let (node, mut door) = node();
    let sink = Sink::open();
    node.consume(&node.queue("a"), &sink, false, 0);
    door.settle(&sink.take()[0], Outcome::Accept);
    door.stage(&node, &Post::new("", "new", "t"));
    door.burst.clear();
    assert!(door.burst.is_empty());
    assert_eq!(node.queue("a").unsettled(), 1);
    assert_eq!(node.ready("new"), 0);
}

#[test]
fn an_ended_lease_changes_nothing_and_the_rest_is_committed() {
    let (node, mut door) = node();
    let seen = take(&node, &node.queue("a")).unwrap();
    for _ in 0..2 {
        door.settle(&seen, Outcome::Accept);
        door.stage(&node, &Post::new("", "new", "t"));
        door.commit(&node).unwrap();
    }
    assert_eq!((node.ready("new"), node.ready("a")), (2, 0));
}

#[test]
fn a_direct_reply_is_sent_at_the_commit() {
    let (node, mut door) = node();
    let sink = Sink::open();
    let address = node.broker.direct_reply_open(sink.clone());
    let post = Post {
        confirm: false,
        ..Post::new("", address.as_str(), "reply")
    };
    door.stage(&node, &post);
    assert_eq!(sink.take().len(), 0);
    door.commit(&node).unwrap();
    assert_eq!(sink.bodies(), ["reply"]);
}
