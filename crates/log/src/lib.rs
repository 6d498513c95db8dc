//! The one append-only log: records, segments, group commit, recovery, cleaning.
//!
//! It owns the files of one directory and the promise about them: what lies below
//! [`Log::durable`] is there after any crash, byte for byte and in order, or its loss is named.
//!
//! ```text
//! Batch --append--> tail in memory --commit--> segment files --fdatasync--> durable
//!                        \--------- Reader ---------/
//! ```
//!
//! Invariants
//! - `durable <= written <= end`; none of the three ever goes back.
//! - A position is used once: no two different records ever share one.
//! - Once a write or a sync failed nothing is written, synced or promised any more.
//!
//! Who drives it: one thread calls [`Log::commit`] whenever [`Log::pending`] is more than
//! `Lazy`, at once and again (the next sync starts when the last one ends), within a few
//! milliseconds for `Lazy`, and after a pause while the disk is full. In a quiet moment it calls
//! [`Log::attest`], at the end [`Log::close`].
//!
//! Not here: what a record means (`kind` and payload are the caller's), queues, threads, timers.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")
)]

mod batch;
mod checkpoint;
mod commit;
mod disk;
mod error;
mod examine;
mod handles;
mod live;
mod log;
mod open;
mod position;
mod reader;
mod real_disk;
mod record;
mod remains;
mod repair;
mod report;
mod scan;
mod segment;
mod spare;
mod tail;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod tolerant;

pub use batch::{BATCH_BYTES_MAX, Batch};
pub use checkpoint::Section;
pub use commit::Committed;
pub use disk::{Disk, DiskFile};
pub use error::{LogError, ReadError};
pub use live::{Cleaning, ReleaseBatch, SegmentUse};
pub use log::{Appended, Log, Need, Options, Pending};
pub use open::{Recovery, Replay};
pub use position::Position;
pub use reader::{Reader, RecordRef};
pub use real_disk::RealDisk;
pub use record::{HEAD_BYTES, KIND_RESERVED_MIN};
pub use remains::{Remains, Remnant};
pub use repair::{repair, repair_with, verify, verify_with};
pub use report::{Region, Report};
