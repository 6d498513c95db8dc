//! Deliveries: from a partition into the connection's outbox.
//!
//! Invariants
//! - Called under a partition's lock; takes the link's lock and puts no work into the broker.
//! - What a filter does not let through is not told: the binding may have let it through.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{ConnectionId, ConnectionLimits, Delivery, Outlet};
use mqtt::topic;
use serde::Serialize;

use super::answer::write;
use super::properties::PropertiesJson;
use super::wire::Link;
use crate::link::event;

/// A message, as the client gets it.
#[derive(Debug, Serialize)]
struct MessageJson<'a> {
    op: &'static str,
    subscription: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<u64>,
    exchange: Cow<'a, str>,
    key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    properties: PropertiesJson,
    redelivered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

/// The way out of one subscription.
pub(super) struct SubscriptionOutlet {
    link: Arc<Link>,
    limits: Arc<ConnectionLimits>,
    connection: ConnectionId,
    id: u64,
    /// The filter of a subscription to topics.
    filter: Option<Box<str>>,
    starved: AtomicBool,
}

impl SubscriptionOutlet {
    /// An outlet for the subscription of that id.
    pub(super) fn new(
        link: Arc<Link>,
        limits: Arc<ConnectionLimits>,
        connection: ConnectionId,
        id: u64,
        filter: Option<Box<str>>,
    ) -> SubscriptionOutlet {
        SubscriptionOutlet {
            link,
            limits,
            connection,
            id,
            filter,
            starved: AtomicBool::new(false),
        }
    }

    /// Whether it was refused room since the last call.
    pub(super) fn take_starved(&self) -> bool {
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// The message for the client but for its tag; none if it is not for it.
    fn show<'a>(&self, delivery: &Delivery<'a>) -> Option<MessageJson<'a>> {
        let message = &delivery.message;
        let mut name = Vec::new();
        if let Some(filter) = &self.filter {
            let is_topic = topic::from_key(message.routing_key(), &mut name);
            if !is_topic || !topic::matches(filter.as_bytes(), &name) {
                return None;
            }
        }
        let topic = self.filter.as_ref();
        let topic = topic.map(|_| String::from_utf8_lossy(&name).into_owned().into());
        let format = self.link.broker().format(message.format());
        let properties = format.map(|format| format.describe(message.properties()));
        let body = std::str::from_utf8(message.body()).ok();
        Some(MessageJson {
            op: "message",
            subscription: self.id,
            tag: None,
            exchange: String::from_utf8_lossy(message.exchange()),
            key: String::from_utf8_lossy(message.routing_key()),
            topic,
            body,
            body_base64: body
                .is_none()
                .then(|| BASE64_STANDARD.encode(message.body())),
            properties: properties.map(PropertiesJson::from).unwrap_or_default(),
            redelivered: delivery.redelivered,
            offset: delivery.offset,
        })
    }
}

impl Outlet for SubscriptionOutlet {
    fn admit(&self, bytes: usize) -> bool {
        self.link.admit(bytes, &self.limits, &self.starved, || true)
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        if let Some(mut shown) = self.show(&delivery) {
            self.link.with(|state| {
                let wire = &mut state.wire;
                shown.tag = delivery
                    .queue
                    .zip(delivery.lease)
                    .map(|(queue, lease)| wire.keep(queue, lease));
                match shown.tag {
                    None => wire.counts.deliver_no_ack += 1,
                    Some(_) => wire.counts.deliver += 1,
                }
                wire.counts.redeliver += u64::from(delivery.redelivered);
                write(state.outbox.buffer(), &shown);
            });
        }
        self.link.unreserve(delivery.admitted_bytes);
    }

    fn forgo(&self, admitted_bytes: usize) {
        self.link.unreserve(admitted_bytes);
    }

    fn connection(&self) -> ConnectionId {
        self.connection
    }

    fn cancelled(&self) {
        self.link.with(|state| state.wire.cancelled.push(self.id));
        self.link.notify(event::LEFTOVERS);
    }
}
