//! Leases for doors that do not keep them: as numbers, and given back when a consumer goes.
//!
//! Invariants
//! - The number of a lease means something in the run of the broker that made it and in its queue
//!   only; a door that lets it out sees to it that none is made up.

use ferry_core::queue::{ConsumerId, Held, LeaseId, Outcome};

use crate::partition::State;
use crate::{Broker, ConsumerHandle, Lease, OperateError, Promise, QueueHandle};

/// Leases that are ended while the partition is held.
const BATCH_LEASES: usize = 256;

impl Lease {
    /// The lease as a number.
    pub fn to_u64(self) -> u64 {
        self.0.to_u64()
    }

    /// The lease of that number; whether there is one is another question.
    pub fn from_u64(number: u64) -> Lease {
        Lease(LeaseId::from_u64(number))
    }
}

impl Broker {
    /// Tells this run of the broker from those before: leases end with it.
    pub fn run_number(&self) -> u32 {
        self.run
    }

    /// When a lease ends by itself; none if it never does, or has ended.
    pub fn lease_until(&self, queue: &QueueHandle, lease: Lease) -> Option<u64> {
        let info = self.with_state(queue, |state, _| {
            let core = state.queue(queue.place())?;
            core.lease_info(lease.0)
        });
        info.map(|info| info.deadline).filter(|at| *at != 0)
    }

    /// Lets a consumer go, and gives back what it holds.
    pub fn cancel_and_give_back(&self, consumer: &ConsumerHandle) {
        self.cancel(consumer);
        let queue = consumer.queue();
        let mut after = None;
        loop {
            let given_back = self.with_state(queue, |state, cx| {
                let held = state.held_by(queue, consumer.id(), after);
                for lease in &held {
                    state.settle(cx, queue.place(), *lease, Outcome::Requeue);
                }
                held
            });
            after = given_back.last().copied();
            if given_back.len() < BATCH_LEASES {
                break;
            }
        }
        self.after_act();
    }

    /// Promises that everything that was done so far is safe.
    pub fn promise_so_far(&self) -> Result<Promise, OperateError> {
        self.promise_all()
    }
}

impl State {
    /// Some leases of a consumer, behind `after`.
    fn held_by(
        &self,
        queue: &QueueHandle,
        consumer: ConsumerId,
        after: Option<LeaseId>,
    ) -> Vec<LeaseId> {
        let mut held = Vec::new();
        if let Some(core) = self.queue(queue.place()) {
            core.visit_leased(after, |id, _, info| {
                if info.held == Held::Consumer(consumer) {
                    held.push(id);
                }
                held.len() < BATCH_LEASES
            });
        }
        held
    }
}
