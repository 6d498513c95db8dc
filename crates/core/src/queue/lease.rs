//! Leases: messages that were delivered and not settled yet.
//!
//! A lease may have a deadline. When that has passed, or somebody else ends the lease, its slot
//! stays taken until the holder settles too late or goes: what a consumer has not settled counts
//! against it, in time or not.
//!
//! Invariants
//! - A lease id is never used twice; one that ended names nothing.
//! - A message is leased once at most: its entry is moved in and moved out.
//! - Only leases with a deadline are in `deadlines`, each once.
//!
//! Not here: which connection holds it (the door keeps its delivery tag).

use std::collections::BTreeSet;

use super::consumer::ConsumerSlot;
use super::entry::Entry;
use crate::Millis;
use crate::reason::DeadLetterReason;

/// Names a lease of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId {
    slot: u32,
    generation: u32,
}

impl LeaseId {
    /// The id as one number, for who must name it outside.
    pub fn to_u64(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.generation)
    }

    /// The id of that number; whether there is such a lease is another question.
    pub fn from_u64(number: u64) -> LeaseId {
        LeaseId {
            slot: (number >> 32) as u32,
            generation: number as u32,
        }
    }
}

/// Who holds a leased message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A consumer.
    Consumer(ConsumerSlot),
    /// Somebody who asked for one message.
    Get,
    /// The broker itself, to move the message elsewhere; if it waited for its time, until when.
    Operator(Option<Millis>),
    /// The broker, on the way to the dead-letter exchange.
    Departing(DeadLetterReason),
    /// Nobody: it goes as soon as its body was read for somebody who settles nothing.
    Unread,
}

/// A delivered message.
#[derive(Debug)]
pub struct Lease {
    /// The message.
    pub entry: Entry,
    /// Who holds it.
    pub holder: Holder,
    /// Since when.
    pub since: Millis,
    /// When it ends by itself; 0 for never.
    pub deadline: Millis,
    /// Whether it could not arrive where it goes at its last attempt.
    pub stuck: bool,
    /// Whether it is written down that it departs.
    pub noted: bool,
}

impl Lease {
    fn departing(&self) -> bool {
        matches!(self.holder, Holder::Departing(_))
    }

    /// Bytes that somebody outside holds by it.
    fn outside_bytes(&self) -> u64 {
        match self.departing() {
            true => 0,
            false => u64::from(self.entry.size),
        }
    }
}

/// What ending a lease met.
#[derive(Debug)]
pub enum Ended {
    /// The lease.
    Lease(Lease),
    /// One that had ended without its holder, who is told of it now.
    Late(Holder),
    /// Nothing of that name.
    Unknown,
}

#[derive(Debug)]
enum Place {
    Free,
    Held(Lease),
    /// The lease ended without its holder.
    Lost(Holder),
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    place: Place,
}

/// The leases of one queue.
#[derive(Debug, Default)]
pub struct Leases {
    slots: Vec<Slot>,
    free: Vec<u32>,
    departing: u32,
    lost: u32,
    /// Bytes of what is held and not departing.
    bytes: u64,
    generation: u32,
    deadlines: BTreeSet<(Millis, u32)>,
}

impl Leases {
    /// No leases yet.
    pub const fn new() -> Leases {
        Leases {
            slots: Vec::new(),
            free: Vec::new(),
            departing: 0,
            lost: 0,
            bytes: 0,
            generation: 0,
            deadlines: BTreeSet::new(),
        }
    }

    /// Opens a lease.
    pub fn open(&mut self, entry: Entry, holder: Holder, now: Millis, deadline: Millis) -> LeaseId {
        let lease = Lease {
            entry,
            holder,
            since: now,
            deadline,
            stuck: false,
            noted: false,
        };
        self.departing += u32::from(lease.departing());
        self.bytes += lease.outside_bytes();
        let generation = self.generation;
        let place = Place::Held(lease);
        let slot = match self.free.pop() {
            Some(slot) => {
                let free = &mut self.slots[slot as usize];
                assert!(matches!(free.place, Place::Free), "a free slot is empty");
                *free = Slot { generation, place };
                slot
            }
            None => {
                self.slots.push(Slot { generation, place });
                self.slots.len() as u32 - 1
            }
        };
        if deadline != 0 {
            self.deadlines.insert((deadline, slot));
        }
        LeaseId { slot, generation }
    }

    fn at(&self, id: LeaseId) -> Option<&Slot> {
        let slot = self.slots.get(id.slot as usize)?;
        Some(slot).filter(|slot| slot.generation == id.generation)
    }

    fn at_mut(&mut self, id: LeaseId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        Some(slot).filter(|slot| slot.generation == id.generation)
    }

    /// Its holder ends a lease.
    pub fn end(&mut self, id: LeaseId) -> Ended {
        let Some(slot) = self.at_mut(id) else {
            return Ended::Unknown;
        };
        match std::mem::replace(&mut slot.place, Place::Free) {
            Place::Free => Ended::Unknown,
            Place::Held(lease) => {
                self.let_go(id.slot, &lease);
                self.free_up(id.slot);
                Ended::Lease(lease)
            }
            Place::Lost(holder) => {
                self.lost -= 1;
                self.free_up(id.slot);
                Ended::Late(holder)
            }
        }
    }

    /// A lease ends without its holder. What a consumer holds stays counted until it settles.
    pub fn revoke(&mut self, id: LeaseId) -> Option<Lease> {
        let slot = self.at_mut(id)?;
        let Place::Held(lease) = &slot.place else {
            return None;
        };
        let kept = match lease.holder {
            Holder::Consumer(_) => Place::Lost(lease.holder),
            _ => Place::Free,
        };
        let lost = matches!(kept, Place::Lost(_));
        let Place::Held(lease) = std::mem::replace(&mut slot.place, kept) else {
            return None;
        };
        self.let_go(id.slot, &lease);
        match lost {
            true => self.lost += 1,
            false => self.free_up(id.slot),
        }
        Some(lease)
    }

    fn let_go(&mut self, slot: u32, lease: &Lease) {
        self.departing -= u32::from(lease.departing());
        self.bytes -= lease.outside_bytes();
        if lease.deadline != 0 {
            self.deadlines.remove(&(lease.deadline, slot));
        }
    }

    fn free_up(&mut self, slot: u32) {
        self.free.push(slot);
        self.generation = self.generation.wrapping_add(1);
        if self.free.len() == self.slots.len() && self.slots.len() > 1024 {
            self.slots = Vec::new();
            self.free = Vec::new();
        }
    }

    /// The lease, if it has not ended.
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        match &self.at(id)?.place {
            Place::Held(lease) => Some(lease),
            _ => None,
        }
    }

    /// The lease, to be changed.
    pub fn get_mut(&mut self, id: LeaseId) -> Option<&mut Lease> {
        match &mut self.at_mut(id)?.place {
            Place::Held(lease) => Some(lease),
            _ => None,
        }
    }

    /// Gives a lease another deadline, 0 for none. False if it has ended.
    pub fn set_deadline(&mut self, id: LeaseId, deadline: Millis) -> bool {
        let Some(Slot {
            place: Place::Held(lease),
            ..
        }) = self.at_mut(id)
        else {
            return false;
        };
        let before = std::mem::replace(&mut lease.deadline, deadline);
        self.deadlines.remove(&(before, id.slot));
        if deadline != 0 {
            self.deadlines.insert((deadline, id.slot));
        }
        true
    }

    /// When the first lease ends by itself.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A lease whose deadline has passed.
    pub fn overdue(&self, now: Millis) -> Option<LeaseId> {
        let (_, slot) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        Some(self.id(*slot))
    }

    fn id(&self, slot: u32) -> LeaseId {
        LeaseId {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    /// Messages on their way to the dead-letter exchange.
    pub fn departing(&self) -> u32 {
        self.departing
    }

    /// Messages that somebody outside holds.
    pub fn unsettled(&self) -> u64 {
        let taken = (self.slots.len() - self.free.len()) as u64;
        taken - u64::from(self.departing) - u64::from(self.lost)
    }

    /// Bytes of their bodies.
    pub fn unsettled_bytes(&self) -> u64 {
        self.bytes
    }

    /// All leases, in no particular but a repeatable order.
    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.iter_from(None)
    }

    /// The same without those whose slots are before the one of `first`.
    pub fn iter_from(&self, first: Option<LeaseId>) -> impl Iterator<Item = (LeaseId, &Lease)> {
        let held = |(slot, found): (usize, &'_ Slot)| match &found.place {
            Place::Held(_) => Some(self.id(slot as u32)),
            _ => None,
        };
        let skipped = first.map_or(0, |id| id.slot as usize);
        let ids = self.slots.iter().enumerate().skip(skipped).filter_map(held);
        ids.filter_map(|id| Some((id, self.get(id)?)))
    }

    /// All leases, to be changed in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lease> {
        self.slots
            .iter_mut()
            .filter_map(|slot| match &mut slot.place {
                Place::Held(lease) => Some(lease),
                _ => None,
            })
    }

    /// Takes one out, of a queue that goes: nothing else is right here any more.
    pub fn pop(&mut self) -> Option<Lease> {
        while let Some(slot) = self.slots.pop() {
            if let Place::Held(lease) = slot.place {
                return Some(lease);
            }
        }
        None
    }

    /// Ends all, for a start that goes on with them in another way.
    pub fn drain(&mut self) -> impl Iterator<Item = Lease> {
        self.free = Vec::new();
        (self.departing, self.lost, self.bytes) = (0, 0, 0);
        self.deadlines.clear();
        self.generation = self.generation.wrapping_add(1);
        std::mem::take(&mut self.slots)
            .into_iter()
            .filter_map(|slot| match slot.place {
                Place::Held(lease) => Some(lease),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry::plain(seq, seq + 1)
    }

    fn open(leases: &mut Leases, seq: u64, holder: Holder) -> LeaseId {
        leases.open(entry(seq), holder, 100, 0)
    }

    fn ended(leases: &mut Leases, id: LeaseId) -> Option<u64> {
        match leases.end(id) {
            Ended::Lease(lease) => Some(lease.entry.seq),
            _ => None,
        }
    }

    const DEPARTING: Holder = Holder::Departing(DeadLetterReason::Rejected);

    #[test]
    fn an_ended_lease_names_nothing_even_when_its_slot_is_used_again() {
        let mut leases = Leases::default();
        let first = open(&mut leases, 1, Holder::Get);
        assert_eq!(ended(&mut leases, first), Some(1));
        let second = open(&mut leases, 2, Holder::Get);
        assert_ne!(first, second);
        assert!(matches!(leases.end(first), Ended::Unknown));
        assert!(leases.get(first).is_none());
        assert_eq!(leases.get(second).unwrap().entry.seq, 2);
        assert_eq!(leases.unsettled(), 1);
    }

    #[test]
    fn a_departing_message_is_not_unsettled() {
        let mut leases = Leases::default();
        let departing = open(&mut leases, 1, DEPARTING);
        assert_eq!(leases.unsettled(), 0);
        open(&mut leases, 2, Holder::Get);
        assert_eq!(leases.unsettled(), 1);
        leases.end(departing);
        assert_eq!(leases.unsettled(), 1);
    }

    #[test]
    fn ids_stay_unique_when_the_space_is_given_back() {
        let mut leases = Leases::default();
        let ids: Vec<_> = (0..2000)
            .map(|seq| open(&mut leases, seq, Holder::Get))
            .collect();
        for id in &ids {
            assert!(ended(&mut leases, *id).is_some());
        }
        assert!(leases.slots.is_empty());
        let again = open(&mut leases, 1, Holder::Get);
        assert!(ids.iter().all(|id| *id != again));
    }

    #[test]
    fn a_revoked_lease_of_a_consumer_is_late_once_and_then_unknown() {
        let mut consumers = super::super::consumer::Consumers::default();
        let subscription = super::super::Subscription {
            id: super::super::ConsumerId(9),
            no_ack: false,
            exclusive: false,
            priority: 0,
            prefetch: 1,
        };
        let slot = consumers.add(subscription, Default::default()).unwrap();
        let mut leases = Leases::default();
        let id = leases.open(entry(1), Holder::Consumer(slot), 100, 150);
        assert_eq!(leases.overdue(149), None);
        assert_eq!(leases.overdue(150), Some(id));
        assert_eq!(leases.revoke(id).unwrap().entry.seq, 1);
        assert!(leases.revoke(id).is_none() && leases.get(id).is_none());
        assert_eq!((leases.unsettled(), leases.next_deadline()), (0, None));
        assert!(matches!(leases.end(id), Ended::Late(Holder::Consumer(held)) if held == slot));
        assert!(matches!(leases.end(id), Ended::Unknown));
    }

    #[test]
    fn a_deadline_moves_and_goes() {
        let mut leases = Leases::default();
        let id = leases.open(entry(1), Holder::Get, 100, 150);
        assert!(leases.set_deadline(id, 500));
        assert_eq!(
            (leases.overdue(499), leases.next_deadline()),
            (None, Some(500))
        );
        assert!(leases.set_deadline(id, 0));
        assert_eq!(leases.next_deadline(), None);
        assert_eq!(ended(&mut leases, id), Some(1));
        assert!(!leases.set_deadline(id, 900));
        assert_eq!(leases.next_deadline(), None);
        assert_eq!(LeaseId::from_u64(id.to_u64()), id);
    }
}
