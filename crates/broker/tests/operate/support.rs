//! Queues with messages in every state, and what is in them.

use std::sync::Arc;

use ferry_broker::{
    BindingSpec, Browse, ConfirmTag, Exchange, ExchangeKind, Listed, MessageRef, Outcome,
    Published, QueueHandle, What,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Draft;

use crate::common::properties::{FORMAT_FULL, Full};
use crate::common::{Node, Sink};

/// Who acts in all tests.
pub const ACTOR: &str = "tester";

/// A message to be published.
#[derive(Clone)]
pub struct Post<'a> {
    pub exchange: &'a str,
    pub key: &'a str,
    pub body: &'a str,
    pub full: Full,
    pub deliver_at: Option<u64>,
}

pub fn post<'a>(key: &'a str, body: &'a str) -> Post<'a> {
    Post {
        exchange: "",
        key,
        body,
        full: Full::new(body, &[]),
        deliver_at: None,
    }
}

impl Post<'_> {
    pub fn send(&self, node: &mut Node) -> bool {
        let properties = self.full.write();
        let draft = Draft {
            format: FORMAT_FULL,
            persistent: self.full.persistent,
            dead_lettered: false,
            priority: self.full.priority,
            ttl_ms: self.full.ttl_ms,
            published_ms: node.broker.now(),
            deliver_at: self.deliver_at,
            id: None,
            exchange: self.exchange.as_bytes(),
            routing_key: self.key.as_bytes(),
            properties: &properties,
            body: self.body.as_bytes(),
        };
        let tag = ConfirmTag { channel: 1, tag: 1 };
        let Node {
            broker,
            burst,
            publisher,
            ..
        } = node;
        let headers = &self.full.headers;
        let published = burst.publish(broker, publisher, &draft, headers, Some(tag));
        assert_eq!(published.unwrap(), Published::Routed);
        burst.submit(broker).unwrap().rejected().is_empty()
    }
}

pub fn texts(list: &[(&'static str, &str)]) -> Vec<(&'static str, Value)> {
    list.iter()
        .map(|(name, value)| (*name, Value::from(*value)))
        .collect()
}

pub fn bind(node: &Node, exchange: &str, queue: &str, key: &str) {
    let spec = Exchange {
        durable: true,
        ..Exchange::new(exchange, ExchangeKind::Direct)
    };
    node.vhost.declare_exchange(spec).unwrap();
    let binding = BindingSpec {
        source: exchange,
        queue: Some(queue),
        exchange: None,
        routing_key: key.as_bytes(),
        arguments: Arguments::new(),
        connection: node.connection,
    };
    node.vhost.bind(&binding).unwrap();
}

/// A queue `work`, bound to `orders` by `paid`, whose dead letters go to `dead`.
pub fn shop(node: &Node) -> (Arc<QueueHandle>, Arc<QueueHandle>) {
    let target = [
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "dead"),
    ];
    let work = node.declare("work", &texts(&target)).queue;
    let dead = node.declare("dead", &[]).queue;
    bind(node, "orders", "work", "paid");
    (work, dead)
}

/// Publishes to `orders` and rejects what arrives in `work`.
pub fn die(node: &mut Node, bodies: &[&str]) {
    for body in bodies {
        let order = Post {
            exchange: "orders",
            ..post("paid", body)
        };
        order.send(node);
        kill_all(node, "work");
    }
    node.broker.commit_log().unwrap();
}

/// Rejects all that is ready.
pub fn kill_all(node: &mut Node, queue: &str) {
    let sink = Sink::open();
    let consumer = node.consume(&node.queue(queue), &sink, false, 0);
    for seen in sink.take() {
        node.settle(&seen, Outcome::Reject);
    }
    node.broker.cancel(&consumer);
}

pub fn look(node: &Node, queue: &str, what: What) -> Vec<Listed> {
    let browse = Browse {
        what,
        limit: 1000,
        ..Browse::default()
    };
    let page = node.broker.browse(&node.queue(queue), &browse).unwrap();
    assert_eq!((page.next, page.unreadable), (None, 0));
    page.messages
}

pub fn name_of(node: &Node, queue: &str, what: What, body: &str) -> MessageRef {
    let listed = look(node, queue, what);
    let found = listed
        .iter()
        .find(|listed| listed.body == body.as_bytes())
        .unwrap_or_else(|| panic!("no {body} is {what:?} in {queue}"));
    found.name
}

pub fn bodies(node: &Node, queue: &str, what: What) -> Vec<String> {
    let text = |listed: Listed| String::from_utf8(listed.body).unwrap();
    look(node, queue, what).into_iter().map(text).collect()
}

pub fn ready(node: &Node, queue: &str) -> Vec<String> {
    bodies(node, queue, What::Ready)
}
