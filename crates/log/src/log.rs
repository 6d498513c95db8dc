//! The log as its callers see it: append, positions, accounting.
//!
//! Locks, always taken in this order: `writer` (one commit at a time, held over I/O), `tail`
//! (appends: a copy in memory, never I/O), `live` (accounting).
//!
//! Invariants
//! - `durable <= written <= end`.
//! - A segment is in `live` before any position in it is known to a caller.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::batch::{BATCH_BYTES_MAX, Batch};
use crate::checkpoint::CheckpointState;
use crate::commit::Writer;
use crate::disk::Disk;
use crate::error::LogError;
use crate::handles::Handles;
use crate::live::{Cleaning, Live, ReleaseBatch, SegmentUse};
use crate::position::Position;
use crate::record;
use crate::segment::{DATA_START, name_of};
use crate::spare::Spares;
use crate::tail::{NewSegment, OldEnd, Records, Tail};

/// What must happen to a batch before whoever waits for it is satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nobody waits: written with whatever comes next.
    Lazy,
    /// Written to the file: survives the end of the process.
    Write,
    /// Synced: survives the loss of power.
    Sync,
}

/// What waits for a commit; the highest need of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pending {
    /// Nothing.
    #[default]
    None,
    /// Batches nobody waits for.
    Lazy,
    /// Somebody waits for a write.
    Write,
    /// Somebody waits for a sync.
    Sync,
}

impl From<Need> for Pending {
    fn from(need: Need) -> Pending {
        match need {
            Need::Lazy => Pending::Lazy,
            Need::Write => Pending::Write,
            Need::Sync => Pending::Sync,
        }
    }
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The batch's start: the record that `push` gave the offset `n` is at `base.plus(n)`.
    pub base: Position,
    /// The batch is durable when `Log::durable` is here or beyond.
    pub end: Position,
}

/// How a log works.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is full at this size; one larger batch gets a segment of its own.
    pub segment_bytes: u64,
    /// Small writes are followed by this many zeros, which makes the next syncs cheaper; 0 for
    /// none.
    pub fill_bytes: u64,
    /// A checkpoint is due when the log grew by this much, and by eight times the last checkpoint.
    pub checkpoint_growth_bytes: u64,
    /// Where the salts of segments come from. Random by default; a simulator fixes it. The same
    /// value must not be used for two runs on the same directory.
    pub entropy: u64,
}

/// Limit of [`Options::segment_bytes`].
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            fill_bytes: 256 << 10,
            checkpoint_growth_bytes: 64 << 20,
            entropy: RandomState::new().build_hasher().finish(),
        }
    }
}

/// The log of one directory.
pub struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) live: Mutex<Live>,
    pub(crate) handles: Handles,
    pub(crate) spares: Spares,
    pub(crate) checkpoint: Mutex<CheckpointState>,
    /// Held while a checkpoint is written.
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) durable: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) appended_bytes: AtomicU64,
    pub(crate) disk_full: AtomicBool,
    failed: AtomicBool,
    cause: Mutex<Option<Arc<str>>>,
}

/// What recovery found, from which a log goes on.
pub(crate) struct Start {
    pub live: Live,
    pub old: OldEnd,
    pub next_segment: u32,
    pub checkpoint: CheckpointState,
    pub spares: Spares,
    pub replayed_bytes: u64,
}

impl Log {
    pub(crate) fn start(disk: Arc<dyn Disk>, mut options: Options, start: Start) -> Log {
        let bounds = u64::from(DATA_START) + 64..=SEGMENT_BYTES_MAX;
        options.segment_bytes = options.segment_bytes.clamp(*bounds.start(), *bounds.end());
        let first = NewSegment {
            number: start.next_segment,
            salt: salt_of(options.entropy, start.next_segment),
        };
        let mut live = start.live;
        live.insert(first.number, first.salt, DATA_START);
        Log {
            disk,
            options,
            writer: Mutex::new(Writer::new(start.old.end)),
            tail: Mutex::new(Tail::new(start.old, &first)),
            live: Mutex::new(live),
            handles: Handles::default(),
            spares: start.spares,
            checkpoint: Mutex::new(start.checkpoint),
            checkpointing: Mutex::new(()),
            durable: AtomicU64::new(start.old.end.0),
            written: AtomicU64::new(start.old.end.0),
            appended_bytes: AtomicU64::new(start.replayed_bytes),
            disk_full: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            cause: Mutex::new(None),
        }
    }

    /// Adds a batch at the end, in memory; commits write it. The critical section is a copy.
    ///
    /// An empty batch adds nothing; its `end` is the end of all that was appended before.
    ///
    /// # Errors
    /// [`LogError::Failed`] once the log has failed, [`LogError::BatchTooLarge`].
    pub fn append(&self, batch: &Batch, need: Need) -> Result<Appended, LogError> {
        if batch.is_too_large() {
            return Err(LogError::BatchTooLarge {
                limit: BATCH_BYTES_MAX,
            });
        }
        self.check_failed()?;
        let records = Records::new(batch.bytes());
        let bytes = batch.log_bytes();
        let mut tail = self.tail.lock();
        if tail.needs_new_segment(bytes, self.options.segment_bytes) {
            self.start_segment(&mut tail)?;
        }
        self.appended_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(tail.append(records, need.into()))
    }

    fn start_segment(&self, tail: &mut Tail) -> Result<(), LogError> {
        let number = tail
            .next()
            .segment()
            .checked_add(1)
            .ok_or(LogError::SegmentsExhausted)?;
        let new = NewSegment {
            number,
            salt: salt_of(self.options.entropy, number),
        };
        self.live.lock().insert(number, new.salt, DATA_START);
        tail.start_segment(&new);
        Ok(())
    }

    /// All below this is synced.
    #[must_use]
    pub fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    /// All below this is in files.
    #[must_use]
    pub fn written(&self) -> Position {
        Position(self.written.load(Ordering::Acquire))
    }

    /// The end of all that was appended; a checkpoint of all that is "as of" this.
    #[must_use]
    pub fn end(&self) -> Position {
        self.tail.lock().end()
    }

    /// What waits for a commit.
    #[must_use]
    pub fn pending(&self) -> Pending {
        self.tail.lock().pending()
    }

    /// Bytes appended and not yet in a file: publishers are held when this grows.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        self.tail.lock().backlog_bytes()
    }

    /// True while the disk has no space: nothing is lost, nothing is confirmed.
    #[must_use]
    pub fn disk_full(&self) -> bool {
        self.disk_full.load(Ordering::Relaxed)
    }

    /// What stopped the log, if something did.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.cause.lock().clone()
    }

    /// Stops the log for ever.
    pub(crate) fn fail(&self, error: &LogError) -> LogError {
        let mut cause = self.cause.lock();
        let text = cause
            .get_or_insert_with(|| error.to_string().into())
            .clone();
        self.failed.store(true, Ordering::Release);
        LogError::Failed { cause: text }
    }

    pub(crate) fn check_failed(&self) -> Result<(), LogError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let cause = self.failure().expect("a failed log knows its cause");
        Err(LogError::Failed { cause })
    }

    /// Counts `refs` references and `bytes` to the segment of `position` as needed.
    ///
    /// # Panics
    /// When `position` is in a segment that the log does not have.
    pub fn retain(&self, position: Position, bytes: u64, refs: u64) {
        self.live.lock().retain(position, bytes, refs);
    }

    /// Gives back what was retained and leaves the batch empty.
    ///
    /// # Panics
    /// When more is released than was retained.
    pub fn release(&self, batch: &mut ReleaseBatch) {
        if !batch.is_empty() {
            self.live.lock().release(batch);
        }
    }

    /// What can be removed, and what is worth moving.
    #[must_use]
    pub fn cleaning(&self) -> Cleaning {
        let start = self.checkpoint.lock().start;
        let active = self.durable().segment();
        self.live.lock().cleaning(active, start)
    }

    /// What each segment holds, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentUse> {
        self.live.lock().uses()
    }

    /// Removes the dead segments; returns how many. One or two of their files are kept to become
    /// the next segments, while the disk has room.
    ///
    /// A segment is dead because of records that were appended before it was released; they are
    /// synced first, so that no crash can bring the need for the segment back. On a full disk,
    /// where they can not be, nothing is removed.
    ///
    /// # Errors
    /// As [`Log::commit_all`]; [`LogError::Io`] when a file can not be removed: the rest stays and
    /// is tried again the next time.
    pub fn remove_dead(&self) -> Result<usize, LogError> {
        let dead = self.cleaning().dead;
        if dead.is_empty() {
            return Ok(0);
        }
        if self.commit_all()?.disk_full {
            return Ok(0);
        }
        for number in &dead {
            let name = name_of(*number);
            let bytes = self.options.segment_bytes;
            match self.spares.keep_or_remove(self.disk.as_ref(), &name, bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(LogError::io("removing", &name)(error)),
            }
            self.live.lock().remove(*number);
            self.handles.forget(*number);
        }
        Ok(dead.len())
    }

    /// Gives back the room of the files that are kept to become segments; says whether there were
    /// any.
    pub fn remove_spares(&self) -> bool {
        // None of them is on its way to a name.
        let _writer = self.writer.lock();
        self.spares.remove_all(self.disk.as_ref())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut log = formatter.debug_struct("Log");
        log.field("durable", &self.durable());
        log.field("written", &self.written());
        log.finish_non_exhaustive()
    }
}

/// A salt that nobody outside can know, and that no two segments share.
pub(crate) fn salt_of(entropy: u64, number: u32) -> u64 {
    record::mix(entropy, Position::new(number, 0))
}
