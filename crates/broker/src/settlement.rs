//! Settling one delivery with an answer, and giving its holder more time.
//!
//! Invariants
//! - The answer is what the queue said: after `Settled::Done` the lease has ended as asked.
//! - A settlement is appended to the log before the answer, as every ack is, and not waited for:
//!   after a crash its message may come again.

use ferry_core::queue::{LeaseId, Outcome, Queue, Settled};

use crate::partition::{QueuePlace, State, StateContext};
use crate::{Broker, Burst, Lease, QueueHandle};

impl Broker {
    /// Ends a lease for its holder and says whether it was still there.
    pub fn settle_now(&self, queue: &QueueHandle, lease: Lease, outcome: Outcome) -> Settled {
        let cx = self.context();
        let place = queue.place();
        let settled = self
            .partition(queue)
            .call(&cx, |state| state.settle(&cx, place, lease.0, outcome));
        self.run_afters();
        self.review_pressure();
        settled
    }

    /// Gives a lease so much time from now; without a number as much as its queue gives. The
    /// message stays with its holder.
    pub fn extend_lease(&self, queue: &QueueHandle, lease: Lease, time_ms: Option<u64>) -> Settled {
        let cx = self.context();
        let place = queue.place();
        let extended = self
            .partition(queue)
            .call(&cx, |state| state.extend(&cx, place, lease.0, time_ms));
        self.run_afters();
        self.review_pressure();
        extended
    }
}

impl State {
    fn extend(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        lease: LeaseId,
        time_ms: Option<u64>,
    ) -> Settled {
        let extend = |queue: &mut Queue| queue.extend(lease, time_ms, cx.now);
        self.with_queue(cx, place, &[], |queue, _| extend(queue))
            .unwrap_or(Settled::Late)
    }
}

impl Burst {
    /// A publish that no queue gets, because what it asked for is done, is confirmed with the
    /// others.
    pub fn confirm_done(&mut self) {
        self.confirms = true;
    }
}
