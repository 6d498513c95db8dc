//! Getting rid of many messages: purges, and what deleted queues had.
//!
//! Invariants
//! - It goes piece by piece: others have their turn at the partition between two, and what a piece
//!   takes in memory does not depend on the length of the queue.
//! - What a purge drops was there when it began or came while it went on; no more is dropped than
//!   was there.
//!
//! Not here: how a queue drops messages (`ferry_core::queue`), that a queue is deleted (`queues`).

use ferry_core::Millis;
use ferry_core::queue::{Context, Counts, Queue};
use ferry_log::ReleaseBatch;
use parking_lot::Mutex;

use crate::partition::release_all;
use crate::{Broker, Promise, QueueHandle};

/// Messages that are dropped at once: less than a millisecond.
const PIECE: u64 = 8192;

/// Queues that were deleted and still have messages.
#[derive(Default)]
pub(crate) struct Dissolving(Mutex<Vec<Queue>>);

impl Dissolving {
    /// When to go on with them.
    pub fn due(&self) -> Millis {
        match self.0.lock().is_empty() {
            true => Millis::MAX,
            false => 0,
        }
    }
}

impl Broker {
    /// Drops the ready messages of a queue and says how many.
    pub(crate) fn purge_ready(&self, queue: &QueueHandle) -> (u64, Promise) {
        self.purge(queue, |counts| counts.ready, Queue::purge)
    }

    /// Drops the messages of a queue that wait for their time and says how many.
    pub fn purge_delayed(&self, queue: &QueueHandle) -> (u64, Promise) {
        self.purge(queue, |counts| counts.delayed, Queue::purge_delayed)
    }

    fn purge(
        &self,
        queue: &QueueHandle,
        there: impl Fn(&Counts) -> u64,
        drop: impl Fn(&mut Queue, u64, &mut Context<'_>) -> u64,
    ) -> (u64, Promise) {
        let (mut left, mut dropped, mut promise) = (u64::MAX, 0, Promise::Now);
        while left > 0 {
            let (count, written) = self.with_state(queue, |state, cx| {
                state.purge(cx, queue.place(), |queue, context| {
                    left = left.min(there(&queue.counts()));
                    drop(queue, left.min(PIECE), context)
                })
            });
            // A queue that is gone, or a stream, drops nothing.
            left = if count > 0 { left - count } else { 0 };
            dropped += count;
            if written {
                promise = Promise::Synced(self.durability.log.end());
            }
        }
        self.after_call();
        (dropped, promise)
    }

    /// Lets go of all that a deleted queue had: of a long one, what is left after the first piece
    /// with the next ticks.
    pub(crate) fn dissolve(&self, queue: Option<Queue>) {
        if self.dissolve_piece(queue) {
            self.signals.hand_over();
        }
    }

    /// Goes on with a queue that was deleted.
    pub(crate) fn go_on_dissolving(&self) {
        let queue = self.dissolving.0.lock().pop();
        self.dissolve_piece(queue);
    }

    /// Whether the queue has to be gone on with.
    fn dissolve_piece(&self, queue: Option<Queue>) -> bool {
        let Some(mut queue) = queue else {
            return false;
        };
        let (mut released, mut memory) = (Vec::new(), 0);
        let count = queue.dissolve(PIECE, &mut released, &mut memory);
        let mut batch = ReleaseBatch::new();
        release_all(&mut released, &mut batch, &self.durability.log);
        self.pressure.account(memory);
        let goes_on = count == PIECE;
        if goes_on {
            self.dissolving.0.lock().push(queue);
        }
        goes_on
    }
}
