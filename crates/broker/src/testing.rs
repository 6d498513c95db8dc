//! A way to any queue for the simulation, past the calls that doors have.
//!
//! Invariants
//! - What is run here is a step like any other: its effects are carried out, its facts written.

use ferry_core::queue::{Context, LeaseId, Queue};

use crate::{Broker, Lease, QueueHandle};

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
