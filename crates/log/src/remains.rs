//! What can still be told of a damaged part of a segment.
//!
//! Invariants
//! - Nothing here is believed: a head counts as one if it is bound to its place, and whatever else
//!   it says, and all of its payload, may be wrong.

use crate::position::Position;
use crate::record::{HEAD_BYTES, Head, KIND_RESERVED_MIN, mix};
use crate::report::Region;

/// A damaged part, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains<'a> {
    /// The damaged part.
    pub region: Region,
    /// Heads of records of the caller that can be seen in it, in order.
    pub heads: &'a [Remnant],
    /// Its bytes as they are now; none if they can not be read, or are too many.
    pub bytes: &'a [u8],
    /// The heads stand one behind the other from its start to its end: it was these records.
    pub is_told: bool,
}

/// The head of a record in a damaged part, as it reads now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remnant {
    /// Where it is.
    pub position: Position,
    /// The stream that it names.
    pub stream: u16,
    /// The kind that it names.
    pub kind: u8,
    /// Where its payload begins in the bytes of the part.
    pub payload_start: usize,
    /// Where its payload ends there.
    pub payload_end: usize,
}

/// Looks for heads at every byte of `bytes`, which are those of `region`. Also returns whether they
/// are all that was there.
pub(crate) fn heads_in(bytes: &[u8], region: Region, salt: u64) -> (Vec<Remnant>, bool) {
    let (mut heads, mut at, mut is_told) = (Vec::new(), 0, region.bytes == bytes.len() as u64);
    while at < bytes.len() {
        let offset = u64::from(region.offset) + at as u64;
        let position = u32::try_from(offset).map(|offset| Position::new(region.segment, offset));
        let head = position.ok().zip(Head::parse(&bytes[at..]));
        let Some((position, head)) =
            head.filter(|(position, head)| head.is_plausible(mix(salt, *position)))
        else {
            is_told = false;
            at += 1;
            continue;
        };
        let payload_start = at + HEAD_BYTES;
        let payload_end = payload_start.saturating_add(head.payload_bytes as usize);
        if head.kind < KIND_RESERVED_MIN {
            heads.push(Remnant {
                position,
                stream: head.stream,
                kind: head.kind,
                payload_start,
                payload_end: payload_end.min(bytes.len()),
            });
        }
        // A length that leads out of the part is wrong: what follows is looked for.
        let fits = payload_end <= bytes.len();
        is_told &= fits;
        at = if fits { payload_end } else { payload_start };
    }
    (heads, is_told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{bind, encode};

    const SALT: u64 = 77;

    fn part() -> (Vec<u8>, Region) {
        let mut bytes = Vec::new();
        for (kind, stream) in [(1, 9), (2, 3), (0xF1, 0)] {
            encode(&mut bytes, kind, 0, stream, &[&[kind; 30]]);
        }
        let region = Region {
            segment: 2,
            offset: 5000,
            bytes: bytes.len() as u64,
        };
        bind(&mut bytes, SALT, Position::new(2, 5000));
        (bytes, region)
    }

    #[test]
    fn heads_tell_what_was_there_as_far_as_they_stand() {
        for (damage, streams, is_told) in [
            (None, &[9, 3][..], true),
            (Some(20..40), &[9, 3], true),  // a payload
            (Some(4..8), &[3], false),      // where a head is bound to
            (Some(8..12), &[9, 3], false),  // a length
            (Some(0..92), &[], false),      // both heads
            (Some(96..98), &[9, 3], false), // the log's own
        ] {
            let (mut bytes, region) = part();
            if let Some(range) = damage.clone() {
                bytes[range].iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            let (heads, told) = heads_in(&bytes, region, SALT);
            let found: Vec<u16> = heads.iter().map(|head| head.stream).collect();
            assert_eq!((&found[..], told), (streams, is_told), "{damage:?}");
        }
    }
}
