//! How a message comes into a queue, or is refused.
//!
//! Invariants
//! - A message whose id has been seen is taken and not stored; one that is refused is not seen.
//!   While a transaction with that id is under way nobody can tell, and others are refused.
//! - A message with a delay neither counts against the maximum length nor is handed out before
//!   its time.

use super::deduplicate::{MessageId, Window};
use super::effect::{Context, Effect, Incoming, Lens, Special};
use super::entry::{Body, BodyRef, Entry};
use super::{Enqueued, Options, Overflow, Queue};
use crate::Millis;
use crate::facts::{Change, Entered, Facts, Mark};
use crate::message::{IdBytes, NOT_LOGGED};
use crate::reason::DeadLetterReason;

/// What a transaction has to write of a publish before it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// It will be stored; its facts are written already.
    Stored,
    /// It will be kept in memory only.
    Transient,
    /// It was seen before: there is nothing to apply.
    Duplicate,
    /// It was seen before in the same transaction: known when that one is applied.
    Undecided,
}

impl Queue {
    /// A message arrives.
    pub fn enqueue(&mut self, incoming: &Incoming, cx: &mut Context<'_>) -> Enqueued {
        match incoming.special {
            true => self.enqueue_special(incoming, cx),
            false => self.take_in(incoming, None, cx),
        }
    }

    fn enqueue_special(&mut self, incoming: &Incoming, cx: &mut Context<'_>) -> Enqueued {
        let Special { deliver_at, id } = incoming.special(cx.staged);
        if incoming.recorded {
            self.fate_is_known(id);
        } else if self.seen(id, cx) {
            self.release(incoming, cx);
            return match self.is_under_way(id) {
                true => Enqueued::Rejected,
                false => Enqueued::Duplicate,
            };
        }
        let Some(deliver_at) = deliver_at.filter(|at| *at > cx.now) else {
            return self.take_in(incoming, id, cx);
        };
        self.note_id(id, incoming, cx);
        let entry = self.admit(incoming, deliver_at, cx);
        *cx.memory += entry.memory_bytes() as i64;
        self.wait(entry, deliver_at);
        Enqueued::Taken
    }

    fn take_in(
        &mut self,
        incoming: &Incoming,
        id: Option<IdBytes>,
        cx: &mut Context<'_>,
    ) -> Enqueued {
        if self.must_refuse(incoming.size) {
            self.refuse(incoming, id, cx);
            return Enqueued::Rejected;
        }
        self.note_id(id, incoming, cx);
        if self.is_stream() {
            self.append_incoming(incoming, cx);
            return Enqueued::Taken;
        }
        if self.is_choosy() {
            let key = self.key_of(incoming, cx.lens, cx.staged);
            self.take_in_chosen(incoming, key, cx);
            return Enqueued::Taken;
        }
        self.expire_front(cx);
        if self.ready.count() == 0 && self.pass_through(incoming, cx) {
            return Enqueued::Taken;
        }
        if self.options.discards_transient && self.is_for_nobody(incoming) {
            return Enqueued::Taken;
        }
        let entry = self.admit(incoming, 0, cx);
        *cx.memory += entry.memory_bytes() as i64;
        self.ready.push_back(entry);
        self.deliver_ready(cx);
        self.drop_overflow(cx);
        Enqueued::Taken
    }

    /// Whether a message lives in memory alone, and there is nobody to take it from there.
    fn is_for_nobody(&self, incoming: &Incoming) -> bool {
        incoming.position == NOT_LOGGED && self.consumers.count() == 0
    }

    /// Writes down, as part of a transaction, that a message enters.
    pub fn prepare(
        &mut self,
        incoming: &Incoming,
        staged: &[u8],
        lens: &dyn Lens,
        now: Millis,
        facts: &mut Facts,
    ) -> Prepared {
        let Special { id, deliver_at } = incoming.special(staged);
        if let (Some(window), Some(id)) = (&mut self.window, id) {
            let known_as = MessageId::from_bytes(id);
            if window.is_under_way(known_as) {
                return Prepared::Undecided;
            }
            if window.contains(known_as, now) {
                return Prepared::Duplicate;
            }
            window.begin(known_as, now);
            if incoming.position != NOT_LOGGED {
                facts.changes.push(Change::Seen(self.id, id, now));
            }
        }
        if incoming.position == NOT_LOGGED {
            return Prepared::Transient;
        }
        let at_once = self.announced_until(now);
        let wakes_at = deliver_at.filter(|at| *at > now).unwrap_or(at_once);
        let key = self.key_of(incoming, lens, staged);
        facts
            .entered
            .push(self.entered(incoming, key, wakes_at, now));
        Prepared::Stored
    }

    fn entered(&self, incoming: &Incoming, key: u32, wakes_at: Millis, now: Millis) -> Entered {
        Entered {
            queue: self.id,
            position: incoming.position,
            size: incoming.size,
            priority: self.options.level(incoming.priority),
            expires_at: self.options.expires_at(incoming.ttl_ms, now.max(wakes_at)),
            wakes_at,
            key,
        }
    }

    /// Gives an arriving message its place and writes down that it entered.
    pub(super) fn admit(
        &mut self,
        incoming: &Incoming,
        wakes_at: Millis,
        cx: &mut Context<'_>,
    ) -> Entry {
        let key = self.key_of(incoming, cx.lens, cx.staged);
        self.admit_keyed(incoming, key, wakes_at, cx)
    }

    /// The same for a message whose key is known.
    pub(super) fn admit_keyed(
        &mut self,
        incoming: &Incoming,
        key: u32,
        wakes_at: Millis,
        cx: &mut Context<'_>,
    ) -> Entry {
        let seq = self.take_place(wakes_at != 0);
        let durable = incoming.position != NOT_LOGGED;
        let entered = self.entered(incoming, key, wakes_at, cx.now);
        if durable && !incoming.recorded {
            cx.facts.entered.push(entered);
        }
        let body = match durable {
            true => Body::Log(incoming.position),
            false => Body::Memory(cx.copy(incoming.offset, incoming.len)),
        };
        Entry {
            seq,
            body,
            expires_at: entered.expires_at,
            size: incoming.size,
            returns: 0,
            returned_by: 0,
            key,
            priority: entered.priority,
            redelivered: false,
            durable,
        }
    }

    pub(super) fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn seen(&mut self, id: Option<IdBytes>, cx: &Context<'_>) -> bool {
        match (&mut self.window, id) {
            (Some(window), Some(id)) => window.contains(MessageId::from_bytes(id), cx.now),
            _ => false,
        }
    }

    fn is_under_way(&self, id: Option<IdBytes>) -> bool {
        let window = self.window.as_ref().zip(id);
        window.is_some_and(|(window, id)| window.is_under_way(MessageId::from_bytes(id)))
    }

    fn fate_is_known(&mut self, id: Option<IdBytes>) {
        if let (Some(window), Some(id)) = (&mut self.window, id) {
            window.end(MessageId::from_bytes(id));
        }
    }

    fn note_id(&mut self, id: Option<IdBytes>, incoming: &Incoming, cx: &mut Context<'_>) {
        let (Some(window), Some(id), false) = (&mut self.window, id, incoming.recorded) else {
            return;
        };
        window.insert(MessageId::from_bytes(id), cx.now);
        // An id does not outlive what it stands for.
        if incoming.position != NOT_LOGGED {
            let change = Change::Seen(self.id, id, cx.now);
            cx.facts.changes.push(change);
        }
    }

    fn forget_id(&mut self, id: Option<IdBytes>, cx: &mut Context<'_>) {
        let (Some(window), Some(id)) = (&mut self.window, id) else {
            return;
        };
        if window.remove(MessageId::from_bytes(id)) && self.options.durable {
            let change = Change::Forgotten(self.id, id);
            cx.facts.changes.push(change);
        }
    }

    /// Starts, changes or ends the memory of ids as the options say.
    pub(super) fn fit_window(&mut self) {
        match (self.options.deduplication, &mut self.window) {
            (None, window) => *window = None,
            (Some(wanted), Some(window)) => window.set_options(wanted),
            (Some(wanted), window) => *window = Some(Box::new(Window::new(wanted))),
        }
    }

    /// Whether it would take one more message of that size.
    pub fn has_room(&self, size: u32) -> bool {
        !self.must_refuse(size)
    }

    /// Whether a publish must be refused: the queue is full and says so, or as many dead letters
    /// as it may have messages can not leave it.
    pub(super) fn must_refuse(&self, size: u32) -> bool {
        let Options {
            max_length,
            max_length_bytes,
            overflow,
            ..
        } = *self.options;
        if max_length.is_none() && max_length_bytes.is_none() {
            return false;
        }
        if self.is_clogged() {
            return true;
        }
        overflow != Overflow::DropHead
            && (max_length.is_some_and(|max| self.ready.count() + 1 > max)
                || max_length_bytes.is_some_and(|max| self.ready.bytes() + u64::from(size) > max))
    }

    fn refuse(&mut self, incoming: &Incoming, id: Option<IdBytes>, cx: &mut Context<'_>) {
        if self.options.overflow == Overflow::RejectPublishDlx && self.options.dead_letter.is_some()
        {
            let Incoming { offset, len, .. } = *incoming;
            let body = BodyRef::Staged { offset, len };
            let reason = DeadLetterReason::MaxLength;
            cx.effects.push(Effect::DeadLetter {
                lease: None,
                body,
                reason,
            });
        }
        if incoming.recorded {
            self.forget_id(id, cx);
        }
        self.release(incoming, cx);
    }

    /// Gives back what a message brought that this queue does not keep.
    pub(super) fn release(&mut self, incoming: &Incoming, cx: &mut Context<'_>) {
        if incoming.position == NOT_LOGGED {
            return;
        }
        let mark = Mark {
            queue: self.id,
            position: incoming.position,
            size: incoming.size,
        };
        cx.released.push(mark);
        if incoming.recorded {
            cx.facts.gone.push(mark);
        }
    }
}
