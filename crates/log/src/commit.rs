//! Group commit: what has gathered is written, and synced if somebody waits for that.
//!
//! Invariants
//! - Bytes go to the offset that their position says; after a full disk the same bytes go to the
//!   same offset again.
//! - A new segment's head is written after the old segment was cut to its end and synced.
//! - Behind the end of the file being written are zeros, or what a segment left there that was
//!   removed: bytes that are bound to another salt.
//! - After any error that is not a full disk the log is failed: no write or sync follows.
//! - `durable` moves only after a sync that began when all below it was written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::disk::{Disk, DiskFile, write_all_at};
use crate::error::{LogError, is_disk_full, is_short_of_handles};
use crate::log::{Log, Pending};
use crate::position::Position;
use crate::segment::{DATA_START, SegmentHead, name_of};
use crate::tail::{Run, Taken};

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// All below this is in files.
    pub written: Position,
    /// All below this is synced.
    pub durable: Position,
    /// Bytes written by this commit.
    pub bytes: u64,
    /// How long its sync took, if there was one.
    pub sync_time: Option<Duration>,
    /// The disk is full: nothing was finished; wait a little and commit again.
    pub disk_full: bool,
}

/// The file being written; one thread at a time has it.
pub(crate) struct Writer {
    file: Option<Arc<dyn DiskFile>>,
    name: String,
    /// End of what is written.
    end: Position,
    /// Up to here the file has its blocks, filled with zeros or with what was there before.
    filled: u64,
    /// End of what is synced.
    synced: Position,
    /// The current file's head and name are safe, and it is not cut and done with.
    is_open: bool,
    /// How long the last sync took, until somebody takes it.
    sync_time: Option<Duration>,
}

enum WriteError {
    /// Try again later, from the same place.
    Full,
    Fatal(LogError),
}

type WriteResult = Result<(), WriteError>;

fn classify<'a>(operation: &'static str, name: &'a str) -> impl Fn(io::Error) -> WriteError + 'a {
    move |error| {
        if is_disk_full(&error) {
            return WriteError::Full;
        }
        WriteError::Fatal(LogError::io(operation, name)(error))
    }
}

impl Writer {
    /// A writer whose first run opens a new segment; all before `end` is synced.
    pub fn new(end: Position) -> Writer {
        Writer {
            file: None,
            name: String::new(),
            end,
            filled: 0,
            synced: end,
            is_open: false,
            sync_time: None,
        }
    }

    fn write(&mut self, log: &Log, run: &Run) -> WriteResult {
        if !self.is_open || self.end.segment() != run.base.segment() {
            self.seal()?;
            self.open(log, run)?;
        }
        assert!(
            run.base == self.end || run.base.offset() == DATA_START,
            "no gap in a segment"
        );
        let file = self.file.clone().expect("the segment is open");
        let written = write_all_at(file.as_ref(), &run.bytes, u64::from(run.base.offset()));
        written.map_err(classify("writing", &self.name))?;
        self.end = run.end();
        self.fill(
            file.as_ref(),
            run.bytes.len() as u64,
            log.options.fill_bytes,
        )
    }

    /// Cuts the current segment to its end and syncs it: nothing more comes into it.
    fn seal(&mut self) -> WriteResult {
        self.cut().map_err(WriteError::Fatal)?;
        self.is_open = false;
        Ok(())
    }

    fn open(&mut self, log: &Log, run: &Run) -> WriteResult {
        let number = run.base.segment();
        let name = name_of(number);
        let disk = log.disk.as_ref();
        let (spare, file) = match log.spares.open(disk) {
            Some((spare, file)) => (Some(spare), file),
            None => (None, create(disk, &name)?),
        };
        let head = SegmentHead {
            number,
            salt: run.salt,
            previous_end: self.synced,
        };
        head.write(file.as_ref())
            .map_err(classify("writing", &name))?;
        let fatal = |error| WriteError::Fatal(LogError::io("syncing", &name)(error));
        file.sync_data().map_err(fatal)?;
        self.filled = 0;
        if let Some(spare) = spare {
            self.filled = file.bytes().map_err(classify("measuring", &name))?;
            let named = log.spares.give_name(disk, spare, &name);
            named.map_err(classify("naming", &name))?;
        }
        disk.sync_dir().map_err(fatal)?;
        self.file = Some(file);
        self.name = name;
        self.end = run.base;
        self.is_open = true;
        Ok(())
    }

    /// Cuts the file to what is in it, so that the next start need not look for its end.
    fn cut(&mut self) -> Result<(), LogError> {
        let Some(file) = self.file.as_ref().filter(|_| self.is_open) else {
            return Ok(());
        };
        self.filled = 0;
        file.set_len(self.end.offset().into())
            .map_err(LogError::io("cutting", &self.name))?;
        file.sync_data()
            .map_err(LogError::io("syncing", &self.name))?;
        self.synced = self.end;
        Ok(())
    }

    /// Writes zeros behind a small write that made the file longer: the next ones then change
    /// no metadata, and their syncs need no journal (`examples/sync_cost.rs`: a third faster).
    fn fill(&mut self, file: &dyn DiskFile, run_bytes: u64, fill_bytes: u64) -> WriteResult {
        let end = u64::from(self.end.offset());
        if end <= self.filled || run_bytes > fill_bytes / 2 {
            return Ok(());
        }
        let zeros = vec![0; fill_bytes as usize];
        match write_all_at(file, &zeros, end) {
            Ok(()) => {}
            // Zeros are not worth waiting for.
            Err(error) if is_disk_full(&error) => {}
            Err(error) => return Err(classify("writing", &self.name)(error)),
        }
        self.filled = end + fill_bytes;
        Ok(())
    }

    fn sync(&mut self) -> WriteResult {
        if self.synced < self.end {
            let file = self.file.as_ref().expect("something was written");
            let fatal = |error| WriteError::Fatal(LogError::io("syncing", &self.name)(error));
            let began = Instant::now();
            file.sync_data().map_err(fatal)?;
            self.sync_time = Some(began.elapsed());
            self.synced = self.end;
        }
        Ok(())
    }
}

fn create(disk: &dyn Disk, name: &str) -> Result<Arc<dyn DiskFile>, WriteError> {
    disk.create(name)
        .map_err(|error| match is_short_of_handles(&error) {
            true => WriteError::Full,
            false => classify("creating", name)(error),
        })
}

impl Log {
    /// Writes what has gathered, and syncs if somebody waits for a sync. For one thread at a
    /// time; appends go on meanwhile.
    ///
    /// # Errors
    /// [`LogError::Failed`] after any error but a full disk, now and for ever.
    pub fn commit(&self) -> Result<Committed, LogError> {
        self.commit_as(Pending::None)
    }

    /// Writes and syncs everything that was appended before the call.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit_all(&self) -> Result<Committed, LogError> {
        let goal = self.end();
        loop {
            let committed = self.commit_as(Pending::Sync)?;
            if committed.disk_full || committed.durable >= goal {
                return Ok(committed);
            }
        }
    }

    /// Writes down what is durable, when no later record has: what is claimed can not be taken
    /// for a torn tail. For a quiet moment, and before the end; the next commit writes it.
    /// Returns whether there was anything to claim.
    pub fn attest(&self) -> bool {
        self.tail.lock().attest(self.durable())
    }

    /// Commits all, claims it, and cuts the file to it.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn close(&self) -> Result<Committed, LogError> {
        let mut committed = self.commit_all()?;
        if self.attest() {
            committed = self.commit_all()?;
        }
        if !committed.disk_full {
            let cut = self.writer.lock().cut();
            cut.map_err(|error| self.fail(&error))?;
        }
        Ok(committed)
    }

    fn commit_as(&self, least: Pending) -> Result<Committed, LogError> {
        let mut writer = self.writer.lock();
        self.check_failed()?;
        let taken = self.tail.lock().take(self.durable());
        let bytes = taken.bytes;
        let result = self.write_taken(&mut writer, &taken, least);
        let disk_full = match result {
            Ok(()) => {
                if taken.pending != Pending::None {
                    self.tail.lock().release(taken);
                }
                false
            }
            Err(WriteError::Full) => {
                self.spares.remove_all(self.disk.as_ref());
                true
            }
            Err(WriteError::Fatal(error)) => return Err(self.fail(&error)),
        };
        self.disk_full.store(disk_full, Ordering::Relaxed);
        Ok(Committed {
            written: self.written(),
            durable: self.durable(),
            bytes: if disk_full { 0 } else { bytes },
            sync_time: writer.sync_time.take(),
            disk_full,
        })
    }

    fn write_taken(&self, writer: &mut Writer, taken: &Taken, least: Pending) -> WriteResult {
        for run in taken.runs.iter() {
            if run.end() <= writer.end {
                continue; // written before the disk was full
            }
            writer.write(self, run)?;
            self.live.lock().set_end(writer.end);
        }
        assert!(
            taken.pending == Pending::None || writer.end == taken.end,
            "all is written"
        );
        self.written.store(writer.end.0, Ordering::Release);
        let result = match taken.pending.max(least) {
            Pending::Sync => writer.sync(),
            Pending::None | Pending::Lazy | Pending::Write => Ok(()),
        };
        self.durable.store(writer.synced.0, Ordering::Release);
        result
    }
}
