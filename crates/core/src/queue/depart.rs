//! How a message leaves a queue without a consumer: dropped, expired, dead-lettered.
//!
//! A dead letter stays here, leased to the broker, until it has arrived where it goes. If many are
//! on their way it waits its turn (`departures`).
//!
//! Invariants
//! - `stuck` is the number of departing messages that could not arrive at their last attempt.
//! - That a message is stuck, or waits its turn, is written down once, so that after a crash it
//!   departs again instead of being delivered.

use super::departures::DEPARTING_MAX;
use super::effect::{Context, Effect};
use super::entry::{BodyRef, Entry};
use super::lease::{Holder, Lease, LeaseId};
use super::passport::Step;
use super::{Overflow, Queue};
use crate::facts::{Change, Facts, Mark};
use crate::reason::DeadLetterReason;

/// Messages that expire in one tick, so that nobody waits long for the partition.
pub(super) const EXPIRIES_MAX: usize = 1024;

/// Messages that are dropped at once for the maximum length: a policy may make millions too much.
const DROPS_MAX: usize = 4096;

impl Queue {
    /// What names a message whose body is in the log.
    pub(super) fn mark(&self, entry: &Entry) -> Option<Mark> {
        Some(Mark {
            queue: self.id,
            position: entry.position()?,
            size: entry.size,
        })
    }

    /// What names a message in facts, if it outlives the broker.
    pub(super) fn durable_mark(&self, entry: &Entry) -> Option<Mark> {
        self.mark(entry).filter(|_| entry.durable)
    }

    /// A message is gone for good.
    pub(super) fn gone(&mut self, entry: &Entry, cx: &mut Context<'_>) {
        self.leave(entry, cx.facts, cx.released, cx.memory);
    }

    /// The same where there is no step.
    pub(super) fn leave(
        &mut self,
        entry: &Entry,
        facts: &mut Facts,
        released: &mut Vec<Mark>,
        memory: &mut i64,
    ) {
        *memory -= entry.memory_bytes() as i64;
        self.tags.forget(entry.seq);
        if let Some(mark) = self.mark(entry) {
            released.push(mark);
            if entry.durable {
                facts.gone.push(mark);
            }
        }
    }

    /// Lets what expired at the head go: nothing expired is handed out. False if there was too
    /// much to do it at once; the next tick, which is due at once, goes on.
    #[inline]
    pub(super) fn expire_front(&mut self, cx: &mut Context<'_>) -> bool {
        self.ready.next_expiry().is_none_or(|at| at > cx.now) || self.expire_due_front(cx)
    }

    fn expire_due_front(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..EXPIRIES_MAX {
            if !self
                .ready
                .front()
                .is_some_and(|entry| entry.expired(cx.now))
            {
                return true;
            }
            let entry = self.ready.pop_front().expect("the front was just there");
            self.dead_letter(entry, DeadLetterReason::Expired, cx);
        }
        false
    }

    /// Lets go what expired wherever it stands. Says how many.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>) -> usize {
        if self.ready.next_expiry().is_none_or(|at| at > cx.now) {
            return 0;
        }
        let mut expired = Vec::new();
        self.ready.take_expired(cx.now, EXPIRIES_MAX, &mut expired);
        let count = expired.len();
        for entry in expired {
            self.dead_letter(entry, DeadLetterReason::Expired, cx);
        }
        count
    }

    fn over_limit(&self) -> bool {
        let (length, bytes) = (self.options.max_length, self.options.max_length_bytes);
        length.is_some_and(|max| self.ready.count() > max)
            || bytes.is_some_and(|max| self.ready.bytes() > max)
    }

    /// Makes room by dropping the oldest.
    pub(super) fn drop_overflow(&mut self, cx: &mut Context<'_>) {
        if self.is_stream() {
            return self.fit_stream(cx);
        }
        if self.options.max_length.is_none() && self.options.max_length_bytes.is_none() {
            return;
        }
        for _ in 0..DROPS_MAX {
            if !self.over_limit() {
                return;
            }
            let Some(entry) = self.ready.pop_front() else {
                return;
            };
            self.dead_letter(entry, DeadLetterReason::MaxLength, cx);
        }
    }

    /// Whether there is still more to drop for the maximum length than was dropped at once.
    #[inline]
    pub(super) fn is_overfull(&self) -> bool {
        self.over_limit() && self.options.overflow == Overflow::DropHead && !self.is_stream()
    }

    /// Sends a message to the dead-letter exchange, or drops it if there is none.
    pub(super) fn dead_letter(
        &mut self,
        entry: Entry,
        reason: DeadLetterReason,
        cx: &mut Context<'_>,
    ) {
        if self.options.dead_letter.is_none() {
            self.note(&entry, Step::Dropped(reason), cx);
            self.gone(&entry, cx);
            return;
        }
        if self.departures.is_none() && self.leases.departing() < DEPARTING_MAX {
            self.depart(entry, reason, cx);
            return;
        }
        if let Some(mark) = self.durable_mark(&entry) {
            cx.facts.changes.push(Change::Departed(mark, reason));
        }
        self.departures.get_or_insert_default().push(reason, entry);
    }

    fn depart(&mut self, entry: Entry, reason: DeadLetterReason, cx: &mut Context<'_>) -> LeaseId {
        let body = BodyRef::from(&entry.body);
        let holder = Holder::Departing(reason);
        let lease = self.leases.open(entry, holder, cx.now, 0);
        cx.effects.push(Effect::DeadLetter {
            lease: Some(lease),
            body,
            reason,
        });
        lease
    }

    /// Those that waited their turn depart.
    fn depart_next(&mut self, cx: &mut Context<'_>) {
        while self.leases.departing() < DEPARTING_MAX
            && let Some((reason, entry)) = self.pop_departure()
        {
            let id = self.depart(entry, reason, cx);
            if let Some(lease) = self.leases.get_mut(id) {
                lease.noted = true;
            }
        }
    }

    /// Takes the dead letter whose turn is next.
    pub(super) fn pop_departure(&mut self) -> Option<(DeadLetterReason, Entry)> {
        let departures = self.departures.as_mut()?;
        let next = departures.pop();
        if departures.count() == 0 {
            self.departures = None;
        }
        next
    }

    /// Dead letters that could not arrive, or wait their turn.
    pub(super) fn pending(&self) -> u64 {
        let waiting = self.departures.as_ref();
        self.stuck + waiting.map_or(0, |waiting| waiting.count())
    }

    /// Whether as many dead letters as there may be messages can not leave. Those that wait their
    /// turn can not if all before them could not.
    pub(super) fn is_clogged(&self) -> bool {
        let held = match self.stuck < u64::from(DEPARTING_MAX) {
            true => self.stuck,
            false => self.pending(),
        };
        held > 0
            && self
                .options
                .max_length
                .is_some_and(|max| held >= max.max(1))
    }

    /// A departing message could not arrive: it is kept until it can. Says whether it is the first
    /// of the queue.
    pub fn departure_failed(&mut self, id: LeaseId, cx: &mut Context<'_>) -> bool {
        let Some(lease) = self.leases.get_mut(id) else {
            return false;
        };
        let Holder::Departing(reason) = lease.holder else {
            return false;
        };
        let newly = !std::mem::replace(&mut lease.stuck, true);
        let noted = std::mem::replace(&mut lease.noted, true);
        self.stuck += u64::from(newly);
        let mark = self.leases.get(id).filter(|_| !noted);
        let mark = mark.and_then(|lease| self.durable_mark(&lease.entry));
        if let Some(mark) = mark {
            cx.facts.changes.push(Change::Departed(mark, reason));
        }
        newly && self.stuck == 1
    }

    /// A departing message has arrived, or has nowhere to go.
    pub fn departed(&mut self, id: LeaseId, cx: &mut Context<'_>) -> bool {
        let super::lease::Ended::Lease(lease) = self.leases.end(id) else {
            return false;
        };
        self.stuck -= u64::from(lease.stuck);
        self.gone(&lease.entry, cx);
        self.depart_next(cx);
        true
    }

    /// The messages that are stuck on their way, with why they left, in the order of the queue.
    pub fn stuck_departures(&self) -> impl Iterator<Item = (LeaseId, DeadLetterReason)> {
        let stuck = |(id, lease): (LeaseId, &Lease)| match lease.holder {
            Holder::Departing(reason) if lease.stuck => Some((lease.entry.seq, id, reason)),
            _ => None,
        };
        let mut all: Vec<_> = self.leases.iter().filter_map(stuck).collect();
        all.sort_unstable_by_key(|(seq, ..)| *seq);
        all.into_iter().map(|(_, id, reason)| (id, reason))
    }

    /// Keeps the maximum length where nothing is refused: options changed, or a message came back.
    pub(super) fn fit_length(&mut self, cx: &mut Context<'_>) {
        if self.options.overflow == Overflow::DropHead {
            self.drop_overflow(cx);
        }
    }
}
