//! A queue takes a message of one id once.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::doors::{self, Door, Post, counter, drain, refusing};
use common::{Node, Sink};
use ferry_broker::{CommitError, Outcome, Promise};
use ferry_core::arguments::Value;

const ONCE: (&str, Value) = ("x-message-deduplication", Value::Bool(true));

fn node(more: &[(&str, Value)]) -> Node {
    let node = Node::new();
    let arguments: Vec<_> = more.iter().cloned().chain([ONCE]).collect();
    node.declare("q", &arguments);
    node.declare("other", &[]);
    node.broker.commit_log().unwrap();
    node
}

fn to<'a>(queue: &'a str, id: &'a str) -> Post<'a> {
    Post::with_id("", queue, id)
}

#[test]
fn a_duplicate_is_confirmed_when_the_first_is_durable_and_stored_nowhere() {
    let node = node(&[]);
    let (mut one, mut two) = (Door::new(&node, 1), Door::new(&node, 2));
    one.send(
        &node,
        &[Post {
            confirm: false,
            ..to("q", "1")
        }],
    );
    let first_end = node.broker.log().end();
    let second = two.send(&node, &[to("q", "1")]);
    assert!(matches!(second.promise(), Promise::Synced(end) if end >= first_end));
    assert!(!node.broker.kept(second.promise()));
    assert_eq!(drain(&node, "q"), ["1"]);
    let third = two.send(&node, &[to("q", "1"), to("q", "2"), to("q", "2")]);
    assert!(third.refused().is_empty());
    assert_eq!(drain(&node, "q"), ["2"], "also when it is gone");
    assert_eq!(counter(&node, "messages_duplicate"), 3);
}

#[test]
fn a_full_queue_confirms_what_it_knows_and_forgets_what_it_refuses() {
    let node = node(&refusing(1));
    let mut door = Door::new(&node, 1);
    let sent = door.send(&node, &[to("q", "1"), to("q", "2"), to("q", "1")]);
    assert_eq!(sent.refused(), [1]);
    assert_eq!(drain(&node, "q"), ["1"]);
    assert!(door.send(&node, &[to("q", "2")]).refused().is_empty());
    assert_eq!(drain(&node, "q"), ["2"]);
}

#[test]
fn a_transaction_stores_two_publishes_of_one_id_once() {
    for (persistent, again) in [(true, true), (true, false), (false, true), (false, false)] {
        let node = node(&[]);
        let mut door = Door::new(&node, 1);
        let tx = |persistent| Post {
            confirm: false,
            persistent,
            ..to("q", "1")
        };
        door.stage(&node, &tx(persistent));
        door.stage(&node, &tx(again));
        door.commit(&node).unwrap();
        assert_eq!(node.ready("q"), 1, "{persistent} {again}");
        door.stage(&node, &tx(persistent));
        door.commit(&node).unwrap();
        assert_eq!(drain(&node, "q"), ["1"], "{persistent} {again}");
    }
}

#[test]
fn a_transaction_that_brings_a_duplicate_waits_for_the_first() {
    let node = node(&[]);
    let mut door = Door::new(&node, 1);
    door.send(&node, &[to("q", "1")]);
    door.stage(
        &node,
        &Post {
            confirm: false,
            ..to("q", "1")
        },
    );
    let promise = door.commit(&node).unwrap();
    assert!(matches!(promise, Promise::Synced(end) if end == node.broker.log().end()));
    assert_eq!(node.ready("q"), 1);
}

#[test]
fn what_a_transaction_could_not_store_is_not_known() {
    let node = node(&refusing(1));
    let mut door = Door::new(&node, 1);
    for id in ["1", "2", "2"] {
        door.stage(
            &node,
            &Post {
                confirm: false,
                ..to("q", id)
            },
        );
    }
    let partial = door.commit(&node);
    assert!(matches!(partial, Err(CommitError::Partial)));
    assert_eq!(drain(&node, "q"), ["1"]);
    assert!(door.send(&node, &[to("q", "2")]).refused().is_empty());
    assert_eq!(drain(&node, "q"), ["2"]);
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    Door::new(&node, 1).send(&node, &[to("q", "1"), to("q", "2")]);
    assert_eq!(node.ready("q"), 0);
}

#[test]
fn ids_survive_a_kill_with_the_messages_that_do() {
    for checkpoint in [false, true] {
        let node = node(&[]);
        let mut door = Door::new(&node, 1);
        door.send(&node, &[to("q", "1")]);
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        door.send(
            &node,
            &[
                to("q", "2"),
                Post {
                    persistent: false,
                    ..to("q", "3")
                },
            ],
        );
        node.broker.commit_log().unwrap();
        let node = node.killed(2);
        let mut door = Door::new(&node, 1);
        door.send(&node, &[to("q", "1"), to("q", "2"), to("q", "3")]);
        assert_eq!(drain(&node, "q"), ["1", "2", "3"], "{checkpoint}");
    }
}

#[test]
fn a_dead_letter_is_never_a_duplicate() {
    let node = node(&[]);
    let mut dying = doors::dying_to("q").to_vec();
    dying.push(ONCE);
    node.declare("dying", &dying);
    let sink = Sink::open();
    node.consume(&node.queue("dying"), &sink, false, 0);
    let mut door = Door::new(&node, 1);
    door.send(&node, &[to("q", "1"), to("dying", "1")]);
    door.settle(&sink.take()[0], Outcome::Reject);
    door.burst.submit(&node.broker);
    assert_eq!(drain(&node, "q"), ["1", "1"]);
    door.send(&node, &[to("q", "1"), to("dying", "1")]);
    assert_eq!((node.ready("q"), sink.take().len()), (0, 0));
}

#[test]
fn other_queues_of_the_message_get_every_copy() {
    let node = node(&[]);
    doors::exchange(&node, "e", true, &[]);
    doors::bind(&node, "e", "q", "#");
    doors::bind(&node, "e", "other", "#");
    let mut door = Door::new(&node, 1);
    let post = Post::with_id("e", "k", "1");
    door.send(&node, &[post, post]);
    assert_eq!((node.ready("q"), node.ready("other")), (1, 2));
}
