//! Rules of exchanges: what they let through, what they refuse, and how long they hold.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::Node;
use common::doors::{bind, exchange, once};
use common::properties::{FORMAT_FULL, Full};
use ferry_broker::{
    BindingSpec, Delivery, Exchange, ExchangeKind, Origin, Policy, PublishError, Published,
    Publisher,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Draft;

use Published::{Routed, Unroutable};

type Headers<'a> = &'a [(&'a str, Value)];

fn set(node: &Node, name: &str, pattern: &str, settings: &[(&str, Value)]) {
    let definition = Arguments::from_iter(settings.iter().cloned());
    let said = Arguments::from_iter([
        ("pattern", Value::from(pattern)),
        ("apply-to", Value::from("exchanges")),
        ("definition", Value::Table(definition)),
    ]);
    let policy = Policy::read("/", name, &said).unwrap();
    node.broker.set_policy(policy).unwrap();
}

/// A message to be published.
#[derive(Clone, Copy)]
struct Post<'a> {
    exchange: &'a str,
    key: &'a str,
    id: &'a str,
    headers: Headers<'a>,
    body: &'a str,
    deliver_at: Option<u64>,
}

impl<'a> Post<'a> {
    fn new(exchange: &'a str, key: &'a str, headers: Headers<'a>, body: &'a str) -> Post<'a> {
        Post {
            exchange,
            key,
            id: "id",
            headers,
            body,
            deliver_at: None,
        }
    }

    /// Publishes by a publisher that is known, and may have published before.
    fn publish(&self, node: &mut Node) -> Result<Published, String> {
        let full = Full::new(self.id, self.headers);
        let properties = full.write();
        let draft = Draft {
            format: FORMAT_FULL,
            persistent: true,
            published_ms: node.broker.now(),
            deliver_at: self.deliver_at,
            exchange: self.exchange.as_bytes(),
            routing_key: self.key.as_bytes(),
            properties: &properties,
            body: self.body.as_bytes(),
            ..Draft::default()
        };
        let Node {
            broker,
            burst,
            publisher,
            ..
        } = node;
        let published = burst.publish(broker, publisher, &draft, &full.headers, None);
        burst.submit(broker);
        published.map_err(|error| {
            assert!(matches!(error, PublishError::RuleBroken(_)), "{error}");
            error.to_string()
        })
    }
}

fn publish(node: &mut Node, exchange: &str, key: &str, headers: Headers<'_>) -> String {
    match Post::new(exchange, key, headers, "body").publish(node) {
        Ok(Routed) => "routed".to_owned(),
        Ok(Unroutable) => "unroutable".to_owned(),
        Err(refusal) => refusal,
    }
}

/// The headers of the next message of a queue.
fn headers(node: &Node, queue: &str) -> Option<Arguments> {
    let mut found = None;
    let mut take = |delivery: Delivery<'_>| {
        let full = Full::read(delivery.message.properties()).unwrap();
        assert_eq!(full.message_id.as_deref(), Some("id"));
        found = Some(full.headers);
    };
    let queue = node.queue(queue);
    node.broker.get(&queue, true, &mut take).unwrap();
    found
}

fn of(entries: Headers<'_>) -> Option<Arguments> {
    Some(entries.iter().cloned().collect())
}

fn set_headers(name: &str, value: &str) -> [(&'static str, Value); 1] {
    let headers = Arguments::from_iter([(name, value)]);
    [("set-headers", Value::Table(headers))]
}

#[test]
fn rules_act_at_once_on_exchanges_that_are_there_and_come() {
    let mut node = Node::new();
    node.declare("q", &[]);
    exchange(&node, "orders", true, &[]);
    bind(&node, "orders", "q", "k");
    let post = [("a", Value::from("mine"))];
    for (pattern, expected) in [
        (None, of(&post)),
        (Some("^orders$"), of(&[("a", "set".into())])),
        (Some("^other$"), of(&post)),
        (Some(".*"), of(&[("a", "set".into())])),
    ] {
        if let Some(pattern) = pattern {
            set(&node, "p", pattern, &set_headers("a", "set"));
        }
        assert_eq!(publish(&mut node, "orders", "k", &post), "routed");
        assert_eq!(headers(&node, "q"), expected, "{pattern:?}");
    }
    exchange(&node, "later", true, &[]);
    bind(&node, "later", "q", "k");
    for source in ["later", ""] {
        let key = if source.is_empty() { "q" } else { "k" };
        publish(&mut node, source, key, &post);
        assert_eq!(
            headers(&node, "q"),
            of(&[("a", "set".into())]),
            "'{source}'"
        );
    }
    let shown = |name: &str| {
        node.vhost
            .exchange_policy(name)
            .map(|policy| policy.name.clone())
    };
    assert_eq!(shown("later").as_deref(), Some("p"));
    assert_eq!(shown("").as_deref(), Some("p"));
    node.broker.clear_policy("/", "p").unwrap();
    assert_eq!(node.vhost.exchange_policy("later"), None);
    publish(&mut node, "later", "k", &post);
    assert_eq!(headers(&node, "q"), of(&post));
}

#[test]
fn the_rules_of_the_exchange_that_was_published_to_count() {
    let mut node = Node::new();
    node.declare("q", &[]);
    exchange(&node, "first", true, &[]);
    exchange(&node, "second", true, &[]);
    bind(&node, "second", "q", "#");
    let onwards = BindingSpec {
        source: "first",
        queue: None,
        exchange: Some("second"),
        routing_key: b"#",
        arguments: Arguments::new(),
        connection: node.connection,
    };
    node.vhost.bind(&onwards).unwrap();
    set(&node, "1", "^first$", &set_headers("by", "first"));
    set(&node, "2", "^second$", &[("max-message-bytes", 0.into())]);
    assert_eq!(publish(&mut node, "first", "k", &[]), "routed");
    assert_eq!(headers(&node, "q"), of(&[("by", "first".into())]));
    let refusal = publish(&mut node, "second", "k", &[]);
    assert!(refusal.contains("max-message-bytes"), "{refusal}");
}

#[test]
fn a_refusal_names_exchange_rule_and_reason_and_leaves_nothing() {
    let mut node = Node::new();
    node.declare("q", &[]);
    once(&node, "orders");
    bind(&node, "orders", "q", "#");
    set(&node, "p", "^orders$", &[("max-message-bytes", 4.into())]);
    let long = Post::new("orders", "k", &[], "too long");
    let short = Post::new("orders", "k", &[], "ok");
    assert_eq!(
        long.publish(&mut node).unwrap_err(),
        "exchange 'orders' in vhost '/' refuses the message: max-message-bytes: 8 bytes are more \
         than 4"
    );
    assert_eq!(node.ready("q"), 0);
    // Its id was not added: the same id is taken, once.
    for _ in 0..2 {
        assert_eq!(short.publish(&mut node), Ok(Routed));
        assert_eq!(node.ready("q"), 1);
    }
    assert!(long.publish(&mut node).is_err());
    let metrics = node.broker.metrics();
    assert_eq!(metrics.messages_refused.load(Ordering::Relaxed), 2);
    assert_eq!(metrics.messages_duplicate.load(Ordering::Relaxed), 1);
}

#[test]
fn a_burst_goes_on_without_what_was_refused() {
    let mut node = Node::new();
    node.declare("q", &[]);
    exchange(&node, "orders", true, &[]);
    bind(&node, "orders", "q", "#");
    set(&node, "p", "^orders$", &[("max-message-bytes", 4.into())]);
    let full = Full::new("id", &[]);
    let properties = full.write();
    for body in ["one", "too long", "two"] {
        let draft = Draft {
            format: FORMAT_FULL,
            persistent: true,
            exchange: b"orders",
            routing_key: b"k",
            properties: &properties,
            body: body.as_bytes(),
            ..Draft::default()
        };
        let Node {
            broker,
            burst,
            publisher,
            ..
        } = &mut node;
        let published = burst.publish(broker, publisher, &draft, &full.headers, None);
        assert_eq!(published.is_ok(), body.len() <= 4, "{body}");
    }
    node.broker.commit(&mut node.burst).unwrap();
    let bodies = [node.get("q"), node.get("q"), node.get("q")];
    let bodies = bodies.map(|seen| seen.map(|seen| seen.body));
    assert_eq!(bodies, [Some(b"one".to_vec()), Some(b"two".to_vec()), None]);
}

#[test]
fn rules_survive_a_kill_and_a_checkpoint() {
    for checkpoint in [false, true] {
        let node = Node::new();
        node.declare("q", &[]);
        exchange(&node, "orders", true, &[]);
        for source in ["orders", "amq.topic"] {
            bind(&node, source, "q", "#");
        }
        let schema = Arguments::from_iter([("type", "integer")]);
        let [headers_rule] = set_headers("a", "set");
        let settings = [headers_rule, ("body-schema", Value::Table(schema))];
        set(&node, "p", ".*", &settings);
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        node.broker.commit_log().unwrap();
        let mut node = node.killed(2);
        for (source, key) in [("orders", "k"), ("amq.topic", "k"), ("", "q")] {
            let refused = Post::new(source, key, &[], "text").publish(&mut node);
            assert!(refused.unwrap_err().contains("body-schema"), "{source}");
            let kept = Post::new(source, key, &[], "5").publish(&mut node);
            assert_eq!(kept, Ok(Routed), "{source}");
            assert_eq!(headers(&node, "q"), of(&[("a", "set".into())]), "{source}");
        }
    }
}

#[test]
fn a_message_is_routed_as_it_is_amended() {
    let mut node = Node::new();
    node.declare("q", &[]);
    let by_headers = Exchange::new("h", ExchangeKind::Headers);
    node.vhost.declare_exchange(by_headers).unwrap();
    let binding = BindingSpec {
        source: "h",
        queue: Some("q"),
        exchange: None,
        routing_key: b"",
        arguments: Arguments::from_iter([("a", "set")]),
        connection: node.connection,
    };
    node.vhost.bind(&binding).unwrap();
    assert_eq!(publish(&mut node, "h", "", &[]), "unroutable");
    set(&node, "p", "^h$", &set_headers("a", "set"));
    assert_eq!(publish(&mut node, "h", "", &[("a", 5.into())]), "routed");
    set(
        &node,
        "p",
        "^h$",
        &[("remove-headers", Value::Array(vec!["a".into()]))],
    );
    assert_eq!(
        publish(&mut node, "h", "", &[("a", "set".into())]),
        "unroutable"
    );
}

#[test]
fn a_message_is_intercepted_once_whatever_becomes_of_it() {
    let mut node = Node::new();
    let dead = [
        ("x-dead-letter-exchange", "again".into()),
        ("x-message-ttl", 1.into()),
    ];
    node.declare("q", &dead);
    node.declare("dead", &[]);
    exchange(&node, "orders", true, &[]);
    exchange(&node, "again", true, &[]);
    bind(&node, "orders", "q", "#");
    bind(&node, "again", "dead", "#");
    set(&node, "1", "^orders$", &[("stamp-time", true.into())]);
    set(&node, "2", "^again$", &[("max-message-bytes", 0.into())]);
    let now = i64::try_from(node.broker.now()).unwrap();
    let later = Post {
        deliver_at: Some(node.broker.now() + 50),
        ..Post::new("orders", "k", &[], "body")
    };
    assert_eq!(later.publish(&mut node), Ok(Routed));
    set(&node, "1", "^orders$", &set_headers("too", "late"));
    node.pass(50);
    node.pass(1);
    let found = headers(&node, "dead").unwrap();
    assert_eq!(found.get("timestamp_in_ms"), Some(&Value::I64(now)));
    assert_eq!(
        (found.contains("too"), found.contains("x-death")),
        (false, true)
    );
}

#[test]
fn the_origin_is_who_published() {
    let mut node = Node::new();
    node.declare("q", &[]);
    set(&node, "p", "^$", &[("stamp-origin", true.into())]);
    let origin = Origin {
        user: "ann".to_owned(),
        address: "192.0.2.1:7".to_owned(),
    };
    let forged = [("x-origin-user", Value::from("root"))];
    publish(&mut node, "", "q", &forged);
    assert_eq!(headers(&node, "q"), of(&[("x-origin-exchange", "".into())]));
    node.publisher = Publisher::new(Arc::clone(&node.vhost)).with_origin(Arc::new(origin));
    publish(&mut node, "", "q", &forged);
    let expected = [
        ("x-origin-user", "ann".into()),
        ("x-origin-address", "192.0.2.1:7".into()),
        ("x-origin-exchange", "".into()),
    ];
    assert_eq!(headers(&node, "q"), of(&expected));
}

#[test]
fn kinds_are_checked_and_counted_where_an_exchange_is_strict() {
    let mut node = Node::new();
    for queue in ["one", "two"] {
        node.declare(queue, &[]);
    }
    exchange(
        &node,
        "strict",
        true,
        &[("alternate-exchange", "spare".into())],
    );
    exchange(&node, "spare", true, &[]);
    bind(&node, "strict", "one", "one");
    bind(&node, "strict", "one", "both");
    bind(&node, "strict", "two", "both");
    bind(&node, "spare", "two", "spare");
    let kind = |kind: &str| [("x-kind", Value::from(kind))];
    assert_eq!(
        publish(&mut node, "strict", "none", &kind("command")),
        "unroutable"
    );
    set(&node, "p", "^strict$", &[("kind-strict", true.into())]);
    let command =
        |queues| format!("a command goes to exactly one queue, this one would go to {queues}");
    for (kind_of, key, expected) in [
        ("command", "one", "routed".to_owned()),
        ("command", "spare", "routed".to_owned()),
        ("command", "none", command(0)),
        ("command", "both", command(2)),
        ("event", "none", "unroutable".to_owned()),
        ("event", "both", "routed".to_owned()),
        ("document", "both", "routed".to_owned()),
        ("query", "one", "a query needs reply_to".to_owned()),
        ("order", "one", "x-kind 'order' is none of".to_owned()),
    ] {
        let found = publish(&mut node, "strict", key, &kind(kind_of));
        assert!(found.contains(&expected), "{kind_of} {key}: {found}");
    }
    assert_eq!(publish(&mut node, "strict", "both", &[]), "routed");
    let metrics = node.broker.metrics();
    let counted = [
        &metrics.commands_published,
        &metrics.events_published,
        &metrics.documents_published,
        &metrics.queries_published,
        &metrics.messages_refused,
    ];
    let counted = counted.map(|counter| counter.load(Ordering::Relaxed));
    assert_eq!(counted, [2, 2, 1, 0, 4]);
}

#[test]
fn an_alternate_exchange_may_come_from_a_policy() {
    let mut node = Node::new();
    for queue in ["own", "policy"] {
        node.declare(queue, &[]);
    }
    exchange(&node, "plain", true, &[]);
    exchange(
        &node,
        "has",
        true,
        &[("alternate-exchange", "a-own".into())],
    );
    exchange(&node, "a-own", true, &[]);
    exchange(&node, "a-policy", true, &[]);
    bind(&node, "a-own", "own", "#");
    bind(&node, "a-policy", "policy", "#");
    let outcome =
        |node: &mut Node| ["plain", "has", ""].map(|source| publish(node, source, "no-queue", &[]));
    assert_eq!(outcome(&mut node), ["unroutable", "routed", "unroutable"]);
    set(
        &node,
        "p",
        ".*",
        &[("alternate-exchange", "a-policy".into())],
    );
    assert_eq!(outcome(&mut node), ["routed", "routed", "unroutable"]);
    assert_eq!((node.ready("own"), node.ready("policy")), (2, 1));
    node.broker.commit_log().unwrap();
    let mut node = node.killed(2);
    assert_eq!(outcome(&mut node), ["routed", "routed", "unroutable"]);
    node.broker.clear_policy("/", "p").unwrap();
    assert_eq!(outcome(&mut node), ["unroutable", "routed", "unroutable"]);
}

#[test]
fn what_a_policy_says_of_the_other_sort_is_passed_over() {
    let mut node = Node::new();
    node.declare("q", &[]);
    set(
        &node,
        "p",
        ".*",
        &[("max-length", 1.into()), ("stamp-origin", true.into())],
    );
    assert_eq!(node.queue("q").options().max_length, None);
    let said = Arguments::from_iter([
        ("pattern", Value::from(".*")),
        (
            "definition",
            Value::Table(Arguments::from_iter([
                ("max-length", Value::I64(1)),
                ("max-message-bytes", Value::I64(2)),
            ])),
        ),
    ]);
    let all = Policy::read("/", "p", &said).unwrap();
    node.broker.set_policy(all.clone()).unwrap();
    assert_eq!(node.queue("q").options().max_length, Some(1));
    assert!(publish(&mut node, "", "q", &[]).contains("max-message-bytes"));
    let queues = Policy {
        apply_to: ferry_broker::ApplyTo::Queues,
        ..all
    };
    node.broker.set_policy(queues).unwrap();
    assert_eq!(publish(&mut node, "", "q", &[]), "routed");
}
