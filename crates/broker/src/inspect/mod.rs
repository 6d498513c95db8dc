//! Looking into queues, and acting on single messages of them: what an operator does.
//!
//! Looking is bounded: a call looks at so many messages and reads so many bytes, and says where to
//! go on. Positions are listed with the partition held, a batch at a time; bodies are read after.
//!
//! Invariants
//! - Looking changes nothing: no count, no mark, no order.
//! - An act names its message by a [`MessageRef`] and hits that message or none.
//! - A message that is moved is in one place at any time, whatever is cut short: one record of
//!   the log says that it has gone here and entered there.
//!
//! Not here: who may do so (the door), replaying dead letters (`replay`).

mod act;
mod error;
mod filter;
mod list;
mod look;
mod many;
mod reference;
mod transfer;
mod way;

use std::sync::Arc;

use ferry_core::queue::{Entry, Spot};

use crate::partition::State;
use crate::{Broker, QueueHandle, Vhost};

pub(crate) use act::audit;
pub use error::OperateError;
pub use filter::Filter;
pub use list::{Browse, LeaseHolder, Listed, Page, Standing, What};
pub(crate) use list::{Found, list_ready};
pub use many::Acted;
pub use reference::{InvalidRef, MessageRef};

/// Where a message is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveTo {
    /// A dead letter: to the exchange that it was first published to, with the routing keys it
    /// had; to the queue where it first died if that exchange is the default one or gone, or leads
    /// nowhere.
    Origin,
    /// To an exchange of the same virtual host.
    Exchange {
        /// Its name; empty for the default exchange.
        name: String,
        /// Another routing key than the one the message has.
        routing_key: Option<Vec<u8>>,
    },
    /// To a queue of the same virtual host; exchange and routing key stay as they were.
    Queue(String),
}

impl Broker {
    pub(crate) fn vhost_of(&self, queue: &QueueHandle) -> Result<Arc<Vhost>, OperateError> {
        self.vhost(&queue.vhost)
            .ok_or_else(|| OperateError::no_queue(queue))
    }
}

impl Vhost {
    /// A queue by name, whoever has it for itself; to be looked into.
    pub fn any_queue(&self, name: &str) -> Option<Arc<QueueHandle>> {
        self.definitions.read().queues.get(name).cloned()
    }
}

impl State {
    /// The message of that name as the queue has it, and its place.
    pub(crate) fn named(
        &self,
        run: u32,
        queue: &QueueHandle,
        name: &MessageRef,
    ) -> Result<Entry, OperateError> {
        let core = self
            .queue(queue.place())
            .ok_or_else(|| OperateError::no_queue(queue))?;
        if name.queue != queue.id {
            return Err(OperateError::NotFound);
        }
        if name.run != run {
            let found = name.body.and_then(|body| core.find(name.spot, Some(body)));
            return found.ok_or(OperateError::NotFound);
        }
        core.at(name.spot).ok_or_else(|| {
            let seq = match name.spot {
                Spot::Ready { seq, .. } | Spot::Delayed { seq, .. } => Some(seq),
                Spot::Leased(_) => None,
            };
            match seq.and_then(|seq| core.lease_of(seq)) {
                Some(_) => OperateError::Leased,
                None => OperateError::NotFound,
            }
        })
    }
}
