//! Messages cancelled and given another time; leases extended and ended.

use std::time::{Duration, Instant};

use ferry_broker::{Browse, MessageRef, OperateError, Outcome, Promise, Standing, What};
use ferry_core::arguments::Value;
use ferry_core::limits::DELAY_MS_MAX;

use crate::common::{Node, Sink};
use crate::support::*;

fn delayed(node: &mut Node, body: &str, at: u64) {
    let later = Post {
        deliver_at: Some(at),
        ..post("q", body)
    };
    later.send(node);
}

fn kept(node: &Node, promise: Promise) {
    assert!(!node.broker.kept(promise));
    node.broker.commit_log().unwrap();
    assert!(node.broker.kept(promise));
}

#[test]
fn a_cancelled_message_is_gone_for_good_ready_or_delayed() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    for body in ["a", "b", "c"] {
        post("q", body).send(&mut node);
    }
    delayed(&mut node, "d", 2_000_000);
    delayed(&mut node, "e", 2_000_000);
    let names = [
        name_of(&node, "q", What::Ready, "b"),
        name_of(&node, "q", What::Delayed, "d"),
    ];
    for name in names {
        let promise = node.broker.cancel_message(&queue, &name, ACTOR).unwrap();
        kept(&node, promise);
        let again = node.broker.cancel_message(&queue, &name, ACTOR);
        assert!(matches!(again, Err(OperateError::NotFound)));
    }
    assert_eq!(
        (queue.ready(), queue.delayed(), queue.unsettled()),
        (2, 1, 0)
    );
    let node = node.killed(2);
    assert_eq!(ready(&node, "q"), ["a", "c"]);
    assert_eq!(bodies(&node, "q", What::Delayed), ["e"]);
}

#[test]
fn what_somebody_has_is_not_cancelled() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    post("q", "a").send(&mut node);
    let name = name_of(&node, "q", What::Ready, "a");
    let sink = Sink::open();
    node.consume(&queue, &sink, false, 1);
    let held = name_of(&node, "q", What::Leased, "a");
    for name in [name, held] {
        let refused = node.broker.cancel_message(&queue, &name, ACTOR);
        assert!(matches!(refused, Err(OperateError::Leased)));
    }
    // Back at its place, the message has its old name again.
    let seen = sink.take().remove(0);
    sink.room.store(0, std::sync::atomic::Ordering::Relaxed);
    node.settle(&seen, Outcome::Requeue);
    node.broker.cancel_message(&queue, &name, ACTOR).unwrap();
    assert_eq!((queue.ready(), queue.unsettled()), (0, 0));
}

#[test]
fn a_name_out_of_date_finds_nothing() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("other", &[]);
    let transient = |body| {
        let mut one = post("q", body);
        one.full.persistent = false;
        one
    };
    transient("t0").send(&mut node);
    post("q", "p0").send(&mut node);
    node.broker.commit_log().unwrap();
    let names: Vec<MessageRef> = ["t0", "p0"]
        .map(|body| name_of(&node, "q", What::Ready, body))
        .into();
    let refused = node
        .broker
        .cancel_message(&node.queue("other"), &names[1], ACTOR);
    assert!(
        matches!(refused, Err(OperateError::NotFound)),
        "it is of another queue"
    );
    let mut node = node.killed(2);
    node.vhost.purge_queue("q", node.connection).unwrap();
    // Others stand at the same places now.
    for _ in 0..3 {
        transient("t1").send(&mut node);
        post("q", "p1").send(&mut node);
    }
    for name in &names {
        let text = name.to_string();
        let refused = node
            .broker
            .cancel_message(&node.queue("q"), &text.parse().unwrap(), ACTOR);
        assert!(matches!(refused, Err(OperateError::NotFound)));
    }
    assert_eq!(node.ready("q"), 6);
}

#[test]
fn a_name_survives_a_restart_if_it_still_names_its_message() {
    let mut node = Node::new();
    node.declare("q", &[]);
    for body in ["a", "b", "c"] {
        post("q", body).send(&mut node);
    }
    node.broker.commit_log().unwrap();
    let name = name_of(&node, "q", What::Ready, "b");
    node.broker.checkpoint().unwrap();
    let node = node.killed(2);
    node.broker
        .cancel_message(&node.queue("q"), &name, ACTOR)
        .unwrap();
    assert_eq!(ready(&node, "q"), ["a", "c"]);
}

#[test]
fn a_message_that_waits_is_given_another_time() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    delayed(&mut node, "a", 2_000_000);
    delayed(&mut node, "b", 1_400_000);
    let name = name_of(&node, "q", What::Delayed, "a");
    let (later, promise) = node
        .broker
        .reschedule_message(&queue, &name, 1_500_000, ACTOR)
        .unwrap();
    kept(&node, promise);
    let gone = node.broker.reschedule_message(&queue, &name, 9, ACTOR);
    assert!(matches!(gone, Err(OperateError::NotFound)));
    let listed = look(&node, "q", What::Delayed);
    assert_eq!(listed[1].name, later);
    assert_eq!(listed[1].standing, Standing::Delayed { until: 1_500_000 });
    let node = node.killed(2);
    node.pass(400_000);
    assert_eq!(ready(&node, "q"), ["b"]);
    node.pass(100_000);
    assert_eq!(ready(&node, "q"), ["b", "a"]);
}

#[test]
fn a_time_in_the_past_makes_it_ready() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    delayed(&mut node, "a", 2_000_000);
    let name = name_of(&node, "q", What::Delayed, "a");
    node.broker
        .reschedule_message(&queue, &name, 0, ACTOR)
        .unwrap();
    assert!(node.broker.next_deadline() <= node.broker.now());
    node.pass(0);
    assert_eq!(ready(&node, "q"), ["a"]);
}

#[test]
fn what_can_not_be_rescheduled_is_refused() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    post("q", "a").send(&mut node);
    delayed(&mut node, "b", 2_000_000);
    let (free, waits) = (
        name_of(&node, "q", What::Ready, "a"),
        name_of(&node, "q", What::Delayed, "b"),
    );
    let at = |name, at| node.broker.reschedule_message(&queue, &name, at, ACTOR);
    assert!(matches!(at(free, 5_000_000), Err(OperateError::NotDelayed)));
    let far = node.broker.now() + DELAY_MS_MAX;
    assert!(matches!(
        at(waits, far + 1),
        Err(OperateError::OutOfRange { .. })
    ));
    assert!(at(waits, far).is_ok());
}

#[test]
fn what_was_tried_and_waits_keeps_its_expiry_when_rescheduled() {
    let mut node = Node::new();
    let queue = node
        .declare("q", &[("x-retry-delay", Value::I32(10_000))])
        .queue;
    let mut one = post("q", "a");
    one.full.ttl_ms = Some(60_000);
    one.send(&mut node);
    let sink = Sink::open();
    let consumer = node.consume(&queue, &sink, false, 1);
    node.broker.cancel(&consumer);
    node.settle(&sink.take()[0], Outcome::Requeue);
    let name = name_of(&node, "q", What::Delayed, "a");
    let (later, _) = node
        .broker
        .reschedule_message(&queue, &name, 5_000_000, ACTOR)
        .unwrap();
    assert_eq!(look(&node, "q", What::Delayed)[0].name, later);
    assert_eq!(
        look(&node, "q", What::Delayed)[0].standing,
        Standing::Delayed { until: 1_060_000 }
    );
}

#[test]
fn all_that_waits_is_purged_and_nothing_else() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    post("q", "a").send(&mut node);
    (0..2000).for_each(|index| delayed(&mut node, "d", 2_000_000 + index));
    let (purged, promise) = node.broker.purge_delayed(&queue);
    kept(&node, promise);
    assert_eq!((purged, queue.delayed(), queue.ready()), (2000, 0, 1));
    let node = node.killed(2);
    assert_eq!(look(&node, "q", What::Delayed), []);
    assert_eq!(ready(&node, "q"), ["a"]);
}

#[test]
fn a_lease_is_extended_by_its_name() {
    let mut node = Node::new();
    let queue = node
        .declare("q", &[("x-lease-timeout", Value::I32(1_000))])
        .queue;
    post("q", "a").send(&mut node);
    let sink = Sink::open();
    let consumer = node.consume(&queue, &sink, false, 1);
    node.broker.cancel(&consumer);
    let name = name_of(&node, "q", What::Leased, "a");
    let extend = |ms| node.broker.extend_leased(&queue, &name, ms, ACTOR);
    node.pass(900);
    extend(None).unwrap();
    node.pass(900);
    assert_eq!(queue.unsettled(), 1);
    extend(Some(6 * 3_600_000)).unwrap();
    node.pass(6 * 3_600_000 - 1);
    assert_eq!(queue.unsettled(), 1);
    node.pass(1);
    assert_eq!((queue.unsettled(), queue.ready()), (0, 1));
    assert!(matches!(extend(None), Err(OperateError::NotFound)));
    for wrong in [0, DELAY_MS_MAX + 1] {
        assert!(matches!(
            extend(Some(wrong)),
            Err(OperateError::OutOfRange { .. })
        ));
    }
}

#[test]
fn a_lease_is_ended_for_its_holder_who_settles_too_late() {
    for (outcome, left) in [
        (Outcome::Accept, 0),
        (Outcome::Requeue, 1),
        (Outcome::Reject, 0),
        (Outcome::Release, 1),
    ] {
        let mut node = Node::new();
        let queue = node.declare("q", &[]).queue;
        post("q", "a").send(&mut node);
        let sink = Sink::open();
        let consumer = node.consume(&queue, &sink, false, 1);
        node.broker.cancel(&consumer);
        let name = name_of(&node, "q", What::Leased, "a");
        let promise = node
            .broker
            .end_leased(&queue, &name, outcome, ACTOR)
            .unwrap();
        kept(&node, promise);
        assert_eq!((queue.ready(), queue.unsettled()), (left, 0), "{outcome:?}");
        let again = node.broker.end_leased(&queue, &name, outcome, ACTOR);
        assert!(matches!(again, Err(OperateError::NotFound)));
        node.settle(&sink.take()[0], Outcome::Accept);
        assert_eq!(queue.ready(), left, "too late");
        let returns = u32::from(outcome == Outcome::Requeue);
        if let Some(listed) = look(&node, "q", What::Ready).first() {
            assert_eq!(listed.returns, returns);
        }
    }
}

#[test]
fn only_what_somebody_outside_has_is_a_lease() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    post("q", "a").send(&mut node);
    let name = name_of(&node, "q", What::Ready, "a");
    let refused = node
        .broker
        .end_leased(&queue, &name, Outcome::Accept, ACTOR);
    assert!(matches!(refused, Err(OperateError::NotLeased)));
    let full = [
        ("x-max-length", Value::I32(0)),
        ("x-overflow", Value::from("reject-publish")),
    ];
    node.declare("full", &full);
    let to_full = texts(&[
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "full"),
    ]);
    let queue = node.declare("source", &to_full).queue;
    post("source", "b").send(&mut node);
    kill_all(&mut node, "source");
    let name = name_of(&node, "source", What::Pending, "b");
    let refused = node
        .broker
        .end_leased(&queue, &name, Outcome::Accept, ACTOR);
    assert!(matches!(refused, Err(OperateError::NotLeased)));
    let refused = node.broker.extend_leased(&queue, &name, None, ACTOR);
    assert!(matches!(refused, Err(OperateError::NotLeased)));
}

#[test]
fn one_among_many_that_wait_is_cancelled_fast() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    for index in 0..20_000_u64 {
        delayed(&mut node, "d", 2_000_000 + index * 7919 % 20_000);
        if index % 1000 == 0 {
            node.broker.commit_log().unwrap();
        }
    }
    let mut browse = Browse {
        what: What::Delayed,
        limit: 1000,
        ..Browse::default()
    };
    let mut times = Vec::new();
    for left in (1..=20).rev() {
        let page = node.broker.browse(&queue, &browse).unwrap();
        browse.after = page.next;
        let name = page.messages[500].name;
        let began = Instant::now();
        node.broker.cancel_message(&queue, &name, ACTOR).unwrap();
        times.push(began.elapsed());
        assert_eq!(queue.delayed(), 20_000 - 21 + left);
    }
    times.sort_unstable();
    assert!(times[10] < Duration::from_millis(5), "{times:?}");
}
