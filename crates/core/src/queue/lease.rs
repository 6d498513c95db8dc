//! Leases: messages that were delivered and not settled yet.
//!
//! Invariants
//! - A lease id is never used twice; one that ended names nothing.
//! - A message is leased once at most: its entry is moved in and moved out.
//!
//! Not here: which connection holds it (the door keeps its delivery tag).

use super::consumer::ConsumerSlot;
use super::entry::Entry;

/// Names a lease of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId {
    slot: u32,
    generation: u32,
}

/// Who holds a leased message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A consumer.
    Consumer(ConsumerSlot),
    /// Somebody who asked for one message.
    Get,
    /// The broker, on the way to the dead-letter exchange.
    Departing,
}

/// A delivered message.
#[derive(Debug)]
pub struct Lease {
    /// The message.
    pub entry: Entry,
    /// Who holds it.
    pub holder: Holder,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    lease: Option<Lease>,
}

/// The leases of one queue.
#[derive(Debug, Default)]
pub struct Leases {
    slots: Vec<Slot>,
    free: Vec<u32>,
    departing: u32,
    generation: u32,
}

impl Leases {
    /// Opens a lease.
    pub fn open(&mut self, entry: Entry, holder: Holder) -> LeaseId {
        self.departing += u32::from(holder == Holder::Departing);
        let lease = Some(Lease { entry, holder });
        match self.free.pop() {
            Some(slot) => {
                let place = &mut self.slots[slot as usize];
                assert!(place.lease.is_none(), "a free slot is empty");
                place.generation = self.generation;
                place.lease = lease;
                LeaseId {
                    slot,
                    generation: self.generation,
                }
            }
            None => {
                let slot = self.slots.len() as u32;
                self.slots.push(Slot {
                    generation: self.generation,
                    lease,
                });
                LeaseId {
                    slot,
                    generation: self.generation,
                }
            }
        }
    }

    /// Ends a lease; `None` if it has ended before.
    pub fn end(&mut self, id: LeaseId) -> Option<Lease> {
        let place = self.slots.get_mut(id.slot as usize)?;
        if place.generation != id.generation {
            return None;
        }
        let lease = place.lease.take()?;
        self.departing -= u32::from(lease.holder == Holder::Departing);
        self.free.push(id.slot);
        self.generation = self.generation.wrapping_add(1);
        if self.free.len() == self.slots.len() && self.slots.len() > 1024 {
            self.slots = Vec::new();
            self.free = Vec::new();
        }
        Some(lease)
    }

    /// The lease, if it has not ended.
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        let place = self.slots.get(id.slot as usize)?;
        place
            .lease
            .as_ref()
            .filter(|_| place.generation == id.generation)
    }

    /// Messages that somebody outside holds.
    pub fn unsettled(&self) -> u64 {
        (self.slots.len() - self.free.len()) as u64 - u64::from(self.departing)
    }

    /// All leases, in no particular but a repeatable order.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.slots.iter().filter_map(|slot| slot.lease.as_ref())
    }

    /// All leases, to be changed in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lease> {
        self.slots.iter_mut().filter_map(|slot| slot.lease.as_mut())
    }

    /// Ends all, for a queue that goes.
    pub fn drain(&mut self) -> impl Iterator<Item = Lease> {
        self.free = Vec::new();
        self.departing = 0;
        self.generation = self.generation.wrapping_add(1);
        std::mem::take(&mut self.slots)
            .into_iter()
            .filter_map(|slot| slot.lease)
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Body;
    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry {
            seq,
            body: Body::Log(seq + 1),
            expires_at: 0,
            size: 1,
            returns: 0,
            priority: 0,
            redelivered: false,
            durable: true,
        }
    }

    #[test]
    fn an_ended_lease_names_nothing_even_when_its_slot_is_used_again() {
        let mut leases = Leases::default();
        let first = leases.open(entry(1), Holder::Get);
        assert_eq!(leases.end(first).unwrap().entry.seq, 1);
        let second = leases.open(entry(2), Holder::Get);
        assert_ne!(first, second);
        assert!(leases.end(first).is_none());
        assert!(leases.get(first).is_none());
        assert_eq!(leases.get(second).unwrap().entry.seq, 2);
        assert_eq!(leases.unsettled(), 1);
    }

    #[test]
    fn a_departing_message_is_not_unsettled() {
        let mut leases = Leases::default();
        let departing = leases.open(entry(1), Holder::Departing);
        assert_eq!(leases.unsettled(), 0);
        leases.open(entry(2), Holder::Get);
        assert_eq!(leases.unsettled(), 1);
        leases.end(departing);
        assert_eq!(leases.unsettled(), 1);
    }

    #[test]
    fn ids_stay_unique_when_the_space_is_given_back() {
        let mut leases = Leases::default();
        let ids: Vec<_> = (0..2000)
            .map(|seq| leases.open(entry(seq), Holder::Get))
            .collect();
        ids.iter().for_each(|id| assert!(leases.end(*id).is_some()));
        assert!(leases.slots.is_empty());
        let again = leases.open(entry(1), Holder::Get);
        assert!(ids.iter().all(|id| *id != again));
    }
}
