//! What a partition writes down: which messages entered a queue, were delivered, wait, are gone.
//!
//! One step of a partition makes one record of facts. A message is named by the position of its
//! body, which is unique within a queue: a message enters a queue at most once.
//!
//! ```text
//!  run:      | kind (u8) | queue (varint) | count (varint) | entry ... |
//!  entered:  | position delta | size | flags | priority? | expiry ms? | wakes at ms? | key? |
//!  moved:    | position delta | new position - old position |                  (zigzag varints)
//!  delayed:  | position delta | wakes at ms | expires at ms |                        (varints)
//!  awake:    | position delta | expires at ms |                                      (varints)
//!  departed: | position delta | reason (u8) |                               (zigzag varint, u8)
//!  seen:     | id (16 bytes) | at ms (varint) |        forgotten: | id (16 bytes) |
//!  noted:    | key << 1, and 1 if it is remembered (varint) |
//!  tagged:   | position delta | tag |                              (zigzag varint, varint)
//!  others:   | position delta |                                                (zigzag varint)
//! ```
//!
//! Invariants
//! - Runs of a record are written in the order entered, moved, delivered, changes, gone: a fact
//!   about a message never precedes its entering. Changes stand in the order of their making.
//! - Decoding is bounded by the input: a count is never an allocation size.
//!
//! Not here: where the record goes (`ferry-log`), what a queue makes of it (`queue::recover`).

mod stream;
#[cfg(test)]
mod tests;

use crate::Millis;
use crate::message::{IdBytes, Position};
use crate::reason::DeadLetterReason;
use crate::routing::QueueId;
use crate::wire::{Cursor, Truncated, put_varint, put_zigzag};
pub use stream::StreamFact;

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
    /// Before when it is not ready; 0 if it is ready at once.
    pub wakes_at: Millis,
    /// What it must stay in order with; 0 for nothing.
    pub key: u32,
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

/// What happens to few messages only: a change of the state that a message waits in, or of the
/// ids that its queue remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is not ready before the first time, and expires at the second; 0 for never.
    Delayed(Mark, Millis, Millis),
    /// Its delay is over, it stands at the end of its queue, and expires at that time; 0 for never.
    Awake(Mark, Millis),
    /// It is on its way to the dead-letter exchange and has not arrived yet.
    Departed(Mark, DeadLetterReason),
    /// A message of that id entered at that time.
    Seen(QueueId, IdBytes, Millis),
    /// The message of that id was refused after all.
    Forgotten(QueueId, IdBytes),
    /// What is not about a single message of a stream.
    Stream(QueueId, StreamFact),
    /// The queue remembers that number, or does not any more.
    Noted(QueueId, u32, bool),
    /// It keeps that number.
    Tagged(Mark, u32),
}

impl Change {
    /// The queue that it is about.
    pub fn queue(&self) -> QueueId {
        match self {
            Change::Delayed(mark, ..)
            | Change::Awake(mark, _)
            | Change::Departed(mark, _)
            | Change::Tagged(mark, _) => mark.queue,
            Change::Seen(queue, ..) | Change::Forgotten(queue, _) => *queue,
            Change::Stream(queue, _) | Change::Noted(queue, ..) => *queue,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Change::Delayed(..) => DELAYED,
            Change::Awake(..) => AWAKE,
            Change::Departed(..) => DEPARTED,
            Change::Seen(..) => SEEN,
            Change::Forgotten(..) => FORGOTTEN,
            Change::Stream(..) => STREAM,
            Change::Noted(..) => NOTED,
            Change::Tagged(..) => TAGGED,
        }
    }
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
    /// Something rarer; the size of its mark is 0.
    Changed(Change),
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
    /// What is rarer.
    pub changes: Vec<Change>,
    /// Messages that left.
    pub gone: Vec<Mark>,
}

/// Facts of each kind whose space is kept for the next step.
const FACTS_KEPT: usize = 1 << 14;

fn empty<T>(facts: &mut Vec<T>) {
    facts.clear();
    facts.shrink_to(FACTS_KEPT);
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
    /// A message departed for a reason that this version does not know.
    #[error("a record of facts has a departure of unknown reason")]
    UnknownReason,
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
const DELAYED: u8 = 5;
const AWAKE: u8 = 6;
const DEPARTED: u8 = 7;
const SEEN: u8 = 8;
const FORGOTTEN: u8 = 9;
const STREAM: u8 = 10;
const NOTED: u8 = 11;
const TAGGED: u8 = 12;

const HAS_PRIORITY: u8 = 1;
const HAS_EXPIRY: u8 = 2;
const HAS_WAKING: u8 = 4;
const HAS_KEY: u8 = 8;

impl Facts {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entered.is_empty()
            && self.moved.is_empty()
            && self.delivered.is_empty()
            && self.changes.is_empty()
            && self.gone.is_empty()
    }

    /// Forgets everything, keeping the space of a usual step.
    pub fn clear(&mut self) {
        empty(&mut self.entered);
        empty(&mut self.moved);
        empty(&mut self.delivered);
        empty(&mut self.changes);
        empty(&mut self.gone);
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
        encode_marks(out, DELIVERED, &self.delivered);
        for run in self
            .changes
            .chunk_by(|a, b| (a.kind(), a.queue()) == (b.kind(), b.queue()))
        {
            head(out, run[0].kind(), run[0].queue(), run.len());
            let mut last = 0;
            for change in run {
                encode_change(out, change, &mut last);
            }
        }
        encode_marks(out, GONE, &self.gone);
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

fn decode_id(cursor: &mut Cursor<'_>, kind: u8, queue: QueueId) -> Result<Fact, FactError> {
    let mut id = IdBytes::default();
    id.copy_from_slice(cursor.bytes(size_of::<IdBytes>())?);
    Ok(Fact::Changed(match kind {
        SEEN => Change::Seen(queue, id, cursor.varint()?),
        _ => Change::Forgotten(queue, id),
    }))
}

fn decode_entered(
    cursor: &mut Cursor<'_>,
    queue: QueueId,
    position: Position,
) -> Result<Entered, Truncated> {
    let size = cursor.varint()? as u32;
    let flags = cursor.u8()?;
    let priority = match flags & HAS_PRIORITY {
        0 => 0,
        _ => cursor.u8()?,
    };
    let mut number = |flag: u8| match flags & flag {
        0 => Ok(0),
        _ => cursor.varint(),
    };
    Ok(Entered {
        queue,
        position,
        size,
        priority,
        expires_at: number(HAS_EXPIRY)?,
        wakes_at: number(HAS_WAKING)?,
        key: number(HAS_KEY)? as u32,
    })
}

fn decode_entry(
    cursor: &mut Cursor<'_>,
    kind: u8,
    queue: QueueId,
    last: &mut Position,
) -> Result<Fact, FactError> {
    if let SEEN | FORGOTTEN = kind {
        return decode_id(cursor, kind, queue);
    }
    if kind == NOTED {
        let noted = cursor.varint()?;
        let change = Change::Noted(queue, (noted >> 1) as u32, noted & 1 != 0);
        return Ok(Fact::Changed(change));
    }
    let position = last.wrapping_add(cursor.zigzag()? as u64);
    *last = position;
    match kind {
        ENTERED => Ok(Fact::Entered(decode_entered(cursor, queue, position)?)),
        MOVED => {
            let to = position.wrapping_add(cursor.zigzag()? as u64);
            Ok(Fact::Moved(queue, position, to))
        }
        DELIVERED => Ok(Fact::Delivered(queue, position)),
        GONE => Ok(Fact::Gone(queue, position)),
        DELAYED => Ok(Fact::Changed(Change::Delayed(
            mark(queue, position),
            cursor.varint()?,
            cursor.varint()?,
        ))),
        AWAKE => Ok(Fact::Changed(Change::Awake(
            mark(queue, position),
            cursor.varint()?,
        ))),
        DEPARTED => {
            let reason = cursor.u8()?;
            let reason = DeadLetterReason::from_code(reason);
            let reason = reason.ok_or(FactError::UnknownReason)?;
            Ok(Fact::Changed(Change::Departed(
                mark(queue, position),
                reason,
            )))
        }
        STREAM => Ok(StreamFact::decode(queue, position, cursor)?),
        TAGGED => Ok(Fact::Changed(Change::Tagged(
            mark(queue, position),
            cursor.varint()? as u32,
        ))),
        other => Err(FactError::UnknownKind(other)),
    }
}

fn mark(queue: QueueId, position: Position) -> Mark {
    Mark {
        queue,
        position,
        size: 0,
    }
}

fn encode_marks(out: &mut Vec<u8>, kind: u8, marks: &[Mark]) {
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

fn encode_change(out: &mut Vec<u8>, change: &Change, last: &mut Position) {
    match change {
        Change::Delayed(mark, at, expires_at) => {
            put_position(out, mark.position, last);
            put_varint(out, *at);
            put_varint(out, *expires_at);
        }
        Change::Awake(mark, expires_at) => {
            put_position(out, mark.position, last);
            put_varint(out, *expires_at);
        }
        Change::Departed(mark, reason) => {
            put_position(out, mark.position, last);
            out.push(reason.code());
        }
        Change::Seen(_, id, at) => {
            out.extend_from_slice(id);
            put_varint(out, *at);
        }
        Change::Forgotten(_, id) => out.extend_from_slice(id),
        Change::Stream(_, fact) => fact.encode(out, last),
        Change::Noted(_, key, on) => put_varint(out, u64::from(*key) << 1 | u64::from(*on)),
        Change::Tagged(mark, number) => {
            put_position(out, mark.position, last);
            put_varint(out, u64::from(*number));
        }
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
    if entered.wakes_at != 0 {
        flags |= HAS_WAKING;
    }
    if entered.key != 0 {
        flags |= HAS_KEY;
    }
    out.push(flags);
    if entered.priority != 0 {
        out.push(entered.priority);
    }
    if entered.expires_at != 0 {
        put_varint(out, entered.expires_at);
    }
    if entered.wakes_at != 0 {
        put_varint(out, entered.wakes_at);
    }
    if entered.key != 0 {
        put_varint(out, u64::from(entered.key));
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
