//! A node that needs nearly all memory: what clients of each protocol are told.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amqp091::Table;
use common::mqtt::{Mqtt, hello, node as mqtt_node};
use common::{Client, Node};
use ferry_broker::ConnectionInfo;
use ferry_core::routing::{Exchange, ExchangeKind};
use mqtt::{ReasonCode, Version};

/// What these nodes may take: far more than messages may.
const LIMIT_BYTES: u64 = 1 << 40;
/// How many come before the node asks how much it takes.
const UNSEEN_MAX: usize = 32;

/// The node takes all that it may, and knows it.
fn take_all(node: &Node) -> Arc<AtomicU64> {
    let used = Arc::new(AtomicU64::new(LIMIT_BYTES));
    let asked = Arc::clone(&used);
    let ask = move || Some(asked.load(Ordering::Relaxed));
    node.broker.watch_memory(LIMIT_BYTES, ask);
    let vhost = node.broker.vhost("/").unwrap();
    let declare = |number| vhost.declare_exchange(Exchange::new(number, ExchangeKind::Fanout));
    assert!((0..=UNSEEN_MAX).any(|number| declare(format!("x {number}")).is_err()));
    let connect = |_| node.broker.admit_connection(ConnectionInfo::default());
    assert!((0..=UNSEEN_MAX).any(|number| connect(number).is_err()));
    used
}

#[test]
fn amqp_clients_get_406_for_what_is_new_and_506_at_the_door() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let used = take_all(&node);

    client.send_declare(1, "new", false, false, &Table::new());
    let (code, text) = client.expect_channel_error(1);
    assert_eq!(code, 406);
    let expected = "PRECONDITION_FAILED - memory is short: the node needs ";
    assert!(text.starts_with(expected), "{text}");
    client.send_consume(1, "q", "c", true);
    assert_eq!(client.expect_channel_error(1).0, 406);
    client.declare(1, "q", false);

    let mut late = Client::raw(node.address);
    late.log_in_to_open(&[]);
    let (code, text) = late.expect_close(0);
    assert_eq!(code, 506);
    assert!(
        text.starts_with("RESOURCE_ERROR - memory is short"),
        "{text}"
    );

    used.store(0, Ordering::Relaxed);
    client.declare(1, "new", false);
    client.consume(1, "q", true);
    node.connect();
}

#[test]
fn mqtt_clients_are_told_that_a_quota_is_exceeded() {
    let node = mqtt_node();
    let mut first = Mqtt::open(&node, &hello(Version::V5, "first"));
    let used = take_all(&node);
    for (version, expected) in [
        (Version::V5, ReasonCode::QuotaExceeded),
        (Version::V4, ReasonCode::ServerUnavailable),
    ] {
        let mut late = Mqtt::begin(&node, &hello(version, "late"));
        assert_eq!(late.connack(), (false, expected));
    }
    first.ping();
    used.store(0, Ordering::Relaxed);
    Mqtt::open(&node, &hello(Version::V5, "late")).ping();
}
