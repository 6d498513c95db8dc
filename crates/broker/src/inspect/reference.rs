//! A message's name for those outside, as a short text.
//!
//! ```text
//!  bytes: | kind (u8) | queue | run | body | place |           (varints; written as hex digits)
//!  place: | level (u8) | seq |   or   | wakes at ms | seq |   or   | lease |
//! ```
//!
//! Invariants
//! - A name that is out of date finds nothing, never another message: in the run of the broker
//!   that made it a place is not used twice, and after a restart it is believed only if the body
//!   is where the name says. What was in memory only has no such place and is not found.
//! - Every text that reads back is the one that is written.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use ferry_core::message::{NOT_LOGGED, Position};
use ferry_core::queue::{Entry, LeaseId, Spot};
use ferry_core::routing::QueueId;
use ferry_core::wire::{Cursor, Truncated, put_varint};

/// Longest name, in bytes of which each takes two digits.
const REF_BYTES_MAX: usize = 48;

const READY: u8 = 1;
const DELAYED: u8 = 2;
const LEASED: u8 = 3;

/// Names one message at its place in one queue. It stays good while the message stays where it
/// is; a message that was delivered and came back is where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef {
    pub(crate) queue: QueueId,
    pub(crate) run: u32,
    pub(crate) spot: Spot,
    pub(crate) body: Option<Position>,
}

/// The text names no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the name of a message")]
pub struct InvalidRef;

impl From<Truncated> for InvalidRef {
    fn from(_: Truncated) -> InvalidRef {
        InvalidRef
    }
}

impl MessageRef {
    pub(crate) fn new(queue: QueueId, run: u32, spot: Spot, entry: &Entry) -> MessageRef {
        MessageRef {
            queue,
            run,
            spot,
            body: entry.position(),
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let (kind, first, second) = match self.spot {
            Spot::Ready { priority, seq } => (READY, u64::from(priority), Some(seq)),
            Spot::Delayed { at, seq } => (DELAYED, at, Some(seq)),
            Spot::Leased(id) => (LEASED, id.to_u64(), None),
        };
        let mut bytes = vec![kind];
        let body = self.body.unwrap_or(NOT_LOGGED);
        let fields = [self.queue.0, u64::from(self.run), body, first];
        for field in fields.into_iter().chain(second) {
            put_varint(&mut bytes, field);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<MessageRef, InvalidRef> {
        let mut cursor = Cursor::new(bytes);
        let kind = cursor.u8()?;
        let queue = QueueId(cursor.varint()?);
        let run = u32::try_from(cursor.varint()?).map_err(|_| InvalidRef)?;
        let body = Some(cursor.varint()?).filter(|position| *position != NOT_LOGGED);
        let first = cursor.varint()?;
        let spot = match kind {
            READY => Spot::Ready {
                priority: u8::try_from(first).map_err(|_| InvalidRef)?,
                seq: cursor.varint()?,
            },
            DELAYED => Spot::Delayed {
                at: first,
                seq: cursor.varint()?,
            },
            LEASED => Spot::Leased(LeaseId::from_u64(first)),
            _ => return Err(InvalidRef),
        };
        let found = MessageRef {
            queue,
            run,
            spot,
            body,
        };
        // Only the shortest form of a number is one: a message has one name.
        match found.to_bytes() == bytes {
            true => Ok(found),
            false => Err(InvalidRef),
        }
    }
}

impl Display for MessageRef {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.to_bytes()
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for MessageRef {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<MessageRef, InvalidRef> {
        if text.len() > 2 * REF_BYTES_MAX || !text.len().is_multiple_of(2) {
            return Err(InvalidRef);
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidRef),
        };
        let pairs = text.as_bytes().chunks_exact(2);
        let bytes: Result<Vec<u8>, InvalidRef> = pairs
            .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
            .collect();
        MessageRef::from_bytes(&bytes?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<MessageRef> {
        let spots = [
            Spot::Ready {
                priority: 255,
                seq: u64::MAX / 2,
            },
            Spot::Ready {
                priority: 0,
                seq: 1,
            },
            Spot::Delayed {
                at: 1_800_000_000_000,
                seq: 300,
            },
            Spot::Leased(LeaseId::from_u64(7 << 32 | 9)),
        ];
        let bodies = [None, Some(1), Some(u64::MAX)];
        let named = |spot| {
            bodies.map(|body| MessageRef {
                queue: QueueId(77),
                run: u32::MAX,
                spot,
                body,
            })
        };
        spots.into_iter().flat_map(named).collect()
    }

    #[test]
    fn a_name_reads_back_and_is_the_only_text_for_its_message() {
        for name in all() {
            let text = name.to_string();
            assert!(text.len() <= 2 * REF_BYTES_MAX);
            assert_eq!(text.parse(), Ok(name), "{text}");
            assert_eq!(text.to_uppercase().parse::<MessageRef>(), Err(InvalidRef));
            for end in 0..text.len() {
                assert!(text[..end].parse::<MessageRef>().is_err(), "{text} {end}");
            }
            assert!(format!("{text}00").parse::<MessageRef>().is_err());
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "01".repeat(REF_BYTES_MAX + 1);
        for text in ["", "0", "zz", "0104", "+1", "é", "09010101010101", &long] {
            assert_eq!(text.parse::<MessageRef>(), Err(InvalidRef), "{text}");
        }
        // 1 written in two bytes.
        assert!("0101010101".parse::<MessageRef>().is_err());
        assert!("010101010101".parse::<MessageRef>().is_ok());
        assert!("01810001010101".parse::<MessageRef>().is_err());
    }
}
