//! Dead letters on their way: in a checkpoint, and when the facts after it are known.
//!
//! Invariants
//! - What was known to depart departs again, wherever it was in its turn.

use std::ops::RangeInclusive;

use super::super::Queue;
use super::super::departures::DEPARTING_MAX;
use super::super::entry::Entry;
use super::super::lease::{Holder, Lease};
use super::super::page::Packed;
use super::Recovering;
use crate::image::ImageOut;
use crate::message::Position;
use crate::reason::DeadLetterReason;
use crate::wire::{Cursor, Truncated, put_varint};

impl Queue {
    /// Appends those that are under way.
    pub(super) fn write_departing(&self, out: &mut impl ImageOut) {
        let under_way = |(_, lease): (_, &'_ Lease)| match lease.holder {
            Holder::Departing(reason) if lease.entry.durable => {
                Some((reason, Packed::new(std::slice::from_ref(&lease.entry))))
            }
            _ => None,
        };
        let pages: Vec<_> = self.leases.iter().filter_map(under_way).collect();
        put_varint(out.tail(), pages.len() as u64);
        for (reason, page) in pages {
            out.tail().push(reason.code());
            page.write(out);
        }
    }

    /// Takes out those that `touched` says yes to, and all that were under way.
    pub(super) fn take_departing(
        &mut self,
        touched: impl Fn(RangeInclusive<Position>) -> bool,
        mut each: impl FnMut(DeadLetterReason, Entry),
    ) {
        let under_way: Vec<Lease> = match self.leases.used() {
            Some(leases) => leases.drain().collect(),
            None => Vec::new(),
        };
        for lease in under_way {
            // Only what departs is leased so far.
            if let Holder::Departing(reason) = lease.holder {
                self.stuck -= 1;
                each(reason, lease.entry);
            }
        }
        if let Some(departures) = &mut self.departures {
            departures.retain(touched, |reason, entry| {
                each(reason, entry.clone());
                false
            });
        }
    }
}

impl Recovering {
    /// Reads what [`Queue::write_departing`] wrote.
    pub(super) fn read_departing(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Truncated> {
        for _ in 0..cursor.varint()? {
            let reason = DeadLetterReason::from_code(cursor.u8()?).ok_or(Truncated)?;
            for entry in Packed::read(cursor)?.entries() {
                self.depart(entry, reason);
            }
        }
        Ok(())
    }

    /// A message departs, or waits its turn.
    pub(super) fn depart(&mut self, entry: Entry, reason: DeadLetterReason) {
        let queue = &mut self.queue;
        if queue.leases.departing() >= DEPARTING_MAX {
            queue.departures.get_or_insert_default().push(reason, entry);
            return;
        }
        let id = queue.leases.open(entry, Holder::Departing(reason), 0, 0);
        let lease = queue.leases.get_mut(id).expect("it was just opened");
        (lease.stuck, lease.noted) = (true, true);
        queue.stuck += 1;
    }

    /// Those whose turn it is after all facts depart.
    pub(super) fn depart_next(&mut self) {
        while self.queue.leases.departing() < DEPARTING_MAX
            && let Some((reason, entry)) = self.queue.pop_departure()
        {
            self.depart(entry, reason);
        }
    }
}
