//! One record: a head of 16 bytes and a payload that is the caller's.
//!
//! ```text
//!  0        4        8            12     13      14       16           16 + payload bytes
//!  | check  | tag    | payload B  | kind | flags | stream | payload ... |
//!  all numbers little-endian
//! ```
//! - `mix` = 64 bits from the segment's secret salt and the record's own position.
//! - `check` = crc32 of bytes 8.. xor the low half of `mix`; `tag` = the high half of `mix`.
//!
//! A batch is built before its position is known; binding it to one changes 8 bytes per record
//! and needs no second pass over the payload.
//!
//! Invariants
//! - A record is valid at one position of one segment only: a stale, copied or swapped block, or
//!   bytes that a publisher made up, do not pass (the salt never leaves the disk).
//! - Zeros are not a record: kind 0 is never valid.
//! - Kinds from 0xF0 on are the log's own.

use crate::position::Position;

/// Bytes of a record before its payload.
pub const HEAD_BYTES: usize = 16;

/// Kinds from here on belong to the log.
pub const KIND_RESERVED_MIN: u8 = 0xF0;

/// A hole: its payload means nothing.
pub(crate) const KIND_PAD: u8 = 0xF0;

/// A claim: its payload is a position (u64) below which all was durable before this was written.
pub(crate) const KIND_COMMIT: u8 = 0xF1;

/// A commit record's full length.
pub(crate) const COMMIT_BYTES: usize = HEAD_BYTES + 8;

/// The head of a record as read; not yet trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub check: u32,
    pub tag: u32,
    pub payload_bytes: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: u16,
}

impl Head {
    /// Reads the head at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Head> {
        let head = bytes.first_chunk::<HEAD_BYTES>()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Head {
            check: word(0),
            tag: word(4),
            payload_bytes: word(8),
            kind: head[12],
            flags: head[13],
            stream: u16::from_le_bytes([head[14], head[15]]),
        })
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.payload_bytes)
    }

    /// Whether this may be the head of a record with this `mix`: cheap, before the payload is read.
    pub fn is_plausible(&self, mix: u64) -> bool {
        self.kind != 0 && self.tag == tag_of(mix)
    }

    /// Whether `record` (head and payload) is what was written where `mix` belongs.
    pub fn is_valid(&self, record: &[u8], mix: u64) -> bool {
        self.is_plausible(mix)
            && record.len() as u64 == self.record_bytes()
            && crc32fast::hash(&record[8..]) ^ mix as u32 == self.check
    }
}

fn tag_of(mix: u64) -> u32 {
    (mix >> 32) as u32
}

/// The 64 bits that bind a record to its place.
pub(crate) fn mix(salt: u64, position: Position) -> u64 {
    let mut word = position.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt;
    word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

/// Adds an unbound record (its mix is 0) to `bytes`.
pub(crate) fn encode(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u16, parts: &[&[u8]]) {
    let start = bytes.len();
    let payload_bytes: usize = parts.iter().map(|part| part.len()).sum();
    bytes.reserve(HEAD_BYTES + payload_bytes);
    let length = u32::try_from(payload_bytes).expect("the caller has checked the batch's limit");
    let mut head = [0; HEAD_BYTES];
    head[8..12].copy_from_slice(&length.to_le_bytes());
    head[12] = kind;
    head[13] = flags;
    head[14..16].copy_from_slice(&stream.to_le_bytes());
    bytes.extend_from_slice(&head);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    let check = crc32fast::hash(&bytes[start + 8..]);
    bytes[start..start + 4].copy_from_slice(&check.to_le_bytes());
}

/// Binds the unbound records in `bytes` to the places from `base` on.
pub(crate) fn bind(bytes: &mut [u8], salt: u64, base: Position) {
    let mut at = 0;
    while at < bytes.len() {
        let head = Head::parse(&bytes[at..]).expect("a batch holds whole records");
        let mix = mix(salt, base.plus(at as u32));
        bytes[at..at + 4].copy_from_slice(&(head.check ^ mix as u32).to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&tag_of(mix).to_le_bytes());
        at += head.record_bytes() as usize;
    }
    assert_eq!(at, bytes.len(), "a batch holds whole records");
}

/// The position that a commit record's payload claims; none if that is behind the record itself,
/// which nobody can have known to be durable.
pub(crate) fn claim_of(payload: &[u8], record: Position) -> Option<Position> {
    let claim = Position(u64::from_le_bytes(payload.try_into().ok()?));
    (claim <= record).then_some(claim)
}

/// The head of a pad record whose payload is seen piece by piece.
pub(crate) struct PadSeal {
    head: [u8; HEAD_BYTES],
    hasher: crc32fast::Hasher,
}

/// Begins a pad record.
pub(crate) fn seal_pad(payload_bytes: u32) -> PadSeal {
    let mut head = [0; HEAD_BYTES];
    head[8..12].copy_from_slice(&payload_bytes.to_le_bytes());
    head[12] = KIND_PAD;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[8..]);
    PadSeal { head, hasher }
}

impl PadSeal {
    /// Takes the next piece of the payload.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The finished head.
    pub fn finish(mut self, mix: u64) -> [u8; HEAD_BYTES] {
        let check = self.hasher.finalize() ^ mix as u32;
        self.head[0..4].copy_from_slice(&check.to_le_bytes());
        self.head[4..8].copy_from_slice(&tag_of(mix).to_le_bytes());
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x1234_5678_9ABC_DEF0;

    fn record(base: Position) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 3, 513, &[b"one", b"", b"two"]);
        bind(&mut bytes, SALT, base);
        bytes
    }

    fn valid_at(bytes: &[u8], salt: u64, position: Position) -> bool {
        Head::parse(bytes).is_some_and(|head| head.is_valid(bytes, mix(salt, position)))
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let base = Position::new(4, 5000);
        let bytes = record(base);
        let head = Head::parse(&bytes).unwrap();
        assert!(valid_at(&bytes, SALT, base));
        assert_eq!(
            (head.kind, head.flags, head.stream, head.payload_bytes),
            (7, 3, 513, 6)
        );
        assert_eq!(&bytes[HEAD_BYTES..], b"onetwo");
    }

    #[test]
    fn a_record_is_valid_at_its_own_place_only() {
        let base = Position::new(4, 5000);
        let bytes = record(base);
        for (salt, position) in [
            (SALT, Position::new(4, 5001)),
            (SALT, Position::new(5, 5000)),
            (SALT, Position::new(5000, 4)),
            (SALT + 1, base),
            (0, base),
        ] {
            assert!(!valid_at(&bytes, salt, position), "{salt} {position}");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let base = Position::new(1, 1024);
        let good = record(base);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!valid_at(&bad, SALT, base), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        let position = Position::new(1, 1024);
        assert!(
            !Head::parse(&[0; 16])
                .unwrap()
                .is_plausible(mix(SALT, position))
        );
        assert!(Head::parse(&[0; 15]).is_none());
    }
}
