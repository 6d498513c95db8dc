//! Dropping many messages, a bounded number at once: a purge, and the end of the queue itself.
//!
//! Invariants
//! - What is dropped at once, and so what it takes in memory, is the caller's to bound: a queue
//!   may hold millions.
//!
//! Not here: what is too much (`depart`).

use super::Queue;
use super::effect::Context;
use super::entry::Entry;
use crate::Millis;
use crate::facts::{Facts, Mark};

impl Queue {
    /// Drops ready messages, `max` at most and those first that leave first, and says how many. A
    /// stream keeps them.
    pub fn purge(&mut self, max: u64, cx: &mut Context<'_>) -> u64 {
        let mut count = 0;
        while count < max
            && !self.is_stream()
            && let Some(entry) = self.pop_ready()
        {
            self.gone(&entry, cx);
            count += 1;
        }
        count
    }

    /// Drops messages that wait for their time, `max` at most and the earliest first, and says how
    /// many.
    pub fn purge_delayed(&mut self, max: u64, cx: &mut Context<'_>) -> u64 {
        let mut count = 0;
        while count < max
            && let Some(entry) = self.pop_waiting()
        {
            self.key_waited(&entry);
            self.gone(&entry, cx);
            count += 1;
        }
        if count > 0 {
            self.drop_empty_schedule();
            // Keys that waited with them go on.
            self.deliver_ready(cx);
        }
        count
    }

    /// Drops messages of a queue that was deleted, `max` at most, wherever they are, and says how
    /// many: 0 when none is left. They need no facts, the queue's own end is one.
    pub fn dissolve(&mut self, max: u64, released: &mut Vec<Mark>, memory: &mut i64) -> u64 {
        let (mut count, mut facts) = (0, Facts::default());
        while count < max
            && let Some(entry) = self.pop_any()
        {
            self.leave(&entry, &mut facts, released, memory);
            count += 1;
        }
        count
    }

    fn pop_ready(&mut self) -> Option<Entry> {
        self.ready.used()?.pop_front()
    }

    fn pop_waiting(&mut self) -> Option<Entry> {
        let (_, entry) = self.schedule.as_mut()?.pop_due(Millis::MAX)?;
        Some(entry)
    }

    fn pop_any(&mut self) -> Option<Entry> {
        let leased = |queue: &mut Queue| Some(queue.leases.used()?.pop()?.entry);
        self.pop_ready()
            .or_else(|| self.pop_waiting())
            .or_else(|| leased(self))
            .or_else(|| Some(self.pop_departure()?.1))
    }
}
