//! What the store has while the node runs, and after it was started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_broker::{Burst, ConfirmTag, RETAINED_QUEUE};
use ferry_core::message::{Draft, Message};

use crate::common::{Node, Sink};
use crate::support::*;

#[test]
fn a_topic_has_its_newest_message() {
    let mut node = Node::new();
    assert_eq!(all(&node), Topics::new());
    for (topic, body) in [("a.b", "1"), ("a.c", "2"), ("a.b", "3"), ("x", "4")] {
        set(&mut node, topic, body);
    }
    let expected = topics(&[("a.b", "3"), ("a.c", "2"), ("x", "4")]);
    assert_eq!(all(&node), expected);
    let of_a = topics(&[("a.b", "3"), ("a.c", "2")]);
    assert_eq!(find(node.vhost.retained(), "a.*"), of_a);
    assert_eq!(node.vhost.retained().read(b"a"), None);
    let stored = node.vhost.retained().read(b"x").unwrap();
    assert_eq!(Message::parse(&stored).unwrap().priority(), 3);
}

#[test]
fn an_empty_body_takes_away() {
    let mut node = Node::new();
    set(&mut node, "never", "");
    assert!(
        !node.vhost.has_queue(RETAINED_QUEUE),
        "there is nothing to take away"
    );
    set(&mut node, "a", "1");
    set(&mut node, "b", "2");
    for topic in ["a", "a", "never"] {
        set(&mut node, topic, "");
        assert_eq!(all(&node), topics(&[("b", "2")]));
    }
    set(&mut node, "a", "3");
    assert_eq!(all(&node), topics(&[("a", "3"), ("b", "2")]));
}

#[test]
fn in_one_burst_the_last_one_counts() {
    let mut node = Node::new();
    let bodies = ["1", "", "2", "3"];
    for (tag, body) in bodies.iter().enumerate() {
        let one = draft(&node, "a", body);
        stage(&mut node, &one, tag as u64).unwrap();
        let other = draft(&node, "b", "same");
        stage(&mut node, &other, 10 + tag as u64).unwrap();
    }
    let ticket = submit(&mut node);
    assert_eq!(ticket.rejected(), []);
    assert_eq!(all(&node), topics(&[("a", "3"), ("b", "same")]));
}

#[test]
fn what_a_publish_has_staged_is_staged_once() {
    let mut node = Node::new();
    node.declare("q", &[]);
    bind(&node, "q", "#");
    set(&mut node, "a", "first");
    for persistent in [true, false] {
        let draft = Draft {
            persistent,
            ..draft(&node, "a", "second")
        };
        let before = node.broker.log().end();
        stage(&mut node, &draft, 1).unwrap();
        assert_eq!(node.burst.staged_bytes(), draft.encoded_len());
        submit(&mut node);
        let written = node.broker.log().end().offset() - before.offset();
        // One body, and facts: that it came, where to, and that the one before it is gone.
        let facts_max = 200;
        assert!(
            written as usize <= draft.encoded_len() + facts_max,
            "{written}"
        );
    }
    assert_eq!(node.ready("q"), 3);
    assert_eq!(all(&node), topics(&[("a", "second")]));
    let Node {
        burst,
        broker,
        vhost,
        ..
    } = &mut node;
    // Without a publish before it.
    let stored = vhost.retained().read(b"a").unwrap();
    let other = Draft {
        routing_key: b"b",
        ..Message::parse(&stored).unwrap().draft()
    };
    burst.retain(broker, vhost, &other, None).unwrap();
    assert!(burst.submit(broker).is_none(), "nobody asked for a confirm");
    assert_eq!(all(&node), topics(&[("a", "second"), ("b", "second")]));
}

#[test]
fn a_restart_changes_nothing() {
    for (clean, checkpoint) in [(true, false), (false, true), (false, false)] {
        let mut node = Node::new();
        for number in 0..50 {
            set(
                &mut node,
                &format!("t.{}", number % 20),
                &number.to_string(),
            );
        }
        set(&mut node, "t.7", "");
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        let ticket = set(&mut node, "t.8", "last");
        let promise = ticket.resolved().unwrap();
        assert!(!node.broker.kept(promise));
        node.broker.commit_log().unwrap();
        assert!(
            node.broker.kept(promise),
            "though it asked for no more than once"
        );
        let before = all(&node);
        assert_eq!(before.len(), 19);
        if clean {
            node.broker.close().unwrap();
        }
        let mut node = node.killed(2);
        assert_eq!(all(&node), before, "clean: {clean}");
        set(&mut node, "t.8", "newer");
        assert_eq!(node.vhost.retained().count(), 19);
    }
}

#[test]
fn a_start_with_more_than_one_piece_is_whole() {
    let mut node = Node::new();
    for number in 0..10_000 {
        let topic = format!("d.{}.state", number % 9000);
        let draft = draft(&node, &topic, "x");
        stage(&mut node, &draft, number).unwrap();
    }
    submit(&mut node);
    node.broker.commit_log().unwrap();
    let bytes = node.vhost.retained().bytes();
    let node = node.killed(2);
    let store = node.vhost.retained();
    assert_eq!((store.count(), store.bytes()), (9000, bytes));
    let queue = node.queue(RETAINED_QUEUE);
    assert_eq!((queue.ready(), queue.unsettled()), (0, 9000));
    assert_eq!(store.matching(b"d.*.state", 100, None).topics.len(), 100);
}

#[test]
fn what_is_moved_in_the_log_is_still_read() {
    let mut node = Node::new();
    let body = "x".repeat(1000);
    for number in 0..1000 {
        let topic = if number % 50 == 0 { number } else { 1 };
        set(&mut node, &format!("t.{topic}"), &format!("{number}{body}"));
    }
    node.broker.commit_log().unwrap();
    node.broker.checkpoint().unwrap();
    let before = node.broker.log().cleaning().segments;
    for _ in 0..40 {
        node.broker.upkeep().unwrap();
    }
    assert!(node.broker.log().cleaning().segments < before / 2);
    for node in [node].into_iter().map(|node| node.killed(2)) {
        let found = all(&node);
        assert_eq!(found.len(), 21);
        assert_eq!(found["t.950"], format!("950{body}"));
        assert_eq!(found["t.1"], format!("999{body}"));
    }
}

#[test]
fn what_has_expired_is_gone() {
    let mut node = Node::new();
    set(&mut node, "a", "kept");
    assert_eq!(
        node.broker.next_deadline(),
        u64::MAX,
        "nothing is waited for"
    );
    set(&mut node, "b", "older");
    set_for(&mut node, "b", "soon over", 500);
    set_for(&mut node, "c", "later", 5000);
    set_for(&mut node, "d", "at once", 0);
    assert_eq!(node.broker.next_deadline(), node.broker.now() + 500);
    assert_eq!(all(&node).len(), 3);
    // Seen before it is swept.
    node.clock.0.fetch_add(500, Ordering::Relaxed);
    assert_eq!(node.vhost.retained().read(b"b"), None);
    assert_eq!(all(&node), topics(&[("a", "kept"), ("c", "later")]));
    node.pass(0);
    set_for(&mut node, "e", "between sweeps", 10);
    node.pass(10);
    assert_eq!(
        node.vhost.retained().count(),
        3,
        "the next sweep is not due"
    );
    node.pass(1000);
    assert_eq!(node.vhost.retained().count(), 2);
    node.pass(10_000);
    assert_eq!(all(&node), topics(&[("a", "kept")]));
    assert_eq!(node.broker.next_deadline(), u64::MAX);
}

#[test]
fn what_expires_while_the_node_is_down_does_not_give_way_to_an_older_one() {
    let mut node = Node::new();
    set(&mut node, "a", "older");
    set_for(&mut node, "a", "newer", 1000);
    set_for(&mut node, "b", "lasts", 1_000_000);
    node.broker.commit_log().unwrap();
    node.clock.0.fetch_add(2000, Ordering::Relaxed);
    let node = node.killed(2);
    assert_eq!(all(&node), topics(&[("b", "lasts")]));
    assert_ne!(
        node.broker.next_deadline(),
        u64::MAX,
        "it is waited for again"
    );
}

#[test]
fn a_transaction_retains_whole_or_not_at_all() {
    let mut node = Node::new();
    set(&mut node, "a", "1");
    let one = draft(&node, "a", "2");
    stage(&mut node, &one, 1).unwrap();
    assert_eq!(all(&node), topics(&[("a", "1")]));
    node.burst.clear();
    stage(&mut node, &one, 1).unwrap();
    let Node { broker, burst, .. } = &mut node;
    broker.commit(burst).unwrap();
    node.broker.commit_log().unwrap();
    assert_eq!(all(&node.killed(2)), topics(&[("a", "2")]));
}

#[test]
fn who_subscribes_gets_only_what_is_published() {
    let mut node = Node::new();
    node.declare("q", &[]);
    bind(&node, "q", "a.#");
    let sink = Sink::open();
    node.consume(&node.queue("q"), &sink, true, 0);
    set(&mut node, "a.b", "1");
    set(&mut node, "a.b", "2");
    assert_eq!(sink.bodies(), ["1", "2"]);
}

#[test]
fn topics_are_set_and_read_at_the_same_time() {
    let node = Node::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let node = &node;
                scope.spawn(move || {
                    let mut burst = Burst::new();
                    for number in 0..400 {
                        let topic = format!("t.{}", number % 7);
                        let body = format!("{writer}.{number}");
                        let body = if number % 5 == 0 { "" } else { &body };
                        let draft = draft(node, &topic, body);
                        let confirm = Some(ConfirmTag {
                            channel: 1,
                            tag: number,
                        });
                        burst
                            .retain(&node.broker, &node.vhost, &draft, confirm)
                            .unwrap();
                        burst.submit(&node.broker);
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut found = 0;
            while !stop.load(Ordering::Relaxed) {
                let page = node.vhost.retained().matching(b"t.*", 100, None);
                let read = |key: &Vec<u8>| node.vhost.retained().read(key);
                found += page.topics.iter().filter_map(read).count();
            }
            found
        });
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    node.broker.tick();
    let before = all(&node);
    node.broker.commit_log().unwrap();
    assert_eq!(all(&node.killed(2)), before);
}

#[test]
fn each_virtual_host_has_its_own() {
    let mut node = Node::new();
    set(&mut node, "a", "1");
    let spec = ferry_broker::VhostSpec {
        name: "other".to_owned(),
        ..Default::default()
    };
    node.broker.set_vhost(spec).unwrap();
    let other = node.broker.vhost("other").unwrap();
    assert_eq!(find(other.retained(), "#"), Topics::new());
    let mut burst = Burst::new();
    let draft = draft(&node, "a", "2");
    burst.retain(&node.broker, &other, &draft, None).unwrap();
    burst.submit(&node.broker);
    assert_eq!(find(other.retained(), "#"), topics(&[("a", "2")]));
    assert_eq!(all(&node), topics(&[("a", "1")]));
    node.broker.delete_vhost("other").unwrap();
    assert_eq!((other.retained().count(), other.retained().bytes()), (0, 0));
    assert!(burst.retain(&node.broker, &other, &draft, None).is_err());
    let kept: Arc<_> = Arc::clone(&other);
    drop(other);
    assert_eq!(kept.retained().read(b"a"), None);
}
