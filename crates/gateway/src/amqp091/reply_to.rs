//! Direct reply-to: replies without a queue.
//!
//! A channel that consumes from [`REPLY_TO`] gets a routing key of its own; a message published
//! by that channel with this reply-to carries the key instead, and whoever publishes to the key
//! reaches the channel.
//!
//! Invariants
//! - One reply consumer per channel, without acks; its key dies with it.

use std::sync::Arc;

use amqp091::method::{basic, queue};
use amqp091::{Method, ShortStr};
use ferry_broker::Promise;

use super::basic::tag_for;
use super::channel::{Channel, Common};
use super::deliver::{ConsumerOutlet, NO_SLOT};
use super::errors::{Refusal, not_found, precondition_failed};
use super::publish::with_reply_to;
use super::turn::Turn;

/// The name that stands for a channel's own reply key.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A channel's reply consumer.
pub(crate) struct ReplyConsumer {
    /// Its consumer tag.
    pub(crate) tag: Box<[u8]>,
    /// The routing key that reaches it.
    pub(crate) key: String,
}

impl Channel {
    /// Consumes replies.
    pub(crate) fn consume_replies(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &basic::Consume<'_>,
    ) -> Result<(), Refusal> {
        if !method.no_ack {
            return Err(precondition_failed("reply consumer cannot acknowledge"));
        }
        if self.reply_consumer.is_some() {
            return Err(precondition_failed("reply consumer already set"));
        }
        turn.submit(common);
        let tag = tag_for(common, method.consumer_tag);
        let outlet = ConsumerOutlet::new(
            self.address(common),
            &tag,
            NO_SLOT,
            true,
            common.notify_cancel,
        );
        let key = common.broker.direct_reply_open(Arc::new(outlet));
        if !method.no_wait {
            let reply = basic::ConsumeOk {
                consumer_tag: ShortStr::clipped(&tag),
            };
            self.reply(common, Promise::Now, Method::BasicConsumeOk(reply));
        }
        self.reply_consumer = Some(ReplyConsumer { tag, key });
        Ok(())
    }

    /// Ends the reply consumer, if there is one.
    pub(crate) fn close_replies(&mut self, common: &Common) {
        if let Some(consumer) = self.reply_consumer.take() {
            common.broker.direct_reply_close(&consumer.key);
        }
    }

    /// A property block with the channel's own key as reply-to.
    pub(crate) fn with_reply_key(&self, block: &[u8]) -> Result<Vec<u8>, Refusal> {
        with_reply_to(block, self.reply_key()?)
    }

    /// The channel's own key.
    pub(crate) fn reply_key(&self) -> Result<&str, Refusal> {
        let missing = || precondition_failed("fast reply consumer does not exist");
        let consumer = self.reply_consumer.as_ref().ok_or_else(missing)?;
        Ok(&consumer.key)
    }

    /// Declaring a reply key tells whether its consumer is still there.
    pub(crate) fn declare_reply_key(
        &mut self,
        common: &Common,
        name: &str,
        no_wait: bool,
    ) -> Result<(), Refusal> {
        if name != REPLY_TO && !common.broker.direct_reply_exists(name) {
            let vhost = common.vhost.name();
            return Err(not_found(format!("no queue '{name}' in vhost '{vhost}'")));
        }
        self.last_queue = name.into();
        if !no_wait {
            let reply = queue::DeclareOk {
                queue: ShortStr::clipped(name.as_bytes()),
                message_count: 0,
                consumer_count: 1,
            };
            self.reply(common, Promise::Now, Method::QueueDeclareOk(reply));
        }
        Ok(())
    }
}
