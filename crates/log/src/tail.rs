//! The end of the log that is still in memory.
//!
//! Invariants
//! - `writing`, then `gathered`, then `next` follow each other without gap or overlap, apart
//!   from the step to a new segment.
//! - Bytes leave `writing` only after they are in the file and `written` says so; a reader that
//!   does not find a position here therefore finds it in the file.
//! - A run lies in one segment. Runs are of bounded size unless one batch is larger.

use std::sync::Arc;

use crate::log::{Appended, Pending};
use crate::position::Position;
use crate::record::{self, COMMIT_BYTES, HEAD_BYTES, Head, KIND_COMMIT};
use crate::segment::DATA_START;

/// A run is closed when the next batch would make it larger than this.
const RUN_BYTES: usize = 1 << 20;

/// Buffers kept for the next runs.
const SPARE_BUFFERS_MAX: usize = 2;

/// What a spare buffer may always keep.
const IDLE_BUFFER_BYTES: usize = 128 << 10;

/// A batch of at least this size is copied before the lock is taken.
const LARGE_BYTES: usize = 256 << 10;

/// The unbound records of a batch.
pub(crate) enum Records<'a> {
    Few(&'a [u8]),
    Many(Vec<u8>),
}

impl<'a> Records<'a> {
    /// Copies a large batch; to be called without the lock.
    pub fn new(bytes: &'a [u8]) -> Records<'a> {
        match bytes.len() >= LARGE_BYTES {
            true => Records::Many(bytes.to_vec()),
            false => Records::Few(bytes),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Records::Few(bytes) => bytes,
            Records::Many(bytes) => bytes,
        }
    }
}

/// Bytes that follow each other in one segment.
#[derive(Debug)]
pub(crate) struct Run {
    pub base: Position,
    pub salt: u64,
    pub bytes: Vec<u8>,
}

impl Run {
    pub fn end(&self) -> Position {
        self.base.plus(self.bytes.len() as u32)
    }

    fn record(&self, position: Position) -> Option<&[u8]> {
        if position < self.base || position >= self.end() {
            return None;
        }
        let bytes = &self.bytes[(position.0 - self.base.0) as usize..];
        let record_bytes = Head::parse(bytes)?.record_bytes();
        bytes.get(..usize::try_from(record_bytes).ok()?)
    }
}

/// What one commit writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub runs: Arc<Vec<Run>>,
    pub pending: Pending,
    pub end: Position,
    pub bytes: u64,
}

/// Appended, not yet written.
#[derive(Debug)]
pub(crate) struct Tail {
    gathered: Vec<Run>,
    gathered_bytes: u64,
    pending: Pending,
    writing: Taken,
    next: Position,
    /// End of the last record, which is before `next` when that is in a new segment.
    end: Position,
    salt: u64,
    /// End of the last record that was the caller's.
    data_end: Position,
    /// The durable position that the last commit record claims.
    claimed: Position,
    spare: Vec<Vec<u8>>,
    /// What commits have lately written at most, in bytes; small ones make it forget.
    recent_bytes: u64,
}

/// How the log ended before this process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OldEnd {
    pub end: Position,
    pub data_end: Position,
    pub claimed: Position,
}

/// Where a new segment begins and the salt that it gets.
pub(crate) struct NewSegment {
    pub number: u32,
    pub salt: u64,
}

impl Tail {
    /// A tail whose first record opens segment `first`.
    pub fn new(old: OldEnd, first: &NewSegment) -> Tail {
        Tail {
            gathered: Vec::new(),
            gathered_bytes: 0,
            pending: Pending::None,
            writing: Taken::default(),
            next: Position::new(first.number, DATA_START),
            end: old.end,
            salt: first.salt,
            data_end: old.data_end,
            claimed: old.claimed,
            spare: Vec::new(),
            recent_bytes: 0,
        }
    }

    pub fn next(&self) -> Position {
        self.next
    }

    pub fn end(&self) -> Position {
        self.end
    }

    /// Whether `bytes` more would make the segment too large; one batch may.
    pub fn needs_new_segment(&self, bytes: usize, segment_bytes: u64) -> bool {
        let used = u64::from(self.next.offset());
        self.next.offset() > DATA_START && used + (bytes + COMMIT_BYTES) as u64 > segment_bytes
    }

    /// Goes on in a new segment.
    pub fn start_segment(&mut self, new: &NewSegment) {
        assert!(new.number > self.next.segment(), "segment numbers grow");
        self.next = Position::new(new.number, DATA_START);
        self.salt = new.salt;
    }

    /// Adds unbound records.
    pub fn append(&mut self, records: Records<'_>, need: Pending) -> Appended {
        let base = self.next;
        self.pending = self.pending.max(need);
        if !records.bytes().is_empty() {
            match records {
                Records::Few(bytes) => self.put(bytes),
                Records::Many(bytes) => self.put_run(bytes),
            }
            self.data_end = self.next;
        }
        Appended {
            base,
            end: self.end,
        }
    }

    fn put(&mut self, records: &[u8]) {
        let fits = self.gathered.last().is_some_and(|run| {
            run.end() == self.next && run.bytes.len() + records.len() <= RUN_BYTES
        });
        if !fits {
            let bytes = self.spare.pop().unwrap_or_default();
            self.gathered.push(Run {
                base: self.next,
                salt: self.salt,
                bytes,
            });
        }
        let run = self.gathered.last_mut().expect("there is a run now");
        let start = run.bytes.len();
        run.bytes.extend_from_slice(records);
        record::bind(&mut run.bytes[start..], self.salt, self.next);
        self.gathered_bytes += records.len() as u64;
        self.next = run.end();
        self.end = self.next;
    }

    /// Takes a large batch as a run of its own, without another copy.
    fn put_run(&mut self, mut bytes: Vec<u8>) {
        record::bind(&mut bytes, self.salt, self.next);
        self.gathered_bytes += bytes.len() as u64;
        let run = Run {
            base: self.next,
            salt: self.salt,
            bytes,
        };
        self.next = run.end();
        self.end = self.next;
        self.gathered.push(run);
    }

    /// Adds a record that claims all below `durable`, if that is news.
    fn claim(&mut self, durable: Position) {
        if durable > self.claimed {
            let mut bytes = Vec::with_capacity(COMMIT_BYTES);
            record::encode(&mut bytes, KIND_COMMIT, 0, 0, &[&durable.0.to_le_bytes()]);
            self.put(&bytes);
            self.claimed = durable;
        }
    }

    /// Claims what is durable, without waiting for other records, unless that is done already.
    pub fn attest(&mut self, durable: Position) -> bool {
        let news = self.claimed < self.data_end && durable >= self.data_end;
        if news {
            self.claim(durable);
            self.pending = self.pending.max(Pending::Lazy);
        }
        news
    }

    /// What is to be written now: what could not be written the last time, else all gathered.
    pub fn take(&mut self, durable: Position) -> Taken {
        if self.writing.pending == Pending::None && self.pending != Pending::None {
            if !self.gathered.is_empty() {
                self.claim(durable);
            }
            self.writing = Taken {
                runs: Arc::new(std::mem::take(&mut self.gathered)),
                pending: std::mem::replace(&mut self.pending, Pending::None),
                end: self.end,
                bytes: std::mem::take(&mut self.gathered_bytes),
            };
        }
        self.writing.clone()
    }

    /// What was taken is in the file.
    pub fn release(&mut self, taken: Taken) {
        self.recent_bytes = taken.bytes.max(self.recent_bytes / 4 * 3);
        let kept_bytes = IDLE_BUFFER_BYTES.max(2 * self.recent_bytes as usize);
        drop(taken);
        let runs = std::mem::take(&mut self.writing).runs;
        for mut run in Arc::try_unwrap(runs).unwrap_or_default() {
            if self.spare.len() < SPARE_BUFFERS_MAX && run.bytes.capacity() <= 2 * RUN_BYTES {
                run.bytes.clear();
                self.spare.push(run.bytes);
            }
        }
        // Buffers of a burst go when small commits show that it is over.
        self.spare
            .iter_mut()
            .for_each(|bytes| bytes.shrink_to(kept_bytes));
    }

    pub fn pending(&self) -> Pending {
        self.pending.max(self.writing.pending)
    }

    /// Bytes not yet in a file.
    pub fn backlog_bytes(&self) -> u64 {
        self.gathered_bytes + self.writing.bytes
    }

    /// Copies the record at `position` to `into` with the salt of its segment.
    pub fn read(&self, position: Position, into: &mut Vec<u8>) -> Option<u64> {
        let runs = self.writing.runs.iter().chain(&self.gathered);
        let run = runs.rev().find(|run| run.base <= position)?;
        let record = run
            .record(position)
            .filter(|record| record.len() >= HEAD_BYTES)?;
        into.clear();
        into.extend_from_slice(record);
        Some(run.salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn tail() -> Tail {
        Tail::new(OldEnd::default(), &NewSegment { number: 1, salt: 9 })
    }

    fn append(tail: &mut Tail, payload_bytes: usize, need: Pending) -> Appended {
        let mut batch = Batch::new();
        batch.push(1, 0, &[&vec![7; payload_bytes]]);
        tail.append(Records::new(batch.bytes()), need)
    }

    #[test]
    fn what_could_not_be_written_is_taken_again_before_anything_new() {
        let mut tail = tail();
        append(&mut tail, 10, Pending::Sync);
        let first = tail.take(Position::ZERO);
        append(&mut tail, 20, Pending::Lazy);
        let again = tail.take(Position::ZERO);
        assert_eq!((first.end, first.bytes), (again.end, again.bytes));
        assert_eq!(tail.pending(), Pending::Sync);
        assert_eq!(tail.backlog_bytes(), 26 + 36);
        drop(first);
        tail.release(again);
        assert_eq!(tail.pending(), Pending::Lazy);
        let second = tail.take(Position::ZERO);
        assert_eq!((second.runs.len(), second.bytes), (1, 36));
    }

    #[test]
    fn runs_follow_each_other_and_are_of_bounded_size() {
        let mut tail = tail();
        for bytes in [100, 900_000, 200_000, LARGE_BYTES, 50, 1 << 22, 10] {
            append(&mut tail, bytes, Pending::Write);
        }
        let taken = tail.take(Position::ZERO);
        assert!(
            taken
                .runs
                .windows(2)
                .all(|pair| pair[0].end() == pair[1].base)
        );
        assert!(
            taken
                .runs
                .iter()
                .all(|run| run.bytes.len() <= 1 << 20 || run.bytes.len() > 1 << 22)
        );
        assert_eq!(taken.end, taken.runs.last().unwrap().end());
    }

    #[test]
    fn buffers_of_a_burst_are_given_back_by_small_commits() {
        let mut tail = tail();
        for burst in std::iter::once(20_000).chain([1; 16]) {
            for _ in 0..burst {
                append(&mut tail, 100, Pending::Write);
            }
            let taken = tail.take(Position::ZERO);
            tail.release(taken);
        }
        assert!(
            tail.spare
                .iter()
                .all(|bytes| bytes.capacity() <= IDLE_BUFFER_BYTES)
        );
    }

    #[test]
    fn a_claim_is_written_once_and_only_for_news() {
        let mut tail = tail();
        let appended = append(&mut tail, 10, Pending::Sync);
        assert!(!tail.attest(Position::ZERO), "nothing is durable yet");
        let taken = tail.take(Position::ZERO);
        assert_eq!(taken.bytes, 26, "there was nothing to claim");
        tail.release(taken);
        assert!(tail.attest(appended.end));
        let taken = tail.take(appended.end);
        assert_eq!(taken.bytes, COMMIT_BYTES as u64);
        let end = taken.end;
        tail.release(taken);
        assert!(!tail.attest(end), "a claim needs no claim");
    }
}
