//! The cold middle of a long queue: pages of entries, packed to a few bytes each.
//!
//! ```text
//!  entry: | seq delta | rest |
//!  rest:  | position delta (zigzag) | size | flags | expiry ms? | returns? | level? | key? |
//! ```
//!
//! Invariants
//! - Unpacking gives back exactly what was packed, in order; a page read back is not empty, and
//!   its `seq`s ascend.
//! - Only entries whose bodies are in the log are packed; others stay as they are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::entry::{Body, Entry};
use crate::Millis;
use crate::image::ImageOut;
use crate::message::Position;
use crate::wire::{Cursor, Truncated, put_varint, put_zigzag};

const DURABLE: u8 = 1;
const REDELIVERED: u8 = 2;
const HAS_EXPIRY: u8 = 4;
const HAS_RETURNS: u8 = 8;
const HAS_LEVEL: u8 = 16;
const HAS_KEY: u8 = 32;

/// A run of entries of one level, in order.
#[derive(Debug)]
pub enum Page {
    /// All bodies are in the log.
    Packed(Packed),
    /// Some bodies are in memory.
    Plain(Vec<Entry>),
}

impl Page {
    /// Packs `entries` if that can be done.
    pub fn new(entries: Vec<Entry>) -> Page {
        if entries.iter().all(|entry| entry.position().is_some()) {
            Page::Packed(Packed::new(&entries))
        } else {
            Page::Plain(entries)
        }
    }

    /// The entries, in order.
    pub fn into_entries(self) -> Vec<Entry> {
        match self {
            Page::Packed(packed) => packed.entries(),
            Page::Plain(entries) => entries,
        }
    }

    /// A copy of the entries, in order.
    pub fn entries(&self) -> Vec<Entry> {
        match self {
            Page::Packed(packed) => packed.entries(),
            Page::Plain(entries) => entries.clone(),
        }
    }

    /// Place of its first entry.
    pub fn first_seq(&self) -> u64 {
        match self {
            Page::Packed(packed) => packed.first_seq,
            Page::Plain(entries) => entries.first().map_or(0, |entry| entry.seq),
        }
    }

    /// Place of its last entry.
    pub fn last_seq(&self) -> u64 {
        match self {
            Page::Packed(packed) => packed.last_seq,
            Page::Plain(entries) => entries.last().map_or(0, |entry| entry.seq),
        }
    }

    /// When the first of its entries expires, if any can.
    pub fn earliest(&self) -> Option<Millis> {
        match self {
            Page::Packed(packed) => packed.earliest(),
            Page::Plain(entries) => earliest(entries),
        }
    }
}

/// When the first of `entries` expires, if any can.
pub fn earliest<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Millis> {
    let expiries = entries.into_iter().map(|entry| entry.expires_at);
    expiries.filter(|at| *at != 0).min()
}

/// Entries in their packed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    first_seq: u64,
    last_seq: u64,
    first_position: Position,
    lowest: Position,
    highest: Position,
    count: u32,
    priority: u8,
    /// Sum of the entries' sizes.
    body_bytes: u64,
    /// How many of them can expire.
    expiring: u32,
    /// How many of them do not outlive the broker.
    transient: u32,
    /// When the first of them expires; 0 if none can.
    earliest: Millis,
    /// Shared with the checkpoint that is being written.
    bytes: Arc<[u8]>,
}

impl Packed {
    /// Packs `entries`, which are of one level and not empty.
    pub fn new(entries: &[Entry]) -> Packed {
        let first = entries.first().expect("a page has entries");
        let position = |entry: &Entry| entry.position().expect("a packed body is in the log");
        let mut out = Vec::with_capacity(entries.len() * 6);
        let (mut seq, mut last) = (first.seq, position(first));
        for entry in entries {
            assert_eq!(entry.priority, first.priority, "a page is of one level");
            // Wrapping: positions come in any order, and damaged ones may be any number.
            put_varint(&mut out, entry.seq.wrapping_sub(seq));
            put_rest(&mut out, entry, last, first.priority);
            (seq, last) = (entry.seq, position(entry));
        }
        let mut page = Packed {
            first_seq: first.seq,
            last_seq: seq,
            first_position: position(first),
            lowest: Position::MAX,
            highest: 0,
            count: entries.len() as u32,
            priority: first.priority,
            body_bytes: 0,
            expiring: 0,
            transient: 0,
            earliest: 0,
            bytes: out.into(),
        };
        page.sum_up(entries);
        page
    }

    fn sum_up(&mut self, entries: &[Entry]) {
        for entry in entries {
            let position = entry.position().expect("a packed body is in the log");
            self.lowest = self.lowest.min(position);
            self.highest = self.highest.max(position);
            self.body_bytes += u64::from(entry.size);
            self.expiring += u32::from(entry.expires_at != 0);
            self.transient += u32::from(!entry.durable);
            if entry.expires_at != 0 && (self.earliest == 0 || entry.expires_at < self.earliest) {
                self.earliest = entry.expires_at;
            }
        }
        self.last_seq = entries.last().map_or(self.first_seq, |last| last.seq);
    }

    /// Place of its first entry.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Place of its last entry.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// When the first of its entries expires, if any can.
    pub fn earliest(&self) -> Option<Millis> {
        (self.earliest != 0).then_some(self.earliest)
    }

    /// Between which positions its bodies lie, both included.
    pub fn positions(&self) -> RangeInclusive<Position> {
        self.lowest..=self.highest
    }

    /// The level of all its entries.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// Moves the page to another level.
    pub fn with_priority(self, priority: u8) -> Packed {
        Packed { priority, ..self }
    }

    /// Length of the bodies of its entries, in bytes.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// How many of its entries can expire.
    pub fn expiring(&self) -> u64 {
        u64::from(self.expiring)
    }

    /// Whether all of its entries outlive the broker.
    pub fn all_durable(&self) -> bool {
        self.transient == 0
    }

    /// How many entries are packed.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// The entries, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.unpack().expect("what was packed here unpacks")
    }

    fn unpack(&self) -> Result<Vec<Entry>, Truncated> {
        let mut cursor = Cursor::new(&self.bytes);
        let (mut seq, mut position) = (self.first_seq, self.first_position);
        let mut entries = Vec::with_capacity((self.count as usize).min(self.bytes.len()));
        for _ in 0..self.count {
            seq = seq.wrapping_add(cursor.varint()?);
            let entry = read_rest(&mut cursor, seq, position, self.priority)?;
            position = entry.position().expect("a packed body is in the log");
            entries.push(Entry {
                priority: self.priority,
                ..entry
            });
        }
        Ok(entries)
    }

    /// Appends the page as it stands in a checkpoint.
    pub fn write(&self, out: &mut impl ImageOut) {
        let head = out.tail();
        put_varint(head, self.first_seq);
        put_varint(head, self.first_position);
        put_varint(head, u64::from(self.count));
        head.push(self.priority);
        put_varint(head, self.bytes.len() as u64);
        out.share(&self.bytes);
    }

    /// Reads a page of a checkpoint and checks that it unpacks to entries in order.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Packed, Truncated> {
        let first_seq = cursor.varint()?;
        let first_position = cursor.varint()?;
        let count = cursor.varint()? as u32;
        let priority = cursor.u8()?;
        let len = cursor.varint()? as usize;
        let bytes = cursor.bytes(len)?.into();
        let mut page = Packed {
            first_seq,
            last_seq: first_seq,
            first_position,
            lowest: Position::MAX,
            highest: 0,
            count,
            priority,
            body_bytes: 0,
            expiring: 0,
            transient: 0,
            earliest: 0,
            bytes,
        };
        let entries = page.unpack()?;
        let starts = entries.first().is_some_and(|first| first.seq == first_seq);
        if !starts || !entries.is_sorted_by(|a, b| a.seq < b.seq) {
            return Err(Truncated);
        }
        page.sum_up(&entries);
        Ok(page)
    }
}

/// Appends what stands behind the `seq` of a packed entry: its position seen from `last`, and its
/// level if that is not `priority`.
pub fn put_rest(out: &mut Vec<u8>, entry: &Entry, last: Position, priority: u8) {
    let position = entry.position().expect("a packed body is in the log");
    put_zigzag(out, position.wrapping_sub(last) as i64);
    put_varint(out, u64::from(entry.size));
    let mut flags = 0;
    for (flag, set) in [
        (DURABLE, entry.durable),
        (REDELIVERED, entry.redelivered),
        (HAS_EXPIRY, entry.expires_at != 0),
        (HAS_RETURNS, entry.returns != 0),
        (HAS_LEVEL, entry.priority != priority),
        (HAS_KEY, entry.key != 0),
    ] {
        if set {
            flags |= flag;
        }
    }
    out.push(flags);
    if entry.expires_at != 0 {
        put_varint(out, entry.expires_at);
    }
    if entry.returns != 0 {
        put_varint(out, u64::from(entry.returns));
    }
    if entry.priority != priority {
        out.push(entry.priority);
    }
    if entry.key != 0 {
        put_varint(out, u64::from(entry.key));
    }
}

/// Reads back what `put_rest` wrote with the same `last` and `priority`.
pub fn read_rest(
    cursor: &mut Cursor<'_>,
    seq: u64,
    last: Position,
    priority: u8,
) -> Result<Entry, Truncated> {
    let position = last.wrapping_add(cursor.zigzag()? as u64);
    let size = cursor.varint()? as u32;
    let flags = cursor.u8()?;
    Ok(Entry {
        seq,
        body: Body::Log(position),
        size,
        returned_by: 0,
        durable: flags & DURABLE != 0,
        redelivered: flags & REDELIVERED != 0,
        expires_at: if flags & HAS_EXPIRY != 0 {
            cursor.varint()?
        } else {
            0
        },
        returns: if flags & HAS_RETURNS != 0 {
            cursor.varint()? as u32
        } else {
            0
        },
        priority: if flags & HAS_LEVEL != 0 {
            cursor.u8()?
        } else {
            priority
        },
        key: if flags & HAS_KEY != 0 {
            cursor.varint()? as u32
        } else {
            0
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        (0..300u64)
            .map(|i| Entry {
                seq: 10 + i * 3,
                body: Body::Log(if i % 7 == 0 {
                    5_000_000 - i
                } else {
                    (1 << 32) + i * 190
                }),
                expires_at: if i % 5 == 0 { 1_700_000_000_000 + i } else { 0 },
                size: 128 + i as u32,
                returns: (i % 4) as u32,
                returned_by: 0,
                key: (i % 6) as u32 * 800_000_000,
                priority: 3,
                redelivered: i % 2 == 0,
                durable: i % 3 == 0,
            })
            .collect()
    }

    fn same(a: &[Entry], b: &[Entry]) -> bool {
        format!("{a:?}") == format!("{b:?}")
    }

    #[test]
    fn a_page_unpacks_to_what_was_packed() {
        assert!(same(&Packed::new(&entries()).entries(), &entries()));
    }

    #[test]
    fn a_plain_run_of_durable_messages_takes_a_few_bytes_each() {
        let run: Vec<Entry> = (0..512)
            .map(|i| Entry::plain(i, (3 << 32) + i * 210))
            .collect();
        assert!(Packed::new(&run).bytes.len() <= 6 * 512);
    }

    #[test]
    fn a_page_reads_back_from_a_checkpoint_and_a_cut_one_does_not() {
        let page = Packed::new(&entries());
        let mut out = Vec::new();
        page.write(&mut out);
        let mut cursor = Cursor::new(&out);
        assert_eq!(Packed::read(&mut cursor).unwrap(), page);
        assert!(cursor.is_empty());
        for len in 0..out.len() {
            assert!(
                Packed::read(&mut Cursor::new(&out[..len])).is_err(),
                "cut at {len}"
            );
        }
    }

    #[test]
    fn entries_in_memory_are_kept_as_they_are() {
        let mut run = entries();
        run[5].body = Body::Memory(std::sync::Arc::from(&b"x"[..]));
        let page = Page::new(run.clone());
        assert!(matches!(page, Page::Plain(_)));
        assert!(same(&page.into_entries(), &run));
    }
}
