//! Hash exchanges and filters of bindings over restarts.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;
use common::doors::{Door, Post, drain};
use ferry_broker::{BindingSpec, Exchange, ExchangeKind};
use ferry_core::arguments::Arguments;

const QUEUES: [&str; 5] = ["q0", "q1", "q2", "q3", "q4"];

fn bind(node: &Node, source: &str, queue: &str, key: &str, filter: Option<&str>) {
    let arguments: Arguments = filter.into_iter().map(|text| ("x-filter", text)).collect();
    let binding = BindingSpec {
        source,
        queue: Some(queue),
        exchange: None,
        routing_key: key.as_bytes(),
        arguments,
        connection: node.connection,
    };
    node.vhost.bind(&binding).unwrap();
}

/// Publishes by many keys, and gives what each queue got.
fn routed(node: &Node, exchange: &str) -> Vec<Vec<String>> {
    let mut door = Door::new(node, 1);
    for key in 0..60 {
        let key = format!("key {key}");
        door.send(node, &[Post::new(exchange, &key, &key)]);
    }
    QUEUES.iter().map(|queue| drain(node, queue)).collect()
}

#[test]
fn values_keep_their_queues_over_restarts() {
    for checkpoint in [false, true] {
        let mut node = Node::new();
        let kinds = [
            ("hash", ExchangeKind::ConsistentHash),
            ("modulus", ExchangeKind::ModulusHash),
        ];
        for (name, kind) in kinds {
            let exchange = Exchange::new(name, kind);
            node.vhost.declare_exchange(exchange).unwrap();
        }
        for (index, queue) in QUEUES.iter().enumerate() {
            node.declare(queue, &[]);
            for (name, _) in kinds {
                bind(&node, name, queue, &(index + 1).to_string(), None);
            }
        }
        // One that came and went leaves no trace.
        node.declare("gone", &[]);
        bind(&node, "hash", "gone", "9", None);
        bind(&node, "modulus", "gone", "", None);
        common::doors::delete(&node, "gone");
        let before = kinds.map(|(name, _)| routed(&node, name));
        for got in &before {
            assert_eq!(got.iter().map(Vec::len).sum::<usize>(), 60);
            assert!(got.iter().filter(|bodies| !bodies.is_empty()).count() > 3);
        }
        if checkpoint {
            node.broker.close().unwrap();
        } else {
            node.broker.commit_log().unwrap();
        }
        node = node.killed(2);
        assert_eq!(kinds.map(|(name, _)| routed(&node, name)), before);
    }
}

#[test]
fn filters_are_there_after_a_restart() {
    let mut node = Node::new();
    for queue in ["q0", "q1"] {
        node.declare(queue, &[]);
    }
    bind(&node, "amq.fanout", "q0", "", Some("v = 1"));
    bind(&node, "amq.fanout", "q1", "", Some("v IS NULL"));
    for _ in 0..3 {
        let mut door = Door::new(&node, 1);
        door.send(&node, &[Post::new("amq.fanout", "", "m")]);
        assert!(drain(&node, "q0").is_empty());
        assert_eq!(drain(&node, "q1"), ["m"]);
        node.broker.commit_log().unwrap();
        node = node.killed(2);
    }
}
