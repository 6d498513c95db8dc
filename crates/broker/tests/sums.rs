//! What queues, exchanges and virtual hosts have counted.

#![allow(clippy::unwrap_used)]

mod common;

use common::Node;
use common::doors::{bind, delete, exchange, take};
use ferry_broker::{MessageStats, Outcome, VhostSums};

fn sums(node: &Node) -> VhostSums {
    let vhost = node.broker.vhost("/").unwrap();
    vhost.sums(&vhost.queues(), &node.broker.connections())
}

#[test]
fn a_queue_counts_what_happens_in_it() {
    let mut node = Node::new();
    node.declare("jobs", &[]);
    node.publish("jobs", &["a", "b", "c"]);
    let queue = node.queue("jobs");
    let seen = take(&node, &queue).unwrap();
    assert_eq!(queue.unsettled_bytes(), 1);
    node.settle(&seen, Outcome::Requeue);
    let seen = take(&node, &queue).unwrap();
    node.settle(&seen, Outcome::Accept);
    let expected = MessageStats {
        publish: 3,
        get: 2,
        redeliver: 1,
        ack: 1,
        disk_writes: queue.stats().disk_writes,
        disk_reads: queue.stats().disk_reads,
        ..MessageStats::default()
    };
    assert_eq!(queue.stats(), expected);
    assert_eq!((queue.ready_bytes(), queue.unsettled_bytes()), (2, 0));
}

#[test]
fn sums_never_go_back_when_queues_and_exchanges_go() {
    let mut node = Node::new();
    exchange(&node, "events", true, &[]);
    node.declare("jobs", &[]);
    bind(&node, "events", "jobs", "a");
    node.publish("jobs", &["a", "b"]);
    let queue = node.queue("jobs");
    let seen = take(&node, &queue).unwrap();
    node.settle(&seen, Outcome::Accept);
    let before = sums(&node);
    assert_eq!(
        (before.stats.publish, before.stats.get, before.stats.ack),
        (2, 1, 1)
    );
    assert_eq!((before.ready, before.unsettled), (1, 0));
    let vhost = node.broker.vhost("/").unwrap();
    let passed = vhost.exchange_stats("");
    assert_eq!((passed.publish_in, passed.publish_out), (2, 2));
    assert_eq!(vhost.exchange_stats("events"), MessageStats::default());
    delete(&node, "jobs");
    vhost.delete_exchange("events", false).unwrap();
    let after = sums(&node);
    assert_eq!((after.stats, after.ready), (before.stats, 0));
}
