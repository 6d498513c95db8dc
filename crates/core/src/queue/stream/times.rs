//! When messages were appended, as far as it is remembered: a mark here and there.
//!
//! A mark says that messages from its place on were appended at its time or later. There is one
//! for each `step_ms` in which something was appended; when they become too many, every second
//! one goes and the step is twice as long.
//!
//! Invariants
//! - Places and times of marks ascend; there are never more than `MARKS_MAX`.
//! - A message was appended no earlier than its mark says and less than `step_ms` later.

use std::collections::VecDeque;

use crate::Millis;
use crate::wire::{Cursor, Truncated, put_varint};

/// How far marks are apart at least, in milliseconds.
pub const STEP_MS_MIN: u64 = 100;

/// Marks of one stream.
const MARKS_MAX: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    seq: u64,
    at: Millis,
}

/// The times of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    marks: VecDeque<Mark>,
    step_ms: u64,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            marks: VecDeque::new(),
            step_ms: STEP_MS_MIN,
        }
    }
}

impl Times {
    /// A message is appended. True if that made a mark.
    pub fn note(&mut self, seq: u64, now: Millis) -> bool {
        let known = self.marks.back().is_some_and(|last| {
            // A clock that went back is waited for.
            last.seq >= seq || now < last.at.saturating_add(self.step_ms)
        });
        if known {
            return false;
        }
        self.marks.push_back(Mark { seq, at: now });
        // Marks that are far apart take more than one longer step; one of all times leaves two.
        while self.marks.len() > MARKS_MAX {
            self.thin_out();
        }
        true
    }

    fn thin_out(&mut self) {
        self.step_ms = self.step_ms.saturating_mul(2);
        let mut last: Option<Mark> = None;
        let step_ms = self.step_ms;
        // What is dropped lies in the first half of the step of the mark before it.
        self.marks.retain(|mark| {
            let near = |before: Mark| mark.at.saturating_sub(before.at) <= step_ms / 2;
            let kept = !last.is_some_and(near);
            if kept {
                last = Some(*mark);
            }
            kept
        });
    }

    /// Messages before `seq` left.
    pub fn forget_before(&mut self, seq: u64) {
        while self.marks.get(1).is_some_and(|second| second.seq <= seq) {
            self.marks.pop_front();
        }
    }

    /// Where to start so as to see everything that was appended at `time` or later; none if
    /// nothing was.
    pub fn first_since(&self, time: Millis) -> Option<u64> {
        let later = |mark: &Mark| mark.at.saturating_add(self.step_ms) <= time;
        let at = self.marks.partition_point(later);
        self.marks.get(at).map(|mark| mark.seq)
    }

    /// A time by which the message at `seq` had been appended.
    pub fn latest_of(&self, seq: u64) -> Millis {
        let at = self.marks.partition_point(|mark| mark.seq <= seq);
        let mark = self.marks.get(at.saturating_sub(1));
        mark.map_or(0, |mark| self.end_of(mark))
    }

    /// The place of the last mark; 0 if there is none.
    pub fn last_mark(&self) -> u64 {
        self.marks.back().map_or(0, |mark| mark.seq)
    }

    fn end_of(&self, mark: &Mark) -> Millis {
        mark.at.saturating_add(self.step_ms - 1)
    }

    /// The first messages that were appended together, as far as is known: the place behind them,
    /// if there is another mark, and a time by which they had been.
    pub fn first_run(&self) -> Option<(Option<u64>, Millis)> {
        let first = self.marks.front()?;
        let behind = self.marks.get(1).map(|second| second.seq);
        Some((behind, self.end_of(first)))
    }

    /// Appends them as they stand in a checkpoint.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.step_ms);
        put_varint(out, self.marks.len() as u64);
        let mut last = Mark { seq: 0, at: 0 };
        for mark in &self.marks {
            put_varint(out, mark.seq - last.seq);
            put_varint(out, mark.at - last.at);
            last = *mark;
        }
    }

    /// Reads them back.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Times, Truncated> {
        let step_ms = cursor.varint()?;
        let count = cursor.varint()?;
        if step_ms < STEP_MS_MIN || count > MARKS_MAX as u64 {
            return Err(Truncated);
        }
        let mut times = Times {
            marks: VecDeque::new(),
            step_ms,
        };
        let mut last = Mark { seq: 0, at: 0 };
        for place in 0..count {
            let (further, later) = (cursor.varint()?, cursor.varint()?);
            let seq = last.seq.checked_add(further).ok_or(Truncated)?;
            let at = last.at.checked_add(later).ok_or(Truncated)?;
            if place > 0 && (further == 0 || later == 0) {
                return Err(Truncated);
            }
            last = Mark { seq, at };
            times.marks.push_back(last);
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_made_when_the_time_has_moved_on() {
        let mut times = Times::default();
        for (seq, now, marked) in [
            (1, 1000, true),
            (2, 1000, false),
            (3, 1099, false),
            (4, 1100, true),
            (5, 900, false), // the clock went back
            (6, 5000, true),
        ] {
            assert_eq!(times.note(seq, now), marked, "{seq} at {now}");
        }
        for (time, first) in [
            (0, Some(1)),
            (1050, Some(1)),
            (1100, Some(4)),
            (1199, Some(4)),
            (1200, Some(6)),
            (5099, Some(6)),
            (5100, None),
        ] {
            assert_eq!(times.first_since(time), first, "since {time}");
        }
        assert_eq!(
            [1, 3, 4, 9].map(|seq| times.latest_of(seq)),
            [1099, 1099, 1199, 5099]
        );
        times.forget_before(4);
        assert_eq!(times.first_run(), Some((Some(6), 1199)));
        times.forget_before(100);
        assert_eq!(times.first_run(), Some((None, 5099)), "the last one stays");
    }

    #[test]
    fn marks_are_bounded_and_stay_true() {
        let mut times = Times::default();
        let at = |seq: u64| 1_000_000 + seq * 130;
        let count = 5 * MARKS_MAX as u64 / 2;
        for seq in 1..=count {
            times.note(seq, at(seq));
        }
        assert!(times.marks.len() <= MARKS_MAX);
        for seq in (1..=count).step_by(997) {
            assert!(times.latest_of(seq) >= at(seq));
            assert!(times.latest_of(seq) <= at(seq) + times.step_ms);
            let first = times.first_since(at(seq)).unwrap();
            assert!(first <= seq, "nothing is passed over");
            assert!(
                at(first) + times.step_ms > at(seq),
                "not much is seen again"
            );
        }
    }

    #[test]
    fn times_read_back_whenever_they_are_written_down() {
        for apart in [STEP_MS_MIN, 130, 1000, 86_400_000] {
            let mut times = Times::default();
            for seq in 1..=MARKS_MAX as u64 + 20 {
                times.note(seq, 1_000_000 + seq * apart);
                if seq + 2 < MARKS_MAX as u64 {
                    continue;
                }
                let mut bytes = Vec::new();
                times.write(&mut bytes);
                let read = Times::read(&mut Cursor::new(&bytes));
                assert_eq!(read.as_ref(), Ok(&times), "{seq} at every {apart} ms");
            }
        }
    }

    #[test]
    fn times_read_back_and_cut_or_disordered_ones_do_not() {
        let mut times = Times::default();
        for seq in 1..40 {
            times.note(seq * 3, 1_700_000_000_000 + seq * seq * 50);
        }
        let mut bytes = Vec::new();
        times.write(&mut bytes);
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(Times::read(&mut cursor), Ok(times));
        assert!(cursor.is_empty());
        for len in 0..bytes.len() {
            assert!(
                Times::read(&mut Cursor::new(&bytes[..len])).is_err(),
                "cut at {len}"
            );
        }
        for bad in [
            &[99, 0][..],
            &[100, 2, 1, 1, 0, 1],
            &[100, 2, 1, 1, 1, 0],
            &[100, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert!(Times::read(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
    }
}
