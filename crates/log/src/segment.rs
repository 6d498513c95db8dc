//! A segment: one file `seg-<number>.log` of records in a row.
//!
//! ```text
//!  0                    512                    1024
//!  | head | zeros ...   | the same again ...   | records ...   | zeros (reserved, last one only)
//!
//!  head, little-endian:
//!  0           8           12        16      24             32        36
//!  | FERRYSEG | version u32 | number | salt   | previous end | crc32   |
//! ```
//! The first 36 bytes keep this layout in every version, so that an old program can tell a newer
//! file from a damaged one.
//!
//! Invariants
//! - The head is synced before the first record is written: a segment with a bad head and nothing
//!   but zeros behind it was never used; a bad head before anything else is damage.
//! - A segment is cut to its end and synced before the next one's head is written; that head
//!   says where the end was.
//! - Numbers start at 1, are never used twice for records, and name files that nobody else names.

use std::io;

use crate::disk::{DiskFile, read_full_at, write_all_at};
use crate::position::Position;

/// Where the records of a segment start.
pub(crate) const DATA_START: u32 = 1024;

/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"FERRYSEG";
const COPY_OFFSET: usize = 512;
const HEAD_BYTES: usize = 36;

/// What a segment's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub number: u32,
    pub salt: u64,
    pub previous_end: Position,
}

/// What there is in place of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadState {
    Good(SegmentHead),
    Newer(u32),
    Bad,
}

/// The file name of a segment.
pub(crate) fn name_of(number: u32) -> String {
    format!("seg-{number:010}.log")
}

/// The number in a segment's file name.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("seg-")?.strip_suffix(".log")?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (name_of(number) == name).then_some(number)
}

impl SegmentHead {
    /// The first [`DATA_START`] bytes of the file.
    pub fn encode(&self) -> [u8; DATA_START as usize] {
        let mut head = [0; HEAD_BYTES];
        head[0..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&self.number.to_le_bytes());
        head[16..24].copy_from_slice(&self.salt.to_le_bytes());
        head[24..32].copy_from_slice(&self.previous_end.0.to_le_bytes());
        let crc = crc32fast::hash(&head[..32]);
        head[32..36].copy_from_slice(&crc.to_le_bytes());
        let mut bytes = [0; DATA_START as usize];
        bytes[..HEAD_BYTES].copy_from_slice(&head);
        bytes[COPY_OFFSET..COPY_OFFSET + HEAD_BYTES].copy_from_slice(&head);
        bytes
    }

    /// Reads either copy of the head of segment `number`.
    pub fn decode(bytes: &[u8], number: u32) -> HeadState {
        let first = decode_copy(bytes, number);
        if first != HeadState::Bad {
            return first;
        }
        decode_copy(bytes.get(COPY_OFFSET..).unwrap_or_default(), number)
    }

    /// Reads the head from a file.
    pub fn read(file: &dyn DiskFile, number: u32) -> io::Result<HeadState> {
        let mut bytes = [0; DATA_START as usize];
        let count = read_full_at(file, &mut bytes, 0)?;
        Ok(SegmentHead::decode(&bytes[..count], number))
    }

    /// Writes the head to a file; not synced.
    pub fn write(&self, file: &dyn DiskFile) -> io::Result<()> {
        write_all_at(file, &self.encode(), 0)
    }
}

fn decode_copy(bytes: &[u8], number: u32) -> HeadState {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else {
        return HeadState::Bad;
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    if head[..8] != MAGIC || word(32) != crc32fast::hash(&head[..32]) || word(12) != number {
        return HeadState::Bad;
    }
    if word(8) != FORMAT_VERSION {
        return HeadState::Newer(word(8));
    }
    let previous_end = Position(long(24));
    // Whatever its checksum says: no segment follows one that comes later.
    if previous_end.segment() >= number {
        return HeadState::Bad;
    }
    HeadState::Good(SegmentHead {
        number,
        salt: long(16),
        previous_end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: SegmentHead = SegmentHead {
        number: 7,
        salt: 0xABCD_EF01_2345_6789,
        previous_end: Position(0x6_0000_0400),
    };

    #[test]
    fn a_head_survives_the_loss_of_either_copy() {
        let good = HEAD.encode();
        assert_eq!(SegmentHead::decode(&good, 7), HeadState::Good(HEAD));
        for start in [0, COPY_OFFSET] {
            let mut bytes = good;
            bytes[start..start + COPY_OFFSET].fill(0xFF);
            assert_eq!(
                SegmentHead::decode(&bytes, 7),
                HeadState::Good(HEAD),
                "{start}"
            );
        }
    }

    #[test]
    fn a_head_of_another_segment_or_cut_short_is_bad() {
        let good = HEAD.encode();
        assert_eq!(SegmentHead::decode(&good, 8), HeadState::Bad);
        assert_eq!(SegmentHead::decode(&good[..35], 7), HeadState::Bad);
        assert_eq!(SegmentHead::decode(&[], 7), HeadState::Bad);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = HEAD.encode();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHead::decode(&bytes, 7), HeadState::Newer(2));
    }

    #[test]
    fn names_and_numbers_belong_together() {
        for (name, number) in [
            ("seg-0000000001.log", Some(1)),
            ("seg-4294967295.log", Some(u32::MAX)),
            ("seg-0000000000.log", None),
            ("seg-1.log", None),
            ("seg-+000000001.log", None),
            ("seg-0000000001.log.tmp", None),
            ("lock", None),
        ] {
            assert_eq!(number_of(name), number, "{name}");
        }
        assert_eq!(name_of(12), "seg-0000000012.log");
    }
}
