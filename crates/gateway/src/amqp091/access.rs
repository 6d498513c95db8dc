//! Rights: which one each method needs, as in RabbitMQ, and what happens when one is taken.
//!
//! ```text
//!                        configure    write                       read
//!  exchange.declare      exchange     alternate exchange (*)      exchange (*)
//!  exchange.delete       exchange
//!  queue.declare         queue        dead letter exchange (*)    queue (*)
//!  queue.delete          queue
//!  queue.bind, unbind                 queue                       exchange, topic
//!  exchange.bind, unbind              destination                 source, topic
//!  basic.publish                      exchange, topic
//!  basic.get, basic.consume, queue.purge                          queue
//! ```
//! (*) if it is new and names one. Passive declarations need no right, like settlements.
//!
//! Invariants
//! - Nothing is looked up, and nothing told of it, before the right to it was found.
//! - A consumer whose user may not read its queue any more is cancelled; the connection of a user
//!   or in a virtual host that was deleted is closed.
//!
//! Not here: publishes (`ferry_broker::Publisher`), where new queues and exchanges send messages on
//! (`ferry_broker::User`), who may log in (`session`).

use amqp091::ReplyCode;
use ferry_broker::{AccessRefused, Exchange, ExchangeKind, Resource, Right};

use super::channel::{Channel, Common};
use super::errors::{Refusal, access_refused};
use super::running::{End, Running};
use super::turn::Turn;

impl From<AccessRefused> for Refusal {
    fn from(error: AccessRefused) -> Refusal {
        access_refused(error.to_string())
    }
}

impl Common {
    /// Refuses a queue that the user has no right to.
    pub(crate) fn check_queue(&self, right: Right, name: &str) -> Result<(), Refusal> {
        let vhost = self.vhost.name();
        Ok(self.user.check(vhost, right, Resource::Queue, name)?)
    }

    /// Refuses an exchange that the user has no right to.
    pub(crate) fn check_exchange(&self, right: Right, name: &str) -> Result<(), Refusal> {
        let vhost = self.vhost.name();
        Ok(self.user.check(vhost, right, Resource::Exchange, name)?)
    }

    /// Refuses a binding from an exchange that the user may not read from.
    pub(crate) fn check_source(&self, name: &str, routing_key: &[u8]) -> Result<(), Refusal> {
        self.check_exchange(Right::Read, name)?;
        let topic = |found: &Exchange| found.kind == ExchangeKind::Topic;
        if !self.vhost.exchange(name).is_ok_and(|found| topic(&found)) {
            return Ok(());
        }
        let vhost = self.vhost.name();
        Ok(self
            .user
            .check_topic(vhost, Right::Read, name, routing_key)?)
    }
}

impl Running {
    /// Rights were taken, or users or virtual hosts deleted.
    pub(crate) fn access_changed(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let Common { user, vhost, .. } = &self.common;
        let gone = match (user.is_deleted(), vhost.is_deleted()) {
            (true, _) => format!("user '{}' is deleted", user.name),
            (_, true) => format!("vhost '{}' is deleted", vhost.name()),
            (false, false) => {
                for channel in self.channels.iter_mut() {
                    channel.cancel_unread(&self.common, turn);
                }
                return Ok(());
            }
        };
        Err(End::Close(Refusal::new(ReplyCode::ConnectionForced, gone)))
    }
}

impl Channel {
    /// Cancels the consumers of queues that the user may not read.
    fn cancel_unread(&mut self, common: &Common, turn: &mut Turn<'_>) {
        let unread = |queue: &str| common.check_queue(Right::Read, queue).is_err();
        let consumers = self.consumers.iter();
        let tags: Vec<_> = consumers
            .filter(|(_, consumer)| unread(consumer.handle.queue().name()))
            .map(|(tag, _)| tag.clone())
            .collect();
        if tags.is_empty() {
            return;
        }
        turn.submit(common);
        for tag in tags {
            if let Some(consumer) = self.consumers.get(&tag) {
                common.broker.cancel(&consumer.handle);
            }
            tracing::info!(
                user = ?common.user.name,
                consumer = ?String::from_utf8_lossy(&tag),
                "a consumer is cancelled: its user may not read the queue any more"
            );
            self.consumer_dropped(common, &tag);
        }
    }
}
