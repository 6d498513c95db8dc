//! Messages that are not ready before their time: published with a delay, or waiting to be tried
//! again.
//!
//! Invariants
//! - Nothing wakes before its time by the clock that the queue is given.
//! - A message that was never out wakes to the end of its queue, one that was out to its old
//!   place.
//! - A message that expires while it waits wakes no later than that.

use super::Queue;
use super::effect::Context;
use super::entry::Entry;
use super::passport::Step;
use super::schedule::Schedule;
use crate::Millis;
use crate::facts::Change;
use crate::reason::DeadLetterReason;

/// Messages that wake in one tick, so that nobody waits long for the partition.
const WAKES_MAX: usize = 2048;

impl Queue {
    /// The messages that wait, to add one.
    pub(super) fn waiting(&mut self) -> &mut Schedule {
        self.schedule.get_or_insert_default()
    }

    /// Has a message wait until `at`, or until it expires if that is sooner. Says until when.
    pub(super) fn wait(&mut self, entry: Entry, at: Millis) -> Millis {
        let at = match entry.expires_at {
            0 => at,
            expires_at => at.min(expires_at),
        };
        self.key_waits(&entry);
        self.waiting().insert(at, entry);
        at
    }

    /// Keeps a message back until `at`. Says until when it waits.
    pub(super) fn delay(&mut self, entry: Entry, at: Millis, cx: &mut Context<'_>) -> Millis {
        if let Some(mark) = self.durable_mark(&entry) {
            let change = Change::Delayed(mark, at, entry.expires_at);
            cx.facts.changes.push(change);
        }
        self.note(&entry, Step::Delayed(at), cx);
        self.wait(entry, at)
    }

    /// Makes what is due ready. Says how many there were.
    pub(super) fn wake(&mut self, cx: &mut Context<'_>) -> usize {
        let mut count = 0;
        while count < WAKES_MAX
            && let Some(schedule) = &mut self.schedule
            && let Some((at, entry)) = schedule.pop_due(cx.now)
        {
            count += 1;
            self.wake_one(at, entry, cx);
        }
        if count > 0 {
            self.drop_empty_schedule();
            self.fit_length(cx);
        }
        count
    }

    /// A queue in which nothing waits has no schedule.
    pub(super) fn drop_empty_schedule(&mut self) {
        let waiting = self.schedule.as_ref();
        if waiting.is_some_and(|waiting| waiting.count() == 0) {
            self.schedule = None;
        }
    }

    fn wake_one(&mut self, at: Millis, mut entry: Entry, cx: &mut Context<'_>) {
        self.key_waited(&entry);
        self.note(&entry, Step::Awake, cx);
        if self.is_stream() {
            return self.append_awake(entry, cx);
        }
        if entry.was_out() {
            match entry.expired(cx.now) {
                true => self.dead_letter(entry, DeadLetterReason::Expired, cx),
                false => self.put_back(entry),
            }
            return;
        }
        entry.redelivered = entry.seq < self.suspect_below && at <= self.suspect_until;
        let before = std::mem::replace(&mut entry.seq, self.take_seq());
        self.tags.moved(before, entry.seq);
        entry.shift_expiry(at, cx.now);
        if let Some(mark) = self.durable_mark(&entry) {
            let change = Change::Awake(mark, entry.expires_at);
            cx.facts.changes.push(change);
        }
        self.append(entry);
    }

    /// Gives a message that waits another time. Says until when it waits now; none if there is no
    /// such message.
    pub fn reschedule(
        &mut self,
        at: Millis,
        seq: u64,
        new_at: Millis,
        cx: &mut Context<'_>,
    ) -> Option<Millis> {
        let mut entry = self.schedule.as_mut()?.take(at, seq)?;
        self.key_waited(&entry);
        if !entry.was_out() {
            entry.shift_expiry(at, new_at);
        }
        Some(self.delay(entry, new_at, cx))
    }
}
