//! What is noted and for how long, and who acts on messages.

use std::time::Instant;

use ferry_broker::{Edit, MoveTo, Policy, What};
use ferry_core::arguments::{Arguments, Value};

use crate::common::Node;
use crate::common::properties::Full;
use crate::support::{consume, name_of, noted, post, way};

#[test]
fn what_an_operator_does_is_told_with_who_did_it() {
    let mut node = Node::new();
    let (from, _to) = (noted(&node, "from", &[]), noted(&node, "to", &[]));
    let to = MoveTo::Queue("to".to_owned());
    let edit = Edit {
        properties: Some(Full::new("new", &[]).write()),
        ..Edit::default()
    };
    for (id, expected) in [
        ("moved", vec!["moved by tester [to] - from", "entered to"]),
        (
            "replayed",
            vec!["replayed by tester [to] - from", "entered to"],
        ),
        ("old", vec!["edited and replayed by tester [to] new from"]),
        ("cancelled", vec!["cancelled from by tester"]),
    ] {
        post("", "from", id).send(&mut node);
        let name = name_of(&node, &from, What::Ready);
        let broker = &node.broker;
        let done = match id {
            "moved" => broker.move_message(&from, &name, &to, "tester"),
            "cancelled" => broker.cancel_message(&from, &name, "tester"),
            "old" => broker.replay_message(&from, &name, &to, Some(&edit), "tester"),
            _ => broker.replay_message(&from, &name, &to, None, "tester"),
        };
        done.unwrap();
        assert_eq!(way(&node, id)[2..], expected, "{id}");
    }
    let new = ["edited and replayed by tester [to] old from", "entered to"];
    assert_eq!(way(&node, "new"), new);
}

#[test]
fn nothing_is_noted_without_a_passport_or_an_id() {
    let mut node = Node::new();
    node.declare("off", &[("x-passport", false.into())]);
    node.declare("plain", &[]);
    noted(&node, "on", &[]);
    for (queue, id) in [("off", "m"), ("plain", "m"), ("on", "")] {
        post("", queue, id).send(&mut node);
        node.get(queue).unwrap();
    }
    assert_eq!(node.broker.passport_usage(), (0, 0));
    assert!(node.broker.passport("/", b"").is_none());
    assert!(node.broker.passport("other", b"m").is_none());
}

#[test]
fn a_policy_switches_passports_on_and_off() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let definition = Arguments::from_iter([("passport", Value::Bool(true))]);
    let said = [
        ("pattern", Value::from(".*")),
        ("definition", definition.into()),
    ];
    let policy = Policy::read("/", "all", &Arguments::from_iter(said)).unwrap();
    node.broker.set_policy(policy).unwrap();
    post("", "q", "during").send(&mut node);
    node.broker.clear_policy("/", "all").unwrap();
    post("", "q", "after").send(&mut node);
    assert_eq!(way(&node, "during"), ["published /q", "entered q"]);
    assert!(way(&node, "after").is_empty());
}

#[test]
fn what_is_rolled_back_was_not_published() {
    let mut node = Node::new();
    noted(&node, "q", &[]);
    post("", "q", "rolled back").stage(&mut node);
    node.burst.clear();
    post("", "q", "committed").stage(&mut node);
    let Node { broker, burst, .. } = &mut node;
    broker.commit(burst).unwrap();
    assert!(way(&node, "rolled back").is_empty());
    assert_eq!(way(&node, "committed"), ["published /q", "entered q"]);
}

#[test]
fn what_was_before_a_restart_is_forgotten() {
    let mut node = Node::new();
    noted(&node, "q", &[]);
    post("", "q", "m").send(&mut node);
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    assert!(way(&node, "m").is_empty());
    node.get("q").unwrap();
    let since = way(&node, "m");
    assert_eq!(
        since,
        ["delivered q to (get) again for good"],
        "it goes on from here"
    );
}

#[test]
fn a_hundred_thousand_messages_fit_and_one_is_found_at_once() {
    let mut node = Node::new();
    let queue = noted(&node, "q", &[]);
    let (sink, _) = consume(&node, &queue, true);
    for number in 0..100_000 {
        post("", "q", &format!("{number:032}")).stage(&mut node);
        if number % 1000 == 999 {
            let Node { broker, burst, .. } = &mut node;
            burst.submit(broker);
            assert_eq!(sink.take().len(), 1000);
            node.broker.commit_log().unwrap();
        }
    }
    let (messages, bytes) = node.broker.passport_usage();
    assert_eq!(messages, 100_000, "{bytes} bytes");
    let start = Instant::now();
    for number in [0, 50_000, 99_999] {
        assert_eq!(way(&node, &format!("{number:032}")).len(), 3);
    }
    assert!(start.elapsed().as_millis() < 100, "{:?}", start.elapsed());
    node.broker.set_passport_bytes_max(1 << 20);
    assert!(node.broker.passport_usage().1 <= 1 << 20);
    assert!(way(&node, &format!("{:032}", 0)).is_empty());
    assert_eq!(way(&node, &format!("{:032}", 99_999)).len(), 3);
}
