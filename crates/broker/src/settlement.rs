//! Settling one delivery with an answer, and giving its holder more time.
//!
//! Invariants
//! - The answer is what the queue said: after `Settled::Done` the lease has ended as asked.
//! - A settlement is appended to the log before the answer, as every ack is, and not waited for:
//!   after a crash its message may come again.

use ferry_core::queue::{Outcome, Settled};

use crate::{Broker, Burst, Lease, QueueHandle};

impl Broker {
    /// Ends a lease for its holder and says whether it was still there.
    pub fn settle_now(&self, queue: &QueueHandle, lease: Lease, outcome: Outcome) -> Settled {
        self.on_partition(queue, |state, cx| {
            state.settle(cx, queue.place(), lease.0, outcome)
        })
    }

    /// Gives a lease so much time from now; without a number as much as its queue gives. The
    /// message stays with its holder.
    pub fn extend_lease(&self, queue: &QueueHandle, lease: Lease, time_ms: Option<u64>) -> Settled {
        let extended = self.on_partition(queue, |state, cx| {
            state.with_queue(cx, queue.place(), &[], |queue, context| {
                queue.extend(lease.0, time_ms, context.now)
            })
        });
        extended.unwrap_or(Settled::Late)
    }
}

impl Burst {
    /// A publish that no queue gets, because what it asked for is done, is confirmed with the
    /// others.
    pub fn confirm_done(&mut self) {
        self.confirms = true;
    }
}
