//! When something is overdue in a partition, and letting it happen.
//!
//! Invariants
//! - Each queue stands in `deadlines` once at most, under the time that its slot says.
//! - One tick looks at a queue once, and at a bounded number of them: a queue with more to do than
//!   it does at once stands there again, and others get their turn between.

use std::sync::Arc;

use ferry_core::Millis;

use super::context::StateContext;
use super::state::State;
use super::{After, QueuePlace};

/// Queues that one tick looks at, so that nobody waits long for the partition.
const QUEUES_IN_A_TICK_MAX: usize = 64;

impl State {
    /// The earliest time at which something is overdue.
    pub fn deadline(&self) -> Millis {
        self.deadlines.first().map_or(Millis::MAX, |(at, _)| *at)
    }

    /// Notes when the queue must be looked at next.
    pub(super) fn plan(&mut self, place: u32) {
        let Some(slot) = self.queues.get_mut(place as usize) else {
            return;
        };
        let next = match (slot.queue.next_deadline(), slot.queue.unused_until()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if next != slot.deadline {
            if let Some(at) = slot.deadline {
                self.deadlines.remove(&(at, place));
            }
            if let Some(at) = next {
                self.deadlines.insert((at, place));
            }
            slot.deadline = next;
        }
    }

    /// Lets overdue things happen, and asks for overdue queues to be deleted.
    pub fn tick(&mut self, cx: &StateContext<'_>) {
        let overdue: Vec<u32> = self
            .deadlines
            .iter()
            .take_while(|(at, _)| *at <= cx.now)
            .take(QUEUES_IN_A_TICK_MAX)
            .map(|(_, place)| *place)
            .collect();
        for place in overdue {
            self.tick_queue(cx, place);
        }
    }

    fn tick_queue(&mut self, cx: &StateContext<'_>, place: u32) {
        let Some(slot) = self.queues.get_mut(place as usize) else {
            return;
        };
        if let Some(at) = slot.deadline.take() {
            self.deadlines.remove(&(at, place));
        }
        let unused = slot.queue.unused_until();
        if unused.is_some_and(|until| until <= cx.now) {
            let queue = Arc::clone(&slot.handle);
            cx.afters.lock().push(After::Expired { queue });
            return;
        }
        let queue = QueuePlace {
            slot: place,
            id: slot.queue.id(),
        };
        let ticked = self.with_queue(cx, queue, &[], |queue, context| queue.tick(context));
        cx.metrics.ticked(ticked.unwrap_or_default());
    }
}
