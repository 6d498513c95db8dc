//! Looking into a queue without changing it, and taking one message out by its place.
//!
//! Invariants
//! - Looking changes nothing: no count, no mark, no order.
//! - A place that names another message by now is refused, not mistaken: whoever asks says where
//!   the body was.

use super::Queue;
use super::effect::{ConsumerId, Context, Counts, Incoming, Outgoing};
use super::entry::{BodyRef, Entry};
use super::lease::{Holder, Lease, LeaseId};
use crate::Millis;
use crate::message::Position;
use crate::reason::DeadLetterReason;

/// Where a message is in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// Among the ready ones.
    Ready {
        /// Its level.
        priority: u8,
        /// Its place in the level.
        seq: u64,
    },
    /// Among those that wait for their time.
    Delayed {
        /// When it wakes.
        at: Millis,
        /// Its place among those of that time.
        seq: u64,
    },
    /// With somebody.
    Leased(LeaseId),
}

/// Who has a leased message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A consumer.
    Consumer(ConsumerId),
    /// Somebody who asked for one message.
    Get,
    /// The broker, which moves it, or could not read it for somebody who settles nothing.
    Operator,
    /// The broker, which could not bring it to its dead-letter exchange yet.
    Departing(DeadLetterReason),
}

/// What is known of a leased message besides its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Who has it.
    pub held: Held,
    /// Since when.
    pub since: Millis,
    /// When the lease ends by itself; 0 for never.
    pub deadline: Millis,
}

impl From<&Lease> for LeaseInfo {
    fn from(lease: &Lease) -> LeaseInfo {
        LeaseInfo {
            held: match lease.holder {
                Holder::Consumer(slot) => Held::Consumer(slot.id()),
                Holder::Get => Held::Get,
                Holder::Operator(_) | Holder::Unread => Held::Operator,
                Holder::Departing(reason) => Held::Departing(reason),
            },
            since: lease.since,
            deadline: lease.deadline,
        }
    }
}

impl Queue {
    /// Messages that wait for a consumer.
    pub fn ready_count(&self) -> u64 {
        self.ready.count()
    }

    /// Its counts.
    pub fn counts(&self) -> Counts {
        Counts {
            id: self.id,
            ready: self.ready.count(),
            unsettled: self.leases.unsettled(),
            unsettled_bytes: self.leases.unsettled_bytes(),
            ready_bytes: self.ready.bytes(),
            consumers: self.consumers.count(),
            delayed: self.schedule.as_ref().map_or(0, |waiting| waiting.count()),
            stuck: self.pending(),
        }
    }

    /// Ready messages in the order of leaving, behind the place `after`, until `each` returns
    /// false.
    pub fn visit_ready(&self, after: Option<(u8, u64)>, each: impl FnMut(&Entry) -> bool) {
        self.ready.visit_after(after, each);
    }

    /// Messages that wait for their time, the earliest first, behind the place `after`, until
    /// `each` returns false.
    pub fn visit_delayed(
        &self,
        after: Option<(Millis, u64)>,
        each: impl FnMut(Millis, &Entry) -> bool,
    ) {
        if let Some(schedule) = &self.schedule {
            schedule.visit(after, each);
        }
    }

    /// Messages that somebody has, in the order of their leases' names, behind `after`, until
    /// `each` returns false.
    pub fn visit_leased(
        &self,
        after: Option<LeaseId>,
        mut each: impl FnMut(LeaseId, &Entry, LeaseInfo) -> bool,
    ) {
        for (id, lease) in self.leases.iter_from(after) {
            if after.is_none_or(|after| id > after) && !each(id, &lease.entry, lease.into()) {
                return;
            }
        }
    }

    /// Dead letters that wait until others have left, with why they leave, until `each` returns
    /// false.
    pub fn visit_waiting_departures(&self, each: impl FnMut(DeadLetterReason, &Entry) -> bool) {
        if let Some(departures) = &self.departures {
            departures.visit(each);
        }
    }

    /// Who has the message of that `seq`, if it is leased. Looks through all leases.
    pub fn lease_of(&self, seq: u64) -> Option<(LeaseId, LeaseInfo)> {
        let mut leases = self.leases.iter();
        let found = leases.find(|(_, lease)| lease.entry.seq == seq);
        found.map(|(id, lease)| (id, lease.into()))
    }

    /// What is known of a lease.
    pub fn lease_info(&self, id: LeaseId) -> Option<LeaseInfo> {
        self.leases.get(id).map(LeaseInfo::from)
    }

    /// The `seq` that no message has had yet: all that are here are below.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The leased message, to find its body.
    pub fn leased(&self, id: LeaseId) -> Option<&Entry> {
        self.leases.get(id).map(|lease| &lease.entry)
    }

    /// Since when a message is leased.
    #[inline]
    pub fn leased_since(&self, id: LeaseId) -> Option<Millis> {
        self.leases.get(id).map(|lease| lease.since)
    }

    /// The message at a place. Only for who knows that the place was seen since the queue was
    /// made or recovered: places start again then.
    pub fn at(&self, spot: Spot) -> Option<Entry> {
        match spot {
            Spot::Ready { priority, seq } => self.ready.get(priority, seq),
            Spot::Delayed { at, seq } => self.schedule.as_ref()?.get(at, seq),
            Spot::Leased(id) => self.leased(id).cloned(),
        }
    }

    /// The message at a place, if its body is where the caller thinks it is.
    pub fn find(&self, spot: Spot, body: Option<Position>) -> Option<Entry> {
        self.at(spot).filter(|entry| entry.position() == body)
    }

    /// Takes the message at a place, to be moved or dropped: whoever asks settles the lease. What
    /// somebody else has leased can not be taken.
    pub fn borrow(
        &mut self,
        spot: Spot,
        body: Option<Position>,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        if self.is_stream() && matches!(spot, Spot::Ready { .. }) {
            return None; // What was appended stays where it is.
        }
        self.find(spot, body)?;
        let (entry, from) = match spot {
            Spot::Ready { priority, seq } => (self.ready.take(priority, seq)?, None),
            Spot::Delayed { at, seq } => (self.schedule.as_mut()?.take(at, seq)?, Some(at)),
            Spot::Leased(_) => return None,
        };
        if from.is_some() {
            self.key_waited(&entry);
        }
        let (body, redelivered, returns) =
            (BodyRef::from(&entry.body), entry.redelivered, entry.returns);
        let tag = self.tags.get(entry.seq);
        let holder = Holder::Operator(from);
        self.key_out(entry.key, holder);
        let lease = self.leases.open(entry, holder, cx.now, 0);
        Some(Outgoing {
            lease: Some(lease),
            unread: None,
            body,
            redelivered,
            returns,
            tag,
            admitted_bytes: 0,
        })
    }

    /// Whether a message with a body of `size` bytes would be taken now.
    pub fn would_take(&self, size: u32) -> bool {
        !self.must_refuse(size)
    }

    /// Takes a message that is moved here: that it entered is written already, and whoever moves
    /// it has asked for room before, so it is not refused any more.
    pub fn enqueue_moved(&mut self, incoming: &Incoming, cx: &mut Context<'_>) {
        if self.is_stream() {
            return self.append_incoming(incoming, cx);
        }
        let entry = self.admit(incoming, 0, cx);
        *cx.memory += entry.memory_bytes() as i64;
        self.append(entry);
        self.deliver_ready(cx);
        self.fit_length(cx);
    }
}
