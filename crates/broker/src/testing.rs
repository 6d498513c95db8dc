//! A way to any queue for the simulation, past the calls that doors have.
//!
//! Invariants
//! - What is run here is a step like any other: its effects are carried out, its facts written.

use ferry_core::queue::{Context, LeaseId, Queue};

use ferry_core::routing::QueueId;
use ferry_core::view::MessageView;

use crate::{Broker, Lease, QueueHandle, Vhost};

impl Broker {
    /// Runs `command` on a queue; none if the queue is gone.
    pub fn command<R>(
        &self,
        queue: &QueueHandle,
        command: impl FnOnce(&mut Queue, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.on_partition(queue, |state, cx| {
            state.with_queue(cx, queue.place(), &[], command)
        })
    }
}

impl Vhost {
    /// The queues that a message goes to; none if there is no such exchange.
    #[must_use]
    pub fn queues_of(
        &self,
        exchange: &str,
        routing_key: &[u8],
        headers: &dyn MessageView,
    ) -> Vec<QueueId> {
        let mut found = Vec::new();
        let routed = self.route(exchange, &[routing_key], headers, &mut found);
        let queues = found.iter().map(|queue| queue.id());
        routed.map(|_| queues.collect()).unwrap_or_default()
    }
}

impl Lease {
    /// The lease of that name.
    #[must_use]
    pub fn of(id: LeaseId) -> Lease {
        Lease(id)
    }

    /// Its name within its queue.
    #[must_use]
    pub fn id(self) -> LeaseId {
        self.0
    }
}
