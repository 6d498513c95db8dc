//! The readers of a stream: where each one is, and what it may still be given.
//!
//! Invariants
//! - Who stands in `standing` has credit and room, at the place that its cursor says; who has
//!   both stands there.
//! - Unsettled messages are counted up when one is handed out and down when one is settled.

use std::collections::{BTreeMap, BTreeSet};

use super::super::consumer::Subscription;
use super::super::effect::ConsumerId;
use super::super::lease::LeaseId;
use crate::filter::Filter;

/// What tells the lease of a reader from one that holds a message, whose slots are few.
const READER: u64 = 1 << 63;

/// One reader.
#[derive(Debug)]
struct Reader {
    /// The place of the message that it gets next, or looks at.
    cursor: u64,
    /// What its messages must satisfy.
    filter: Option<Filter>,
    no_ack: bool,
    unsettled: u32,
    unsettled_max: u32,
    /// Its outlet refused the last message and has not called for more yet.
    gated: bool,
}

impl Reader {
    fn willing(&self) -> bool {
        !self.gated && self.unsettled < self.unsettled_max
    }
}

/// All readers of a stream.
#[derive(Debug, Default)]
pub struct Readers {
    all: BTreeMap<ConsumerId, Reader>,
    standing: BTreeSet<(u64, ConsumerId)>,
}

/// The lease of what a reader is given.
fn lease_of(id: ConsumerId) -> LeaseId {
    assert!(id.0 < READER, "consumers are counted from the beginning");
    LeaseId::from_u64(READER | id.0)
}

/// The reader of a lease; none if the lease holds a message.
pub fn reader_of(lease: LeaseId) -> Option<ConsumerId> {
    let number = lease.to_u64();
    (number & READER != 0).then_some(ConsumerId(number & !READER))
}

impl Readers {
    /// A reader comes.
    pub fn add(&mut self, subscription: &Subscription, cursor: u64, filter: Option<Filter>) {
        let unlimited = subscription.no_ack || subscription.prefetch == 0;
        let reader = Reader {
            cursor,
            filter,
            no_ack: subscription.no_ack,
            unsettled: 0,
            unsettled_max: match unlimited {
                true => u32::MAX,
                false => subscription.prefetch,
            },
            gated: false,
        };
        self.all.insert(subscription.id, reader);
        self.stand(subscription.id);
    }

    /// A reader goes.
    pub fn remove(&mut self, id: ConsumerId) {
        if let Some(reader) = self.all.remove(&id) {
            self.standing.remove(&(reader.cursor, id));
        }
    }

    /// The place of those that are the furthest behind and can be given something.
    pub fn lowest(&self) -> Option<u64> {
        self.standing.first().map(|(cursor, _)| *cursor)
    }

    /// Takes those that stand at `place` or before it out of their places, and puts them at
    /// `place`.
    pub fn gather(&mut self, place: u64, group: &mut Vec<ConsumerId>) {
        group.clear();
        while let Some(&(cursor, id)) = self.standing.first()
            && cursor <= place
        {
            self.standing.pop_first();
            if let Some(reader) = self.all.get_mut(&id) {
                reader.cursor = place;
                group.push(id);
            }
        }
    }

    /// Whether all of them stand there, and nobody further behind.
    pub fn all_are_at(&self, place: u64) -> bool {
        self.standing.len() == self.all.len() && self.lowest().is_none_or(|at| at >= place)
    }

    /// What the messages of a reader must satisfy.
    pub fn filter(&self, id: ConsumerId) -> Option<&Filter> {
        self.all.get(&id)?.filter.as_ref()
    }

    /// Puts a reader in its place, if it can be given something.
    fn stand(&mut self, id: ConsumerId) {
        if let Some(reader) = self.all.get(&id)
            && reader.willing()
        {
            self.standing.insert((reader.cursor, id));
        }
    }

    /// A reader that was gathered goes on without the message at its place.
    pub fn pass(&mut self, id: ConsumerId) {
        if let Some(reader) = self.all.get_mut(&id) {
            reader.cursor += 1;
            self.stand(id);
        }
    }

    /// A reader that was gathered is handed the message at its place. The lease, if it has to be
    /// settled.
    pub fn serve(&mut self, id: ConsumerId) -> Option<LeaseId> {
        let reader = self.all.get_mut(&id)?;
        let no_ack = reader.no_ack;
        reader.unsettled += u32::from(!no_ack);
        self.pass(id);
        (!no_ack).then(|| lease_of(id))
    }

    /// The outlet of a reader that was gathered has no room until `resume`.
    pub fn gate(&mut self, id: ConsumerId) {
        if let Some(reader) = self.all.get_mut(&id) {
            reader.gated = true;
        }
    }

    /// The outlet has room again.
    pub fn resume(&mut self, id: ConsumerId) {
        if let Some(reader) = self.all.get_mut(&id) {
            reader.gated = false;
            self.stand(id);
        }
    }

    /// A message of the reader was settled.
    pub fn settled(&mut self, id: ConsumerId) {
        if let Some(reader) = self.all.get_mut(&id) {
            reader.unsettled = reader.unsettled.saturating_sub(1);
            self.stand(id);
        }
    }
}
