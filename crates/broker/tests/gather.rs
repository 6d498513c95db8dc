//! Gathering replies: by count, by deadline, over its bounds, and when nobody wants the answer.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;

use common::properties::{FORMAT_FULL, Full};
use common::{Node, Sink, see};
use ferry_broker::{
    Burst, GatherError, GatherSpec, Gathering, NoView, Policy, Published, Publisher,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Draft;

fn spec(count: Option<u64>, timeout_ms: Option<u64>, reply_to: &str) -> GatherSpec {
    GatherSpec {
        count,
        timeout_ms,
        reply_to: reply_to.as_bytes().to_vec(),
        format: FORMAT_FULL,
        properties: Full::new("answer", &[]).write(),
        persistent: false,
    }
}

fn prepare(node: &Node, spec: GatherSpec) -> Gathering {
    node.broker.gather(&node.vhost, spec).unwrap()
}

/// Begins a gathering and says where replies go.
fn begin(node: &Node, spec: GatherSpec) -> String {
    let gathering = prepare(node, spec);
    let key = gathering.key().to_owned();
    let mut burst = Burst::new();
    burst.gather(gathering);
    burst.submit(&node.broker);
    key
}

fn reply_with(node: &Node, key: &str, body: &[u8], full: &Full) -> Published {
    let properties = full.write();
    let draft = Draft {
        format: FORMAT_FULL,
        persistent: false,
        dead_lettered: false,
        priority: 0,
        ttl_ms: None,
        published_ms: node.broker.now(),
        deliver_at: None,
        id: None,
        exchange: b"",
        routing_key: key.as_bytes(),
        properties: &properties,
        body,
    };
    let mut publisher = Publisher::new(node.vhost.clone());
    let mut burst = Burst::new();
    let published = burst.publish(&node.broker, &mut publisher, &draft, &NoView, None);
    burst.submit(&node.broker);
    published.unwrap()
}

fn reply(node: &Node, key: &str, body: &[u8]) -> Published {
    reply_with(node, key, body, &Full::new("reply", &[]))
}

/// An answer: its body, whether it is complete, how many replies, and what is told of them.
type Answer = (Vec<u8>, bool, i128, Vec<Arguments>);

fn answer(node: &Node, queue: &str) -> Option<Answer> {
    let mut found = None;
    let queue = node.queue(queue);
    let mut take = |delivery: ferry_broker::Delivery<'_>| {
        let full = Full::read(delivery.message.properties()).unwrap();
        found = Some((see(&delivery).body, full));
    };
    node.broker.get(&queue, true, &mut take).unwrap();
    let (body, full) = found?;
    assert_eq!(
        full.message_id.as_deref(),
        Some("answer"),
        "its own properties"
    );
    let headers = full.headers;
    let Some(Value::Array(told)) = headers.get("x-gather-replies") else {
        panic!("no replies in {headers:?}");
    };
    let told = told.iter().map(|table| table.as_table().unwrap().clone());
    let complete = headers.get("x-gather-complete").unwrap().as_bool().unwrap();
    let count = headers
        .get("x-gather-received")
        .unwrap()
        .as_integer()
        .unwrap();
    Some((body, complete, count, told.collect()))
}

fn told(bytes: i64, received_ms: i64) -> Arguments {
    let mut told = Arguments::new();
    told.insert("bytes", bytes);
    told.insert("received_ms", received_ms);
    told.insert("message_id", "reply");
    told
}

fn late(node: &Node) -> u64 {
    let all = node.broker.metrics().all();
    all.iter()
        .find(|(name, _)| *name == "gather_replies_late")
        .unwrap()
        .1
}

#[test]
fn as_many_replies_as_asked_for_are_answered_at_once() {
    let node = Node::new();
    node.declare("answers", &[]);
    let key = begin(&node, spec(Some(3), None, "answers"));
    for (at, body) in ["one", "", "three"].iter().enumerate() {
        assert_eq!(answer(&node, "answers"), None, "after {at} replies");
        assert_eq!(reply(&node, &key, body.as_bytes()), Published::Routed);
        node.pass(10);
    }
    let all = vec![told(3, 0), told(0, 10), told(5, 20)];
    let expected = (b"onethree".to_vec(), true, 3, all);
    assert_eq!(answer(&node, "answers"), Some(expected));
    assert_eq!((node.broker.gatherings(), late(&node)), (0, 0));
    assert_eq!(reply(&node, &key, b"four"), Published::Unroutable);
    assert_eq!((answer(&node, "answers"), late(&node)), (None, 1));
}

#[test]
fn what_came_in_time_is_answered_at_the_deadline() {
    for (count, timeout_ms, after_ms) in [
        (Some(3), Some(700), 700),
        (Some(3), None, 5_000),
        (None, Some(40), 40),
    ] {
        for replies in 0..2 {
            let node = Node::new();
            node.declare("answers", &[]);
            let key = begin(&node, spec(count, timeout_ms, "answers"));
            assert_eq!(node.broker.next_deadline(), node.broker.now() + after_ms);
            for _ in 0..replies {
                reply(&node, &key, b"body");
            }
            node.pass(after_ms - 1);
            assert_eq!(answer(&node, "answers"), None, "{count:?} {timeout_ms:?}");
            node.pass(1);
            let (body, complete, found, told) = answer(&node, "answers").unwrap();
            assert_eq!((body.len() as i128, found), (replies * 4, replies));
            assert_eq!((complete, told.len() as i128), (false, replies));
            assert_eq!(node.broker.next_deadline(), u64::MAX);
        }
    }
}

#[test]
fn what_came_with_a_reply_is_told() {
    let node = Node::new();
    node.declare("answers", &[]);
    let key = begin(&node, spec(Some(1), None, "answers"));
    let full = Full::new("r-1", &[("who", "west".into()), ("n", 7i32.into())]);
    reply_with(&node, &key, b"body", &full);
    let told = &answer(&node, "answers").unwrap().3[0];
    assert_eq!(told.get("message_id"), Some(&Value::from("r-1")));
    assert_eq!(told.get("headers").unwrap().as_table(), Some(&full.headers));
}

#[test]
fn an_answer_keeps_the_rules_of_the_default_exchange_with_what_it_carries() {
    let node = Node::new();
    node.declare("answers", &[]);
    let required = ["message_id", "headers.x-gather-received"].map(Value::from);
    let said = Arguments::from_iter([
        ("pattern", Value::from("")),
        ("apply-to", Value::from("exchanges")),
        (
            "definition",
            Value::Table(Arguments::from_iter([(
                "require",
                Value::Array(required.to_vec()),
            )])),
        ),
    ]);
    let policy = Policy::read("/", "rules", &said).unwrap();
    node.broker.set_policy(policy).unwrap();
    begin(&node, spec(None, Some(10), "answers"));
    node.pass(10);
    let (_, complete, count, _) = answer(&node, "answers").unwrap();
    assert_eq!((complete, count), (false, 0));
}

#[test]
fn a_reply_too_much_ends_the_gathering_without_it() {
    let node = Node::new();
    node.declare("answers", &[]);
    let key = begin(&node, spec(Some(100), None, "answers"));
    let before = node.broker.memory().used_bytes();
    let body = vec![b'x'; 5 << 20];
    for _ in 0..3 {
        reply(&node, &key, &body);
    }
    let taken = node.broker.memory().used_bytes() - before;
    assert!(
        taken > 15 << 20,
        "replies are in the account of memory: {taken}"
    );
    assert!(
        node.broker.memory().blocked().is_some(),
        "and hold publishers"
    );
    reply(&node, &key, &body);
    let (found, complete, count, _) = answer(&node, "answers").unwrap();
    assert_eq!((found.len(), complete, count), (15 << 20, false, 3));
    node.pass(1);
    assert_eq!(node.broker.memory().used_bytes(), before);
    assert!(node.broker.memory().blocked().is_none());
}

#[test]
fn counts_and_times_out_of_range_are_refused() {
    let node = Node::new();
    for (count, timeout_ms, expected) in [
        (Some(0), None, Some(GatherError::Count(0))),
        (Some(1), None, None),
        (Some(10_000), Some(86_400_000), None),
        (Some(10_001), None, Some(GatherError::Count(10_001))),
        (Some(1), Some(0), Some(GatherError::Timeout(0))),
        (
            None,
            Some(86_400_001),
            Some(GatherError::Timeout(86_400_001)),
        ),
        (None, Some(u64::MAX), Some(GatherError::Timeout(u64::MAX))),
    ] {
        let spec = spec(count, timeout_ms, "q");
        let error = node.broker.gather(&node.vhost, spec).err();
        assert_eq!(error, expected);
    }
}

#[test]
fn a_virtual_host_has_so_many_gatherings_at_once() {
    let node = Node::new();
    node.declare("answers", &[]);
    let mut prepared: Vec<Gathering> = (0..9_999)
        .map(|_| prepare(&node, spec(Some(1), Some(100), "answers")))
        .collect();
    let key = begin(&node, spec(Some(1), None, "answers"));
    let refused = |node: &Node| {
        let refused = node
            .broker
            .gather(&node.vhost, spec(Some(1), None, "answers"));
        refused.err()
    };
    assert_eq!(refused(&node), Some(GatherError::TooMany("/".to_owned())));
    drop(prepared.pop());
    assert_eq!(refused(&node), None, "one that never began");
    let mut burst = Burst::new();
    for gathering in prepared.drain(..) {
        burst.gather(gathering);
    }
    burst.submit(&node.broker);
    assert_eq!(node.broker.gatherings(), 9_999);
    reply(&node, &key, b"");
    for _ in 0..50 {
        node.pass(100);
    }
    assert_eq!(
        (node.broker.gatherings(), node.ready("answers")),
        (0, 9_999)
    );
}

#[test]
fn nothing_is_gathered_for_who_is_gone_or_rolled_back() {
    let node = Node::new();
    let sink = Sink::open();
    let requester = node.broker.direct_reply_open(sink.clone());
    let other = node.broker.direct_reply_open(sink.clone());
    let keys: Vec<String> = (0..3)
        .map(|_| begin(&node, spec(Some(1), None, &requester)))
        .collect();
    let kept = begin(&node, spec(Some(2), None, &other));
    reply(&node, &keys[0], b"first");
    assert_eq!(
        sink.take().len(),
        1,
        "the answer goes to the requester itself"
    );
    let used = node.broker.memory().used_bytes();
    reply(&node, &kept, b"kept");
    node.broker.direct_reply_close(&requester);
    assert_eq!(node.broker.gatherings(), 1);
    assert!(!node.broker.direct_reply_exists(&keys[1]));
    assert_eq!(reply(&node, &keys[1], b"nobody"), Published::Unroutable);
    node.broker.direct_reply_close(&other);
    assert_eq!((node.broker.gatherings(), sink.take().len()), (0, 0));
    assert_eq!(node.broker.memory().used_bytes(), used);
    let mut burst = Burst::new();
    burst.gather(prepare(&node, spec(Some(1), None, "answers")));
    burst.clear();
    assert_eq!(
        (node.broker.gatherings(), node.broker.next_deadline()),
        (0, u64::MAX)
    );
}

#[test]
fn many_gatherings_at_once_keep_their_replies_apart() {
    let node = Node::new();
    node.declare("answers", &[]);
    let keys: Vec<String> = (0..1000)
        .map(|_| begin(&node, spec(Some(2), None, "answers")))
        .collect();
    let unique: std::collections::HashSet<&String> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len());
    for _ in 0..2 {
        for (number, key) in keys.iter().enumerate() {
            reply(&node, key, format!("<{number}>").as_bytes());
        }
    }
    for number in 0..1000 {
        let (body, complete, ..) = answer(&node, "answers").unwrap();
        let expected = format!("<{number}><{number}>");
        assert_eq!(
            (String::from_utf8(body).unwrap(), complete),
            (expected, true)
        );
    }
}

#[test]
fn replies_from_many_threads_end_a_gathering_once() {
    let node = Node::new();
    node.declare("answers", &[]);
    for _ in 0..20 {
        let key = Arc::new(begin(&node, spec(Some(50), None, "answers")));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (node, key) = (&node, Arc::clone(&key));
                scope.spawn(move || {
                    (0..25).for_each(|_| {
                        reply(node, &key, b"x");
                    })
                });
            }
        });
        node.pass(0);
        let (body, complete, count, _) = answer(&node, "answers").unwrap();
        assert_eq!((body.len(), complete, count), (50, true, 50));
        assert_eq!(answer(&node, "answers"), None);
    }
    assert_eq!(late(&node), 20 * 50);
}
