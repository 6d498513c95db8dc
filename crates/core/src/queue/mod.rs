//! A queue: messages in order, who holds which, and who gets the next.
//!
//! Every command is a method that takes a [`Context`]; it ends by handing ready messages to
//! willing consumers. An empty queue with a willing consumer is a pass-through: a message is
//! kept no longer than its lease.
//!
//! Invariants
//! - A message is in exactly one of ready, delayed, leased, gone.
//! - Ready messages and a willing consumer never coexist when a command has ended.
//! - The maximum length holds for ready messages when a command has ended.
//! - Every durable message has one `entered` fact, and one `gone` fact once it is gone; a message
//!   that passes through without a lease needs neither.
//! - Every body in the log that a queue was given is released exactly once.
//!
//! Not here: names and bindings (`routing`), connections, the log.

mod arrive;
mod consumer;
mod deduplicate;
mod delay;
mod deliver;
mod depart;
mod effect;
mod entry;
mod inspect;
mod lease;
mod line;
mod options;
mod page;
mod ready;
mod recover;
mod retry;
mod schedule;
mod settle;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;

pub use arrive::Prepared;
pub use consumer::{ConsumerSlot, SubscribeError, Subscription};
pub use deduplicate::{MessageId, Window};
pub use effect::{
    ConsumerId, Context, Counts, Effect, Gate, Incoming, Outcome, Outgoing, Settled, Ticked,
};
pub use entry::{Body, BodyRef, Entry};
pub use inspect::{Held, LeaseInfo, Spot};
pub use lease::LeaseId;
pub use options::{
    DeadLetterStrategy, DeadLetterTarget, Deduplication, Options, Overflow, QueueKind, Retry,
    SyncPolicy,
};
pub use recover::Recovering;

pub use crate::reason::DeadLetterReason;

use crate::Millis;
use crate::routing::QueueId;
use consumer::Consumers;
use lease::{Holder, Leases};
use ready::Ready;
use schedule::Schedule;

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The queue has it, or had it.
    Taken,
    /// The queue had one of that id before: it is as good as taken.
    Duplicate,
    /// The queue is full and says so.
    Rejected,
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    id: QueueId,
    options: Arc<Options>,
    ready: Ready,
    /// What waits for its time; none if nothing does.
    schedule: Option<Box<Schedule>>,
    leases: Leases,
    /// Departing messages that could not arrive at their last attempt.
    stuck: u64,
    consumers: Consumers,
    /// The ids that were seen, if the queue wants to know.
    window: Option<Box<Window>>,
    next_seq: u64,
    /// Messages before this place were here when the broker crashed.
    suspect_below: u64,
    /// Those of them that waited for a time before this one may have been handed out.
    suspect_until: Millis,
    used_at: Millis,
}

impl Queue {
    /// An empty queue.
    pub fn new(id: QueueId, options: impl Into<Arc<Options>>, now: Millis) -> Queue {
        let options = options.into();
        let mut queue = Queue {
            id,
            ready: Ready::default(),
            schedule: None,
            leases: Leases::default(),
            stuck: 0,
            consumers: Consumers::new(options.single_active_consumer),
            window: None,
            options,
            next_seq: 1,
            suspect_below: 0,
            suspect_until: 0,
            used_at: now,
        };
        queue.fit_window();
        queue
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

    /// Does from now on what other options say. What is fixed when a queue is made (durable, kind,
    /// levels, single active consumer, sync) must be as it was. Its
    /// own expiry starts again.
    pub fn set_options(&mut self, options: Arc<Options>, cx: &mut Context<'_>) {
        self.options = options;
        self.touch(cx.now);
        self.fit_window();
        self.fit_length(cx);
    }

    /// Somebody took notice of it: its own expiry starts again.
    pub fn touch(&mut self, now: Millis) {
        self.used_at = now;
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
        while !self.expire_front(cx) {}
        let entry = self.ready.pop_front()?;
        Some(self.hand_out(entry, no_ack, Holder::Get, cx))
    }

    /// Drops all ready messages and says how many.
    pub fn purge(&mut self, cx: &mut Context<'_>) -> u64 {
        let count = self.ready.count();
        let mut ready = std::mem::take(&mut self.ready);
        ready.drain(|entry| self.gone(&entry, cx));
        count
    }

    /// Drops everything with the queue; its messages need no facts, the queue's own end is one.
    pub fn delete(mut self, cx: &mut Context<'_>) -> u64 {
        let count = self.ready.count();
        let mut facts = std::mem::take(cx.facts);
        let mut ready = std::mem::take(&mut self.ready);
        let mut leases = std::mem::take(&mut self.leases);
        ready.drain(|entry| self.gone(&entry, cx));
        leases.drain().for_each(|lease| self.gone(&lease.entry, cx));
        self.purge_delayed(cx);
        facts.gone.retain(|mark| mark.queue != self.id);
        *cx.facts = facts;
        count
    }

    /// Time has passed: what is overdue happens, a bounded part of it at once.
    pub fn tick(&mut self, cx: &mut Context<'_>) -> Ticked {
        self.expire(cx);
        let woken = self.wake(cx);
        let leases_ended = self.end_overdue(cx);
        self.deliver_ready(cx);
        Ticked {
            woken,
            leases_ended,
        }
    }

    /// When `tick` is due.
    pub fn next_deadline(&self) -> Option<Millis> {
        let wakes_at = self.schedule.as_ref().and_then(|waiting| waiting.next_at());
        let lease_ends = self.leases.next_deadline();
        let times = [self.ready.next_expiry(), wakes_at, lease_ends];
        times.into_iter().flatten().min()
    }

    /// When the queue itself expires if nobody uses it until then.
    pub fn unused_until(&self) -> Option<Millis> {
        let expires_ms = self.options.expires_ms?;
        (self.consumers.count() == 0).then(|| self.used_at.saturating_add(expires_ms))
    }
}
