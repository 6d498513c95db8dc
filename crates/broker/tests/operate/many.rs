//! Acts on many messages, looks at one, and what waits for a time.

use ferry_broker::{ConnectionId, MessageRef, MoveTo, OperateError, Outcome, Promise, Standing};
use ferry_core::arguments::Value;

use super::support::{ACTOR, bodies, die, look, post, ready, shop};
use crate::common::Node;
use ferry_broker::What;

fn names(node: &Node, queue: &str, what: What) -> Vec<MessageRef> {
    let listed = look(node, queue, what).into_iter();
    listed.map(|listed| listed.name).collect()
}

#[test]
fn many_are_dropped_and_what_is_not_there_is_counted() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    for body in ["a", "b", "c", "d"] {
        post("q", body).send(&mut node);
    }
    let mut all = names(&node, "q", What::Ready);
    all.truncate(3);
    let held = node.get_with_lease("q");
    all.push(all[1]);
    let acted = node.broker.cancel_messages(&queue, &all, ACTOR).unwrap();
    // The first is leased, the last was dropped before.
    assert_eq!((acted.done, acted.gone), (2, 2));
    assert!(acted.refused.is_none() && acted.durable_at != Promise::Now);
    assert_eq!(ready(&node, "q"), ["d"]);
    node.settle(&held, Outcome::Requeue);
    assert_eq!(ready(&node, "q"), ["a", "d"]);
    let nothing = node.broker.cancel_messages(&queue, &[], ACTOR).unwrap();
    assert_eq!((nothing.done, nothing.durable_at), (0, Promise::Now));
}

#[test]
fn many_are_moved_until_the_target_is_full() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let limits = [
        ("x-max-length", Value::I32(2)),
        ("x-overflow", Value::from("reject-publish")),
    ];
    node.declare("small", &limits);
    for body in ["a", "b", "c", "d"] {
        post("q", body).send(&mut node);
    }
    let all = names(&node, "q", What::Ready);
    let to = MoveTo::Queue("small".to_owned());
    let acted = node.broker.move_messages(&queue, &all, &to, ACTOR).unwrap();
    assert_eq!((acted.done, acted.gone), (2, 0));
    assert!(matches!(acted.refused, Some(OperateError::Refused(_))));
    assert_eq!(ready(&node, "small"), ["a", "b"]);
    assert_eq!(ready(&node, "q"), ["c", "d"]);
}

#[test]
fn one_message_is_looked_at_where_it_is() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let late = super::support::Post {
        deliver_at: Some(1_009_000),
        ..post("q", "late")
    };
    late.send(&mut node);
    post("q", "ready").send(&mut node);
    post("q", "second").send(&mut node);
    let first = names(&node, "q", What::Ready)[0];
    let listed = node.broker.look_at(&queue, &first, 3).unwrap();
    assert_eq!(
        (listed.standing, &listed.body[..], listed.size),
        (Standing::Ready, &b"rea"[..], 5)
    );
    let delayed = names(&node, "q", What::Delayed)[0];
    let listed = node.broker.look_at(&queue, &delayed, 10).unwrap();
    assert_eq!(listed.standing, Standing::Delayed { until: 1_009_000 });
    assert!(delayed.seq() < first.seq());
    node.get_with_lease("q");
    let gone = node.broker.look_at(&queue, &first, 3);
    assert!(matches!(gone, Err(OperateError::Leased)));
    let leased = names(&node, "q", What::Leased)[0];
    let listed = node.broker.look_at(&queue, &leased, 10).unwrap();
    let Standing::Leased { connection, .. } = listed.standing else {
        panic!("{:?}", listed.standing);
    };
    assert_eq!((connection, leased.seq()), (ConnectionId::NOBODY, None));
}

#[test]
fn what_waits_is_counted_by_its_time() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let count = |node: &Node, from, to| node.broker.count_delayed(&queue, from, to).unwrap();
    assert_eq!(count(&node, 0, u64::MAX), 0);
    for index in 0..5000u64 {
        let late = super::support::Post {
            deliver_at: Some(2_000_000 + index / 2),
            ..post("q", "x")
        };
        late.send(&mut node);
    }
    for (from, to, expected) in [
        (0, u64::MAX, 5000),
        (0, 1_999_999, 0),
        (2_000_000, 2_000_000, 2),
        (2_000_001, 2_000_003, 6),
        (2_002_499, u64::MAX, 2),
        (2_002_500, u64::MAX, 0),
        (5, 4, 0),
    ] {
        assert_eq!(count(&node, from, to), expected, "{from}..={to}");
    }
}

#[test]
fn a_replay_goes_only_where_its_user_may_write() {
    let mut node = Node::new();
    let (_, dead) = shop(&node);
    die(&mut node, &["a"]);
    let name = names(&node, "dead", What::Ready)[0];
    for (allowed, done) in [("elsewhere", false), ("orders", true)] {
        let may_write: ferry_broker::MayWrite =
            std::sync::Arc::new(move |exchange: &str| exchange == allowed);
        let broker = &node.broker;
        let replayed =
            broker.replay_message_where(&dead, &name, &MoveTo::Origin, None, ACTOR, &may_write);
        match replayed {
            Ok(_) => assert!(done),
            Err(OperateError::NotAllowed(exchange)) => {
                assert_eq!((done, exchange.as_str()), (false, "orders"));
                assert_eq!(ready(&node, "dead"), ["a"], "it is where it was");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(bodies(&node, "work", What::Ready), ["a"]);
}
