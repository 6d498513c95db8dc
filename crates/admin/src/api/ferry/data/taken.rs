//! Messages that were taken from a queue, as JSON.
//!
//! Invariants
//! - What is copied under the lock of a partition is bytes; they become JSON later.

use ferry_broker::{Delivery, Lease, QueueHandle};
use ferry_core::Millis;
use ferry_core::message::Message;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ferry::properties::{Payload, PropertiesJson};
use crate::api::values::text;
use crate::shared::Shared;

/// A delivery, copied.
#[derive(Debug)]
pub(super) struct Taken {
    pub lease: Option<Lease>,
    pub offset: Option<u64>,
    stored: Vec<u8>,
    redelivered: bool,
    delivery_count: u32,
}

impl Taken {
    pub fn copy(delivery: &Delivery<'_>) -> Taken {
        Taken {
            lease: delivery.lease,
            offset: delivery.offset,
            stored: delivery.message.bytes().to_vec(),
            redelivered: delivery.redelivered,
            delivery_count: delivery.delivery_count,
        }
    }

    /// Bytes of the whole message.
    pub fn bytes(&self) -> usize {
        self.stored.len()
    }

    /// Shows it. The lease has a token if its holder is to settle it.
    pub fn show(
        &self,
        shared: &Shared,
        queue: &QueueHandle,
        until: Option<Millis>,
        with_token: bool,
    ) -> MessageTaken {
        let message = Message::parse(&self.stored).expect("what was delivered is a message");
        let broker = &shared.broker;
        let format = broker.format(message.format());
        let properties = format.map(|format| format.describe(message.properties()));
        let properties = properties.map(PropertiesJson::from).unwrap_or_default();
        let lease = self.lease.filter(|_| with_token);
        MessageTaken {
            lease: lease.map(|lease| shared.data.signer.token(broker, queue, lease)),
            until,
            message_id: properties.message_id.clone(),
            exchange: text(message.exchange()),
            routing_key: text(message.routing_key()),
            properties,
            payload: Payload::show(message.body(), message.body().len()),
            enqueued_at: message.published_ms(),
            delivery_count: self.delivery_count,
            redelivered: self.redelivered,
            offset: self.offset,
        }
    }
}

/// A message that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct MessageTaken {
    /// What it is settled by; null if it needs no settling.
    lease: Option<String>,
    /// When the lease ends by itself, and the message goes back; null for never.
    until: Option<Millis>,
    message_id: Option<String>,
    exchange: String,
    routing_key: String,
    properties: PropertiesJson,
    #[serde(flatten)]
    payload: Payload,
    /// When the broker took it.
    enqueued_at: Millis,
    /// How often it came back.
    delivery_count: u32,
    redelivered: bool,
    /// Its offset, if its queue is a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}
