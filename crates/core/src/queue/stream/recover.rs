//! A stream as it is written to a checkpoint and put together again.
//!
//! ```text
//!  in an image: | next waiting | times |          (varints)
//!  times:       | step ms | count | place, time (deltas) | ... |
//! ```
//!
//! Invariants
//! - Offsets are what they were. Only where facts were lost to damage messages move together, so
//!   that there is no gap.

use super::super::Queue;
use super::super::ready::Ready;
use super::super::recover::SEQ_MAX;
use super::Stream;
use super::times::Times;
use crate::facts::StreamFact;
use crate::wire::{Cursor, Truncated, put_varint};

/// No message has left at a place beyond: a stream goes on behind what left, and what it writes of
/// itself then must be read again.
const LEFT_MAX: u64 = SEQ_MAX / 2;

impl Stream {
    /// Appends what is kept besides the messages.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.next_waiting);
        self.times.write(out);
    }

    /// Reads it back.
    pub fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Truncated> {
        self.next_waiting = cursor.varint()?;
        self.times = Times::read(cursor)?;
        match self.next_waiting <= SEQ_MAX {
            true => Ok(()),
            false => Err(Truncated),
        }
    }

    /// What waits for its time stands before this place.
    pub fn waiting_below(&self) -> u64 {
        self.next_waiting
    }

    /// Takes over what was written down.
    pub fn found(&mut self, fact: &StreamFact) {
        match *fact {
            // Where nothing can have been, nothing left.
            StreamFact::Left(below) if below > LEFT_MAX => {}
            StreamFact::Left(below) => self.left_below = self.left_below.max(below),
            StreamFact::Timed(seq, at) => {
                self.times.note(seq, at);
            }
        }
    }
}

impl Queue {
    /// Makes a stream of what was found.
    pub(in super::super) fn recover_stream(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        // What comes next is not taken for what left.
        self.next_seq = self.next_seq.max(stream.left_below).max(1);
        while self
            .ready
            .front()
            .is_some_and(|oldest| oldest.seq < stream.left_below)
        {
            self.ready.pop_front();
        }
        if !self.is_whole() {
            self.close_gaps();
        }
        let (first, last) = (self.first_kept(), self.next_seq - 1);
        if self.ready.count() > 0 && stream.times.first_run().is_none() {
            // Facts were lost: at the latest they were appended before the start.
            stream.times.note(first, self.used_at);
        }
        stream.times.forget_before(first);
        stream.last_part = stream.times.last_mark().clamp(first, last.max(first));
        let segment_bytes = self.options.retention.segment_bytes;
        stream.parts.divide(segment_bytes, &self.ready);
        stream.retain_at = Some(0);
        self.stream = Some(stream);
    }

    /// Whether the messages are those from the first to the last.
    fn is_whole(&self) -> bool {
        let first = self.next_seq.checked_sub(self.ready.count());
        let mut next = first.filter(|first| *first > 0);
        self.ready.visit_after(None, |entry| {
            let fits = next == Some(entry.seq) && entry.expires_at == 0 && entry.durable;
            next = next.filter(|_| fits).map(|seq| seq + 1);
            fits
        });
        next == Some(self.next_seq)
    }

    /// Puts the messages at the places before the next one.
    fn close_gaps(&mut self) {
        let mut messages = self.ready.take_all();
        self.next_seq = self.next_seq.max(messages.count() + 1);
        let mut seq = self.next_seq - messages.count();
        let mut whole = Ready::default();
        messages.drain(|mut entry| {
            (entry.seq, entry.expires_at, entry.durable) = (seq, 0, true);
            seq += 1;
            whole.push_back(entry);
        });
        *self.ready = whole;
    }
}
