//! When an unused queue goes, changed after it was declared.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::{Node, Sink};
use ferry_broker::{ApplyTo, DefinitionError, Policy, Promise};
use ferry_core::arguments::{Arguments, Value};

fn node(expires_ms: Option<i64>) -> Node {
    let node = Node::new();
    let expires = expires_ms.map(|ms| ("x-expires", Value::I64(ms)));
    node.declare("q", expires.as_slice());
    node
}

fn set(node: &Node, expires_ms: Option<u64>) -> Promise {
    let queue = node.queue("q");
    node.vhost.set_queue_expiry(&queue, expires_ms).unwrap()
}

fn shown(node: &Node) -> Option<i128> {
    let arguments = node.queue("q").arguments();
    arguments.get("x-expires").and_then(Value::as_integer)
}

/// Whether the queue goes after so long and not before.
fn goes_after(node: &Node, ms: u64) -> bool {
    node.pass(ms - 1);
    let there = node.vhost.has_queue("q");
    node.pass(1);
    there && !node.vhost.has_queue("q")
}

#[test]
fn the_countdown_is_the_one_that_was_set_last_and_starts_then() {
    for (declared, changes, expected) in [
        (None, &[Some(500)][..], Some(500)),
        (Some(900), &[Some(500)], Some(500)),
        (Some(500), &[Some(900)], Some(900)),
        (Some(500), &[Some(500)], Some(500)),
        (Some(500), &[None], None),
        (Some(500), &[None, Some(700)], Some(700)),
        (None, &[None], None),
    ] {
        let node = node(declared);
        node.pass(300);
        for change in changes {
            set(&node, *change);
        }
        assert_eq!(shown(&node), expected.map(i128::from));
        match expected {
            Some(ms) => assert!(goes_after(&node, ms), "{declared:?} {changes:?}"),
            None => {
                node.pass(1 << 40);
                assert!(node.vhost.has_queue("q"), "{declared:?} {changes:?}");
            }
        }
    }
}

#[test]
fn a_start_finds_the_last_one_and_counts_anew() {
    for checkpoint in [false, true] {
        for (change, expected) in [(Some(700), Some(700)), (None, None)] {
            let mut node = node(Some(500));
            node.publish("q", &["m"]);
            node.broker.commit_log().unwrap();
            if checkpoint {
                node.broker.checkpoint().unwrap();
            }
            let promise = set(&node, change);
            assert!(!node.broker.kept(promise));
            node.broker.commit_log().unwrap();
            assert!(node.broker.kept(promise));
            let mut node = node.killed(2);
            for life in 3..5 {
                assert_eq!(shown(&node), expected, "{checkpoint}");
                assert_eq!(node.ready("q"), 1);
                node.pass(400);
                node.broker.checkpoint().unwrap();
                node = node.killed(life);
            }
            match change {
                Some(ms) => assert!(goes_after(&node, ms)),
                None => {
                    node.pass(1 << 40);
                    assert!(node.vhost.has_queue("q"));
                }
            }
        }
    }
}

#[test]
fn what_is_no_time_is_refused_and_changes_nothing() {
    let node = node(Some(500));
    let queue = node.queue("q");
    for wrong in [0, u64::MAX, 11 * 365 * 86_400_000] {
        let refused = node.vhost.set_queue_expiry(&queue, Some(wrong));
        assert!(
            matches!(&refused, Err(DefinitionError::InvalidArgument { argument, .. })
                if argument == "x-expires"),
            "{refused:?}"
        );
    }
    assert_eq!(shown(&node), Some(500));
    assert!(goes_after(&node, 500));
    let refused = node.vhost.set_queue_expiry(&queue, Some(9));
    assert!(matches!(refused, Err(DefinitionError::NotFound { .. })));
}

#[test]
fn a_policy_keeps_its_part() {
    let node = node(None);
    let policy = Policy {
        vhost: "/".to_owned(),
        name: "short".to_owned(),
        pattern: "^q$".to_owned(),
        apply_to: ApplyTo::Queues,
        priority: 0,
        definition: Arguments::from_iter([("expires", Value::I64(300))]),
    };
    node.broker.set_policy(policy).unwrap();
    set(&node, Some(900));
    let queue = node.queue("q");
    assert_eq!(queue.options().expires_ms, Some(300));
    assert!(queue.policy().is_some());
    node.broker.clear_policy("/", "short").unwrap();
    assert_eq!(queue.options().expires_ms, Some(900));
}

#[test]
fn a_queue_in_use_goes_only_when_it_is_left() {
    let node = node(Some(500));
    let queue = node.queue("q");
    let consumer = node.consume(&queue, &Sink::open(), false, 0);
    set(&node, Some(700));
    node.pass(5000);
    assert!(node.vhost.has_queue("q"));
    node.broker.cancel(&consumer);
    assert!(goes_after(&node, 700));
}
