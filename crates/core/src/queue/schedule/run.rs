//! A packed run of waiting entries.
//!
//! ```text
//!  image: | count | length | entry | entry | ... |     an empty run is a count of 0 alone
//!  entry: | time delta ms | seq delta (zigzag) | rest, as in a page |
//! ```
//!
//! The first entry's deltas are from zero.
//!
//! Invariants
//! - Unpacking gives back exactly what was packed, but for who gave a message back last.
//! - Keys ascend strictly, also in a run that was read.
//!
//! Not here: what a run is part of (`chunk`).

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::entry::Entry;
use super::super::page::{put_rest, read_rest};
use super::{Key, Timed, key};
use crate::Millis;
use crate::image::ImageOut;
use crate::limits::PAGE_ENTRIES;
use crate::message::Position;
use crate::wire::{Cursor, Truncated, put_varint, put_zigzag};

/// Room for a packed entry while packing, in bytes; most take less.
const ENTRY_BYTES_TYPICAL: usize = 16;

/// Entries whose bodies are in the log, in order of time, in their packed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    lowest: Position,
    highest: Position,
    count: u32,
    /// How many of them do not outlive the broker.
    transient: u32,
    /// Shared with the checkpoint that is being written.
    bytes: Arc<[u8]>,
}

impl Default for Run {
    fn default() -> Run {
        Run {
            lowest: Position::MAX,
            highest: 0,
            count: 0,
            transient: 0,
            bytes: Arc::default(),
        }
    }
}

impl Run {
    /// Packs `entries`, which are in order and have their bodies in the log.
    pub fn new<'a>(entries: impl Iterator<Item = &'a Timed>) -> Run {
        let mut run = Run::default();
        let mut out = Vec::with_capacity(entries.size_hint().0 * ENTRY_BYTES_TYPICAL);
        let (mut last_at, mut last_seq, mut last_position) = (0, 0, 0);
        for (at, entry) in entries {
            put_varint(&mut out, at - last_at);
            put_zigzag(&mut out, entry.seq.wrapping_sub(last_seq) as i64);
            put_rest(&mut out, entry, last_position, 0);
            (last_at, last_seq) = (*at, entry.seq);
            last_position = run.sum_up(entry);
            run.count += 1;
        }
        // A copy of the right length: shrinking in place would leave holes in the heap.
        run.bytes = out.as_slice().into();
        run
    }

    fn sum_up(&mut self, entry: &Entry) -> Position {
        let position = entry.position().expect("a packed body is in the log");
        self.lowest = self.lowest.min(position);
        self.highest = self.highest.max(position);
        self.transient += u32::from(!entry.durable);
        position
    }

    /// How many entries are packed.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Memory that it takes beside itself, in bytes.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Between which positions its bodies lie, both included; empty without any.
    pub fn positions(&self) -> RangeInclusive<Position> {
        self.lowest..=self.highest
    }

    /// Whether all of its entries outlive the broker.
    pub fn all_durable(&self) -> bool {
        self.transient == 0
    }

    /// The entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = Timed> {
        self.unpack()
            .map(|entry| entry.expect("what was packed here unpacks"))
    }

    fn unpack(&self) -> Unpack<'_> {
        Unpack {
            cursor: Cursor::new(&self.bytes),
            at: 0,
            seq: 0,
            position: 0,
            left: self.count,
        }
    }

    /// Appends the run as it stands in a checkpoint.
    pub fn write(&self, out: &mut impl ImageOut) {
        put_varint(out.tail(), u64::from(self.count));
        if self.count > 0 {
            put_varint(out.tail(), self.bytes.len() as u64);
            out.share(&self.bytes);
        }
    }

    /// Reads a run of a checkpoint and checks that it unpacks to entries in order.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Run, Truncated> {
        let count = cursor.varint()?;
        if count == 0 {
            return Ok(Run::default());
        }
        if count > PAGE_ENTRIES as u64 {
            return Err(Truncated);
        }
        let len = usize::try_from(cursor.varint()?).map_err(|_| Truncated)?;
        let mut run = Run {
            count: count as u32,
            bytes: cursor.bytes(len)?.into(),
            ..Run::default()
        };
        let mut sums = Run::default();
        let mut last: Option<Key> = None;
        let mut unpack = run.unpack();
        for entry in &mut unpack {
            let entry = entry?;
            if last.is_some_and(|last| last >= key(&entry)) {
                return Err(Truncated);
            }
            last = Some(key(&entry));
            sums.sum_up(&entry.1);
        }
        if !unpack.cursor.is_empty() {
            return Err(Truncated);
        }
        (run.lowest, run.highest, run.transient) = (sums.lowest, sums.highest, sums.transient);
        Ok(run)
    }
}

/// Walks over the entries of a run.
struct Unpack<'a> {
    cursor: Cursor<'a>,
    at: Millis,
    seq: u64,
    position: Position,
    left: u32,
}

impl Unpack<'_> {
    fn step(&mut self) -> Result<Timed, Truncated> {
        let delta = self.cursor.varint()?;
        self.at = self.at.checked_add(delta).ok_or(Truncated)?;
        self.seq = self.seq.wrapping_add(self.cursor.zigzag()? as u64);
        let entry = read_rest(&mut self.cursor, self.seq, self.position, 0)?;
        self.position = entry.position().expect("a packed body is in the log");
        Ok((self.at, entry))
    }
}

impl Iterator for Unpack<'_> {
    type Item = Result<Timed, Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.step())
    }
}
