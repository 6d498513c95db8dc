//! What must happen outside when a queue has changed, and what a queue is given to change.
//!
//! Invariants
//! - Effects are carried out in the order in which they were made.
//! - A queue touches nothing outside: what it needs of the world is in its [`Context`].

use std::sync::Arc;

use super::entry::BodyRef;
use super::lease::LeaseId;
use super::passport::Step;
use super::stream::Reading;
use crate::Millis;
use crate::facts::{Facts, Mark};
use crate::message::{IdBytes, Message, Position};
use crate::reason::DeadLetterReason;
use crate::routing::QueueId;
use crate::view::MessageView;

/// Names a consumer within its partition; never used twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub u64);

/// A message on its way to a consumer.
#[derive(Debug)]
pub struct Outgoing {
    /// Its lease; none if it needs no settling.
    pub lease: Option<LeaseId>,
    /// What keeps it here until its body was read, if that may fail and nobody settles it: then
    /// [`super::Queue::handed_over`] lets it go.
    pub unread: Option<LeaseId>,
    /// Its body.
    pub body: BodyRef,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How often it came back.
    pub returns: u32,
    /// The number that it keeps, if it does.
    pub tag: Option<u32>,
    /// Bytes that its consumer's way out has reserved for it; 0 if nobody was asked.
    pub admitted_bytes: usize,
}

/// Something that must happen outside.
#[derive(Debug)]
pub enum Effect {
    /// Hand the message to the consumer.
    Deliver(ConsumerId, Outgoing),
    /// Hand the message of a stream to a reader. Those who get the same one follow each other.
    Read(Reading),
    /// Route the message to the queue's dead-letter exchange. With a lease: settle that as
    /// accepted once the message is where it goes.
    DeadLetter {
        /// The message's hold on its queue until it has arrived.
        lease: Option<LeaseId>,
        /// Its body.
        body: BodyRef,
        /// Why.
        reason: DeadLetterReason,
    },
    /// Note this step of a message's way.
    Passed {
        /// Its body.
        body: BodyRef,
        /// What happened to it.
        step: Step,
    },
}

/// Asks whether a consumer can take more, which only its connection knows.
pub trait Gate {
    /// Whether `bytes` more may be handed to the consumer now; a yes reserves them.
    fn admit(&self, consumer: ConsumerId, bytes: usize) -> bool;
}

/// Shows what is in a message, which a queue itself does not keep.
pub trait Lens {
    /// Lets `look` see the message of `body`, which may point into `staged`. It is not called if
    /// the body can not be read back or its format is not known.
    fn show(&self, staged: &[u8], body: &BodyRef, look: &mut dyn FnMut(&dyn MessageView));
}

/// What one command is given: the time, the bytes that came with it, and where results go.
pub struct Context<'a> {
    /// The time of the step.
    pub now: Millis,
    /// Stored forms that `BodyRef::Staged` points into.
    pub staged: &'a [u8],
    /// Who can take more.
    pub gate: &'a dyn Gate,
    /// What is in a message.
    pub lens: &'a dyn Lens,
    /// What must happen outside.
    pub effects: &'a mut Vec<Effect>,
    /// What must be written down.
    pub facts: &'a mut Facts,
    /// Bodies in the log that no queue needs any more on account of this one.
    pub released: &'a mut Vec<Mark>,
    /// Change of the memory that bodies take, in bytes; a shared body counts for each queue.
    pub memory: &'a mut i64,
    /// The last body that was copied out of the staged bytes and where it stands there: the
    /// queues that one message goes to share the copy.
    pub copied: &'a mut Option<(u32, Arc<[u8]>)>,
}

impl Context<'_> {
    /// A copy of staged bytes that outlives the step.
    pub(super) fn copy(&mut self, offset: u32, len: u32) -> Arc<[u8]> {
        if let Some((at, bytes)) = &*self.copied
            && *at == offset
        {
            return Arc::clone(bytes);
        }
        let bytes: Arc<[u8]> = Arc::from(&self.staged[offset as usize..(offset + len) as usize]);
        *self.copied = Some((offset, Arc::clone(&bytes)));
        bytes
    }
}

/// A message that was routed to a queue.
#[derive(Debug, Clone, Copy)]
pub struct Incoming {
    /// Where its stored form starts in the staged bytes.
    pub offset: u32,
    /// Length of its stored form, in bytes.
    pub len: u32,
    /// Where its body is in the log, `NOT_LOGGED` if it is not.
    pub position: Position,
    /// Length of its body, in bytes.
    pub size: u32,
    /// As published.
    pub priority: u8,
    /// Its own time to live, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// That it enters has been written already, by a transaction, if it is written at all.
    pub recorded: bool,
    /// Its stored form says more: when to deliver it, or its identity.
    pub special: bool,
}

/// What the stored form of a special message says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Special {
    pub deliver_at: Option<Millis>,
    pub id: Option<IdBytes>,
}

impl Incoming {
    /// What the stored form says besides.
    pub(super) fn special(&self, staged: &[u8]) -> Special {
        if !self.special {
            return Special::default();
        }
        let bytes = &staged[self.offset as usize..(self.offset + self.len) as usize];
        let message = Message::parse(bytes).expect("what was staged is a message");
        Special {
            deliver_at: message.deliver_at(),
            id: message.id(),
        }
    }
}

/// How a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the message is gone.
    Accept,
    /// Back to its place; a try that counts.
    Requeue,
    /// Dead-lettered or dropped.
    Reject,
    /// Back after so many milliseconds; a try that counts. Without a number the queue's own wait
    /// before the next try, if it has one.
    Delay(Option<u64>),
    /// Back to where it was taken from, as if nothing had happened.
    Release,
}

/// What a settle met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The lease, which has ended now.
    Done,
    /// Nothing: the lease had ended before.
    Late,
}

/// What has happened by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Messages whose delay was over.
    pub woken: usize,
    /// Leases that ended by their deadline.
    pub leases_ended: usize,
    /// Pauses for the sake of the deliver rate that were over.
    pub pauses_ended: usize,
}

/// What a queue says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The queue.
    pub id: QueueId,
    /// Messages that wait.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unsettled: u64,
    /// Bytes of their bodies.
    pub unsettled_bytes: u64,
    /// Messages that wait for their time.
    pub delayed: u64,
    /// Dead letters that can not arrive where they go.
    pub stuck: u64,
    /// Bytes of the bodies that wait.
    pub ready_bytes: u64,
    /// Its consumers.
    pub consumers: u32,
}
