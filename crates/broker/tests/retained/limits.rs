//! How much may be retained, and what a disk that is full does.

use ferry_broker::{RETAINED_LEVELS_MAX, RETAINED_QUEUE, RetainError};

use ferry_core::arguments::Value;

use crate::common::Node;
use crate::support::*;

fn refusal(node: &mut Node, topic: &str, body: &str) -> Option<RetainError> {
    let draft = draft(node, topic, body);
    let asked = node.vhost.may_retain(&draft).err();
    let refused = stage(node, &draft, 1).err();
    assert_eq!(asked, refused);
    if node.burst.is_empty() {
        node.burst.clear();
    } else {
        submit(node);
    }
    refused
}

#[test]
fn more_topics_than_the_limit_are_refused() {
    let mut node = Node::new();
    node.broker.set_retained_limits(2, u64::MAX);
    assert_eq!(refusal(&mut node, "a", "1"), None);
    assert_eq!(refusal(&mut node, "b", "1"), None);
    assert_eq!(
        refusal(&mut node, "c", "1"),
        Some(RetainError::TopicsMax(2))
    );
    assert_eq!(refusal(&mut node, "a", "2"), None, "it takes no place");
    assert_eq!(refusal(&mut node, "c", ""), None);
    assert_eq!(all(&node), topics(&[("a", "2"), ("b", "1")]));
    assert_eq!(refusal(&mut node, "a", ""), None);
    assert_eq!(refusal(&mut node, "c", "1"), None, "there is a place again");
    node.broker.set_retained_limits(0, u64::MAX);
    assert_eq!(
        refusal(&mut node, "d", "1"),
        Some(RetainError::TopicsMax(0))
    );
    assert_eq!(node.vhost.retained().count(), 2, "nothing goes for a limit");
}

#[test]
fn more_bytes_than_the_limit_are_refused() {
    let mut node = Node::new();
    let one = draft(&node, "a", "0123456789").encoded_len() as u64;
    node.broker.set_retained_limits(u64::MAX, one + 10);
    assert_eq!(refusal(&mut node, "a", "0123456789"), None);
    assert_eq!(refusal(&mut node, "b", ""), None);
    let refused = Some(RetainError::BytesMax(one + 10));
    assert_eq!(refusal(&mut node, "b", "0"), refused);
    assert_eq!(refusal(&mut node, "a", "01234567890123456789"), None);
    assert_eq!(refusal(&mut node, "a", "012345678901234567890"), refused);
    assert_eq!(node.vhost.retained().bytes(), one + 10);
}

#[test]
fn topics_of_all_virtual_hosts_take_a_part_of_memory() {
    let mut node = Node::new();
    let most = node.broker.memory().high_bytes() / 4;
    let name = |number: usize| format!("{number:0100}");
    let taken = (0..).find(|number| refusal(&mut node, &name(*number), "1").is_some());
    let taken = taken.unwrap();
    // Some 300 bytes and the name.
    assert!(
        (most / 600..most / 300).contains(&(taken as u64)),
        "{taken}"
    );
    assert_eq!(refusal(&mut node, &name(0), "2"), None, "it is there");
    let spec = ferry_broker::VhostSpec {
        name: "other".to_owned(),
        ..Default::default()
    };
    node.broker.set_vhost(spec).unwrap();
    let other = node.broker.vhost("other").unwrap();
    let refused = other.may_retain(&draft(&node, "a", "1"));
    assert_eq!(refused, Err(RetainError::MemoryMax), "there neither");
    assert_eq!(refusal(&mut node, &name(1), ""), None);
    assert_eq!(refusal(&mut node, &name(taken), "1"), None);
    assert_eq!(refusal(&mut node, "a", "1"), Some(RetainError::MemoryMax));
    let deleted = node
        .vhost
        .delete_queue(RETAINED_QUEUE, false, false, node.connection);
    deleted.unwrap();
    for number in 0..taken {
        assert_eq!(
            refusal(&mut node, &name(number), "1"),
            None,
            "all room again"
        );
    }
    assert_eq!(refusal(&mut node, "a", "1"), Some(RetainError::MemoryMax));
}

#[test]
fn deeper_topics_than_the_limit_are_refused() {
    let mut node = Node::new();
    let levels = |count: usize| ".".repeat(count - 1);
    assert_eq!(refusal(&mut node, &levels(RETAINED_LEVELS_MAX), "1"), None);
    let refused = refusal(&mut node, &levels(RETAINED_LEVELS_MAX + 1), "1");
    assert_eq!(refused, Some(RetainError::LevelsMax));
    assert_eq!(find(node.vhost.retained(), "#").len(), 1);
}

#[test]
fn no_place_for_the_queue_is_a_refusal() {
    let mut node = Node::new();
    let of = ferry_broker::LimitsOf::Vhost("/".into());
    node.broker
        .set_limit(of, "max-queues", &Value::from(0u32))
        .unwrap();
    let refused = refusal(&mut node, "a", "1");
    assert!(
        matches!(refused, Some(RetainError::Definition(_))),
        "{refused:?}"
    );
    assert_eq!(all(&node), Topics::new());
}

#[test]
fn on_a_full_disk_nothing_is_confirmed_and_nothing_lost() {
    let mut node = Node::new();
    let body = |number: u32| format!("{number}{}", "x".repeat(50 << 10));
    set(&mut node, "a", &body(0));
    node.broker.commit_log().unwrap();
    node.disk.enospc_after(0);
    // Some space is there already.
    let mut kept = 0;
    let promise = loop {
        let ticket = set(&mut node, "a", &body(kept + 1));
        node.broker.commit_log().unwrap();
        let promise = ticket.resolved().unwrap();
        if !node.broker.kept(promise) {
            break promise;
        }
        kept += 1;
        assert!(kept < 1000, "the disk is not full");
    };
    assert_eq!(all(&node), topics(&[("a", &body(kept + 1))]));
    let disk = node.disk.fork(3);
    disk.set_capacity(None);
    let killed = Node::on(disk, node.clock.clone(), 9);
    assert_eq!(
        all(&killed),
        topics(&[("a", &body(kept))]),
        "no more was confirmed"
    );
    node.disk.set_capacity(None);
    node.broker.commit_log().unwrap();
    assert!(node.broker.kept(promise));
    assert_eq!(all(&node.killed(2)), topics(&[("a", &body(kept + 1))]));
}

#[test]
fn deleting_the_queue_forgets_everything() {
    let mut node = Node::new();
    for life in 0..3 {
        set(&mut node, "a", &life.to_string());
        set_for(&mut node, "b", "1", 1000);
        assert_eq!(all(&node).len(), 2);
        let deleted = node
            .vhost
            .delete_queue(RETAINED_QUEUE, false, false, node.connection);
        deleted.unwrap();
        assert_eq!(all(&node), Topics::new());
        assert_eq!(node.vhost.retained().read(b"a"), None);
        set(&mut node, "a", "");
        node.pass(10_000);
    }
    set(&mut node, "c", "1");
    node.broker.commit_log().unwrap();
    assert_eq!(all(&node.killed(2)), topics(&[("c", "1")]));
}
