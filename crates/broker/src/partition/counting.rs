//! Settling, and counting what comes to a queue, what leaves it and what is settled.
//!
//! Each is counted twice: for the node (`Metrics`), and in the tally of the queue.
//!
//! Invariants
//! - Counted is what was handed out; a body that could not be read is not.
//! - A queue counts under the lock of its partition, and so by stores alone.

use ferry_core::Millis;
use ferry_core::message::Message;
use ferry_core::queue::{BodyRef, Context, LeaseId, Outcome, Outgoing, Queue, QueueKind, Settled};

use super::QueuePlace;
use super::context::StateContext;
use super::state::{QueueSlot, State};
use crate::Metrics;
use crate::measure::{Deliveries, MessageTimes, Run, Tally};

/// Counts a delivery to a consumer.
pub(super) fn count_delivery(counts: &mut Deliveries, slot: &QueueSlot, outgoing: &Outgoing) {
    let tally = slot.handle.tally();
    match outgoing.lease {
        Some(_) => {
            counts.consumed += 1;
            tally.deliver.add(1);
        }
        None => {
            counts.consumed_auto_ack += 1;
            tally.deliver_no_ack.add(1);
        }
    }
    count_how(counts, slot, outgoing);
}

/// Counts a message that was fetched.
pub(super) fn count_get(counts: &mut Deliveries, slot: &QueueSlot, outgoing: &Outgoing) {
    let tally = slot.handle.tally();
    match outgoing.lease {
        Some(_) => {
            counts.got += 1;
            tally.get.add(1);
        }
        None => {
            counts.got_auto_ack += 1;
            tally.get_no_ack.add(1);
        }
    }
    count_how(counts, slot, outgoing);
}

fn count_how(counts: &mut Deliveries, slot: &QueueSlot, outgoing: &Outgoing) {
    let tally = slot.handle.tally();
    if outgoing.redelivered {
        counts.redelivered += 1;
        tally.redeliver.add(1);
    }
    if matches!(outgoing.body, BodyRef::Log(_)) {
        tally.disk_reads.add(1);
    }
}

/// Counts a message of a stream that a reader got.
pub(super) fn count_reading(tally: &mut Tally, settles: bool) {
    let counts = tally.of(QueueKind::Stream);
    match settles {
        true => counts.consumed += 1,
        false => counts.consumed_auto_ack += 1,
    }
}

/// Notes how long after its publish a message is delivered.
#[inline]
pub(super) fn note_wait(
    cx: &StateContext<'_>,
    slot: &QueueSlot,
    (run, times): (&mut Run, &MessageTimes),
    message: &Message<'_>,
) {
    let waited = cx.now.saturating_sub(message.published_ms());
    run.note(waited, &times.waited);
    note_wait_in(slot, waited);
}

/// The same for a reader of a stream: who reads what is old waits for nobody, so it counts in the
/// times of its stream only.
pub(super) fn note_reading(cx: &StateContext<'_>, slot: &QueueSlot, message: &Message<'_>) {
    note_wait_in(slot, cx.now.saturating_sub(message.published_ms()));
}

fn note_wait_in(slot: &QueueSlot, waited: Millis) {
    if let Some(times) = slot.handle.times() {
        times.waited.note(waited, 1);
    }
}

impl State {
    #[inline]
    pub(super) fn count_arrival(&self, queue: QueuePlace, logged: bool) {
        if let Some(key) = self.find(queue) {
            let tally = self.queues[key].handle.tally();
            tally.publish.add(1);
            tally.disk_writes.add(u64::from(logged));
        }
    }

    /// Ends a lease for its holder.
    pub fn settle(
        &mut self,
        cx: &StateContext<'_>,
        queue: QueuePlace,
        lease: LeaseId,
        outcome: Outcome,
    ) -> Settled {
        self.settle_as(cx, queue, lease, outcome, false)
    }

    /// The same, perhaps `recorded` by a transaction before.
    pub(super) fn settle_as(
        &mut self,
        cx: &StateContext<'_>,
        queue: QueuePlace,
        lease: LeaseId,
        outcome: Outcome,
        recorded: bool,
    ) -> Settled {
        let settle = |queue: &mut Queue, context: &mut Context<'_>| {
            let since = queue.leased_since(lease);
            let settled = match recorded {
                true => queue.settle_recorded(lease, outcome, context),
                false => queue.settle(lease, outcome, context),
            };
            (settled, since)
        };
        let Some((settled, since)) = self.with_queue(cx, queue, &[], settle) else {
            Metrics::add(&cx.metrics.messages_settled_late, 1);
            return Settled::Late;
        };
        match settled {
            Settled::Done => self.note_settled(cx, queue, outcome, since),
            Settled::Late => Metrics::add(&cx.metrics.messages_settled_late, 1),
        }
        settled
    }

    #[inline]
    fn note_settled(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        outcome: Outcome,
        since: Option<Millis>,
    ) {
        // Its queue was there a moment ago, and nobody else has the partition.
        let handle = &self.queues[place.slot as usize].handle;
        if outcome == Outcome::Accept {
            self.tally.of(handle.kind).acknowledged += 1;
            handle.tally().ack.add(1);
        }
        let Some(since) = since else {
            return;
        };
        let leased = cx.now.saturating_sub(since);
        self.leased.note(leased, &self.times.leased);
        if let Some(times) = handle.times() {
            times.leased.note(leased, 1);
        }
    }
}
