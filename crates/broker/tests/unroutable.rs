//! What an exchange does with a message that has no route.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;
use common::doors::{CARRIED, Door, Post, bind, counter, drain, exchange, refusing};
use ferry_broker::{Delivery, MessageFormat, Published};
use ferry_core::arguments::{Arguments, Value};

fn node(more: &[(&str, Value)]) -> Node {
    let node = Node::new();
    let arguments: Vec<(&str, Value)> = more
        .iter()
        .cloned()
        .chain([("x-dead-letter-exchange", "dlx".into())])
        .collect();
    exchange(&node, "e", true, &arguments);
    exchange(&node, "dlx", true, &[]);
    node.declare("q", &[]);
    node.declare("lost", &[]);
    bind(&node, "e", "q", "known");
    bind(&node, "dlx", "lost", "#");
    node
}

fn headers_of_next(node: &Node, queue: &str) -> Arguments {
    let mut headers = Arguments::new();
    let mut take = |delivery: Delivery<'_>| {
        assert_eq!(delivery.message.format(), CARRIED);
        headers = common::doors::Carried.headers(delivery.message.properties());
    };
    assert!(
        node.broker
            .get(&node.queue(queue), true, &mut take)
            .unwrap()
    );
    headers
}

#[test]
fn it_goes_to_the_dead_letter_exchange_with_its_reason_and_counts_as_routed() {
    let node = node(&[]);
    let mut door = Door::new(&node, 1);
    let staged = door.stage(&node, &Post::new("e", "unknown", "1"));
    assert_eq!(staged, Published::Routed);
    assert_eq!(
        door.stage(&node, &Post::new("e", "known", "2")),
        Published::Routed
    );
    let ticket = door.burst.submit(&node.broker).unwrap();
    assert!(
        !node.broker.kept(ticket.resolved().unwrap()),
        "it is as durable as any other"
    );
    assert_eq!((node.ready("lost"), node.ready("q")), (1, 1));
    assert_eq!(counter(&node, "messages_unroutable"), 0);
    assert_eq!(counter(&node, "messages_dead_lettered"), 1);
    let headers = headers_of_next(&node, "lost");
    for (name, expected) in [("reason", "unroutable"), ("exchange", "e"), ("queue", "")] {
        let first = headers.get(&format!("x-first-death-{name}"));
        assert_eq!(first.and_then(Value::as_str), Some(expected), "{name}");
    }
    let Some(Value::Array(deaths)) = headers.get("x-death") else {
        panic!("a dead letter has a history");
    };
    let Value::Table(death) = &deaths[0] else {
        panic!("a death is a table");
    };
    let keys = Value::Array(vec![Value::from("unknown")]);
    assert!(death.get("routing-keys").unwrap().equals_by_value(&keys));
}

#[test]
fn without_a_target_it_is_dropped_as_ever() {
    let node = node(&[]);
    common::doors::unbind(&node, "dlx", "lost", "#");
    let mut door = Door::new(&node, 1);
    for deleted in [false, true] {
        if deleted {
            node.vhost.delete_exchange("dlx", false).unwrap();
        }
        let staged = door.stage(&node, &Post::new("e", "unknown", "1"));
        assert_eq!(staged, Published::Unroutable, "{deleted}");
        let ticket = door.burst.submit(&node.broker).unwrap();
        assert!(node.broker.kept(ticket.resolved().unwrap()));
    }
    assert_eq!(counter(&node, "messages_unroutable"), 2);
}

#[test]
fn a_full_target_refuses_the_publish() {
    let node = node(&[]);
    node.declare("full", &refusing(1));
    bind(&node, "dlx", "full", "#");
    let mut door = Door::new(&node, 1);
    let posts = [
        Post::new("e", "unknown", "1"),
        Post::new("e", "unknown", "2"),
    ];
    assert_eq!(door.send(&node, &posts).refused(), [1]);
}

#[test]
fn its_id_counts_as_it_is_stored() {
    let node = node(&[("x-message-deduplication", true.into())]);
    let mut door = Door::new(&node, 1);
    let post = Post::with_id("e", "unknown", "1");
    door.send(&node, &[post, post]);
    door.send(&node, &[post]);
    assert_eq!(drain(&node, "lost"), ["1"]);
}

#[test]
fn a_transaction_takes_it_along() {
    let node = node(&[]);
    let mut door = Door::new(&node, 1);
    door.stage(&node, &Post::new("e", "unknown", "1"));
    assert_eq!(node.ready("lost"), 0);
    door.commit(&node).unwrap();
    assert_eq!(drain(&node, "lost"), ["1"]);
}
