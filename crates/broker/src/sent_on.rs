//! Routes of messages that the broker itself sends on: dead letters, moves, replays.
//!
//! Invariants
//! - Such a message is routed as it will be, not as it was: filters and hashes see the properties,
//!   the exchange and the routing key of the copy.

use std::sync::Arc;

use ferry_core::message::{Draft, Message};
use ferry_core::routing::NoSuchExchange;
use ferry_core::view::NoView;

use crate::vhost::Routed;
use crate::{QueueHandle, Vhost};

impl Vhost {
    /// Replaces `out` by the queues that it goes to; `draft` is what it will be.
    pub(crate) fn route_draft(
        &self,
        exchange: &str,
        routing_keys: &[&[u8]],
        draft: &Draft<'_>,
        out: &mut Vec<Arc<QueueHandle>>,
    ) -> Result<Routed, NoSuchExchange> {
        let bodiless = Draft {
            body: &[],
            ..*draft
        };
        let mut stored = Vec::with_capacity(bodiless.encoded_len());
        bodiless.encode(&mut stored);
        let message = Message::parse(&stored).expect("it was just encoded");
        let mut routed = None;
        if let Some(format) = self.broker().options.formats.get(draft.format) {
            format.view(&message, &mut |view| {
                routed = Some(self.route(exchange, routing_keys, view, out));
            });
        }
        routed.unwrap_or_else(|| self.route(exchange, routing_keys, &NoView, out))
    }
}
