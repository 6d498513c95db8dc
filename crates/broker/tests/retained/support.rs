//! A node whose topics are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferry_broker::{
    BindingSpec, ConfirmTag, NoView, RETAINED_QUEUE, RetainError, Retained, Ticket,
};
use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, FORMAT_AMQP091, Message};

use crate::common::Node;

/// What each topic has.
pub type Topics = BTreeMap<String, String>;

pub fn topics(all: &[(&str, &str)]) -> Topics {
    let own = |(topic, body): &(&str, &str)| ((*topic).to_owned(), (*body).to_owned());
    all.iter().map(own).collect()
}

/// A publish that asks for no more than to be taken once.
pub fn draft<'a>(node: &Node, topic: &'a str, body: &'a str) -> Draft<'a> {
    Draft {
        format: FORMAT_AMQP091,
        persistent: false,
        dead_lettered: false,
        priority: 3,
        ttl_ms: None,
        published_ms: node.broker.now(),
        deliver_at: None,
        id: None,
        exchange: b"amq.topic",
        routing_key: topic.as_bytes(),
        properties: &[0, 0],
        body: body.as_bytes(),
    }
}

/// Publishes a message and retains it. Nothing is visible yet.
pub fn stage(node: &mut Node, draft: &Draft<'_>, tag: u64) -> Result<(), RetainError> {
    let confirm = Some(ConfirmTag { channel: 1, tag });
    let Node {
        broker,
        burst,
        publisher,
        vhost,
        ..
    } = node;
    burst
        .publish(broker, publisher, draft, &NoView, confirm)
        .unwrap();
    burst.retain(broker, vhost, draft, confirm)
}

pub fn submit(node: &mut Node) -> Arc<Ticket> {
    let Node { broker, burst, .. } = node;
    burst.submit(broker).unwrap()
}

/// Retains a message; an empty body takes away.
pub fn set(node: &mut Node, topic: &str, body: &str) -> Arc<Ticket> {
    let draft = draft(node, topic, body);
    stage(node, &draft, 1).unwrap();
    submit(node)
}

/// The same with a time to live.
pub fn set_for(node: &mut Node, topic: &str, body: &str, ttl_ms: u64) -> Arc<Ticket> {
    let draft = Draft {
        ttl_ms: Some(ttl_ms),
        ..draft(node, topic, body)
    };
    stage(node, &draft, 1).unwrap();
    submit(node)
}

/// What a filter finds.
pub fn find(store: &Retained, filter: &str) -> Topics {
    let mut found = Topics::new();
    let mut after = None;
    loop {
        let page = store.matching(filter.as_bytes(), 3, after.as_ref());
        for key in page.topics {
            let stored = store.read(&key).unwrap();
            let message = Message::parse(&stored).unwrap();
            assert_eq!(message.routing_key(), key);
            let body = String::from_utf8(message.body().to_vec()).unwrap();
            let twice = found.insert(String::from_utf8(key).unwrap(), body);
            assert_eq!(twice, None);
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// All that is retained, and that the queue has nothing else.
pub fn all(node: &Node) -> Topics {
    let found = find(node.vhost.retained(), "#");
    assert_eq!(node.vhost.retained().count(), found.len() as u64);
    if node.vhost.has_queue(RETAINED_QUEUE) {
        let queue = node.queue(RETAINED_QUEUE);
        assert_eq!((queue.ready(), queue.unsettled()), (0, found.len() as u64));
    }
    found
}

pub fn bind(node: &Node, queue: &str, key: &str) {
    node.vhost.bind(&binding(node, queue, key)).unwrap();
}

pub fn binding<'a>(node: &Node, queue: &'a str, key: &'a str) -> BindingSpec<'a> {
    BindingSpec {
        source: "amq.topic",
        queue: Some(queue),
        exchange: None,
        routing_key: key.as_bytes(),
        arguments: Arguments::new(),
        connection: node.connection,
    }
}
