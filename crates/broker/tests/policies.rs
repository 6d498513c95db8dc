//! Policies act on queues that are there and on those that come, and survive what queues survive.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use common::{Node, Sink};
use ferry_broker::{Outcome, Policy, PolicyError, PolicySet, QueueSpec};
use ferry_core::arguments::{Arguments, Value};

fn policy(name: &str, pattern: &str, priority: i64, settings: &[(&str, Value)]) -> Policy {
    let definition = Arguments::from_iter(settings.iter().cloned());
    let said = Arguments::from_iter([
        ("pattern", Value::from(pattern)),
        ("priority", Value::I64(priority)),
        ("definition", Value::Table(definition)),
    ]);
    Policy::read("/", name, &said).unwrap()
}

fn set(node: &Node, policy: Policy) -> PolicySet {
    node.broker.set_policy(policy).unwrap()
}

/// The name of the policy in force, and the length that it comes to.
fn in_force(node: &Node, queue: &str) -> (Option<String>, Option<u64>) {
    let queue = node.queue(queue);
    let name = queue.policy().map(|policy| policy.name.clone());
    (name, queue.options().max_length)
}

fn named(name: &str, max: u64) -> (Option<String>, Option<u64>) {
    (Some(name.to_owned()), Some(max))
}

#[test]
fn a_policy_acts_at_once_and_gives_the_arguments_back_when_it_goes() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("own", &[("x-max-length", Value::I32(3))]);
    node.publish("q", &["a", "b", "c", "d"]);
    let first = set(
        &node,
        policy("p", "^q|^own", 0, &[("max-length", 2.into())]),
    );
    assert!(first.created);
    assert_eq!(
        (in_force(&node, "q"), in_force(&node, "own")),
        (named("p", 2), named("p", 2))
    );
    assert_eq!(node.ready("q"), 2);
    node.publish("q", &["e"]);
    assert_eq!(
        (node.ready("q"), node.get("q").unwrap().body),
        (2, b"d".to_vec())
    );

    let again = set(
        &node,
        policy("p", "^q|^own", 0, &[("max-length", 5.into())]),
    );
    assert!(!again.created);
    assert_eq!(
        (in_force(&node, "q"), in_force(&node, "own")),
        (named("p", 5), named("p", 3))
    );
    node.declare("q-later", &[]);
    assert_eq!(in_force(&node, "q-later"), named("p", 5));

    node.broker.clear_policy("/", "p").unwrap();
    assert_eq!(in_force(&node, "q"), (None, None));
    assert_eq!(in_force(&node, "own"), (None, Some(3)));
    let gone = node.broker.clear_policy("/", "p").unwrap_err();
    assert_eq!(gone.to_string(), "no policy 'p' in vhost '/'");
    node.publish("q", &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(node.ready("q"), 7);
}

#[test]
fn the_next_policy_takes_over_when_one_is_changed_or_goes() {
    let node = Node::new();
    node.declare("q", &[]);
    set(&node, policy("low", "q", 1, &[("max-length", 1.into())]));
    set(
        &node,
        policy(
            "high",
            "q",
            2,
            &[("max-length", 2.into()), ("expires", 5.into())],
        ),
    );
    assert_eq!(in_force(&node, "q"), named("high", 2));
    set(
        &node,
        policy("high", "other", 2, &[("max-length", 2.into())]),
    );
    assert_eq!(in_force(&node, "q"), named("low", 1));
    let names: Vec<_> = node.broker.policies("/").unwrap();
    let names: Vec<_> = names.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["high", "low"]);
    let unknown = node.broker.policies("none").unwrap_err();
    assert_eq!(unknown, PolicyError::NoSuchVhost("none".to_owned()));
}

#[test]
fn queues_of_every_kind_of_life_are_covered() {
    let node = Node::new();
    set(&node, policy("p", ".*", 0, &[("max-length", 2.into())]));
    for (name, durable, exclusive) in [("transient", false, false), ("", false, true)] {
        let spec = QueueSpec {
            name: name.to_owned(),
            durable,
            exclusive,
            auto_delete: true,
            arguments: Arguments::new(),
        };
        let queue = node
            .vhost
            .declare_queue(spec, node.connection)
            .unwrap()
            .queue;
        assert_eq!(queue.options().max_length, Some(2), "{name}");
        node.broker.clear_policy("/", "p").unwrap();
        assert_eq!(queue.options().max_length, None, "{name}");
        set(&node, policy("p", ".*", 0, &[("max-length", 2.into())]));
    }
}

#[test]
fn dead_letters_go_where_the_policy_says() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("dead", &[]);
    let target: [(&str, Value); 2] = [
        ("dead-letter-exchange", "".into()),
        ("dead-letter-routing-key", "dead".into()),
    ];
    node.publish("q", &["a", "b"]);
    set(&node, policy("p", "^q$", 0, &target));
    let sink = Sink::open();
    node.consume(&node.queue("q"), &sink, false, 1);
    let seen = sink.take().remove(0);
    node.settle(&seen, Outcome::Reject);
    assert_eq!(node.ready("dead"), 1);
    node.broker.clear_policy("/", "p").unwrap();
    let seen = sink.take().remove(0);
    node.settle(&seen, Outcome::Reject);
    assert_eq!((node.ready("dead"), node.ready("q")), (1, 0));
}

#[test]
fn what_a_new_limit_drops_is_dead_lettered_and_stays_away_after_a_kill() {
    let mut node = Node::new();
    node.declare(
        "q",
        &[
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", "dead".into()),
        ],
    );
    node.declare("dead", &[]);
    node.publish("q", &["a", "b", "c"]);
    set(&node, policy("p", "^q$", 0, &[("max-length", 1.into())]));
    assert_eq!((node.ready("q"), node.ready("dead")), (1, 2));
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    assert_eq!((node.ready("q"), node.ready("dead")), (1, 2));
}

#[test]
fn an_unused_queue_has_its_whole_time_from_when_a_policy_sets_it() {
    let node = Node::new();
    node.declare("q", &[]);
    node.pass(60_000);
    set(&node, policy("p", "q", 0, &[("expires", 1000.into())]));
    node.pass(999);
    assert_eq!(node.vhost.queues().len(), 1);
    node.pass(1);
    assert_eq!(node.vhost.queues().len(), 0);
}

#[test]
fn policies_survive_a_kill_and_a_checkpoint() {
    for (checkpoint, after) in [(false, false), (true, false), (true, true)] {
        let node = Node::new();
        node.declare("q", &[("x-max-length", Value::I32(9))]);
        set(&node, policy("gone", "q", 9, &[("max-length", 1.into())]));
        set(
            &node,
            policy(
                "p",
                "q",
                0,
                &[("max-length", 2.into()), ("retry-delay", 7.into())],
            ),
        );
        node.broker.clear_policy("/", "gone").unwrap();
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        let mut expected = named("p", 2);
        if after {
            set(&node, policy("p", "q", 0, &[("max-length", 4.into())]));
            expected = named("p", 4);
        }
        let last = set(&node, policy("z", "other", 0, &[("expires", 1.into())]));
        assert!(!node.broker.kept(last.durable_at));
        node.broker.commit_log().unwrap();
        assert!(node.broker.kept(last.durable_at));
        let mut node = node.killed(2);
        assert_eq!(in_force(&node, "q"), expected, "{checkpoint} {after}");
        assert_eq!(node.broker.policies("/").unwrap().len(), 2);
        node.publish("q", &["a", "b", "c", "d", "e"]);
        assert_eq!(Some(node.ready("q")), expected.1);
        node.broker.clear_policy("/", "p").unwrap();
        assert_eq!(in_force(&node, "q"), (None, Some(9)));
        node.broker.commit_log().unwrap();
        let node = node.killed(3);
        assert_eq!(in_force(&node, "q"), (None, Some(9)));
    }
}

#[test]
fn a_refused_policy_changes_nothing() {
    let node = Node::new();
    node.declare("q", &[]);
    set(&node, policy("p", "q", 0, &[("max-length", 2.into())]));
    let bad = policy("p", "q", 0, &[("max-length", (-2).into())]);
    let refused = node.broker.set_policy(bad).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Validation failed\n\n-2 is not a valid maximum length\n"
    );
    assert_eq!(in_force(&node, "q"), named("p", 2));
    for number in 1..1000 {
        set(
            &node,
            policy(&format!("p{number}"), "none", 0, &[("expires", 1.into())]),
        );
    }
    let one_more = policy("q", "q", 9, &[("expires", 1.into())]);
    assert_eq!(node.broker.set_policy(one_more), Err(PolicyError::TooMany));
    assert!(!set(&node, policy("p", "q", 0, &[("max-length", 3.into())])).created);
}

/// The names of both policies in force, and the length that they come to.
fn both_in_force(node: &Node, queue: &str) -> (Option<String>, Option<String>, Option<u64>) {
    let (policy, max) = in_force(node, queue);
    let operator = node.queue(queue).operator_policy();
    (policy, operator.map(|policy| policy.name.clone()), max)
}

#[test]
fn an_operator_policy_limits_what_arguments_and_policies_say() {
    let mut node = Node::new();
    node.declare("q", &[]);
    node.declare("own", &[("x-max-length", Value::I32(3))]);
    let limit = |node: &Node, max: i32| {
        let operator = policy("o", "^q|^own", 0, &[("max-length", max.into())]);
        node.broker.set_operator_policy(operator).unwrap()
    };
    let user =
        |node: &Node, max: i32| set(node, policy("p", "^q", 0, &[("max-length", max.into())]));
    let named = |name: &str| Some(name.to_owned());
    assert!(limit(&node, 4).created);
    assert_eq!(both_in_force(&node, "q"), (None, named("o"), Some(4)));
    assert_eq!(both_in_force(&node, "own"), (None, named("o"), Some(3)));
    user(&node, 9);
    assert_eq!(both_in_force(&node, "q"), (named("p"), named("o"), Some(4)));
    user(&node, 2);
    assert_eq!(both_in_force(&node, "q"), (named("p"), named("o"), Some(2)));
    let shown = node.queue("q").effective_policy_definition();
    assert_eq!(shown, Arguments::from_iter([("max-length", 2)]));
    assert!(!limit(&node, 1).created);
    assert_eq!(both_in_force(&node, "q"), (named("p"), named("o"), Some(1)));
    node.publish("q", &["a", "b", "c"]);
    assert_eq!(node.ready("q"), 1);
    node.declare("q-later", &[]);
    assert_eq!(
        both_in_force(&node, "q-later"),
        (named("p"), named("o"), Some(1))
    );

    node.broker.clear_operator_policy("/", "o").unwrap();
    assert_eq!(both_in_force(&node, "q"), (named("p"), None, Some(2)));
    let gone = node.broker.clear_operator_policy("/", "o").unwrap_err();
    assert_eq!(gone.to_string(), "no operator policy 'o' in vhost '/'");
    assert_eq!(node.vhost.policies().len(), 1);
}

#[test]
fn an_operator_policy_says_nothing_but_limits() {
    let node = Node::new();
    let set = |settings: &[(&str, Value)]| {
        let operator = policy("o", ".*", 0, settings);
        node.broker
            .set_operator_policy(operator)
            .map(|set| set.created)
    };
    let refused = set(&[("queue-mode", "lazy".into())]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Validation failed\n\n[{<<\"queue-mode\">>,<<\"lazy\">>}] are not recognised \
         policy settings\n"
    );
    assert!(set(&[("kind-strict", true.into())]).is_err());
    assert_eq!(set(&[("expires", 5.into())]), Ok(true));
}

#[test]
fn operator_policies_survive_a_kill_and_a_checkpoint() {
    for checkpoint in [false, true] {
        let node = Node::new();
        node.declare("q", &[]);
        set(&node, policy("same", "q", 0, &[("max-length", 5.into())]));
        for (name, max) in [("same", 4), ("gone", 1)] {
            let operator = policy(name, "q", i64::from(5 - max), &[("max-length", max.into())]);
            node.broker.set_operator_policy(operator).unwrap();
        }
        let last = node.broker.clear_operator_policy("/", "gone").unwrap();
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        assert!(checkpoint || !node.broker.kept(last));
        node.broker.commit_log().unwrap();
        let mut node = node.killed(2);
        let named = || Some("same".to_owned());
        assert_eq!(both_in_force(&node, "q"), (named(), named(), Some(4)));
        node.publish("q", &["a", "b", "c", "d", "e"]);
        assert_eq!(node.ready("q"), 4);
        assert_eq!(node.vhost.operator_policies().len(), 1);
        node.broker.clear_policy("/", "same").unwrap();
        assert_eq!(both_in_force(&node, "q"), (None, named(), Some(4)));
    }
}
