//! Many durable queues that nobody uses: what each takes, and that a checkpoint has them all.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::Node;

const QUEUES: usize = 40_000;
/// What a queue may take, with its names, its part of all tables, and its record on the disk in
/// memory that this test runs on. It was 630; what all queues share makes 400 more if they do not.
const BYTES_MAX: usize = 800;

/// What this process has in memory, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() << 10
}

fn declare(node: &Node, from: usize, to: usize) {
    for number in from..to {
        node.declare(&format!("idle.{number:07}"), &[]);
    }
}

#[test]
fn an_idle_queue_takes_little_and_a_checkpoint_has_it() {
    if !std::path::Path::new("/proc/self/status").exists() {
        return; // Another system: it can not be known.
    }
    let node = Node::new();
    // What a process needs at all is not a queue's.
    declare(&node, 0, QUEUES / 4);
    let before = resident_bytes();
    declare(&node, QUEUES / 4, QUEUES);
    let each = (resident_bytes() - before) / (QUEUES - QUEUES / 4);
    println!("{each} bytes for a queue");
    assert!(each <= BYTES_MAX, "{each} bytes for a queue");
    node.broker.checkpoint().unwrap();
    let node = node.killed(7);
    for number in [0, QUEUES / 2, QUEUES - 1] {
        assert_eq!(node.ready(&format!("idle.{number:07}")), 0);
    }
}
