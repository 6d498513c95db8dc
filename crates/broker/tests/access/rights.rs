//! Permissions: what they allow, that changes count at once, and that they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::{
    AccessWaiter, Burst, Exchange, ExchangeKind, LimitsOf, NoView, PublishError, Published,
    Publisher, Resource, Right, User,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, FORMAT_AMQP091};

use crate::common::Node;
use crate::support::{add_user, login, permit, permit_topics};

const ALL: [&str; 3] = [".*", ".*", ".*"];

fn rights(user: &User, name: &str) -> [bool; 3] {
    [Right::Configure, Right::Write, Right::Read]
        .map(|right| user.may("/", right, Resource::Queue, name))
}

#[test]
fn permissions_say_what_a_user_may_do() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    let ann = login(&node.broker, "ann", "ann").unwrap();
    assert!(!ann.may_enter("/"));
    for (patterns, name, expected) in [
        (["", "", ""], "q", [false; 3]),
        (ALL, "anything", [true; 3]),
        (["^a", "b$", "c"], "ab", [true, true, false]),
        (["^$", "", "^q$"], "q", [false, false, true]),
        (["", "^amq\\.default$", ""], "", [false, true, false]),
    ] {
        permit(&node.broker, "ann", "/", patterns).unwrap();
        assert!(ann.may_enter("/"));
        assert_eq!(rights(&ann, name), expected, "{patterns:?} {name}");
    }
    assert!(!ann.may_enter("/other"));
    let refused = ann
        .check("/", Right::Read, Resource::Queue, "q")
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "read access to queue 'q' in vhost '/' refused for user 'ann'"
    );
    let refused = ann
        .check("/", Right::Read, Resource::Exchange, "")
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "read access to exchange 'amq.default' in vhost '/' refused for user 'ann'"
    );
    node.broker.clear_permission("ann", "/").unwrap();
    assert!(!ann.may_enter("/") && rights(&ann, "q") == [false; 3]);
    assert!(node.broker.clear_permission("ann", "/").is_err());
}

#[test]
fn topic_permissions_bound_routing_keys_of_one_exchange() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    let ann = login(&node.broker, "ann", "ann").unwrap();
    permit(&node.broker, "ann", "/", ALL).unwrap();
    permit_topics(&node.broker, "ann", "e", ["^{username}\\.", ""]).unwrap();
    for (right, exchange, key, expected) in [
        (Right::Write, "e", "ann.x", true),
        (Right::Write, "e", "bob.x", false),
        (Right::Read, "e", "ann.x", false),
        (Right::Write, "other", "bob.x", true),
    ] {
        let found = ann.may_topic("/", right, exchange, key.as_bytes());
        assert_eq!(found, expected, "{right} {exchange} {key}");
    }
    permit_topics(&node.broker, "ann", "c", ["^{client_id}$", ".*"]).unwrap();
    let client = ann.as_client("dev.*");
    assert!(client.may_topic("/", Right::Write, "c", b"dev.*"));
    assert!(!client.may_topic("/", Right::Write, "c", b"dev1"));
    node.broker
        .clear_topic_permission("ann", "/", Some("e"))
        .unwrap();
    assert!(ann.may_topic("/", Right::Write, "e", b"bob.x"));
    node.broker
        .clear_topic_permission("ann", "/", None)
        .unwrap();
    assert!(node.broker.topic_permissions().is_empty());
    assert!(
        node.broker
            .clear_topic_permission("ann", "/", None)
            .is_err()
    );
}

#[test]
fn what_names_nobody_or_is_no_pattern_is_refused() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    for (user, vhost, patterns) in [
        ("nobody", "/", ALL),
        ("ann", "/none", ALL),
        ("ann", "/", ["(", "", ""]),
        ("ann", "/", ["", "a{2,1}", ""]),
        ("ann", "/", ["", "", "(?=x)"]),
    ] {
        let found = permit(&node.broker, user, vhost, patterns);
        assert!(found.is_err(), "{user} {vhost} {patterns:?}");
    }
    assert!(permit_topics(&node.broker, "ann", "e", ["(", ""]).is_err());
    assert!(permit_topics(&node.broker, "nobody", "e", ["", ""]).is_err());
    assert_eq!(node.broker.permissions().len(), 1);
}

#[test]
fn users_and_rights_are_there_after_a_kill() {
    for checkpoint in [false, true] {
        let node = Node::new();
        for user in ["ann", "bob"] {
            add_user(&node.broker, user);
            permit(&node.broker, user, "/", ["^a", "^b", "^c"]).unwrap();
            permit_topics(&node.broker, user, "e", ["^w", "^r"]).unwrap();
        }
        node.broker.commit_log().unwrap();
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        node.broker.delete_user("bob").unwrap();
        node.broker.commit_log().unwrap();
        let node = node.killed(2);
        let ann = login(&node.broker, "ann", "ann").unwrap();
        assert!(login(&node.broker, "bob", "bob").is_err());
        assert_eq!(rights(&ann, "ax"), [true, false, false]);
        assert!(!ann.may_topic("/", Right::Write, "e", b"x"));
        assert_eq!(node.broker.permissions().len(), 2);
        assert_eq!(node.broker.topic_permissions().len(), 1);
    }
}

#[test]
fn a_user_who_was_deleted_has_nothing_even_if_the_name_is_used_again() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    permit(&node.broker, "ann", "/", ALL).unwrap();
    let of = || LimitsOf::User("ann".into());
    node.broker
        .set_limit(of(), "max-channels", &Value::I64(5))
        .unwrap();
    let before = login(&node.broker, "ann", "ann").unwrap();
    node.broker.delete_user("ann").unwrap();
    assert!(before.is_deleted() && !before.may_enter("/"));
    add_user(&node.broker, "ann");
    permit(&node.broker, "ann", "/", ALL).unwrap();
    assert!(before.is_deleted() && !before.may_enter("/"));
    assert_eq!(node.broker.limits_of(&of()).unwrap(), None);
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    assert_eq!(node.broker.limits_of(&of()).unwrap(), None);
    assert!(login(&node.broker, "ann", "ann").unwrap().may_enter("/"));
}

#[test]
fn what_is_sent_on_needs_a_right_where_it_goes() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    let ann = login(&node.broker, "ann", "ann").unwrap();
    permit(&node.broker, "ann", "/", ["", "^mine$", "^(q|e)$"]).unwrap();
    let to = |argument: &'static str, exchange: &str| {
        Arguments::from_iter([(argument, Value::Str(exchange.into()))])
    };
    for (name, argument, exchange, allowed) in [
        ("q", "x-dead-letter-exchange", "mine", true),
        ("q", "x-dead-letter-exchange", "other", false),
        ("q", "x-dead-letter-exchange", "", false),
        ("p", "x-dead-letter-exchange", "mine", false),
        ("q", "x-other", "other", true),
    ] {
        let found = ann.check_new_queue("/", name, &to(argument, exchange));
        assert_eq!(found.is_ok(), allowed, "{name} {argument} {exchange}");
    }
    for (name, argument, exchange, allowed) in [
        ("e", "alternate-exchange", "mine", true),
        ("e", "alternate-exchange", "other", false),
        ("e", "x-dead-letter-exchange", "other", false),
        ("f", "alternate-exchange", "mine", false),
    ] {
        let found = ann.check_new_exchange("/", name, &to(argument, exchange));
        assert_eq!(found.is_ok(), allowed, "{name} {argument} {exchange}");
    }
}

fn publish(node: &Node, publisher: &mut Publisher, exchange: &str, key: &str) -> String {
    let draft = Draft {
        format: FORMAT_AMQP091,
        published_ms: node.broker.now(),
        exchange: exchange.as_bytes(),
        routing_key: key.as_bytes(),
        body: b"b",
        ..Draft::default()
    };
    let mut burst = Burst::new();
    let published = burst.publish(&node.broker, publisher, &draft, &NoView, None);
    match published {
        Ok(Published::Routed) => "routed".to_owned(),
        Ok(Published::Unroutable) => "unroutable".to_owned(),
        Err(PublishError::AccessRefused(refused)) => refused.to_string(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_route_that_a_publisher_remembers_ends_with_its_right() {
    let node = Node::new();
    node.declare("q", &[]);
    let exchange = Exchange::new("e", ExchangeKind::Topic);
    node.vhost.declare_exchange(exchange).unwrap();
    add_user(&node.broker, "ann");
    permit(&node.broker, "ann", "/", ALL).unwrap();
    let ann = login(&node.broker, "ann", "ann").unwrap();
    let mut publisher = Publisher::new(Arc::clone(&node.vhost)).by(ann);
    let refused = |exchange: &str| {
        format!("write access to exchange '{exchange}' in vhost '/' refused for user 'ann'")
    };
    for _ in 0..2 {
        assert_eq!(publish(&node, &mut publisher, "", "q"), "routed");
        assert_eq!(publish(&node, &mut publisher, "e", "k"), "unroutable");
    }
    permit(&node.broker, "ann", "/", [".*", "^e$", ".*"]).unwrap();
    assert_eq!(
        publish(&node, &mut publisher, "", "q"),
        refused("amq.default")
    );
    assert_eq!(publish(&node, &mut publisher, "e", "k"), "unroutable");
    permit_topics(&node.broker, "ann", "e", ["^a", ".*"]).unwrap();
    assert_eq!(publish(&node, &mut publisher, "e", "a"), "unroutable");
    let topic = "write access to topic 'k' in exchange 'e' in vhost '/' refused for user 'ann'";
    assert_eq!(publish(&node, &mut publisher, "e", "k"), topic);
    node.broker.clear_permission("ann", "/").unwrap();
    assert_eq!(publish(&node, &mut publisher, "e", "a"), refused("e"));
    // Not even whether it is there is told.
    assert_eq!(publish(&node, &mut publisher, "none", "a"), refused("none"));
}

#[derive(Default)]
struct Told(AtomicU64);

impl AccessWaiter for Told {
    fn access_changed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_watches_hears_of_each_change() {
    let node = Node::new();
    let told = Arc::new(Told::default());
    let weak = Arc::downgrade(&told);
    node.broker.watch_access(weak);
    let heard = |what: &str| {
        let times = told.0.swap(0, Ordering::Relaxed);
        assert!(times > 0, "{what}");
    };
    add_user(&node.broker, "ann");
    assert_eq!(told.0.load(Ordering::Relaxed), 0, "nothing was taken");
    permit(&node.broker, "ann", "/", ALL).unwrap();
    heard("permission");
    node.broker.clear_permission("ann", "/").unwrap();
    heard("cleared");
    node.broker.delete_user("ann").unwrap();
    heard("deleted");
    node.broker.delete_vhost("/").unwrap();
    heard("vhost");
}
