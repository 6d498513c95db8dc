//! The queue that retained messages are in, which no client has for its own ends.
//!
//! Invariants
//! - It is declared one way only, by whoever: an export of definitions has it and can be imported.

use std::sync::Arc;

use ferry_core::arguments::Arguments;

use crate::{ConnectionId, DefinitionError, QueueHandle, QueueSpec, RetainError, Vhost};

/// The queue of each virtual host that its retained messages are in. Deleting it forgets them.
pub const RETAINED_QUEUE: &str = "mqtt-retained";

fn spec() -> QueueSpec {
    QueueSpec {
        name: RETAINED_QUEUE.to_owned(),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::from_iter([("x-queue-type", "classic")]),
    }
}

/// Refuses a queue of that name that is not as the store needs it.
pub(crate) fn check_declaration(vhost: &Vhost, asked: &QueueSpec) -> Result<(), DefinitionError> {
    let own = spec();
    let same =
        asked.durable && !asked.exclusive && !asked.auto_delete && asked.arguments == own.arguments;
    match asked.name == own.name && !same {
        true => Err(vhost.reserved(RETAINED_QUEUE)),
        false => Ok(()),
    }
}

impl Vhost {
    /// The queue that retained messages enter, declared now if it is not there.
    pub(super) fn retained_queue(&self) -> Result<Arc<QueueHandle>, RetainError> {
        if let Some(queue) = self.retained().queue() {
            return Ok(queue);
        }
        let queue = self.declare_queue(spec(), ConnectionId::NOBODY)?.queue;
        self.retained().attach(&self.broker(), &queue)?;
        Ok(queue)
    }

    /// Has the store consume the queue, which is new.
    pub(crate) fn feed_retained(&self, queue: &Arc<QueueHandle>) {
        if let Err(error) = self.retained().attach(&self.broker(), queue) {
            let vhost = self.name();
            tracing::warn!(vhost, "the next retained message tries once more: {error}");
        }
    }

    pub(crate) fn reserved(&self, queue: &str) -> DefinitionError {
        DefinitionError::Reserved {
            name: queue.to_owned(),
            vhost: self.name().to_owned(),
        }
    }
}
