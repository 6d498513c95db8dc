//! The log of a relay: what has come is written and synced, then its producer is told.
//!
//! Invariants
//! - A producer is told of bytes only after the end of an `fdatasync` that began when they were
//!   written; what it is told is how many of its bytes are safe by now, 8 bytes, little endian.
//! - Whatever comes while a sync goes on is in the next one, all of it.
//! - The file is filled with zeros before, and begun anew when its end is reached: no sync has to
//!   note a new length or new blocks.
//!
//! Not here, as it is what a broker adds: records, checksums, acks, an index, and reading it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// The file's length.
const FILE_BYTES: u64 = 64 << 20;
/// With so much waiting for a sync no more is taken.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// What has come since the last sync began, and whom to tell.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    /// Each producer, and how many of its bytes are safe with this group.
    tell: Vec<(Arc<TcpStream>, u64)>,
}

/// The log; one thread writes it, those of the sockets bring what they read.
#[derive(Default)]
pub struct Log {
    waiting: Mutex<Group>,
    came: Condvar,
    taken: Condvar,
}

impl Log {
    /// Makes the file in a folder, and starts the thread that writes it. A log that can not be
    /// written ends the process: no producer must wait for it, or believe it.
    pub fn start(folder: &Path) -> io::Result<Arc<Log>> {
        let mut file = LogFile::make(&folder.join("relay-log"), FILE_BYTES)?;
        let log = Arc::new(Log::default());
        let of_thread = Arc::clone(&log);
        thread::spawn(move || {
            let error = of_thread.write(|bytes| file.append(bytes));
            eprintln!("relay: the log: {error}");
            std::process::exit(1)
        });
        Ok(log)
    }

    /// Commits group by group and tells the producers, until a commit fails.
    fn write(&self, mut commit: impl FnMut(&[u8]) -> io::Result<()>) -> io::Error {
        let mut group = Group::default();
        loop {
            self.take(&mut group);
            if let Err(error) = commit(&group.bytes) {
                return error;
            }
            for (producer, safe_bytes) in group.tell.drain(..) {
                // one that has gone needs to know nothing
                drop((&*producer).write_all(&safe_bytes.to_le_bytes()));
            }
            group.bytes.clear();
        }
    }

    /// Waits for bytes and takes all that wait, in exchange for an empty group.
    fn take(&self, empty: &mut Group) {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() {
            waiting = self.came.wait(waiting).expect("no holder panics");
        }
        let was_full = waiting.bytes.len() >= WAITING_BYTES_MAX;
        std::mem::swap(&mut *waiting, empty);
        if was_full {
            self.taken.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Group> {
        self.waiting.lock().expect("no holder panics")
    }
}

/// One producer's way into the log.
pub struct Entrance {
    log: Arc<Log>,
    producer: Arc<TcpStream>,
    bytes: u64,
}

impl Entrance {
    /// Bytes of the producer behind this socket will come.
    pub fn open(log: &Arc<Log>, producer: &TcpStream) -> io::Result<Entrance> {
        Ok(Entrance {
            log: Arc::clone(log),
            producer: Arc::new(producer.try_clone()?),
            bytes: 0,
        })
    }

    /// Brings what the producer has sent next.
    pub fn bring(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let mut waiting = self.log.lock();
        while waiting.bytes.len() >= WAITING_BYTES_MAX {
            waiting = self.log.taken.wait(waiting).expect("no holder panics");
        }
        let first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(bytes);
        match waiting.tell.last_mut() {
            Some((last, safe_bytes)) if Arc::ptr_eq(last, &self.producer) => {
                *safe_bytes = self.bytes;
            }
            _ => waiting.tell.push((Arc::clone(&self.producer), self.bytes)),
        }
        drop(waiting);
        if first {
            self.log.came.notify_one();
        }
    }
}

/// The file, and where the next group goes.
struct LogFile {
    file: File,
    bytes_max: u64,
    at: u64,
}

impl LogFile {
    fn make(path: &Path, bytes_max: u64) -> io::Result<LogFile> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.write_all(&vec![0; bytes_max as usize])?;
        file.sync_all()?;
        Ok(LogFile {
            file,
            bytes_max,
            at: 0,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        assert!(length <= self.bytes_max, "a group fits into the file");
        if self.at + length > self.bytes_max {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += length;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests;
