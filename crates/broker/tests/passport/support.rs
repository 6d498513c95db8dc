//! Messages with ids, queues that note them, and their ways in short.

use std::sync::Arc;

use ferry_broker::{BindingSpec, Browse, ConfirmTag, Event, Hop, MessageRef, QueueHandle, What};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Draft;

use crate::common::properties::{FORMAT_FULL, Full};
use crate::common::{Node, Seen, Sink};

/// The header of a trace.
pub const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A message to be published.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    pub exchange: &'a str,
    pub key: &'a str,
    pub id: &'a str,
    pub deliver_at: Option<u64>,
    pub ttl_ms: Option<u64>,
}

pub fn post<'a>(exchange: &'a str, key: &'a str, id: &'a str) -> Post<'a> {
    Post {
        exchange,
        key,
        id,
        deliver_at: None,
        ttl_ms: None,
    }
}

impl Post<'_> {
    pub fn stage(&self, node: &mut Node) {
        let full = Full {
            ttl_ms: self.ttl_ms,
            message_id: (!self.id.is_empty()).then(|| self.id.to_owned()),
            ..Full::new("", &[("traceparent", TRACE.into())])
        };
        let properties = full.write();
        let draft = Draft {
            format: FORMAT_FULL,
            persistent: true,
            dead_lettered: false,
            priority: 0,
            ttl_ms: self.ttl_ms,
            published_ms: node.broker.now(),
            deliver_at: self.deliver_at,
            id: None,
            exchange: self.exchange.as_bytes(),
            routing_key: self.key.as_bytes(),
            properties: &properties,
            body: b"body",
        };
        let tag = ConfirmTag { channel: 1, tag: 1 };
        let Node {
            broker,
            burst,
            publisher,
            ..
        } = node;
        let published = burst.publish(broker, publisher, &draft, &full, Some(tag));
        published.unwrap();
    }

    pub fn send(&self, node: &mut Node) {
        self.stage(node);
        let Node { broker, burst, .. } = node;
        burst.submit(broker);
    }
}

/// A queue whose messages have passports.
pub fn noted(node: &Node, name: &str, more: &[(&str, Value)]) -> Arc<QueueHandle> {
    let mut arguments = vec![("x-passport", Value::Bool(true))];
    arguments.extend(more.iter().cloned());
    node.declare(name, &arguments).queue
}

pub fn hops(node: &Node, id: &str) -> Vec<Hop> {
    let hops = node.broker.passport("/", id.as_bytes());
    hops.unwrap_or_default()
}

/// Each hop in short: what, in which queue, and what tells it from others.
pub fn way(node: &Node, id: &str) -> Vec<String> {
    hops(node, id).iter().map(short).collect()
}

pub fn short(hop: &Hop) -> String {
    let queue = hop.queue.as_deref();
    let at = |what: &str| match queue {
        Some(queue) => format!("{what} {queue}"),
        None => what.to_owned(),
    };
    match &hop.event {
        Event::Published {
            exchange,
            routing_key,
            ..
        } => format!("published {exchange}/{routing_key}"),
        Event::Routed {
            exchange,
            binding_key,
            to_exchange,
        } => {
            let key = binding_key.as_deref().unwrap_or("(alternate)");
            let to = to_exchange.as_deref().or(queue).unwrap_or_default();
            format!("{exchange} -{key}-> {to}")
        }
        Event::Entered => at("entered"),
        Event::Refused => at("refused"),
        Event::Duplicate => at("duplicate"),
        Event::Delayed { until } => format!("{} until {until}", at("delayed")),
        Event::Awake => at("awake"),
        Event::Delivered {
            consumer,
            redelivered,
            auto_ack,
            ..
        } => {
            let consumer = consumer.as_deref().unwrap_or("(get)");
            let again = if *redelivered { " again" } else { "" };
            let auto = if *auto_ack { " for good" } else { "" };
            format!("{} to {consumer}{again}{auto}", at("delivered"))
        }
        Event::Acked => at("acked"),
        Event::Rejected => at("rejected"),
        Event::Returned => at("returned"),
        Event::LeaseExpired => at("lease expired"),
        Event::Dropped { reason } => format!("{}: {reason}", at("dropped")),
        Event::DeadLettered { .. } | Event::Moved { .. } => at(&elsewhere(&hop.event)),
        Event::Cancelled { by } => format!("{} by {by}", at("cancelled")),
        Event::LeftOut { hops } => format!("{hops} left out"),
    }
}

/// A hop to other queues, in short.
fn elsewhere(event: &Event) -> String {
    match event {
        Event::DeadLettered {
            reason,
            exchange,
            routing_key,
            queues,
        } => {
            let queues = queues.join(",");
            format!("dead: {reason} to {exchange}/{routing_key} [{queues}]")
        }
        Event::Moved {
            by,
            act,
            queues,
            other_id,
            ..
        } => {
            let other = other_id.as_deref().unwrap_or("-");
            format!("{act} by {by} [{}] {other}", queues.join(","))
        }
        other => panic!("{other:?}"),
    }
}

pub fn consume(node: &Node, queue: &Arc<QueueHandle>, no_ack: bool) -> (Arc<Sink>, Vec<Seen>) {
    let sink = Sink::open();
    node.consume(queue, &sink, no_ack, 0);
    let seen = sink.take();
    (sink, seen)
}

pub fn name_of(node: &Node, queue: &Arc<QueueHandle>, what: What) -> MessageRef {
    let browse = Browse {
        what,
        limit: 1,
        ..Default::default()
    };
    node.broker.browse(queue, &browse).unwrap().messages[0].name
}

pub fn bind(node: &Node, source: &str, queue: Option<&str>, exchange: Option<&str>, key: &str) {
    let spec = BindingSpec {
        source,
        queue,
        exchange,
        routing_key: key.as_bytes(),
        arguments: Arguments::new(),
        connection: node.connection,
    };
    node.vhost.bind(&spec).unwrap();
}
