//! A queue: messages in order, who holds which, and who gets the next.
//!
//! Every command is a method that takes a [`Context`]; it ends by handing ready messages to
//! willing consumers. An empty queue with a willing consumer is a pass-through: a message is
//! kept no longer than its lease.
//!
//! Invariants
//! - A message is in exactly one of ready, leased, gone.
//! - Ready messages and a willing consumer never coexist when a command has ended.
//! - The maximum length holds for ready messages when a command has ended.
//! - Every durable message has one `entered` fact, and one `gone` fact once it is gone; a message
//!   that passes through without a lease needs neither.
//! - Every body in the log that a queue was given is released exactly once.
//!
//! Not here: names and bindings (`routing`), connections, the log.

mod consumer;
mod deliver;
mod effect;
mod entry;
mod lease;
mod options;
mod page;
mod ready;
mod recover;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use consumer::{ConsumerSlot, SubscribeError, Subscription};
pub use effect::{
    ConsumerId, Context, Counts, DeadLetterReason, Effect, Gate, Incoming, Outcome, Outgoing,
};
pub use entry::{Body, BodyRef, Entry};
pub use lease::LeaseId;
pub use options::{DeadLetterTarget, Options, Overflow, QueueKind, SyncPolicy};
pub use recover::Recovering;

use crate::Millis;
use crate::facts::{Entered, Mark, Moved};
use crate::message::{NOT_LOGGED, Position};
use crate::routing::QueueId;
use consumer::Consumers;
use lease::{Holder, Leases};
use ready::Ready;

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The queue has it, or had it.
    Taken,
    /// The queue is full and says so.
    Rejected,
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    id: QueueId,
    options: Arc<Options>,
    ready: Ready,
    leases: Leases,
    consumers: Consumers,
    next_seq: u64,
    /// Messages before this place were here when the broker crashed.
    suspect_below: u64,
    used_at: Millis,
}

impl Queue {
    /// An empty queue.
    pub fn new(id: QueueId, options: impl Into<Arc<Options>>, now: Millis) -> Queue {
        let options = options.into();
        Queue {
            id,
            ready: Ready::new(options.max_priority),
            leases: Leases::default(),
            consumers: Consumers::new(options.single_active_consumer),
            options,
            next_seq: 1,
            suspect_below: 0,
            used_at: now,
        }
    }

    /// Its name in facts.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// What it was declared to do.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The same, to be shared with whoever shows them.
    pub fn shared_options(&self) -> Arc<Options> {
        Arc::clone(&self.options)
    }

    /// Its counts.
    pub fn counts(&self) -> Counts {
        Counts {
            id: self.id,
            ready: self.ready.count(),
            unsettled: self.leases.unsettled(),
            ready_bytes: self.ready.bytes(),
            consumers: self.consumers.count(),
        }
    }

    /// Somebody took notice of it: its own expiry starts again.
    pub fn touch(&mut self, now: Millis) {
        self.used_at = now;
    }

    /// A message arrives.
    pub fn enqueue(&mut self, incoming: &Incoming, cx: &mut Context<'_>) -> Enqueued {
        if self.options.overflow != Overflow::DropHead && self.would_overflow(incoming.size) {
            self.refuse(incoming, cx);
            return Enqueued::Rejected;
        }
        self.expire(cx);
        if self.ready.count() == 0 && self.pass_through(incoming, cx) {
            return Enqueued::Taken;
        }
        let entry = self.admit(incoming, cx);
        *cx.memory += entry.memory_bytes() as i64;
        self.ready.push_back(entry);
        self.deliver_ready(cx);
        self.drop_overflow(cx);
        Enqueued::Taken
    }

    /// A lease ends. False if it had ended before.
    pub fn settle(&mut self, id: LeaseId, outcome: Outcome, cx: &mut Context<'_>) -> bool {
        let Some(lease) = self.leases.end(id) else {
            return false;
        };
        if let Holder::Consumer(slot) = lease.holder {
            self.consumers.settled(slot);
        }
        let mut entry = lease.entry;
        match outcome {
            Outcome::Accept => self.gone(&entry, cx),
            Outcome::Reject => self.dead_letter(entry, DeadLetterReason::Rejected, cx),
            Outcome::Requeue => {
                entry.returns += 1;
                entry.redelivered = true;
                if self
                    .options
                    .delivery_limit
                    .is_some_and(|limit| entry.returns > limit)
                {
                    self.dead_letter(entry, DeadLetterReason::DeliveryLimit, cx);
                } else {
                    self.ready.put_back(entry);
                    if self.options.overflow == Overflow::DropHead {
                        self.drop_overflow(cx);
                    }
                }
            }
        }
        self.deliver_ready(cx);
        true
    }

    /// A consumer comes. Nothing is delivered before `deliver_ready`, so that it can be told first.
    pub fn subscribe(
        &mut self,
        subscription: Subscription,
        now: Millis,
    ) -> Result<ConsumerSlot, SubscribeError> {
        self.touch(now);
        self.consumers.add(subscription)
    }

    /// A consumer goes; what it holds stays leased. False if it had gone before.
    pub fn unsubscribe(&mut self, slot: ConsumerSlot, cx: &mut Context<'_>) -> bool {
        let was_here = self.consumers.remove(slot);
        self.touch(cx.now);
        self.deliver_ready(cx);
        was_here
    }

    /// The outlet of a consumer has room again.
    pub fn resume(&mut self, slot: ConsumerSlot, cx: &mut Context<'_>) {
        self.consumers.resume(slot);
        self.deliver_ready(cx);
    }

    /// The ids of its consumers.
    pub fn consumers(&self) -> impl Iterator<Item = ConsumerId> {
        self.consumers.ids()
    }

    /// The active consumer of a queue that has a single one.
    pub fn active_consumer(&self) -> Option<ConsumerId> {
        self.consumers.active()
    }

    /// Takes one message, for somebody who asks for just one.
    pub fn get(&mut self, no_ack: bool, cx: &mut Context<'_>) -> Option<Outgoing> {
        self.touch(cx.now);
        self.expire(cx);
        let entry = self.ready.pop_front()?;
        let outgoing = self.hand_out(entry, no_ack, Holder::Get, cx);
        self.expire(cx);
        Some(outgoing)
    }

    /// Drops all ready messages and says how many.
    pub fn purge(&mut self, cx: &mut Context<'_>) -> u64 {
        let count = self.ready.count();
        let mut ready = std::mem::replace(&mut self.ready, Ready::new(self.options.max_priority));
        ready.drain(|entry| self.gone(&entry, cx));
        count
    }

    /// Drops everything with the queue; its messages need no facts, the queue's own end is one.
    pub fn delete(mut self, cx: &mut Context<'_>) -> u64 {
        let count = self.ready.count();
        let mut facts = std::mem::take(cx.facts);
        let mut ready = std::mem::replace(&mut self.ready, Ready::new(0));
        let mut leases = std::mem::take(&mut self.leases);
        ready.drain(|entry| self.gone(&entry, cx));
        leases.drain().for_each(|lease| self.gone(&lease.entry, cx));
        facts.gone.retain(|mark| mark.queue != self.id);
        *cx.facts = facts;
        count
    }

    /// Time has passed: what is overdue goes.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        self.expire(cx);
    }

    /// When `tick` is due for the message at the head, if it can expire.
    pub fn next_expiry(&mut self) -> Option<Millis> {
        if !self.ready.any_expiring() {
            return None;
        }
        self.ready
            .front()
            .map(|entry| entry.expires_at)
            .filter(|at| *at != 0)
    }

    /// When the queue itself expires if nobody uses it until then.
    pub fn unused_until(&self) -> Option<Millis> {
        let expires_ms = self.options.expires_ms?;
        (self.consumers.count() == 0).then(|| self.used_at.saturating_add(expires_ms))
    }

    /// Moves bodies out of `segment_from..segment_to`, asking `copy` where each is now.
    pub fn evacuate(
        &mut self,
        from: Position,
        to: Position,
        mut copy: impl FnMut(Position, u32) -> Option<Position>,
        cx: &mut Context<'_>,
    ) {
        let (id, mut moves) = (self.id, Vec::new());
        let mut move_one = |entry: &mut Entry| {
            let inside = entry.position().filter(|at| (from..to).contains(at));
            if let Some((old, new)) = inside.and_then(|old| Some((old, copy(old, entry.size)?))) {
                entry.body = Body::Log(new);
                moves.push((
                    Moved {
                        queue: id,
                        from: old,
                        to: new,
                        size: entry.size,
                    },
                    entry.durable,
                ));
            }
            true
        };
        self.leases.iter_mut().for_each(|lease| {
            move_one(&mut lease.entry);
        });
        let inside =
            |page: &page::Packed| page.positions().start() < &to && page.positions().end() >= &from;
        self.ready.retain(inside, &mut move_one);
        for (moved, durable) in moves {
            cx.released.push(Mark {
                queue: id,
                position: moved.from,
                size: moved.size,
            });
            if durable {
                cx.facts.moved.push(moved);
            }
        }
    }

    /// Moves bodies of ready messages from memory to the log, asking `store` where each is now,
    /// until it declines.
    pub fn spill(
        &mut self,
        mut store: impl FnMut(&[u8], u32) -> Option<Position>,
        cx: &mut Context<'_>,
    ) {
        let memory = &mut *cx.memory;
        self.ready.retain(
            |_| false,
            |entry| {
                if let Body::Memory(bytes) = &entry.body
                    && let Some(position) = store(bytes, entry.size)
                {
                    *memory -= bytes.len() as i64;
                    entry.body = Body::Log(position);
                }
                true
            },
        );
    }

    /// Ready messages in the order of leaving, for listings, until `each` returns false.
    pub fn visit_ready(&self, each: impl FnMut(&Entry) -> bool) {
        self.ready.visit(each);
    }

    /// The leased message, to find its body.
    pub fn leased(&self, id: LeaseId) -> Option<&Entry> {
        self.leases.get(id).map(|lease| &lease.entry)
    }

    fn would_overflow(&self, size: u32) -> bool {
        let Options {
            max_length,
            max_length_bytes,
            ..
        } = *self.options;
        max_length.is_some_and(|max| self.ready.count() + 1 > max)
            || max_length_bytes.is_some_and(|max| self.ready.bytes() + u64::from(size) > max)
    }

    fn over_limit(&self) -> bool {
        let Options {
            max_length,
            max_length_bytes,
            ..
        } = *self.options;
        max_length.is_some_and(|max| self.ready.count() > max)
            || max_length_bytes.is_some_and(|max| self.ready.bytes() > max)
    }

    fn drop_overflow(&mut self, cx: &mut Context<'_>) {
        if self.options.max_length.is_none() && self.options.max_length_bytes.is_none() {
            return;
        }
        while self.over_limit() {
            let Some(entry) = self.ready.pop_front() else {
                return;
            };
            self.dead_letter(entry, DeadLetterReason::MaxLength, cx);
        }
    }

    fn refuse(&mut self, incoming: &Incoming, cx: &mut Context<'_>) {
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
        self.release(incoming.position, incoming.size, incoming.recorded, cx);
    }

    /// Gives an arriving message its place and writes down that it entered.
    fn admit(&mut self, incoming: &Incoming, cx: &mut Context<'_>) -> Entry {
        let seq = self.next_seq;
        self.next_seq += 1;
        let durable = incoming.position != NOT_LOGGED;
        let priority = self.options.level(incoming.priority);
        let expires_at = self.options.expires_at(incoming.ttl_ms, cx.now);
        if durable && !incoming.recorded {
            cx.facts.entered.push(Entered {
                queue: self.id,
                position: incoming.position,
                size: incoming.size,
                priority,
                expires_at,
            });
        }
        let body = if durable {
            Body::Log(incoming.position)
        } else {
            Body::Memory(cx.copy(incoming.offset, incoming.len))
        };
        Entry {
            seq,
            body,
            expires_at,
            size: incoming.size,
            returns: 0,
            priority,
            redelivered: false,
            durable,
        }
    }

    fn gone(&mut self, entry: &Entry, cx: &mut Context<'_>) {
        *cx.memory -= entry.memory_bytes() as i64;
        if let Some(position) = entry.position() {
            let mark = Mark {
                queue: self.id,
                position,
                size: entry.size,
            };
            cx.released.push(mark);
            if entry.durable {
                cx.facts.gone.push(mark);
            }
        }
    }

    fn release(&mut self, position: Position, size: u32, recorded: bool, cx: &mut Context<'_>) {
        if position != NOT_LOGGED {
            let mark = Mark {
                queue: self.id,
                position,
                size,
            };
            cx.released.push(mark);
            if recorded {
                cx.facts.gone.push(mark);
            }
        }
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        if !self.ready.any_expiring() {
            return;
        }
        while self
            .ready
            .front()
            .is_some_and(|entry| entry.expired(cx.now))
        {
            let entry = self.ready.pop_front().expect("the front was just there");
            self.dead_letter(entry, DeadLetterReason::Expired, cx);
        }
    }

    fn dead_letter(&mut self, entry: Entry, reason: DeadLetterReason, cx: &mut Context<'_>) {
        if self.options.dead_letter.is_none() {
            self.gone(&entry, cx);
            return;
        }
        let body = BodyRef::from(&entry.body);
        let lease = Some(self.leases.open(entry, Holder::Departing));
        cx.effects.push(Effect::DeadLetter {
            lease,
            body,
            reason,
        });
    }
}
