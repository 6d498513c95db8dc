//! Lanes: what deliveries need of a channel, behind the connection's lock.
//!
//! A channel's own state lives with the connection's task; a lane is the part that partitions
//! touch from other threads: the next delivery tag, the unacked ring, and which queue each
//! consumer takes from.
//!
//! Invariants
//! - A [`LaneId`] is never used twice: a delivery for a closed channel finds no lane.
//! - A slot stays as long as its consumer, or an unacked delivery of it, or one whose settlement
//!   waits for a commit, is there; so a delivery always knows its queue.
//! - A client's limit counts what its consumers have got, not its gets.
//! - Delivery tags rise by one from 1, over all consumers and gets of the channel.
//! - While memory is short a channel without a limit of its own has one, and one that holds as much
//!   is refused gets, so that a client that acks nothing can not take what is left.
//!
//! Not here: the channel's state, encoding.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::tally::{ChannelTally, ConsumerNote, LaneStats};
use super::unacked::Unacked;

/// The channel-wide limit of a channel that asked for none, while memory is short: the most that it
/// could have asked for.
const LIMIT_WHILE_SHORT: u32 = u16::MAX as u32;

/// Names a lane for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneId {
    index: u32,
    generation: u32,
}

impl LaneId {
    /// A lane id; only lanes make real ones.
    #[cfg(test)]
    pub(crate) const fn new(index: u32, generation: u32) -> LaneId {
        LaneId { index, generation }
    }
}

/// A delivery that is not settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsettled<L> {
    /// The broker's lease.
    pub(crate) lease: L,
    /// Where its queue is remembered.
    pub(crate) slot: u32,
}

/// What consumers look at without a lock.
#[derive(Debug, Default)]
pub(crate) struct LaneGate {
    /// Replies that wait; no delivery may overtake them.
    held_replies: AtomicU32,
    /// The channel is about to end: nothing is delivered any more.
    shut: AtomicBool,
    /// Most unacked deliveries of the channel; 0 for no limit.
    limit: AtomicU32,
}

impl LaneGate {
    /// Whether replies wait.
    pub(crate) fn holds_replies(&self) -> bool {
        self.held_replies.load(Ordering::SeqCst) > 0
    }

    /// Whether nothing may be delivered: replies wait, or the channel is about to end.
    pub(crate) fn is_held(&self) -> bool {
        self.holds_replies() || self.shut.load(Ordering::SeqCst)
    }

    /// The channel is about to end.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Most unacked deliveries of the channel as things are; 0 for no limit.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Slot<Q> {
    queue: Q,
    unacked: u32,
    live: bool,
    get: bool,
    /// Who consumes by it, if somebody does.
    consumer: Option<Box<ConsumerNote>>,
}

/// One channel's lane: `Q` is a queue handle, `L` a lease.
#[derive(Debug)]
pub(crate) struct Lane<Q, L> {
    /// What consumers look at without a lock.
    pub(crate) gate: Arc<LaneGate>,
    /// Unsettled deliveries.
    pub(crate) unacked: Unacked<Unsettled<L>>,
    /// The number of the channel.
    pub(crate) number: u16,
    /// What it has counted, and what listings show of it.
    pub(crate) stats: LaneStats,
    /// What the channel itself counts.
    pub(crate) tally: Arc<ChannelTally>,
    next_tag: u64,
    slots: Vec<Option<Slot<Q>>>,
    /// The limit that the client asked for; 0 for none.
    global_limit: u32,
    memory_short: bool,
    /// Deliveries to consumers that are not settled; neither are those whose settlement waits for
    /// the commit of a transaction.
    consumed: usize,
    /// Deliveries that were let pass by the channel-wide limit and have not come yet.
    reserved: u32,
    /// A consumer was refused by the channel-wide limit.
    credit_starved: bool,
}

impl<Q: Clone, L> Lane<Q, L> {
    fn new(number: u16, memory_short: bool) -> Lane<Q, L> {
        let lane = Lane {
            gate: Arc::default(),
            unacked: Unacked::default(),
            number,
            stats: LaneStats::default(),
            tally: Arc::default(),
            next_tag: 1,
            slots: Vec::new(),
            global_limit: 0,
            memory_short,
            consumed: 0,
            reserved: 0,
            credit_starved: false,
        };
        lane.enforce_limit();
        lane
    }

    /// A place for a consumer's queue.
    pub(crate) fn open_slot(&mut self, queue: Q) -> u32 {
        self.add_slot(Slot {
            queue,
            unacked: 0,
            live: true,
            get: false,
            consumer: None,
        })
    }

    /// Notes who consumes by a place, for listings.
    pub(crate) fn describe(&mut self, slot: u32, consumer: ConsumerNote) {
        if let Some(Some(found)) = self.slots.get_mut(slot as usize) {
            found.consumer = Some(Box::new(consumer));
        }
    }

    /// Who consumes here, and from which queue.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = (&Q, &ConsumerNote)> {
        let slots = self.slots.iter().flatten();
        slots.filter_map(|slot| Some((&slot.queue, slot.consumer.as_deref()?)))
    }

    /// The consumer is gone; its unacked deliveries stay.
    pub(crate) fn close_slot(&mut self, slot: u32) {
        if let Some(Some(found)) = self.slots.get_mut(slot as usize) {
            found.live = false;
            found.consumer = None;
        }
        self.drop_unused(slot);
    }

    /// The place for gets from a queue, which stays while a delivery of it is unacked.
    pub(crate) fn slot_for_get(&mut self, queue: &Q, same: impl Fn(&Q) -> bool) -> u32 {
        let found = self.slots.iter().position(|slot| {
            slot.as_ref()
                .is_some_and(|slot| slot.get && same(&slot.queue))
        });
        match found {
            Some(index) => index as u32,
            None => self.add_slot(Slot {
                queue: queue.clone(),
                unacked: 0,
                live: false,
                get: true,
                consumer: None,
            }),
        }
    }

    fn add_slot(&mut self, slot: Slot<Q>) -> u32 {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(free) => {
                self.slots[free] = Some(slot);
                free
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        };
        u32::try_from(index).expect("fewer slots than memory has bytes")
    }

    fn drop_unused(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        if place
            .as_ref()
            .is_some_and(|slot| !slot.live && slot.unacked == 0)
        {
            *place = None;
        }
    }

    /// The tag of a delivery that goes out now; with a lease it is remembered as unacked.
    pub(crate) fn next_delivery(&mut self, slot: u32, lease: Option<L>) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        if let Some(lease) = lease {
            self.unacked.push(tag, Unsettled { lease, slot });
            self.count_in(slot);
        }
        tag
    }

    fn count_in(&mut self, slot: u32) {
        let place = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        let place = place.expect("a slot outlives its deliveries");
        place.unacked += 1;
        self.consumed += usize::from(!place.get);
    }

    fn count_out(&mut self, slot: u32, count: u32) {
        let place = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        let place = place.expect("a slot outlives its deliveries");
        place.unacked -= count;
        if !place.get {
            self.consumed -= count as usize;
        }
        self.drop_unused(slot);
    }

    /// The queue of a delivery that is in `unacked`, and stays there.
    pub(crate) fn queue_of(&self, slot: u32) -> Q {
        let place = self.slots.get(slot as usize).and_then(Option::as_ref);
        place.expect("a slot outlives its deliveries").queue.clone()
    }

    /// The queue of a delivery that was taken out of `unacked`.
    pub(crate) fn settled(&mut self, slot: u32) -> Q {
        let queue = self.queue_of(slot);
        self.count_out(slot, 1);
        queue
    }

    /// Takes out all that is unacked, by queue, the oldest first. What waits for the commit of a
    /// transaction is not.
    pub(crate) fn take_unacked(&mut self, same: impl Fn(&Q, &Q) -> bool) -> Vec<(Q, Vec<L>)> {
        let mut held: Vec<(Q, Vec<L>)> = Vec::new();
        let mut group_of = |slot: &Option<Slot<Q>>| {
            let queue = &slot.as_ref().filter(|slot| slot.unacked > 0)?.queue;
            let known = held.iter().position(|(other, _)| same(other, queue));
            Some(known.unwrap_or_else(|| {
                held.push((queue.clone(), Vec::new()));
                held.len() - 1
            }))
        };
        let groups: Vec<Option<usize>> = self.slots.iter().map(&mut group_of).collect();
        let mut taken = vec![0; groups.len()];
        self.unacked.take_upto(0, |_, Unsettled { lease, slot }| {
            let group = groups[slot as usize].expect("a slot outlives its deliveries");
            held[group].1.push(lease);
            taken[slot as usize] += 1;
        });
        for (slot, count) in (0..).zip(taken).filter(|(_, count)| *count > 0) {
            self.count_out(slot, count);
        }
        held.retain(|(_, leases)| !leases.is_empty());
        held
    }

    /// Whether one more delivery fits the limit; if so, it is counted.
    pub(crate) fn reserve_credit(&mut self) -> bool {
        let fits = self.has_credit();
        if fits && self.gate.limit() > 0 {
            self.reserved += 1;
        }
        self.credit_starved |= !fits;
        fits
    }

    /// The same for a delivery that is not to be acked: it is not counted, and what is held while
    /// memory is short does not hold it up.
    pub(crate) fn passes_uncounted(&mut self) -> bool {
        let fits = self.global_limit == 0 || self.has_credit();
        self.credit_starved |= !fits;
        fits
    }

    fn has_credit(&self) -> bool {
        let limit = self.gate.limit() as usize;
        // Gets are none of the client's limit, and memory is memory.
        let held = match self.global_limit {
            0 => self.consumed.max(self.unacked.len()),
            _ => self.consumed,
        };
        limit == 0 || held + (self.reserved as usize) < limit
    }

    /// The delivery that was let pass has come.
    pub(crate) fn spend_credit(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// The channel-wide limit that the client asked for; 0 for none.
    pub(crate) fn global_limit(&self) -> u32 {
        self.global_limit
    }

    /// The client sets the channel-wide limit; 0 lifts it.
    pub(crate) fn set_global_limit(&mut self, limit: u32) {
        self.global_limit = limit;
        self.enforce_limit();
    }

    /// Whether it holds as much as anybody may while memory is short, and memory is. No limit that
    /// a client can ask for counts gets.
    pub(crate) fn holds_too_much(&self) -> bool {
        self.memory_short && self.unacked.len() >= LIMIT_WHILE_SHORT as usize
    }

    fn enforce_limit(&self) {
        let limit = match (self.global_limit, self.memory_short) {
            (0, true) => LIMIT_WHILE_SHORT,
            (asked, _) => asked,
        };
        self.gate.limit.store(limit, Ordering::SeqCst);
    }

    /// Whether a consumer was refused by the limit and there is room now.
    pub(crate) fn take_credit_starved(&mut self) -> bool {
        self.has_credit() && std::mem::take(&mut self.credit_starved)
    }

    /// A reply waits for the disk.
    pub(crate) fn hold_reply(&self) {
        self.gate.held_replies.fetch_add(1, Ordering::SeqCst);
    }

    /// A held reply went out; whether it was the last one.
    pub(crate) fn release_reply(&self) -> bool {
        self.gate.held_replies.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

type Place<Q, L> = Option<Box<Lane<Q, L>>>;

/// The lanes of one connection.
#[derive(Debug)]
pub(crate) struct Lanes<Q, L> {
    /// Each with the generation of the last lane that was in it.
    places: Vec<(u32, Place<Q, L>)>,
    memory_short: bool,
}

impl<Q, L> Default for Lanes<Q, L> {
    fn default() -> Self {
        Lanes {
            places: Vec::new(),
            memory_short: false,
        }
    }
}

impl<Q: Clone, L> Lanes<Q, L> {
    /// Opens a lane for a channel.
    pub(crate) fn open(&mut self, number: u16) -> LaneId {
        let lane = Some(Box::new(Lane::new(number, self.memory_short)));
        let index = match self.places.iter().position(|(_, lane)| lane.is_none()) {
            Some(free) => {
                self.places[free].0 += 1;
                self.places[free].1 = lane;
                free
            }
            None => {
                self.places.push((0, lane));
                self.places.len() - 1
            }
        };
        LaneId {
            index: index as u32,
            generation: self.places[index].0,
        }
    }

    /// The lane, unless its channel was closed.
    pub(crate) fn get(&mut self, id: LaneId) -> Option<&mut Lane<Q, L>> {
        let (generation, lane) = self.places.get_mut(id.index as usize)?;
        lane.as_deref_mut().filter(|_| *generation == id.generation)
    }

    /// Memory is short from now on, or no longer; whether somebody who was refused has room now.
    pub(crate) fn set_memory_short(&mut self, short: bool) -> bool {
        self.memory_short = short;
        let mut starved = false;
        for lane in self
            .places
            .iter_mut()
            .filter_map(|(_, lane)| lane.as_deref_mut())
        {
            lane.memory_short = short;
            lane.enforce_limit();
            starved |= lane.take_credit_starved();
        }
        starved
    }

    /// Every lane.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane<Q, L>> {
        self.places.iter().filter_map(|(_, lane)| lane.as_deref())
    }

    /// Closes a lane and gives back what was in it.
    pub(crate) fn close(&mut self, id: LaneId) -> Place<Q, L> {
        let (generation, lane) = self.places.get_mut(id.index as usize)?;
        if *generation == id.generation {
            lane.take()
        } else {
            None
        }
    }
}
