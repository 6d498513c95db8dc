//! An exchange takes a message of one id once, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::doors::{self, Door, Post, bind, counter, drain, exchange, once, refusing};
use common::{Node, Sink};
use ferry_broker::{Choice, ConsumerSpec, Delivery, Outcome, Outlet, Promise, Published};
use ferry_core::arguments::Value;

/// An exchange `once` with the queue `a` for keys `a.*`, `b` for `b.*`, both for `both.*`.
fn node() -> Node {
    let node = Node::new();
    once(&node, "once");
    for queue in ["a", "b"] {
        node.declare(queue, &[]);
        bind(&node, "once", queue, &format!("{queue}.#"));
        bind(&node, "once", queue, "both.#");
    }
    node.broker.commit_log().unwrap();
    node
}

fn to<'a>(key: &'a str, id: &'a str) -> Post<'a> {
    Post::with_id("once", key, id)
}

fn ready(node: &Node) -> (u64, u64) {
    (node.ready("a"), node.ready("b"))
}

#[test]
fn an_id_counts_for_all_keys_and_bursts_and_connections() {
    for confirm in [false, true] {
        let node = node();
        let (mut one, mut two) = (Door::new(&node, 1), Door::new(&node, 2));
        let with = |post| Post { confirm, ..post };
        one.send(&node, &[with(to("a.x", "1")), with(to("b.x", "1"))]);
        assert_eq!(ready(&node), (1, 0), "in one burst");
        one.send(&node, &[with(to("both.x", "1"))]);
        assert_eq!(ready(&node), (1, 0), "in the next");
        two.send(&node, &[with(to("both.x", "1")), with(to("both.x", "2"))]);
        assert_eq!(ready(&node), (2, 1), "on another connection");
        one.send(&node, &[with(Post::new("once", "both.x", "no id")); 2]);
        assert_eq!(ready(&node), (4, 3), "without an id");
        assert_eq!(counter(&node, "messages_duplicate"), 3);
    }
}

#[test]
fn the_confirm_of_a_duplicate_waits_for_the_first_to_be_durable() {
    let node = node();
    let (mut one, mut two) = (Door::new(&node, 1), Door::new(&node, 2));
    let first = one.send(
        &node,
        &[Post {
            confirm: false,
            ..to("a.x", "1")
        }],
    );
    assert!(first.ticket.is_none());
    let first_end = node.broker.log().end();
    let second = two.send(&node, &[to("a.x", "1")]);
    assert!(matches!(second.promise(), Promise::Synced(end) if end >= first_end));
    assert!(!node.broker.kept(second.promise()));
    node.broker.commit_log().unwrap();
    assert!(node.broker.kept(second.promise()));
}

#[test]
fn a_duplicate_is_routed_even_where_nothing_is_bound_any_more() {
    let node = node();
    let mut door = Door::new(&node, 1);
    door.send(&node, &[to("a.x", "1")]);
    doors::unbind(&node, "once", "a", "a.#");
    assert_eq!(door.stage(&node, &to("a.x", "1")), Published::Routed);
    assert_eq!(door.stage(&node, &to("a.x", "2")), Published::Unroutable);
    door.burst.submit(&node.broker);
    bind(&node, "once", "a", "a.#");
    door.send(&node, &[to("a.x", "2")]);
    assert_eq!(ready(&node), (2, 0), "what went nowhere left no id behind");
}

#[test]
fn a_refused_message_leaves_no_id_behind() {
    let node = node();
    node.declare("full", &refusing(1));
    bind(&node, "once", "full", "full.#");
    bind(&node, "once", "full", "a.full");
    let mut door = Door::new(&node, 1);
    let sent = door.send(&node, &[to("full.x", "1"), to("full.x", "2")]);
    assert_eq!(sent.refused(), [1]);
    let again = door.send(&node, &[to("full.x", "1"), to("full.x", "2")]);
    assert_eq!(again.refused(), [1]);
    let partly = door.send(&node, &[to("a.full", "3")]);
    assert_eq!((partly.refused(), node.ready("a")), (vec![0], 1));
    assert_eq!(drain(&node, "full"), ["1"]);
    assert!(door.send(&node, &[to("a.full", "3")]).refused().is_empty());
    assert_eq!(
        (drain(&node, "full"), node.ready("a")),
        (vec!["3".into()], 2)
    );
    assert!(door.send(&node, &[to("a.full", "3")]).refused().is_empty());
    assert_eq!((node.ready("full"), node.ready("a")), (0, 2));
}

#[test]
fn a_duplicate_of_what_is_refused_in_the_same_burst_is_refused_as_well() {
    let node = node();
    node.declare("full", &refusing(1));
    bind(&node, "once", "full", "full.#");
    let mut door = Door::new(&node, 1);
    door.send(&node, &[to("full.x", "fills")]);
    let sent = door.send(
        &node,
        &[to("full.x", "1"), to("a.x", "2"), to("full.x", "1")],
    );
    assert_eq!(sent.refused(), [0, 2]);
}

/// Holds whoever delivers, inside the partition, until it is let go.
struct Gate {
    reached: mpsc::SyncSender<()>,
    go_on: std::sync::Mutex<mpsc::Receiver<()>>,
}

impl Outlet for Gate {
    fn admit(&self, _bytes: usize) -> bool {
        true
    }

    fn deliver(&self, _delivery: Delivery<'_>) {
        self.reached.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
    }

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}

#[test]
fn a_duplicate_of_a_message_under_way_waits_for_its_fate() {
    let node = node();
    node.declare("full", &refusing(1));
    bind(&node, "once", "full", "both.full");
    let (reached, was_reached) = mpsc::sync_channel(1);
    let (go_on, may_go_on) = mpsc::channel();
    let gate = Gate {
        reached,
        go_on: std::sync::Mutex::new(may_go_on),
    };
    let spec = ConsumerSpec {
        tag: "c".to_owned(),
        no_ack: true,
        exclusive: false,
        priority: 0,
        prefetch: 0,
        choice: Choice::default(),
        outlet: Arc::new(gate),
    };
    let mut door = Door::new(&node, 1);
    node.broker
        .consume(&node.queue("a"), spec, &mut || ())
        .unwrap();
    door.send(&node, &[Post::new("", "full", "fills")]);
    let let_go = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| door.send(&node, &[to("both.full", "1")]));
        was_reached.recv().unwrap();
        let second = scope.spawn(|| {
            let mut other = Door::new(&node, 2);
            other.stage(&node, &to("both.full", "1"));
            assert!(let_go.load(Ordering::SeqCst), "its fate is not known yet");
            (other.burst.submit(&node.broker), other)
        });
        std::thread::sleep(Duration::from_millis(50));
        let_go.store(true, Ordering::SeqCst);
        go_on.send(()).unwrap();
        assert_eq!(first.join().unwrap().refused(), [0]);
        was_reached.recv_timeout(Duration::from_secs(9)).unwrap();
        go_on.send(()).unwrap();
        let (ticket, _other) = second.join().unwrap();
        assert_eq!(
            ticket.unwrap().rejected().len(),
            1,
            "a resend, not a duplicate"
        );
    });
}

#[test]
fn a_transaction_adds_its_ids_when_it_commits() {
    let node = node();
    let (mut one, mut two) = (Door::new(&node, 1), Door::new(&node, 2));
    let tx = |key| Post {
        confirm: false,
        ..to(key, "1")
    };
    one.stage(&node, &tx("a.x"));
    one.burst.clear();
    one.stage(&node, &tx("a.x"));
    one.stage(&node, &tx("b.x"));
    assert_eq!(ready(&node), (0, 0));
    two.send(&node, &[to("both.x", "2")]);
    one.stage(
        &node,
        &Post {
            confirm: false,
            ..to("both.x", "2")
        },
    );
    one.commit(&node).unwrap();
    assert_eq!(ready(&node), (2, 1));
    two.stage(&node, &tx("both.x"));
    let promise = two.commit(&node).unwrap();
    assert_eq!(ready(&node), (2, 1));
    assert!(!node.broker.kept(promise), "the first is not durable yet");
}

#[test]
fn a_message_that_does_not_survive_a_restart_has_an_id_like_any_other() {
    let node = node();
    let mut door = Door::new(&node, 1);
    let transient = Post {
        persistent: false,
        ..to("both.x", "1")
    };
    door.send(&node, &[transient, transient]);
    door.send(&node, &[transient]);
    assert_eq!(ready(&node), (1, 1));
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    let mut door = Door::new(&node, 1);
    door.send(&node, &[transient]);
    assert_eq!(
        ready(&node),
        (1, 1),
        "nothing is known that nothing is left of"
    );
}

#[test]
fn an_exchange_that_is_deleted_forgets() {
    let node = node();
    let mut door = Door::new(&node, 1);
    door.send(&node, &[to("a.x", "1")]);
    node.vhost.delete_exchange("once", false).unwrap();
    once(&node, "once");
    bind(&node, "once", "a", "a.#");
    for expected in [2, 2] {
        door.send(&node, &[to("a.x", "1")]);
        assert_eq!(node.ready("a"), expected);
    }
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    Door::new(&node, 1).send(&node, &[to("a.x", "1")]);
    assert_eq!(node.ready("a"), 2);
}

#[test]
fn the_window_is_bounded_by_count_and_by_time() {
    let node = Node::new();
    let arguments: [(&str, Value); 3] = [
        ("x-message-deduplication", true.into()),
        ("x-cache-size", 2.into()),
        ("x-cache-ttl", 1000.into()),
    ];
    exchange(&node, "e", false, &arguments);
    node.declare("q", &[]);
    bind(&node, "e", "q", "#");
    let mut door = Door::new(&node, 1);
    for (id, wait_ms, ready) in [
        ("1", 0, 1),
        ("2", 0, 2),
        ("1", 0, 2),
        ("3", 0, 3), // pushes 1 out
        ("1", 0, 4), // pushes 2 out
        ("3", 999, 4),
        ("3", 1, 5), // its time is over
        ("3", 999, 5),
    ] {
        node.pass(wait_ms);
        door.send(&node, &[Post::with_id("e", "k", id)]);
        assert_eq!(node.ready("q"), ready, "{id} after {wait_ms}");
    }
}

#[test]
fn ids_survive_checkpoints_and_kills_whatever_was_declared_meanwhile() {
    for (checkpoint_at, close) in [(0, false), (1, false), (2, false), (9, false), (9, true)] {
        let node = node();
        let mut door = Door::new(&node, 1);
        for step in 0..3 {
            door.send(&node, &[to("both.x", &step.to_string())]);
            if step == checkpoint_at {
                node.broker.checkpoint().unwrap();
            }
            let newer = format!("newer{step}");
            once(&node, &newer);
            bind(&node, &newer, "b", "#");
            door.send(&node, &[Post::with_id(&newer, "k", "1")]);
        }
        node.broker.commit_log().unwrap();
        if close {
            node.broker.close().unwrap();
        }
        let node = node.killed(2);
        let mut door = Door::new(&node, 1);
        for step in 0..3 {
            door.send(&node, &[to("both.x", &step.to_string())]);
            door.send(&node, &[Post::with_id(&format!("newer{step}"), "k", "1")]);
        }
        assert_eq!(ready(&node), (3, 6), "{checkpoint_at} {close}");
        door.send(&node, &[to("both.x", "new")]);
        assert_eq!(ready(&node), (4, 7));
    }
}

#[test]
fn a_dead_letter_passes_an_exchange_that_knows_its_id() {
    let node = node();
    let to_once: [(&str, Value); 2] = [
        ("x-dead-letter-exchange", "once".into()),
        ("x-dead-letter-routing-key", "b.x".into()),
    ];
    node.declare("dying", &to_once);
    bind(&node, "once", "dying", "dying");
    let sink = Sink::open();
    node.consume(&node.queue("dying"), &sink, false, 0);
    let mut door = Door::new(&node, 1);
    door.send(&node, &[to("dying", "1")]);
    door.settle(&sink.take()[0], Outcome::Reject);
    door.burst.submit(&node.broker);
    assert_eq!(drain(&node, "b"), ["1"]);
}

#[test]
fn a_kill_at_any_place_leaves_no_id_without_its_message() {
    let node = node();
    node.declare("full", &refusing(1));
    bind(&node, "once", "full", "full.#");
    bind(&node, "once", "full", "both.full");
    node.broker.commit_log().unwrap();
    let start = node.broker.log().end().offset();
    let mut door = Door::new(&node, 1);
    let story = [
        ("a.x", "1"),
        ("both.x", "2"),
        ("full.x", "3"),
        ("full.x", "4"),    // refused
        ("both.full", "5"), // refused by one of three
    ];
    let mut ends = Vec::new();
    for (key, id) in story {
        let sent = door.send(&node, &[to(key, id)]);
        let Promise::Synced(end) = sent.promise() else {
            panic!("durable messages wait for the disk");
        };
        ends.push(sent.refused().is_empty().then_some(end.offset()));
    }
    node.broker.commit_log().unwrap();
    let (clock, mut kills) = (node.clock.clone(), 0);
    doors::cuts(&node.disk, start, |disk, cut| {
        kills += 1;
        let node = Node::on(disk, clock.clone(), 2);
        let before: Vec<_> = ["a", "b", "full"].map(|q| drain(&node, q)).to_vec();
        let mut door = Door::new(&node, 1);
        for ((key, id), end) in story.into_iter().zip(&ends) {
            let had = |queue: &Vec<String>| queue.iter().any(|body| body == id);
            let stored = before.iter().any(had);
            if end.is_some_and(|end| end <= cut) {
                assert!(stored, "{id} was confirmed before {cut}");
            }
            let sent = door.send(&node, &[to(key, id)]);
            assert!(sent.refused().is_empty(), "all was drained");
            let again = ["a", "b", "full"].map(|queue| drain(&node, queue));
            let stored_again = again.iter().any(had);
            let copies = u32::from(stored) + u32::from(stored_again);
            let partly = id == "5";
            assert!(
                copies == 1 || copies == 2 && partly,
                "{id} at {cut}: {before:?} {again:?}"
            );
        }
    });
    assert!(kills > 500);
}
