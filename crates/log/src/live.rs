//! How much of each segment is still needed.
//!
//! Invariants
//! - Nothing is released that was not retained: counts never go below zero (asserted).
//! - A segment is dead when nobody refers to it, it is full, and replay starts behind its end.

use std::collections::BTreeMap;

use crate::position::Position;

/// A segment is worth evacuating when less than one part in this many of it is live.
const SPARSE_DIVISOR: u64 = 2;

/// Evacuation starts when the disk holds this many times the live bytes.
const DISK_PER_LIVE: u64 = 2;

/// Evacuation starts with more segments than this.
const SEGMENTS_KEPT: usize = 4;

/// What there is in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentUse {
    /// Number of the segment.
    pub segment: u32,
    /// Bytes of its file that hold records.
    pub file_bytes: u64,
    /// Bytes that are referred to.
    pub live_bytes: u64,
    /// References to its records.
    pub live_refs: u64,
}

/// What the cleaner can do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaning {
    /// Segments that `Log::remove_dead` would remove.
    pub dead: Vec<u32>,
    /// The oldest sparse segment: append what is live in it again, release it there.
    pub evacuate: Option<u32>,
    /// Bytes in all segments.
    pub disk_bytes: u64,
    /// Bytes referred to.
    pub live_bytes: u64,
    /// How many segments there are.
    pub segments: usize,
}

/// Releases gathered over a burst, added up by segment.
#[derive(Debug, Default)]
pub struct ReleaseBatch {
    entries: Vec<(u32, u64, u64)>,
}

impl ReleaseBatch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> ReleaseBatch {
        ReleaseBatch {
            entries: Vec::new(),
        }
    }

    /// Gives back `refs` references and `bytes` of the segment of `position`.
    pub fn add(&mut self, position: Position, bytes: u64, refs: u64) {
        let segment = position.segment();
        match self
            .entries
            .iter_mut()
            .rev()
            .find(|entry| entry.0 == segment)
        {
            Some(entry) => {
                entry.1 += refs;
                entry.2 += bytes;
            }
            None => self.entries.push((segment, refs, bytes)),
        }
    }

    /// True when there is nothing to give back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    pub salt: u64,
    pub end: u32,
    pub live_bytes: u64,
    pub live_refs: u64,
}

/// All segments.
#[derive(Debug, Default)]
pub(crate) struct Live {
    segments: BTreeMap<u32, Entry>,
}

impl Live {
    pub fn insert(&mut self, number: u32, salt: u64, end: u32) {
        let entry = Entry {
            salt,
            end,
            ..Entry::default()
        };
        let before = self.segments.insert(number, entry);
        assert!(before.is_none(), "segment {number} is new");
    }

    pub fn salt(&self, number: u32) -> Option<u64> {
        self.segments.get(&number).map(|entry| entry.salt)
    }

    pub fn set_end(&mut self, end: Position) {
        if let Some(entry) = self.segments.get_mut(&end.segment()) {
            entry.end = end.offset();
        }
    }

    pub fn retain(&mut self, position: Position, bytes: u64, refs: u64) {
        let entry = self.segments.get_mut(&position.segment());
        let entry = entry.expect("what is retained was appended or replayed");
        entry.live_bytes += bytes;
        entry.live_refs += refs;
    }

    pub fn release(&mut self, batch: &mut ReleaseBatch) {
        for (segment, refs, bytes) in batch.entries.drain(..) {
            let entry = self
                .segments
                .get_mut(&segment)
                .expect("what is released was retained");
            assert!(
                entry.live_refs >= refs,
                "segment {segment}: more released than retained"
            );
            assert!(
                entry.live_bytes >= bytes,
                "segment {segment}: more released than retained"
            );
            entry.live_refs -= refs;
            entry.live_bytes -= bytes;
        }
    }

    /// `active` and later segments are in use; replay starts at `start`.
    pub fn cleaning(&self, active: u32, start: Position) -> Cleaning {
        let full = || self.segments.range(..active);
        let ends_before = |number: u32, entry: &Entry| Position::new(number, entry.end) <= start;
        let mut cleaning = Cleaning {
            disk_bytes: self
                .segments
                .values()
                .map(|entry| u64::from(entry.end))
                .sum(),
            live_bytes: self.segments.values().map(|entry| entry.live_bytes).sum(),
            segments: self.segments.len(),
            ..Cleaning::default()
        };
        for (number, entry) in full() {
            if entry.live_refs == 0 && ends_before(*number, entry) {
                cleaning.dead.push(*number);
            }
        }
        let crowded = cleaning.segments > SEGMENTS_KEPT
            && cleaning.disk_bytes > DISK_PER_LIVE * cleaning.live_bytes;
        if crowded {
            cleaning.evacuate = full()
                .find(|(_, entry)| {
                    entry.live_refs > 0 && entry.live_bytes * SPARSE_DIVISOR < u64::from(entry.end)
                })
                .map(|(number, _)| *number);
        }
        cleaning
    }

    pub fn remove(&mut self, number: u32) {
        self.segments.remove(&number);
    }

    pub fn uses(&self) -> Vec<SegmentUse> {
        let one = |(number, entry): (&u32, &Entry)| SegmentUse {
            segment: *number,
            file_bytes: u64::from(entry.end),
            live_bytes: entry.live_bytes,
            live_refs: entry.live_refs,
        };
        self.segments.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(segments: u32) -> Live {
        let mut live = Live::default();
        for number in 1..=segments {
            live.insert(number, 0, 1000);
        }
        live
    }

    fn release(live: &mut Live, segment: u32, bytes: u64, refs: u64) {
        let mut batch = ReleaseBatch::new();
        batch.add(Position::new(segment, 0), bytes, refs);
        live.release(&mut batch);
        assert!(batch.is_empty());
    }

    #[test]
    fn a_segment_is_dead_when_full_unreferred_and_before_the_start() {
        let mut live = live(3);
        live.retain(Position::new(1, 0), 10, 2);
        let dead = |live: &Live, start| live.cleaning(3, start).dead;
        assert_eq!(dead(&live, Position::new(3, 0)), [2]);
        release(&mut live, 1, 5, 1);
        assert_eq!(dead(&live, Position::new(3, 0)), [2]);
        release(&mut live, 1, 5, 1);
        assert_eq!(dead(&live, Position::new(3, 0)), [1, 2]);
        assert_eq!(dead(&live, Position::new(1, 1000)), [1]);
        assert_eq!(dead(&live, Position::new(1, 999)), [0; 0]);
        assert_eq!(
            dead(&live, Position::new(9, 0)),
            [1, 2],
            "the active one stays"
        );
    }

    #[test]
    fn the_oldest_sparse_segment_is_evacuated_when_the_disk_is_crowded() {
        for (segments, live_bytes, expected) in [
            (5, [900, 400, 0, 100, 0], Some(2)),
            (5, [900, 900, 900, 100, 0], None), // more than half is live
            (4, [100, 100, 100, 100, 0], None), // few segments
            (6, [600, 0, 0, 0, 100], Some(5)),
        ] {
            let mut live = live(segments);
            for (number, bytes) in (1..=segments).zip(live_bytes) {
                live.retain(Position::new(number, 0), bytes, u64::from(bytes > 0));
            }
            let evacuate = live.cleaning(segments, Position::ZERO).evacuate;
            assert_eq!(evacuate, expected, "{live_bytes:?}");
        }
    }

    #[test]
    #[should_panic(expected = "more released than retained")]
    fn releasing_twice_is_our_own_error() {
        let mut live = live(1);
        live.retain(Position::new(1, 0), 10, 1);
        release(&mut live, 1, 10, 1);
        release(&mut live, 1, 10, 1);
    }
}
