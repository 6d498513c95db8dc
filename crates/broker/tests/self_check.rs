//! A node that checks itself says whether it can do its work, in time, and leaves nothing.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::{Duration, Instant};

use common::Node;
use ferry_broker::{SelfCheckError, Threads};
use ferry_log::testing::Fault;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_node_that_works_says_so_and_keeps_nothing() {
    let node = Node::new();
    let threads = Threads::start(&node.broker).unwrap();
    for _ in 0..3 {
        let check = node.broker.check_itself(LONG).unwrap();
        assert!(check.confirmed_in <= check.took);
    }
    assert!(node.vhost.queues().is_empty());
    let measured = node.broker.measured();
    assert_eq!(measured.waited_ms.count(), 3);
    assert!(measured.sync_us.count() > 0);
    threads.stop().unwrap();
}

#[test]
fn a_disk_that_does_not_answer_is_told_in_time() {
    let node = Node::new();
    let began = Instant::now();
    let error = node.broker.check_itself(Duration::from_millis(50));
    assert!(
        matches!(error, Err(SelfCheckError::Late { .. })),
        "{error:?}"
    );
    assert!(began.elapsed() < LONG);
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("a queue was not on the disk after "),
        "{text}"
    );
}

#[test]
fn a_disk_that_fails_is_told() {
    let node = Node::new();
    node.disk.fail_call(1, Fault::Io, true);
    let threads = Threads::start(&node.broker).unwrap();
    let error = node
        .broker
        .check_itself(Duration::from_secs(1))
        .unwrap_err();
    assert!(
        matches!(error, SelfCheckError::Late { .. } | SelfCheckError::Log(_)),
        "{error}"
    );
    let error = node.broker.check_itself(LONG).unwrap_err();
    assert!(matches!(error, SelfCheckError::Log(_)), "{error}");
    assert!(threads.stop().is_err());
}
