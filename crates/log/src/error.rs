//! What can go wrong, as types.
//!
//! Invariant: an error that names damage says where it is, so that an operator can look.

use std::io;
use std::sync::Arc;

use crate::position::Position;

/// Why the log refused something.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process has the directory.
    #[error("the data directory `{directory}` is in use by another process")]
    InUse {
        /// The directory.
        directory: String,
    },
    /// A write or a sync failed earlier: nothing is confirmed any more until a restart.
    #[error("the log has failed and stays stopped until a restart: {cause}")]
    Failed {
        /// What failed first.
        cause: Arc<str>,
    },
    /// A batch is larger than [`crate::BATCH_BYTES_MAX`].
    #[error("a batch is over the limit of {limit} bytes")]
    BatchTooLarge {
        /// The limit in bytes.
        limit: u32,
    },
    /// The number space of segments is used up.
    #[error("segment numbers are used up")]
    SegmentsExhausted,
    /// Synced data does not read back as it was written.
    #[error(
        "segment {segment} is damaged at offset {offset}: {what}; \
         `ferrymq repair` sets the damaged part aside and reports it"
    )]
    Corrupt {
        /// Number of the segment.
        segment: u32,
        /// First byte of the damage in the segment's file.
        offset: u32,
        /// What is wrong there.
        what: String,
    },
    /// The disk could not read a part of a segment. Nothing says that what is there is damaged.
    #[error(
        "segment {segment} can not be read at offset {offset}: {source}{}",
        advice(source)
    )]
    Unreadable {
        /// Number of the segment.
        segment: u32,
        /// Where in the segment's file.
        offset: u32,
        /// The system's error.
        source: io::Error,
    },
    /// A segment that recovery needs is not there.
    #[error("segment {segment} is missing; `ferrymq repair` replaces and reports it")]
    SegmentMissing {
        /// Number of the segment.
        segment: u32,
    },
    /// No valid checkpoint, and the log does not reach back to its beginning.
    #[error("no usable checkpoint and the log starts at segment {first}: {what}")]
    CheckpointLost {
        /// The oldest segment there is.
        first: u32,
        /// What was wrong with the checkpoints.
        what: String,
    },
    /// A file was written by a newer version.
    #[error("`{file}` has format {version}; this version reads up to {supported}: use a newer one")]
    NewerFormat {
        /// Name of the file.
        file: String,
        /// The format it has.
        version: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// A checkpoint was asked for that covers more than is durable.
    #[error("a checkpoint as of {as_of} was asked for when durable was {durable}")]
    NotDurable {
        /// Highest position of the checkpoint.
        as_of: Position,
        /// The durable position.
        durable: Position,
    },
    /// The caller could not take a record or a section of a checkpoint.
    #[error("replay stopped at {position}: {cause}")]
    Replay {
        /// The record, or `Position::ZERO` for a section.
        position: Position,
        /// The caller's own words.
        cause: String,
    },
    /// The disk refused an operation.
    #[error("{operation} `{file}`: {source}{}", advice(source))]
    Io {
        /// What was being done.
        operation: &'static str,
        /// Name of the file.
        file: String,
        /// The system's error.
        source: io::Error,
    },
}

impl LogError {
    /// What makes a [`LogError::Io`] of an error that came of `operation` on `file`.
    pub fn io<'a>(operation: &'static str, file: &'a str) -> impl Fn(io::Error) -> LogError + 'a {
        move |source| LogError::Io {
            operation,
            file: file.to_owned(),
            source,
        }
    }
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes there are not the record that was written.
    #[error("the record at {position} is damaged; `ferrymq repair` sets it aside")]
    Damaged {
        /// The position asked for.
        position: Position,
    },
    /// The segment is not there (released and removed, or never written).
    #[error("there is no segment for the record at {position}")]
    Gone {
        /// The position asked for.
        position: Position,
    },
    /// The disk could not read.
    #[error("reading the record at {position}: {source}{}", advice(source))]
    Io {
        /// The position asked for.
        position: Position,
        /// The system's error.
        source: io::Error,
    },
}

/// What to do about an error that may be the disk's own and may pass.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        true => {
            "; look at the disk first, in the kernel's log and with `smartctl`: \
             `ferrymq repair` is for damage, and this may pass"
        }
        false => "",
    }
}

/// True for errors that go away when somebody frees space.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | WriteZero)
}

/// True for errors of opening or creating that go away by themselves.
pub(crate) fn is_short_of_handles(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM]
        .iter()
        .any(|e| code == Some(e.raw_os_error()))
}
