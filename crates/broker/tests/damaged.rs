//! A body that can not be read back any more: its message is held, all others are served.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::{HandClock, Node, Sink};
use ferry_broker::{Browse, MoveTo};

/// A node after a clean stop, so that nothing reads old bodies at the start, and bit rot in one.
fn rotten() -> Node {
    let mut node = Node::new();
    node.declare("q", &[]);
    for body in ["first", "the-rotten-one", "third"] {
        node.publish("q", &[body]);
    }
    node.broker.close().unwrap();
    let files = ferry_log::Disk::list(&node.disk).unwrap();
    let needle = b"the-rotten-one";
    for name in files.iter().filter(|name| name.ends_with(".log")) {
        node.disk.damage(name, |bytes| {
            let at = bytes.windows(needle.len()).position(|it| it == needle);
            bytes[at.unwrap()] ^= 1;
        });
    }
    node.killed(2)
}

#[test]
fn a_get_goes_past_a_damaged_message() {
    let node = rotten();
    let bodies: Vec<_> = std::iter::from_fn(|| node.get("q"))
        .map(|seen| String::from_utf8(seen.body).unwrap())
        .collect();
    assert_eq!(bodies, ["first", "third"]);
}

#[test]
fn a_consumer_gets_what_is_not_damaged() {
    let node = rotten();
    let sink = Sink::open();
    node.consume(&node.queue("q"), &sink, false, 0);
    assert_eq!(sink.bodies(), ["first", "third"]);
}

/// How many messages a restart finds where one could not be read for a moment, when they are
/// taken by somebody who settles nothing.
fn left_after_a_failed_read(take: impl FnOnce(&Node) -> Vec<String>) -> u64 {
    let mut node = Node::new();
    node.declare("q", &[]);
    for body in ["first", "second", "third"] {
        node.publish("q", &[body]);
    }
    node.broker.close().unwrap();
    let node = node.killed(2);
    node.disk.fail_read(1);
    assert_eq!(take(&node), ["second", "third"]);
    assert_eq!(node.ready("q"), 0, "it is held, not skipped");
    node.broker.close().unwrap();
    node.killed(3).ready("q")
}

#[test]
fn what_could_not_be_read_for_somebody_who_settles_nothing_is_kept() {
    let got = left_after_a_failed_read(|node| {
        let bodies = std::iter::from_fn(|| node.get("q"));
        bodies
            .map(|seen| String::from_utf8(seen.body).unwrap())
            .collect()
    });
    let consumed = left_after_a_failed_read(|node| {
        let sink = Sink::open();
        node.consume(&node.queue("q"), &sink, true, 0);
        sink.bodies()
    });
    assert_eq!((got, consumed), (1, 1));
}

#[test]
fn an_operator_is_told_why_a_message_can_not_be_moved_and_may_try_again() {
    let mut node = Node::new();
    for name in ["q", "t"] {
        node.declare(name, &[]);
    }
    node.publish("q", &["one"]);
    node.broker.close().unwrap();
    let node = node.killed(2);
    let queue = node.queue("q");
    let page = node.broker.browse(&queue, &Browse::default()).unwrap();
    let to = MoveTo::Queue("t".to_owned());
    let move_it = || {
        let moved = &page.messages[0].name;
        node.broker.move_message(&queue, moved, &to, "somebody")
    };
    node.disk.fail_read(1);
    let told = move_it().unwrap_err().to_string();
    assert!(told.contains("look at the disk first"), "{told}");
    move_it().unwrap();
    assert_eq!((node.ready("q"), node.ready("t")), (0, 1));
}

#[test]
fn a_start_without_a_segment_that_is_needed_is_refused_by_name() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let body = "b".repeat(30 << 10);
    for _ in 0..8 {
        node.publish("q", &[&body]);
    }
    node.broker.close().unwrap();
    let name = "seg-0000000002.log";
    ferry_log::Disk::remove(&node.disk, name).unwrap();
    let clock = Arc::new(HandClock(AtomicU64::new(2_000_000)));
    let error = common::try_open(&node.disk, &clock, 2).err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("segment 2 is missing") && text.contains("'q'"),
        "{text}"
    );
}
