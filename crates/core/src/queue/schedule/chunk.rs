//! A stretch of the schedule: a packed run and a few entries beside it.
//!
//! What is inserted waits beside the run until there is enough of it to be worth packing the
//! stretch anew. Entries whose bodies are in memory stay beside it.
//!
//! Invariants
//! - A chunk has at most `PAGE_ENTRIES` entries; one more, and it is split in two.
//! - `fresh` counts the entries beside the run whose bodies are in the log.
//!
//! Not here: which stretch a chunk covers (`Schedule`).

use std::ops::RangeInclusive;

use super::super::entry::Entry;
use super::run::Run;
use super::{Key, Timed, key};
use crate::Millis;
use crate::image::ImageOut;
use crate::limits::PAGE_ENTRIES;
use crate::message::Position;
use crate::wire::{Cursor, Truncated};

/// Entries that could be packed and are not yet. More cost more memory, fewer more time.
const FRESH_ENTRIES_MAX: usize = 32;

/// Some entries, all between two keys.
#[derive(Debug, Default)]
pub struct Chunk {
    packed: Run,
    /// In no order.
    loose: Vec<Timed>,
    fresh: u32,
}

impl Chunk {
    /// A chunk of at most `PAGE_ENTRIES` entries in order.
    pub fn new(entries: Vec<Timed>) -> Chunk {
        assert!(entries.len() <= PAGE_ENTRIES, "a chunk is of bounded size");
        debug_assert!(
            entries.is_sorted_by(|a, b| key(a) < key(b)),
            "a message is in one place only"
        );
        let in_log = |(_, entry): &Timed| entry.position().is_some();
        if entries.iter().all(in_log) {
            return Chunk {
                packed: Run::new(entries.iter()),
                ..Chunk::default()
            };
        }
        Chunk {
            packed: Run::new(entries.iter().filter(|timed| in_log(timed))),
            loose: entries.into_iter().filter(|timed| !in_log(timed)).collect(),
            fresh: 0,
        }
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.packed.len() + self.loose.len()
    }

    /// Memory that it takes beside itself and the bodies, in bytes.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.packed.heap_bytes() + self.loose.capacity() * size_of::<Timed>()
    }

    /// Adds an entry. If that makes it too long, the later part is given back with its first key.
    pub fn insert(&mut self, at: Millis, entry: Entry) -> Option<(Key, Chunk)> {
        self.fresh += u32::from(entry.position().is_some());
        self.loose.push((at, entry));
        if (self.fresh as usize) < FRESH_ENTRIES_MAX && self.len() <= PAGE_ENTRIES {
            return None;
        }
        let packed = self.packed.len();
        let first_loose = self.loose.iter().map(key).min();
        let mut entries = std::mem::take(self).into_entries();
        let upper = (entries.len() > PAGE_ENTRIES).then(|| {
            // What comes in order of time leaves full chunks behind, not half-full ones.
            let before = entries.partition_point(|timed| Some(key(timed)) < first_loose);
            let in_order = before == packed && packed >= PAGE_ENTRIES / 2;
            let upper = entries.split_off(if in_order { packed } else { entries.len() / 2 });
            (key(&upper[0]), Chunk::new(upper))
        });
        *self = Chunk::new(entries);
        upper
    }

    /// The entry of that key.
    pub fn get(&self, wanted: Key) -> Option<Entry> {
        let loose = self.loose.iter().find(|timed| key(timed) == wanted);
        if let Some((_, entry)) = loose {
            return Some(entry.clone());
        }
        let mut from = self
            .packed
            .entries()
            .skip_while(|timed| key(timed) < wanted);
        let found = from.next().filter(|timed| key(timed) == wanted);
        found.map(|(_, entry)| entry)
    }

    /// Takes the entry of that key out.
    pub fn take(&mut self, wanted: Key) -> Option<Entry> {
        if let Some(index) = self.loose.iter().position(|timed| key(timed) == wanted) {
            let (_, entry) = self.loose.swap_remove(index);
            self.fresh -= u32::from(entry.position().is_some());
            return Some(entry);
        }
        let mut entries: Vec<Timed> = self.packed.entries().collect();
        let index = entries.binary_search_by_key(&wanted, key).ok()?;
        let (_, entry) = entries.remove(index);
        self.packed = Run::new(entries.iter());
        Some(entry)
    }

    /// Takes over all entries of the chunk that follows; both together have room in one.
    pub fn absorb(&mut self, next: Chunk) {
        let mut entries = std::mem::take(self).into_entries();
        entries.extend(next.into_entries());
        *self = Chunk::new(entries);
    }

    /// The entries in order.
    pub fn entries(&self) -> Vec<Timed> {
        merge(&self.packed, self.loose.clone())
    }

    /// The entries in order.
    pub fn into_entries(self) -> Vec<Timed> {
        merge(&self.packed, self.loose)
    }

    /// Lets `keep` change the entries and drops those that it declines. The run stays as it is,
    /// unseen, unless `touched` says yes to a position in it.
    pub fn retain(
        &mut self,
        touched: impl Fn(RangeInclusive<Position>) -> bool,
        mut keep: impl FnMut(Millis, &mut Entry) -> bool,
    ) {
        let body_touched = |(_, entry): Timed| {
            let position = entry.position();
            position.is_some_and(|at| touched(at..=at))
        };
        let run = &self.packed;
        if run.len() > 0 && touched(run.positions()) && run.entries().any(body_touched) {
            let mut entries = std::mem::take(self).into_entries();
            entries.retain_mut(|(at, entry)| keep(*at, entry));
            *self = Chunk::new(entries);
            return;
        }
        self.loose.retain_mut(|(at, entry)| keep(*at, entry));
        let in_log = |(_, entry): &&Timed| entry.position().is_some();
        self.fresh = self.loose.iter().filter(in_log).count() as u32;
        if self.fresh as usize >= FRESH_ENTRIES_MAX {
            *self = Chunk::new(std::mem::take(self).into_entries());
        }
    }

    /// Appends the durable entries as they stand in a checkpoint: the run, then what is beside it.
    pub fn write(&self, out: &mut impl ImageOut) {
        if self.packed.all_durable() {
            self.packed.write(out);
        } else {
            let durable: Vec<Timed> = self.packed.entries().filter(is_durable).collect();
            Run::new(durable.iter()).write(out);
        }
        let mut loose: Vec<&Timed> = self
            .loose
            .iter()
            .filter(|timed| is_durable(timed))
            .collect();
        loose.sort_unstable_by_key(|timed| key(timed));
        Run::new(loose.into_iter()).write(out);
    }

    /// Reads a chunk of a checkpoint, with its entries in order.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<(Chunk, Vec<Timed>), Truncated> {
        let packed = Run::read(cursor)?;
        let loose: Vec<Timed> = Run::read(cursor)?.entries().collect();
        let chunk = Chunk {
            fresh: loose.len() as u32,
            packed,
            loose,
        };
        let entries = chunk.entries();
        if entries.len() <= PAGE_ENTRIES && entries.is_sorted_by(|a, b| key(a) < key(b)) {
            Ok((chunk, entries))
        } else {
            Err(Truncated)
        }
    }
}

fn is_durable((_, entry): &Timed) -> bool {
    entry.durable
}

fn merge(packed: &Run, mut loose: Vec<Timed>) -> Vec<Timed> {
    let mut entries = Vec::with_capacity(packed.len() + loose.len());
    loose.sort_unstable_by_key(key);
    let mut loose = loose.into_iter().peekable();
    for timed in packed.entries() {
        while let Some(earlier) = loose.next_if(|earlier| key(earlier) < key(&timed)) {
            entries.push(earlier);
        }
        entries.push(timed);
    }
    entries.extend(loose);
    entries
}
