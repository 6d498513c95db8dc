//! Packet ids of messages on their way to the client, and what each stands for.
//!
//! Invariants
//! - An id stands for one message at a time, from its PUBLISH until PUBACK or PUBCOMP.
//! - An id that was freed rests for as long as others are free: an acknowledgement that comes twice
//!   does not meet the next message.
//! - An id that a message of the session's queue keeps is that message's alone.
//! - The table is hardly larger than the window was at its widest.
//!
//! Not here: which of them the queue keeps as tags and notes (`deliver`, `acks`).

use std::collections::{HashSet, VecDeque};

use ferry_broker::Lease;

/// Ids that are taken before one is used again, if the window does not need more.
const FRESH_MIN: usize = 64;

/// The largest packet id.
const PACKET_ID_MAX: u16 = u16::MAX;

/// Where a message is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// QoS 1: PUBACK is awaited.
    AwaitsPuback,
    /// QoS 2: the id has to be safe with the message before PUBLISH may go out.
    Tagging,
    /// QoS 2: PUBREC is awaited.
    AwaitsPubrec,
    /// QoS 2: the message is gone, PUBCOMP is awaited.
    AwaitsPubcomp,
}

/// A message that is delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    /// Its lease; none once it is gone.
    pub(crate) lease: Option<Lease>,
    /// Which of the session's queues it is from.
    pub(crate) source: u16,
    /// How far it has come.
    pub(crate) stage: Stage,
}

/// All that is in flight.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    /// By packet id, less one.
    places: Vec<Option<Flight>>,
    /// Ids that may be free, the one that was freed first in front.
    free: VecDeque<u16>,
    count: usize,
}

impl Flights {
    /// How many ids are taken.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Takes an id; none if all are taken.
    pub(crate) fn begin(&mut self, flight: Flight) -> Option<u16> {
        while self.places.len() >= FRESH_MIN
            && let Some(id) = self.free.pop_front()
        {
            let place = &mut self.places[usize::from(id) - 1];
            if place.is_none() {
                *place = Some(flight);
                self.count += 1;
                return Some(id);
            }
        }
        if self.places.len() >= usize::from(PACKET_ID_MAX) {
            return None;
        }
        self.places.push(Some(flight));
        self.count += 1;
        u16::try_from(self.places.len()).ok()
    }

    /// Leaves these ids to messages that have them and will come: no other gets them.
    pub(crate) fn keep(&mut self, ids: &HashSet<u16>) {
        self.grow(ids.iter().copied().max().unwrap_or_default());
        self.free.retain(|free| !ids.contains(free));
    }

    fn grow(&mut self, id: u16) {
        while self.places.len() < usize::from(id) {
            self.places.push(None);
            // No more than there are ids, so this fits.
            self.free.push_back(self.places.len() as u16);
        }
    }

    /// Takes this id, which the message had before; false if it is another's.
    pub(crate) fn begin_with(&mut self, id: u16, flight: Flight) -> bool {
        if id == 0 {
            return false;
        }
        self.grow(id);
        let place = &mut self.places[usize::from(id) - 1];
        if place.is_some() {
            return false;
        }
        *place = Some(flight);
        self.count += 1;
        true
    }

    /// What an id stands for.
    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut Flight> {
        self.places
            .get_mut(usize::from(id).checked_sub(1)?)?
            .as_mut()
    }

    /// Frees an id whose message is that far; gives how far it is if it is not, or has no message.
    pub(crate) fn end_at(&mut self, id: u16, stage: Stage) -> Result<Flight, Option<Stage>> {
        match self.get_mut(id).map(|flight| flight.stage) {
            Some(found) if found == stage => self.end(id).ok_or(None),
            found => Err(found),
        }
    }

    /// Frees an id.
    pub(crate) fn end(&mut self, id: u16) -> Option<Flight> {
        let index = usize::from(id).checked_sub(1)?;
        let flight = self.places.get_mut(index)?.take()?;
        self.free.push_back(id);
        self.count -= 1;
        Some(flight)
    }

    /// All that is in flight, with its id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Flight)> {
        let ids = 1..=PACKET_ID_MAX;
        ids.zip(&self.places)
            .filter_map(|(id, place)| Some((id, place.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Flight = Flight {
        lease: None,
        source: 0,
        stage: Stage::AwaitsPuback,
    };

    #[test]
    fn ids_that_are_freed_rest_and_are_used_again() {
        let mut flights = Flights::default();
        for expected in 1..=70 {
            assert_eq!(flights.begin(SENT), Some(expected));
        }
        for freed in [9, 2] {
            assert_eq!(flights.end(freed), Some(SENT));
        }
        let nothing = [2, 0, 99].map(|id| flights.end(id));
        assert_eq!(nothing, [None; 3]);
        let taken = [(); 3].map(|()| flights.begin(SENT));
        assert_eq!(taken, [Some(9), Some(2), Some(71)]);
        assert_eq!(flights.len(), 71);
    }

    #[test]
    fn an_id_that_a_message_had_before_is_kept_for_it() {
        let mut flights = Flights::default();
        assert!(flights.begin_with(3, SENT) && flights.begin_with(1, SENT));
        assert!(!flights.begin_with(3, SENT) && !flights.begin_with(0, SENT));
        assert_eq!(flights.begin(SENT), Some(4));
        assert!(flights.begin_with(2, SENT));
        let ids: Vec<_> = flights.iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
    }

    #[test]
    fn an_id_that_waits_for_its_message_is_nobody_elses() {
        let mut flights = Flights::default();
        assert!(flights.begin_with(4, SENT));
        flights.keep(&HashSet::from([2, 6, 4]));
        // Ids rest while there are others.
        let taken: Vec<_> = (0..64).filter_map(|_| flights.begin(SENT)).collect();
        assert!(!taken.contains(&2) && !taken.contains(&6), "{taken:?}");
        for (id, is_free) in [(2, true), (6, true), (4, false)] {
            assert_eq!(flights.begin_with(id, SENT), is_free, "{id}");
        }
        assert_eq!(flights.end(6), Some(SENT));
        let freed: Vec<_> = (0..70).filter_map(|_| flights.begin(SENT)).collect();
        assert!(freed.contains(&6));
    }

    #[test]
    fn there_is_no_id_beyond_the_last() {
        let mut flights = Flights::default();
        assert!(flights.begin_with(PACKET_ID_MAX, SENT));
        let taken = std::iter::from_fn(|| flights.begin(SENT)).count();
        assert_eq!(taken, usize::from(PACKET_ID_MAX) - 1);
        flights.end(700);
        assert_eq!(flights.begin(SENT), Some(700));
    }
}
