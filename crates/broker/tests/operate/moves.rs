//! Messages moved to other queues.

use ferry_broker::{MoveTo, OperateError, Outcome, What};
use ferry_core::arguments::Value;

use crate::common::properties::Full;
use crate::common::{Node, Sink};
use crate::support::*;

fn to_queue(name: &str) -> MoveTo {
    MoveTo::Queue(name.to_owned())
}

fn move_body(node: &Node, what: What, body: &str, to: &MoveTo) -> Result<(), OperateError> {
    let name = name_of(node, "q", what, body);
    let promise = node
        .broker
        .move_message(&node.queue("q"), &name, to, ACTOR)?;
    node.broker.commit_log().unwrap();
    assert!(node.broker.kept(promise));
    Ok(())
}

#[test]
fn a_moved_message_is_the_same_byte_for_byte() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let target = node
        .declare("t", &[("x-max-priority", Value::I32(9))])
        .queue;
    let full = Full {
        priority: 3,
        ttl_ms: Some(50_000),
        ..Full::new("id", &[("x", Value::U16(5))])
    };
    let one = Post {
        full: full.clone(),
        ..post("q", "body")
    };
    one.send(&mut node);
    node.pass(20_000);
    move_body(&node, What::Ready, "body", &to_queue("t")).unwrap();
    let moved = look(&node, "t", What::Ready).remove(0);
    assert_eq!(moved.properties, full.write());
    assert_eq!(moved.routing_key, b"q");
    assert_eq!(
        (moved.priority, moved.returns, moved.redelivered),
        (3, 0, false)
    );
    assert_eq!(moved.published_ms, 1_000_000);
    assert_eq!(
        moved.expires_at,
        Some(1_070_000),
        "its time to live starts again"
    );
    assert_eq!((node.ready("q"), target.ready()), (0, 1));
    let node = node.killed(2);
    assert_eq!(
        (ready(&node, "q"), ready(&node, "t")),
        (vec![], vec!["body".to_owned()])
    );
}

#[test]
fn a_delay_is_over_when_its_message_is_moved() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("t", &[]);
    let later = Post {
        deliver_at: Some(9_000_000),
        ..post("q", "a")
    };
    later.send(&mut node);
    move_body(&node, What::Delayed, "a", &to_queue("t")).unwrap();
    assert_eq!(ready(&node, "t"), ["a"]);
    assert_eq!(node.queue("q").delayed(), 0);
}

#[test]
fn an_exchange_leads_it_to_all_of_its_queues() {
    let mut node = Node::new();
    node.declare("q", &[]);
    for queue in ["t1", "t2", "t3"] {
        node.declare(queue, &[]);
        bind(&node, "e", queue, "k");
    }
    post("q", "a").send(&mut node);
    post("q", "b").send(&mut node);
    let exchange = |key: Option<&str>| MoveTo::Exchange {
        name: "e".to_owned(),
        routing_key: key.map(|key| key.as_bytes().to_vec()),
    };
    move_body(&node, What::Ready, "a", &exchange(Some("k"))).unwrap();
    for queue in ["t1", "t2", "t3"] {
        let moved = look(&node, queue, What::Ready).remove(0);
        assert_eq!(
            (moved.exchange.as_slice(), moved.routing_key.as_slice()),
            (&b"e"[..], &b"k"[..])
        );
    }
    let lost = move_body(&node, What::Ready, "b", &exchange(None));
    assert!(
        matches!(lost, Err(OperateError::NotRouted)),
        "its own key is q"
    );
    let node = node.killed(2);
    assert_eq!(ready(&node, "q"), ["b"]);
    assert_eq!(
        (ready(&node, "t1"), ready(&node, "t3")),
        (vec!["a".to_owned()], vec!["a".to_owned()])
    );
}

#[test]
fn a_move_that_is_refused_leaves_the_message_where_it_was() {
    let mut node = Node::new();
    let queue = node.declare("q", &[]).queue;
    let limits = [
        ("x-max-length-bytes", Value::I32(8)),
        ("x-overflow", Value::from("reject-publish")),
    ];
    node.declare("full", &limits);
    node.declare("open", &[]);
    for queue in ["full", "open"] {
        bind(&node, "both", queue, "");
    }
    for body in ["a", "b", "c"] {
        post("q", body).send(&mut node);
    }
    let later = Post {
        deliver_at: Some(9_000_000),
        ..post("q", "later")
    };
    later.send(&mut node);
    post("full", "12345678").send(&mut node);
    let everywhere = MoveTo::Exchange {
        name: "both".to_owned(),
        routing_key: Some(Vec::new()),
    };
    let nowhere = MoveTo::Exchange {
        name: "nowhere".to_owned(),
        routing_key: None,
    };
    let long = MoveTo::Exchange {
        name: String::new(),
        routing_key: Some(vec![b'x'; 1 << 16]),
    };
    for (to, expected) in [
        (to_queue("full"), "queue 'full' is full"),
        (everywhere, "queue 'full' is full"),
        (to_queue("none"), "no queue 'none' in vhost '/'"),
        (nowhere, "no exchange 'nowhere' in vhost '/'"),
        (long, "the routing key must be at most 65535 bytes"),
        (
            MoveTo::Origin,
            "the message has no history of deaths that tells where it came from",
        ),
    ] {
        for (what, body) in [(What::Ready, "b"), (What::Delayed, "later")] {
            let before = (
                look(&node, "q", What::Ready),
                look(&node, "q", What::Delayed),
            );
            let refused = move_body(&node, what, body, &to).unwrap_err();
            assert_eq!(refused.to_string(), expected);
            let after = (
                look(&node, "q", What::Ready),
                look(&node, "q", What::Delayed),
            );
            assert_eq!(before, after, "{to:?}");
        }
    }
    assert_eq!(
        (queue.unsettled(), node.ready("open"), node.ready("full")),
        (0, 0, 1)
    );
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    assert_eq!(ready(&node, "q"), ["a", "b", "c"]);
    assert_eq!(ready(&node, "open"), Vec::<String>::new());
}

#[test]
fn a_queue_that_drops_its_head_makes_room() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("t", &[("x-max-length", Value::I32(2))]);
    for body in ["1", "2"] {
        post("t", body).send(&mut node);
    }
    post("q", "3").send(&mut node);
    move_body(&node, What::Ready, "3", &to_queue("t")).unwrap();
    assert_eq!(ready(&node, "t"), ["2", "3"]);
}

#[test]
fn a_waiting_consumer_gets_what_is_moved() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let target = node.declare("t", &[]).queue;
    let sink = Sink::open();
    node.consume(&target, &sink, false, 5);
    post("q", "a").send(&mut node);
    move_body(&node, What::Ready, "a", &to_queue("t")).unwrap();
    let seen = sink.take().remove(0);
    assert_eq!((seen.body.as_slice(), seen.count), (&b"a"[..], 0));
    node.settle(&seen, Outcome::Accept);
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    assert_eq!((node.ready("q"), node.ready("t")), (0, 0));
}

#[test]
fn a_moved_message_is_no_duplicate_of_itself() {
    let mut node = Node::new();
    let once = [("x-message-deduplication", Value::Bool(true))];
    node.declare("q", &once);
    node.declare("t", &once);
    post("q", "a").send(&mut node);
    move_body(&node, What::Ready, "a", &to_queue("t")).unwrap();
    let back = name_of(&node, "t", What::Ready, "a");
    let to = to_queue("q");
    node.broker
        .move_message(&node.queue("t"), &back, &to, ACTOR)
        .unwrap();
    assert_eq!(ready(&node, "q"), ["a"]);
}

#[test]
fn disk_space_of_what_was_moved_or_refused_comes_back() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("t", &[]);
    let limits = [
        ("x-max-length", Value::I32(0)),
        ("x-overflow", Value::from("reject-publish")),
    ];
    node.declare("full", &limits);
    post("q", "a").send(&mut node);
    let live = |node: &Node| -> u64 {
        let segments = node.broker.log().segments();
        segments.iter().map(|segment| segment.live_refs).sum()
    };
    let before = live(&node);
    assert!(move_body(&node, What::Ready, "a", &to_queue("full")).is_err());
    assert_eq!(live(&node), before);
    move_body(&node, What::Ready, "a", &to_queue("t")).unwrap();
    assert_eq!(live(&node), before);
    node.get("t").unwrap();
    assert_eq!(live(&node), before - 1);
}

#[test]
fn what_was_in_memory_becomes_durable_where_it_is_moved_to_and_the_other_way_round() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("t", &[]);
    node.declare("memory", &[("x-sync", Value::from("memory"))]);
    post("q", "a").send(&mut node);
    move_body(&node, What::Ready, "a", &to_queue("memory")).unwrap();
    assert!(!look(&node, "memory", What::Ready)[0].durable);
    let name = name_of(&node, "memory", What::Ready, "a");
    let to = to_queue("t");
    let promise = node
        .broker
        .move_message(&node.queue("memory"), &name, &to, ACTOR)
        .unwrap();
    node.broker.commit_log().unwrap();
    assert!(node.broker.kept(promise));
    assert!(look(&node, "t", What::Ready)[0].durable);
    let node = node.killed(2);
    assert_eq!(ready(&node, "t"), ["a"]);
}
