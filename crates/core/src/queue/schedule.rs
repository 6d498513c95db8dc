//! Messages that wait for their time.
//!
//! The earliest are in `head`, unpacked. All later ones are in chunks of a few hundred, packed to
//! some 15 bytes each, so that millions may wait in any order of time.
//!
//! ```text
//!  image: | count of chunks | chunk | chunk | ... |
//!  chunk: | run | run of what was beside it |
//! ```
//!
//! Invariants
//! - The order is that of (time, `seq`); no two entries share both.
//! - `head` is empty only if all is; what it has is before the bound of the first chunk.
//! - What a chunk has is not before its bound and before the bound of the next; no chunk is empty.
//! - `count` and `bytes` are those of all entries.
//!
//! Not here: what time it is, why a message waits (`Queue`), its level (whoever makes it ready).

mod chunk;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use super::entry::Entry;
use crate::Millis;
use crate::image::ImageOut;
use crate::limits::PAGE_ENTRIES;
use crate::message::Position;
use crate::wire::{Cursor, Truncated, put_varint};
use chunk::Chunk;

/// A chunk of no more entries than this is joined with the next if that is short, too.
const SHORT_CHUNK_ENTRIES: usize = 64;

/// When an entry is due, and its `seq`.
type Key = (Millis, u64);

/// An entry and when it is due.
type Timed = (Millis, Entry);

fn key((at, entry): &Timed) -> Key {
    (*at, entry.seq)
}

/// All waiting messages of one queue.
#[derive(Debug, Default)]
pub struct Schedule {
    head: BTreeMap<Key, Entry>,
    chunks: BTreeMap<Key, Chunk>,
    count: u64,
    bytes: u64,
}

impl Schedule {
    /// How many messages wait.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Length of their bodies, in bytes.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// About how much memory the entries take, bodies not counted, in bytes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        // A node of a map is at least half full.
        let head = self.head.len() * size_of::<(Key, Entry)>() * 3 / 2;
        let chunks = self.chunks.len() * size_of::<(Key, Chunk)>() * 3 / 2;
        head + chunks + self.chunks.values().map(Chunk::heap_bytes).sum::<usize>()
    }

    fn added(&mut self, entry: &Entry) {
        self.count += 1;
        self.bytes += u64::from(entry.size);
    }

    fn removed(&mut self, entry: &Entry) {
        self.count -= 1;
        self.bytes -= u64::from(entry.size);
    }

    /// Adds a message that is due `at`. Who gave it back last is forgotten once it is packed.
    pub fn insert(&mut self, at: Millis, entry: Entry) {
        self.added(&entry);
        let key = (at, entry.seq);
        if let Some((_, chunk)) = self.chunks.range_mut(..=key).next_back() {
            if let Some((bound, upper)) = chunk.insert(at, entry) {
                self.chunks.insert(bound, upper);
            }
            return;
        }
        let before = self.head.insert(key, entry);
        assert!(before.is_none(), "a message is in one place only");
        if self.head.len() > PAGE_ENTRIES {
            let middle = self.head.keys().nth(PAGE_ENTRIES / 2);
            let bound = *middle.expect("it has more than half a page");
            let upper = self.head.split_off(&bound).into_iter();
            let entries = upper.map(|((at, _), entry)| (at, entry)).collect();
            self.chunks.insert(bound, Chunk::new(entries));
        }
    }

    /// Makes sure that the earliest entry, if any, is in `head`.
    fn refill(&mut self) {
        if self.head.is_empty()
            && let Some((_, chunk)) = self.chunks.pop_first()
        {
            let entries = chunk.into_entries().into_iter();
            self.head = entries.map(|timed| (key(&timed), timed.1)).collect();
        }
    }

    /// When the earliest message is due.
    pub fn next_at(&self) -> Option<Millis> {
        self.head.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest message if it is due.
    pub fn pop_due(&mut self, now: Millis) -> Option<(Millis, Entry)> {
        let first = self
            .head
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        let ((at, _), entry) = first.remove_entry();
        self.removed(&entry);
        self.refill();
        Some((at, entry))
    }

    /// Takes the message of that time and `seq`.
    pub fn take(&mut self, at: Millis, seq: u64) -> Option<Entry> {
        let key = (at, seq);
        let entry = match self.chunks.range_mut(..=key).next_back() {
            None => self.head.remove(&key)?,
            Some((bound, chunk)) => {
                let (bound, entry) = (*bound, chunk.take(key)?);
                self.tidy(bound);
                entry
            }
        };
        self.removed(&entry);
        self.refill();
        Some(entry)
    }

    /// Drops a chunk that has become empty and joins a short one with what follows.
    fn tidy(&mut self, bound: Key) {
        while let Some(len) = self.chunks.get(&bound).map(Chunk::len) {
            if len == 0 {
                self.chunks.remove(&bound);
                return;
            }
            let later = (Bound::Excluded(bound), Bound::Unbounded);
            let Some((next, chunk)) = self.chunks.range(later).next() else {
                return;
            };
            if len > SHORT_CHUNK_ENTRIES || len + chunk.len() > PAGE_ENTRIES / 2 {
                return;
            }
            let next = *next;
            let next = self.chunks.remove(&next).expect("it was just seen");
            let chunk = self.chunks.get_mut(&bound);
            chunk.expect("it was just seen").absorb(next);
        }
    }

    /// The message of that time and `seq`.
    pub fn get(&self, at: Millis, seq: u64) -> Option<Entry> {
        let key = (at, seq);
        match self.chunks.range(..=key).next_back() {
            None => self.head.get(&key).cloned(),
            Some((_, chunk)) => chunk.get(key),
        }
    }

    /// Visits the messages behind the time and `seq` of `after`, or all, in order, until `each`
    /// returns false.
    pub fn visit(
        &self,
        after: Option<(Millis, u64)>,
        mut each: impl FnMut(Millis, &Entry) -> bool,
    ) {
        let later = (
            after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        for ((at, _), entry) in self.head.range(later) {
            if !each(*at, entry) {
                return;
            }
        }
        let first = after.and_then(|after| self.chunks.range(..=after).next_back());
        let start = first.map_or((0, 0), |(bound, _)| *bound);
        for chunk in self.chunks.range(start..).map(|(_, chunk)| chunk) {
            let entries = chunk.entries();
            let mut later = entries.iter().filter(|timed| Some(key(timed)) > after);
            if !later.all(|(at, entry)| each(*at, entry)) {
                return;
            }
        }
    }

    /// Lets `each` change every entry, in no order, and drops those that it does not want to keep;
    /// time, `seq` and size stay. Packed entries stay as they are, unseen, unless `touched` says
    /// yes to the positions that they lie between, and to the position of one of them.
    pub fn retain(
        &mut self,
        touched: impl Fn(RangeInclusive<Position>) -> bool,
        mut each: impl FnMut(Millis, &mut Entry) -> bool,
    ) {
        let mut head = std::mem::take(&mut self.head);
        let mut chunks = std::mem::take(&mut self.chunks);
        let mut keep = |at: Millis, entry: &mut Entry| {
            let kept = each(at, entry);
            if !kept {
                self.removed(entry);
            }
            kept
        };
        head.retain(|(at, _), entry| keep(*at, entry));
        let mut short = Vec::new();
        for (bound, chunk) in &mut chunks {
            let before = chunk.len();
            chunk.retain(&touched, &mut keep);
            if chunk.len() < before && chunk.len() <= SHORT_CHUNK_ENTRIES {
                short.push(*bound);
            }
        }
        (self.head, self.chunks) = (head, chunks);
        short.into_iter().for_each(|bound| self.tidy(bound));
        self.refill();
    }

    /// Appends the messages that outlive the broker, as they stand in a checkpoint.
    pub fn write(&self, out: &mut impl ImageOut) {
        put_varint(out.tail(), self.chunks.len() as u64 + 1);
        let head = self
            .head
            .iter()
            .map(|((at, _), entry)| (*at, entry.clone()));
        Chunk::new(head.collect()).write(out);
        self.chunks.values().for_each(|chunk| chunk.write(out));
    }

    /// Reads what `write` wrote, showing every entry to `each`; an entry that it declines is
    /// damage, as is one out of order.
    pub fn read(
        cursor: &mut Cursor<'_>,
        mut each: impl FnMut(Millis, &Entry) -> bool,
    ) -> Result<Schedule, Truncated> {
        let mut schedule = Schedule::default();
        let mut last: Option<Key> = None;
        for _ in 0..cursor.varint()? {
            let (chunk, entries) = Chunk::read(cursor)?;
            let Some(bound) = entries.first().map(key) else {
                continue;
            };
            if last.is_some_and(|last| last >= bound) {
                return Err(Truncated);
            }
            last = entries.last().map(key);
            for (at, entry) in &entries {
                if !each(*at, entry) {
                    return Err(Truncated);
                }
                schedule.added(entry);
            }
            schedule.chunks.insert(bound, chunk);
        }
        schedule.refill();
        Ok(schedule)
    }
}
