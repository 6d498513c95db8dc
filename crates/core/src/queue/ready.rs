//! The messages that wait for a consumer, wherever they stand.
//!
//! In a queue without shards they are one [`Levels`]. With shards they are divided into [`Parts`],
//! and everything that is asked here is asked of all of them.
//!
//! Invariants
//! - The order of leaving is that of [`Place`] over all parts: higher levels first, then by `seq`.
//! - Counts are those of all entries, and no entry expires before `next_expiry`.
//!
//! Not here: who gets the next message (`consumer`, `shards`, `choice`).

mod level;
mod levels;
mod merge;
mod parts;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use super::entry::Entry;
use super::page::Packed;
use crate::Millis;
use level::NEVER;
pub use levels::Levels;
pub use merge::{Merged, merge};
pub use parts::{Parts, Pile, Source};

/// Where an entry stands in the order of leaving.
pub type Place = (Reverse<u8>, u64);

/// The place of an entry.
pub fn place(entry: &Entry) -> Place {
    (Reverse(entry.priority), entry.seq)
}

/// What entries come to.
#[derive(Debug, Clone)]
pub struct Sums {
    /// How many they are.
    pub count: u64,
    /// Length of their bodies, in bytes.
    pub bytes: u64,
    /// How many of them can expire.
    expiring: u64,
    /// None of them expires earlier.
    due: Millis,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums::NOTHING
    }
}

impl Sums {
    const NOTHING: Sums = Sums {
        count: 0,
        bytes: 0,
        expiring: 0,
        due: NEVER,
    };

    /// No message expires earlier; none if none can expire. Just after `take_expired` it is later
    /// than its `now`, unless there was more than it might take.
    pub fn next_expiry(&self) -> Option<Millis> {
        (self.expiring > 0).then_some(self.due)
    }

    fn added(&mut self, entry: &Entry) {
        self.count += 1;
        self.bytes += u64::from(entry.size);
        if entry.expires_at != 0 {
            self.expiring += 1;
            self.due = self.due.min(entry.expires_at);
        }
    }

    fn removed(&mut self, entry: &Entry) {
        self.count -= 1;
        self.bytes -= u64::from(entry.size);
        if entry.expires_at != 0 {
            self.expiring -= 1;
            if self.expiring == 0 {
                self.due = NEVER;
            }
        }
    }

    /// A part of what is summed up here has changed.
    fn changed(&mut self, before: &Sums, after: &Sums) {
        self.count = self.count - before.count + after.count;
        self.bytes = self.bytes - before.bytes + after.bytes;
        self.expiring = self.expiring - before.expiring + after.expiring;
        self.due = match self.expiring {
            0 => NEVER,
            _ => self.due.min(after.due),
        };
    }
}

/// All ready messages of one queue.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the usual one is where its queue is"
)]
pub enum Ready {
    /// One order for all.
    Plain(Levels),
    /// An order for each key.
    Sharded(Box<Parts>),
}

impl Default for Ready {
    fn default() -> Ready {
        Ready::Plain(Levels::default())
    }
}

impl Ready {
    fn sums(&self) -> &Sums {
        match self {
            Ready::Plain(levels) => levels.sums(),
            Ready::Sharded(parts) => parts.sums(),
        }
    }

    /// How many messages wait.
    pub fn count(&self) -> u64 {
        self.sums().count
    }

    /// Length of their bodies, in bytes.
    pub fn bytes(&self) -> u64 {
        self.sums().bytes
    }

    /// No message expires earlier; none if none can expire.
    pub fn next_expiry(&self) -> Option<Millis> {
        self.sums().next_expiry()
    }

    /// The parts, in a queue with shards.
    pub fn parts(&mut self) -> Option<&mut Parts> {
        match self {
            Ready::Plain(_) => None,
            Ready::Sharded(parts) => Some(parts),
        }
    }

    /// Those that may go to anyone.
    pub fn common(&self) -> &Levels {
        match self {
            Ready::Plain(levels) => levels,
            Ready::Sharded(parts) => parts.common(),
        }
    }

    /// The first of those that may go to anyone.
    pub fn common_front(&mut self) -> Option<&Entry> {
        match self {
            Ready::Plain(levels) => levels.front(),
            Ready::Sharded(parts) => parts.front(Source::Common),
        }
    }

    /// Takes one of those that may go to anyone.
    pub fn take_common(&mut self, (Reverse(priority), seq): Place) -> Option<Entry> {
        match self {
            Ready::Plain(levels) => levels.take(priority, seq),
            Ready::Sharded(parts) => parts.take_from(Source::Common, priority, seq),
        }
    }

    /// Adds a message at the end of its level; its `seq` is above all before it.
    pub fn push_back(&mut self, entry: Entry) {
        match self {
            Ready::Plain(levels) => levels.push_back(entry),
            Ready::Sharded(parts) => parts.push_back(entry),
        }
    }

    /// Puts a message that was out back at its place.
    pub fn put_back(&mut self, entry: Entry) {
        match self {
            Ready::Plain(levels) => levels.put_back(entry),
            Ready::Sharded(parts) => parts.put_back(entry),
        }
    }

    /// The message that leaves next.
    pub fn front(&mut self) -> Option<&Entry> {
        match self {
            Ready::Plain(levels) => levels.front(),
            Ready::Sharded(parts) => {
                let source = parts.first()?;
                parts.front(source)
            }
        }
    }

    /// Takes the message that leaves next.
    pub fn pop_front(&mut self) -> Option<Entry> {
        match self {
            Ready::Plain(levels) => levels.pop_front(),
            Ready::Sharded(parts) => {
                let source = parts.first()?;
                parts.pop(source)
            }
        }
    }

    /// The message at a place.
    pub fn get(&self, priority: u8, seq: u64) -> Option<Entry> {
        match self {
            Ready::Plain(levels) => levels.get(priority, seq),
            Ready::Sharded(parts) => parts.get(priority, seq),
        }
    }

    /// Takes the message at a place.
    pub fn take(&mut self, priority: u8, seq: u64) -> Option<Entry> {
        match self {
            Ready::Plain(levels) => levels.take(priority, seq),
            Ready::Sharded(parts) => parts.take(priority, seq),
        }
    }

    /// Takes up to `max` expired messages, wherever they stand, and adds them to `out` in the
    /// order of their `seq`.
    pub fn take_expired(&mut self, now: Millis, max: usize, out: &mut Vec<Entry>) {
        match self {
            Ready::Plain(levels) => levels.take_expired(now, max, out),
            Ready::Sharded(parts) => parts.take_expired(now, max, out),
        }
    }

    /// Lets `each` change every entry and drops those that it does not want to keep. Packed pages
    /// that `touched` declines stay as they are, unseen.
    pub fn retain(
        &mut self,
        touched: impl Fn(&Packed) -> bool,
        mut each: impl FnMut(&mut Entry) -> bool,
    ) {
        match self {
            Ready::Plain(levels) => levels.retain(touched, each),
            Ready::Sharded(parts) => {
                parts.change_all(|levels| levels.retain(&touched, &mut each));
            }
        }
    }

    /// Takes everything, in one order.
    pub fn take_all(&mut self) -> Levels {
        match self {
            Ready::Plain(levels) => std::mem::take(levels),
            Ready::Sharded(parts) => parts.take_all(),
        }
    }

    /// All levels that there are.
    pub fn all_levels(&self) -> Vec<&Levels> {
        match self {
            Ready::Plain(levels) => vec![levels],
            Ready::Sharded(parts) => parts.all_levels(),
        }
    }

    /// Visits the waiting messages that leave after the place `after`, a priority and a `seq`,
    /// in the order of leaving, until `each` returns false. The place may be vacant.
    pub fn visit_after(&self, after: Option<(u8, u64)>, mut each: impl FnMut(&Entry) -> bool) {
        match self {
            Ready::Plain(levels) => levels.visit_after(after, each),
            Ready::Sharded(parts) => {
                let mut merged = Merged::new(parts.all_levels(), after);
                while merged.next().is_some_and(&mut each) {}
            }
        }
    }
}
