//! Where a record is in the log.
//!
//! Invariants
//! - Positions grow in the order of appending, across segments too.
//! - `Position::ZERO` lies before every record: segments are numbered from 1.

use std::fmt;

/// A place in the log: segment number in the high half, byte offset in its file in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before every record; also used for "none".
    pub const ZERO: Position = Position(0);

    /// The place at `offset` in the file of `segment`.
    #[must_use]
    pub const fn new(segment: u32, offset: u32) -> Position {
        Position((segment as u64) << 32 | offset as u64)
    }

    /// The number of the segment.
    #[must_use]
    pub const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The byte offset in the file of the segment.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.0 as u32
    }

    /// True for [`Position::ZERO`].
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The place `bytes` further on in the same segment.
    #[must_use]
    pub fn plus(self, bytes: u32) -> Position {
        let offset = self.offset().checked_add(bytes);
        Position::new(
            self.segment(),
            offset.expect("a segment is smaller than 4 GiB"),
        )
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.segment(), self.offset())
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn positions_order_by_segment_then_offset() {
        let ordered = [
            Position::ZERO,
            Position::new(1, 1024),
            Position::new(1, u32::MAX),
            Position::new(2, 0),
            Position::new(u32::MAX, 7),
        ];
        assert!(ordered.is_sorted());
        assert_eq!(ordered[4].segment(), u32::MAX);
        assert_eq!(ordered[4].offset(), 7);
        assert_eq!(ordered[1].plus(6), Position::new(1, 1030));
        assert_eq!(ordered[1].to_string(), "1:1024");
    }
}
