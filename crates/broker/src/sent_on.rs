//! Routes of messages that the broker itself sends on: dead letters, moves, replays; and of those
//! whose door knows no format.
//!
//! Invariants
//! - Such a message is routed as it will be, not as it was: filters and hashes see the properties,
//!   the exchange and the routing key of the copy.

use std::sync::Arc;

use ferry_core::message::{Draft, Message};
use ferry_core::routing::NoSuchExchange;
use ferry_core::view::{MessageView, NoView};

use crate::vhost::Routed;
use crate::{Broker, Burst, ConfirmTag, PublishError, Published, Publisher, QueueHandle, Vhost};

impl Vhost {
    /// Replaces `out` by the queues that it goes to; `draft` is what it will be.
    pub(crate) fn route_draft(
        &self,
        exchange: &str,
        routing_keys: &[&[u8]],
        draft: &Draft<'_>,
        out: &mut Vec<Arc<QueueHandle>>,
    ) -> Result<Routed, NoSuchExchange> {
        view_of(&self.broker(), draft, &mut |view| {
            self.route(exchange, routing_keys, view, out)
        })
    }
}

/// Lets `look` see into a message to be; into nothing if its properties can not be read.
fn view_of<R>(
    broker: &Broker,
    draft: &Draft<'_>,
    look: &mut dyn FnMut(&dyn MessageView) -> R,
) -> R {
    let bodiless = Draft {
        body: &[],
        ..*draft
    };
    let mut stored = Vec::with_capacity(bodiless.encoded_len());
    bodiless.encode(&mut stored);
    let message = Message::parse(&stored).expect("it was just encoded");
    let mut seen = None;
    if let Some(format) = broker.options.formats.get(draft.format) {
        format.view(&message, &mut |view| seen = Some(look(view)));
    }
    seen.unwrap_or_else(|| look(&NoView))
}

impl Burst {
    /// Stages a message, by several routing keys, whose door has not looked into its properties.
    pub fn publish_unseen(
        &mut self,
        broker: &Broker,
        publisher: &mut Publisher,
        draft: &Draft<'_>,
        routing_keys: &[&[u8]],
        confirm: Option<ConfirmTag>,
    ) -> Result<Published, PublishError> {
        view_of(broker, draft, &mut |view| {
            self.publish_many(broker, publisher, draft, routing_keys, view, confirm)
        })
    }
}
