//! Handing messages to consumers: straight through an empty queue, or from its head.
//!
//! Invariants
//! - Who is handed a message has said yes to its size just before.
//! - A delivery that must be settled has a lease before its effect is made.
//! - One that needs no settling leaves when its body is in hand, not before.

use super::Queue;
use super::consumer::{ConsumerSlot, Subscription};
use super::effect::{Context, Effect, Incoming, Outgoing};
use super::entry::{BodyRef, Entry};
use super::lease::{Ended, Holder, LeaseId};
use crate::facts::{Facts, Mark};

/// Bytes that a delivery takes on its way besides its body, for the room of an outlet.
pub const DELIVERY_OVERHEAD_BYTES: usize = 256;

/// What a delivery takes of an outlet's room.
pub(super) fn way_bytes(size: u32) -> usize {
    size as usize + DELIVERY_OVERHEAD_BYTES
}

impl Queue {
    /// Hands ready messages out until none is left or nobody is willing.
    pub fn deliver_ready(&mut self, cx: &mut Context<'_>) {
        if self.is_choosy() {
            return self.deliver_chosen(cx);
        }
        if self.ready.count() == 0 || self.consumers.count() == 0 {
            return;
        }
        if self.is_stream() {
            return self.read_on(None, cx);
        }
        while self.expire_front(cx)
            && let Some(entry) = self.ready.front()
        {
            let (size, avoid) = (entry.size, entry.returned_by);
            let Some((slot, subscription)) = self.willing(size, avoid, cx) else {
                return;
            };
            let entry = self.ready.pop_front().expect("the front was just there");
            self.hand_to(slot, subscription, entry, cx);
        }
    }

    /// Hands a message that left the ready ones to a consumer that has room for it.
    pub(super) fn hand_to(
        &mut self,
        slot: ConsumerSlot,
        subscription: Subscription,
        entry: Entry,
        cx: &mut Context<'_>,
    ) {
        let holder = Holder::Consumer(slot);
        let admitted_bytes = way_bytes(entry.size);
        self.pace_spend(entry.size, cx.now);
        let mut outgoing = self.hand_out(entry, subscription.no_ack, holder, cx);
        outgoing.admitted_bytes = admitted_bytes;
        cx.effects.push(Effect::Deliver(subscription.id, outgoing));
        self.consumers.served(slot);
    }

    /// Hands an arriving message straight to a consumer. False if nobody is willing.
    pub(super) fn pass_through(&mut self, incoming: &Incoming, cx: &mut Context<'_>) -> bool {
        let Some((slot, subscription)) = self.willing(incoming.size, 0, cx) else {
            return false;
        };
        self.pass_to(slot, subscription, incoming, 0, cx);
        true
    }

    /// Hands an arriving message to a consumer that has room for it.
    pub(super) fn pass_to(
        &mut self,
        slot: ConsumerSlot,
        subscription: Subscription,
        incoming: &Incoming,
        key: u32,
        cx: &mut Context<'_>,
    ) {
        self.pace_spend(incoming.size, cx.now);
        let body = BodyRef::Staged {
            offset: incoming.offset,
            len: incoming.len,
        };
        let lease = if subscription.no_ack {
            self.release(incoming, cx);
            None
        } else {
            let entry = self.admit_keyed(incoming, key, 0, cx);
            *cx.memory += entry.memory_bytes() as i64;
            cx.facts.delivered.extend(self.durable_mark(&entry));
            let deadline = self.lease_deadline(cx.now);
            let holder = Holder::Consumer(slot);
            self.key_out(key, holder);
            Some(self.leases.open(entry, holder, cx.now, deadline))
        };
        let outgoing = Outgoing {
            lease,
            unread: None,
            body,
            redelivered: false,
            returns: 0,
            tag: None,
            admitted_bytes: way_bytes(incoming.size),
        };
        cx.effects.push(Effect::Deliver(subscription.id, outgoing));
        self.consumers.served(slot);
    }

    /// The consumer whose turn it is and that can take a message of `size`; the one of the
    /// preference `avoid` only if nobody else can. None in a pause for the sake of the rate.
    pub(super) fn willing(
        &mut self,
        size: u32,
        avoid: u32,
        cx: &mut Context<'_>,
    ) -> Option<(ConsumerSlot, Subscription)> {
        if !self.pace_allows(cx.now) {
            return None;
        }
        while let Some((slot, subscription)) = self.consumers.next(avoid) {
            if cx.gate.admit(subscription.id, way_bytes(size)) {
                return Some((slot, subscription));
            }
            self.consumers.gate(slot);
        }
        None
    }

    /// Turns a message that left the ready ones into a delivery.
    pub(super) fn hand_out(
        &mut self,
        entry: Entry,
        no_ack: bool,
        holder: Holder,
        cx: &mut Context<'_>,
    ) -> Outgoing {
        let body = BodyRef::from(&entry.body);
        let redelivered = entry.redelivered || entry.seq < self.suspect_below;
        let (returns, tag) = (entry.returns, self.tags.get(entry.seq));
        let (mut lease, mut unread) = (None, None);
        if !no_ack {
            cx.facts.delivered.extend(self.durable_mark(&entry));
            let deadline = self.lease_deadline(cx.now);
            self.key_out(entry.key, holder);
            lease = Some(self.leases.open(entry, holder, cx.now, deadline));
        } else if matches!(body, BodyRef::Log(_)) {
            unread = Some(self.leases.open(entry, Holder::Unread, cx.now, 0));
        } else {
            self.gone(&entry, cx);
        }
        Outgoing {
            lease,
            unread,
            body,
            redelivered,
            returns,
            tag,
            admitted_bytes: 0,
        }
    }

    /// The body of a message was read for somebody who settles nothing: now it is gone.
    pub fn handed_over(
        &mut self,
        unread: LeaseId,
        (facts, released, memory): (&mut Facts, &mut Vec<Mark>, &mut i64),
    ) {
        if let Ended::Lease(lease) = self.leases.end(unread) {
            self.leave(&lease.entry, facts, released, memory);
        }
    }
}
