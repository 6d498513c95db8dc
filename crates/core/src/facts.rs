//! What a partition writes down: which messages entered a queue, were delivered, are gone.
//!
//! One step of a partition makes one record of facts. A message is named by the position of its
//! body, which is unique within a queue: a message enters a queue at most once.
//!
//! ```text
//!  run:      | kind (u8) | queue (varint) | count (varint) | entry ... |
//!  entered:  | position delta | size | flags | priority? | expiry ms? |        (varints)
//!  moved:    | position delta | new position - old position |                  (zigzag varints)
//!  others:   | position delta |                                                (zigzag varint)
//! ```
//!
//! Invariants
//! - Runs of a record are written in the order entered, moved, delivered, gone: a fact about a
//!   message never precedes its entering.
//! - Decoding is bounded by the input: a count is never an allocation size.
//!
//! Not here: where the record goes (`ferry-log`), what a queue makes of it (`queue::recover`).

use crate::Millis;
use crate::message::Position;
use crate::routing::QueueId;
use crate::wire::{Cursor, Truncated, put_varint, put_zigzag};

/// A message that entered a queue, with what the queue must know without reading its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// The queue.
    pub queue: QueueId,
    /// Where its body is.
    pub position: Position,
    /// Length of its body, in bytes.
    pub size: u32,
    /// Its level in the queue.
    pub priority: u8,
    /// When it expires; 0 for never.
    pub expires_at: Millis,
}

/// A fact about a message that entered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The queue.
    pub queue: QueueId,
    /// Where its body is.
    pub position: Position,
    /// Length of its body, in bytes (not written; for the live count of its segment).
    pub size: u32,
}

/// A message whose body was copied forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The queue.
    pub queue: QueueId,
    /// Where its body was.
    pub from: Position,
    /// Where it is now.
    pub to: Position,
    /// Length of its body, in bytes (not written).
    pub size: u32,
}

/// One fact, as read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// It entered the queue.
    Entered(Entered),
    /// Its body was copied.
    Moved(QueueId, Position, Position),
    /// It was handed to a consumer that has to settle it.
    Delivered(QueueId, Position),
    /// It left the queue for good.
    Gone(QueueId, Position),
}

/// The facts of one step, gathered until it ends.
#[derive(Debug, Default)]
pub struct Facts {
    /// Messages that entered.
    pub entered: Vec<Entered>,
    /// Messages whose bodies moved.
    pub moved: Vec<Moved>,
    /// Messages that were handed out under a lease.
    pub delivered: Vec<Mark>,
    /// Messages that left.
    pub gone: Vec<Mark>,
}

/// The bytes are not a record of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// They end too early.
    #[error("a record of facts ends too early")]
    Truncated,
    /// A run of a kind that this version does not know.
    #[error("a record of facts has a run of unknown kind {0}")]
    UnknownKind(u8),
}

impl From<Truncated> for FactError {
    fn from(_: Truncated) -> FactError {
        FactError::Truncated
    }
}

const ENTERED: u8 = 1;
const MOVED: u8 = 2;
const DELIVERED: u8 = 3;
const GONE: u8 = 4;

const HAS_PRIORITY: u8 = 1;
const HAS_EXPIRY: u8 = 2;

impl Facts {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entered.is_empty()
            && self.moved.is_empty()
            && self.delivered.is_empty()
            && self.gone.is_empty()
    }

    /// Forgets everything, keeping the space.
    pub fn clear(&mut self) {
        self.entered.clear();
        self.moved.clear();
        self.delivered.clear();
        self.gone.clear();
    }

    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        runs(
            &self.entered,
            |e| e.queue,
            |run| {
                head(out, ENTERED, run[0].queue, run.len());
                let mut last = 0;
                for entered in run {
                    encode_entered(out, entered, &mut last);
                }
            },
        );
        runs(
            &self.moved,
            |m| m.queue,
            |run| {
                head(out, MOVED, run[0].queue, run.len());
                let mut last = 0;
                for moved in run {
                    put_position(out, moved.from, &mut last);
                    put_zigzag(out, moved.to.wrapping_sub(moved.from) as i64);
                }
            },
        );
        for (kind, marks) in [(DELIVERED, &self.delivered), (GONE, &self.gone)] {
            runs(
                marks,
                |m| m.queue,
                |run| {
                    head(out, kind, run[0].queue, run.len());
                    let mut last = 0;
                    for mark in run {
                        put_position(out, mark.position, &mut last);
                    }
                },
            );
        }
    }

    /// Reads a record back, fact by fact.
    pub fn decode(bytes: &[u8], mut each: impl FnMut(Fact)) -> Result<(), FactError> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let kind = cursor.u8()?;
            let queue = QueueId(cursor.varint()?);
            let count = cursor.varint()?;
            let mut last = 0;
            for _ in 0..count {
                each(decode_entry(&mut cursor, kind, queue, &mut last)?);
            }
        }
        Ok(())
    }
}

fn decode_entry(
    cursor: &mut Cursor<'_>,
    kind: u8,
    queue: QueueId,
    last: &mut Position,
) -> Result<Fact, FactError> {
    let position = last.wrapping_add(cursor.zigzag()? as u64);
    *last = position;
    match kind {
        ENTERED => {
            let size = cursor.varint()? as u32;
            let flags = cursor.u8()?;
            let priority = if flags & HAS_PRIORITY != 0 {
                cursor.u8()?
            } else {
                0
            };
            let expires_at = if flags & HAS_EXPIRY != 0 {
                cursor.varint()?
            } else {
                0
            };
            Ok(Fact::Entered(Entered {
                queue,
                position,
                size,
                priority,
                expires_at,
            }))
        }
        MOVED => {
            let to = position.wrapping_add(cursor.zigzag()? as u64);
            Ok(Fact::Moved(queue, position, to))
        }
        DELIVERED => Ok(Fact::Delivered(queue, position)),
        GONE => Ok(Fact::Gone(queue, position)),
        other => Err(FactError::UnknownKind(other)),
    }
}

fn encode_entered(out: &mut Vec<u8>, entered: &Entered, last: &mut Position) {
    put_position(out, entered.position, last);
    put_varint(out, u64::from(entered.size));
    let mut flags = 0;
    if entered.priority != 0 {
        flags |= HAS_PRIORITY;
    }
    if entered.expires_at != 0 {
        flags |= HAS_EXPIRY;
    }
    out.push(flags);
    if entered.priority != 0 {
        out.push(entered.priority);
    }
    if entered.expires_at != 0 {
        put_varint(out, entered.expires_at);
    }
}

fn put_position(out: &mut Vec<u8>, position: Position, last: &mut Position) {
    put_zigzag(out, position.wrapping_sub(*last) as i64);
    *last = position;
}

fn head(out: &mut Vec<u8>, kind: u8, queue: QueueId, count: usize) {
    out.push(kind);
    put_varint(out, queue.0);
    put_varint(out, count as u64);
}

/// Calls `each` with every longest run of items of one queue.
fn runs<T>(items: &[T], queue: impl Fn(&T) -> QueueId, mut each: impl FnMut(&[T])) {
    for run in items.chunk_by(|a, b| queue(a) == queue(b)) {
        each(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Facts {
        let entered = |queue, position, priority, expires_at| Entered {
            queue: QueueId(queue),
            position,
            size: 1024,
            priority,
            expires_at,
        };
        let mark = |queue, position| Mark {
            queue: QueueId(queue),
            position,
            size: 1024,
        };
        Facts {
            entered: vec![
                entered(1, 1 << 32, 0, 0),
                entered(1, (1 << 32) + 1100, 9, 0),
                entered(2, 77, 0, 1_700_000_000_000),
            ],
            moved: vec![Moved {
                queue: QueueId(1),
                from: 900,
                to: 12,
                size: 1,
            }],
            delivered: vec![mark(1, 5), mark(1, 4)],
            gone: vec![mark(2, 77), mark(1, u64::MAX)],
        }
    }

    #[test]
    fn facts_read_back_in_order() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        let mut read = Vec::new();
        Facts::decode(&bytes, |fact| read.push(fact)).unwrap();
        let sample = sample();
        let mut expected: Vec<Fact> = sample.entered.iter().copied().map(Fact::Entered).collect();
        expected.push(Fact::Moved(QueueId(1), 900, 12));
        expected.extend(
            sample
                .delivered
                .iter()
                .map(|m| Fact::Delivered(m.queue, m.position)),
        );
        expected.extend(sample.gone.iter().map(|m| Fact::Gone(m.queue, m.position)));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_cut_record_is_an_error_and_never_a_panic() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        let mut errors = 0;
        for len in 0..bytes.len() {
            errors += usize::from(Facts::decode(&bytes[..len], |_| ()).is_err());
        }
        assert!(
            errors >= bytes.len() - 6,
            "only the ends of runs may be read: {errors}"
        );
        assert_eq!(
            Facts::decode(&[9, 1, 1, 1], |_| ()),
            Err(FactError::UnknownKind(9))
        );
        assert!(Facts::decode(&[4, 1, 0xff, 0xff, 0xff, 0xff, 0x0f], |_| ()).is_err());
    }
}
