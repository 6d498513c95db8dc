//! A queue: messages in order, who holds which, and who gets the next.
//!
//! Every command is a method that takes a [`Context`]; it ends by handing ready messages to
//! willing consumers. An empty queue with a willing consumer is a pass-through: a message is
//! kept no longer than its lease.
//!
//! Invariants
//! - A message is in exactly one of ready, delayed, leased, gone.
//! - A ready message and a willing consumer that may have it and wants it never coexist when a
//!   command has ended, unless `work` says that there is more to look at, or in a pause for the
//!   sake of the deliver rate.
//! - The maximum length holds for ready messages when a command has ended, unless so many are too
//!   much that the next tick, which is due at once, has to go on.
//! - Every durable message has one `entered` fact, and one `gone` fact once it is gone; a message
//!   that passes through without a lease needs neither.
//! - Every body in the log that a queue was given is released exactly once.
//!
//! Not here: names and bindings (`routing`), connections, the log.

mod arrive;
mod choice;
mod clear;
mod consumer;
mod deduplicate;
mod delay;
mod deliver;
mod depart;
mod departures;
mod effect;
mod entry;
mod inspect;
mod lease;
mod line;
mod notes;
mod on_use;
mod options;
mod pace;
mod page;
mod passport;
mod ready;
mod recover;
mod retry;
mod schedule;
mod settle;
mod shards;
mod stream;
mod tag;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;

pub use arrive::Prepared;
pub use consumer::{Choice, ConsumerSlot, StreamOffset, SubscribeError, Subscription};
pub use deduplicate::{MessageId, Window};
pub use deliver::DELIVERY_OVERHEAD_BYTES;
pub use effect::{
    ConsumerId, Context, Counts, Effect, Gate, Incoming, Lens, Outcome, Outgoing, Settled, Ticked,
};
pub use entry::{Body, BodyRef, Entry};
pub use inspect::{Held, LeaseInfo, Spot};
pub use lease::LeaseId;
pub use options::{
    DeadLetterStrategy, DeadLetterTarget, Deduplication, Options, Overflow, QueueKind, Rate,
    Retention, Retry, Shards, SyncPolicy,
};
pub use pace::{BURST_MS, Debt, went_back};
pub use passport::Step;
pub use recover::Recovering;
pub use stream::Reading;

pub use crate::reason::DeadLetterReason;

use crate::Millis;
use crate::routing::QueueId;
use choice::Work;
use consumer::Consumers;
use departures::Departures;
use lease::{Holder, Leases};
use notes::Notes;
use on_use::OnUse;
use ready::Ready;
use schedule::Schedule;
use shards::Group;
use stream::Stream;
use tag::Tags;

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
///
/// Of a million queues nearly all wait: what only a busy one needs is behind a pointer.
#[derive(Debug)]
pub struct Queue {
    id: QueueId,
    options: Arc<Options>,
    ready: OnUse<Ready>,
    /// What waits for its time; none if nothing does.
    schedule: Option<Box<Schedule>>,
    /// What makes it a stream, if it is one.
    stream: Option<Box<Stream>>,
    leases: OnUse<Leases>,
    /// Departing messages that could not arrive at their last attempt.
    stuck: u64,
    /// Dead letters that wait until others have left; none if there are no such.
    departures: Option<Box<Departures>>,
    consumers: OnUse<Consumers>,
    /// Who gets which keys, if the queue keeps them apart.
    shards: Option<Box<Group>>,
    work: Work,
    /// The ids that were seen, if the queue wants to know.
    window: Option<Box<Window>>,
    /// What it remembers for its door.
    notes: Notes,
    /// Numbers that messages keep.
    tags: Tags,
    /// How fast it delivers, if that is bound.
    pace: Option<Box<pace::Pace>>,
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
        let mut queue = Queue::undivided(id, options, now);
        queue.fit_shards();
        queue
    }

    /// An empty queue without shards, whatever its options say.
    fn undivided(id: QueueId, options: impl Into<Arc<Options>>, now: Millis) -> Queue {
        let options = options.into();
        let mut queue = Queue {
            id,
            ready: OnUse::default(),
            schedule: None,
            stream: (options.kind == QueueKind::Stream)
                .then(|| Box::new(Stream::new(options.retention))),
            leases: OnUse::default(),
            stuck: 0,
            departures: None,
            consumers: match options.single_active_consumer {
                true => OnUse::with(Consumers::new(true)),
                false => OnUse::default(),
            },
            shards: None,
            work: Work::default(),
            window: None,
            notes: Notes::default(),
            tags: Tags::default(),
            pace: None,
            options,
            next_seq: 1,
            suspect_below: 0,
            suspect_until: 0,
            used_at: now,
        };
        queue.fit_window();
        queue.fit_pace(now);
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
        self.fit_shards();
        self.fit_length(cx);
        self.fit_pace(cx.now);
        self.deliver_ready(cx);
    }

    /// Somebody took notice of it: its own expiry starts again.
    pub fn touch(&mut self, now: Millis) {
        self.used_at = now;
    }

    /// A consumer comes. Nothing is delivered before `deliver_ready`, so that it can be told first.
    pub fn subscribe(
        &mut self,
        subscription: Subscription,
        choice: Choice,
        now: Millis,
    ) -> Result<ConsumerSlot, SubscribeError> {
        self.touch(now);
        if self.is_stream() {
            return self.subscribe_reader(subscription, choice);
        }
        let slot = self.consumers.add(subscription, choice)?;
        self.share_out();
        Ok(slot)
    }

    /// A consumer goes; what it holds stays leased. False if it had gone before.
    pub fn unsubscribe(&mut self, slot: ConsumerSlot, cx: &mut Context<'_>) -> bool {
        let was_here = self.consumers.remove(slot);
        self.unsubscribe_reader(slot.id());
        self.share_out();
        self.touch(cx.now);
        self.deliver_ready(cx);
        was_here
    }

    /// The outlet of a consumer has room again.
    pub fn resume(&mut self, slot: ConsumerSlot, cx: &mut Context<'_>) {
        self.consumers.resume(slot);
        self.resume_reader(slot.id());
        self.call(slot);
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

    /// Takes one message, for somebody who asks for just one. A stream gives none away.
    pub fn get(&mut self, no_ack: bool, cx: &mut Context<'_>) -> Option<Outgoing> {
        self.touch(cx.now);
        if self.is_stream() {
            return None;
        }
        let entry = match self.shards {
            Some(_) => self.first_free(cx)?,
            None => {
                while !self.expire_front(cx) {}
                self.ready.used()?.pop_front()?
            }
        };
        self.pace_spend(entry.size, cx.now);
        Some(self.hand_out(entry, no_ack, Holder::Get, cx))
    }

    /// Time has passed: what is overdue happens, a bounded part of it at once.
    pub fn tick(&mut self, cx: &mut Context<'_>) -> Ticked {
        self.work.tick(cx.now);
        self.expire(cx);
        if self.is_overfull() {
            self.drop_overflow(cx);
        }
        let woken = self.wake(cx);
        self.fit_stream(cx);
        let leases_ended = self.end_overdue(cx);
        let pauses_ended = usize::from(self.pace_resumes(cx.now) && self.pace_allows(cx.now));
        self.deliver_ready(cx);
        Ticked {
            woken,
            leases_ended,
            pauses_ended,
        }
    }

    /// When `tick` is due. Asked after every command, so what a queue does not have costs a look.
    #[inline]
    pub fn next_deadline(&self) -> Option<Millis> {
        let mut next = Millis::MAX;
        let mut at = |time: Option<Millis>| next = next.min(time.unwrap_or(Millis::MAX));
        at(self.ready.next_expiry());
        at(self.leases.next_deadline());
        at(self.work.next());
        if let Some(waiting) = &self.schedule {
            at(waiting.next_at());
        }
        if let Some(stream) = &self.stream {
            at(stream.next_deadline());
        }
        if self.pace.is_some() {
            at(self.pace_deadline());
        }
        if self.is_overfull() {
            at(Some(0));
        }
        (next != Millis::MAX).then_some(next)
    }

    /// When the queue itself expires if nobody uses it until then.
    pub fn unused_until(&self) -> Option<Millis> {
        let expires_ms = self.options.expires_ms?;
        (self.consumers.count() == 0).then(|| self.used_at.saturating_add(expires_ms))
    }
}
