//! What is refused while the process takes nearly all memory, and what is not.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Node, Sink};
use ferry_broker::{BindingSpec, ConnectError, ConnectionInfo, ConsumeError, DefinitionError};
use ferry_core::arguments::Arguments;
use ferry_core::routing::{Exchange, ExchangeKind};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Of which messages may take one.
const LIMIT_BYTES: u64 = 7 * MIB;
/// What a checkpoint takes of all that is declared here, but for what is large, at most.
const CHECKPOINT_BYTES: u64 = 64 << 10;
/// A definition that is itself more than what has to be relieved.
const LARGE_BYTES: u64 = 800 << 10;
/// Of sixteen: below that they are let in again.
const RELIEVED: u64 = 15;
/// How many may come before the system is asked again.
const UNSEEN_MAX: usize = 32;

/// A node, and what its process takes of the memory.
fn node() -> (Node, Arc<AtomicU64>) {
    let node = Node::new();
    node.declare("q", &[]);
    let used = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&used);
    let ask = move || Some(asked.load(Ordering::Relaxed));
    node.broker.watch_memory(LIMIT_BYTES, ask);
    (node, used)
}

fn declare(node: &Node, name: &str) -> Result<(), DefinitionError> {
    node.try_declare(name, Arguments::new()).map(|_| ())
}

fn declare_exchange(node: &Node, name: &str) -> Result<(), DefinitionError> {
    let exchange = Exchange::new(name, ExchangeKind::Fanout);
    node.vhost.declare_exchange(exchange).map(|_| ())
}

fn binding(node: &Node, key: &'static str, arguments: Arguments) -> BindingSpec<'static> {
    BindingSpec {
        source: "amq.direct",
        queue: Some("q"),
        exchange: None,
        routing_key: key.as_bytes(),
        arguments,
        connection: node.connection,
    }
}

fn bind(node: &Node, key: &'static str) -> Result<(), DefinitionError> {
    let bound = node.vhost.bind(&binding(node, key, Arguments::new()));
    bound.map(|_| ())
}

fn connect(node: &Node) -> Result<(), ConnectError> {
    let admitted = node.broker.admit_connection(ConnectionInfo::default());
    admitted.map(|_| ())
}

fn consume(node: &Node) -> Result<(), ConsumeError> {
    let (queue, sink) = (node.queue("q"), Arc::new(Sink::default()));
    let consumer = node.try_consume(&queue, &sink, false, 0)?;
    node.broker.cancel(&consumer);
    Ok(())
}

/// How many of these are let in before one is refused.
fn let_in<E: PartialEq>(
    mut come: impl FnMut(String) -> Result<(), E>,
    is_no_room: impl Fn(&E) -> bool,
) -> usize {
    for count in 0..=UNSEEN_MAX {
        if let Err(error) = come(format!("new {count}")) {
            assert!(is_no_room(&error));
            return count;
        }
    }
    panic!("all are let in");
}

#[test]
fn nothing_new_is_declared_when_memory_is_nearly_taken() {
    let no_room = |error: &DefinitionError| matches!(error, DefinitionError::NoRoom(_));
    let (node, used) = node();
    declare_exchange(&node, "x").unwrap();
    bind(&node, "k").unwrap();
    used.store(5 * MIB - CHECKPOINT_BYTES, Ordering::Relaxed);
    (0..100).for_each(|number| declare(&node, &format!("early {number}")).unwrap());
    used.store(5 * MIB, Ordering::Relaxed);
    assert!(let_in(|name| declare(&node, &name), no_room) < UNSEEN_MAX);
    // From the first refusal on, every newcomer asks.
    assert_eq!(let_in(|name| declare_exchange(&node, &name), no_room), 0);
    assert_eq!(let_in(|_| bind(&node, "another"), no_room), 0);
    assert!(node.vhost.exchange("new 0").is_err());
    // What is there can be declared again, used and deleted.
    declare(&node, "q").unwrap();
    declare_exchange(&node, "x").unwrap();
    bind(&node, "k").unwrap();
    (0..100).for_each(|_| consume(&node).unwrap());
    (0..100).for_each(|_| connect(&node).unwrap());
    let deleted = node
        .vhost
        .delete_queue("early 7", false, false, node.connection);
    assert!(deleted.is_ok());
    used.store(RELIEVED * 5 * MIB / 16, Ordering::Relaxed);
    assert!(declare(&node, "not yet").is_err());
    used.store(
        RELIEVED * 5 * MIB / 16 - CHECKPOINT_BYTES,
        Ordering::Relaxed,
    );
    declare(&node, "again").unwrap();
    used.store(5 * MIB - CHECKPOINT_BYTES, Ordering::Relaxed);
    (0..100).for_each(|number| declare(&node, &format!("late {number}")).unwrap());
}

/// Whether something new is refused.
fn is_full(node: &Node) -> bool {
    let names = (0..=UNSEEN_MAX).map(|number| format!("x {number}"));
    let mut come = names.map(|name| declare_exchange(node, &name));
    let refused = come.any(|come| matches!(come, Err(DefinitionError::NoRoom(_))));
    (0..=UNSEEN_MAX).for_each(|number| {
        let deleted = node.vhost.delete_exchange(&format!("x {number}"), false);
        deleted.unwrap();
    });
    refused
}

#[test]
fn a_checkpoint_of_all_definitions_has_to_have_room_too() {
    let large = || {
        let mut arguments = Arguments::new();
        arguments.insert("x-app", "v".repeat(LARGE_BYTES as usize).as_str());
        arguments
    };
    // There is room for one of them.
    let used = RELIEVED * 5 * MIB / 16 - LARGE_BYTES - CHECKPOINT_BYTES;
    let watch = |node: &Node| node.broker.watch_memory(LIMIT_BYTES, move || Some(used));
    let node = Node::new();
    node.declare("q", &[]);
    watch(&node);
    node.try_declare("large", large()).unwrap();
    assert!(!is_full(&node));
    let bound = binding(&node, "large", large());
    node.vhost.bind(&bound).unwrap();
    assert!(is_full(&node));
    node.vhost.unbind(&bound).unwrap();
    assert!(!is_full(&node));
    node.vhost.bind(&bound).unwrap();
    assert!(is_full(&node));
    let deleted = node
        .vhost
        .delete_queue("large", false, false, node.connection);
    deleted.unwrap();
    assert!(!is_full(&node));
    node.try_declare("large", large()).unwrap();
    // A start knows it by what it reads, with and without a checkpoint.
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    watch(&node);
    assert!(is_full(&node));
    node.broker.checkpoint().unwrap();
    let node = node.killed(3);
    watch(&node);
    assert!(is_full(&node));
    node.vhost
        .unbind(&binding(&node, "large", large()))
        .unwrap();
    assert!(!is_full(&node));
}

#[test]
fn nobody_comes_in_when_what_definitions_leave_is_half_taken() {
    let (node, used) = node();
    used.store(6 * MIB, Ordering::Relaxed);
    let consumers = let_in(
        |_| consume(&node),
        |error| matches!(error, ConsumeError::NoRoom(_)),
    );
    assert!(consumers < UNSEEN_MAX);
    let connections = let_in(
        |_| connect(&node),
        |error| matches!(error, ConnectError::NoRoom(_)),
    );
    assert_eq!(connections, 0);
    used.store(
        RELIEVED * 6 * MIB / 16 - CHECKPOINT_BYTES,
        Ordering::Relaxed,
    );
    consume(&node).unwrap();
    connect(&node).unwrap();
}

#[test]
fn a_system_that_does_not_say_refuses_nothing() {
    let node = Node::new();
    node.broker.watch_memory(LIMIT_BYTES, || None);
    (0..100).for_each(|number| declare(&node, &format!("q {number}")).unwrap());
}

#[test]
fn a_node_whose_messages_may_take_all_is_not_watched() {
    let node = Node::new();
    node.broker.watch_memory(MIB, || Some(GIB));
    (0..100).for_each(|number| declare(&node, &format!("q {number}")).unwrap());
}
