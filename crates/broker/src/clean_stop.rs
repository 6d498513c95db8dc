//! The note that a stop in order leaves, and that the next start takes away.
//!
//! A stop was clean if its record is the last of the log and the note is there. The record binds
//! the note to the log; the note can be taken away, which needs no room, so that a start on a full
//! disk may deliver at once without being able to write that it began.
//!
//! Invariants
//! - Before anything is delivered, the note of the stop before is gone for good.
//! - The note is made when everything that the stop wrote is synced.

use ferry_log::{Disk, LogError};

/// An empty file.
const NAME: &str = "clean-stop";

/// Whether the last stop left its note.
pub(crate) fn is_noted(disk: &dyn Disk) -> Result<bool, LogError> {
    let names = disk.list().map_err(LogError::io("listing", "."))?;
    Ok(names.iter().any(|name| name == NAME))
}

/// Leaves the note. An error is for the operator to know; nothing is lost by it, and the next
/// start is only more careful.
pub(crate) fn note(disk: &dyn Disk) -> Result<(), LogError> {
    disk.create(NAME).map_err(LogError::io("creating", NAME))?;
    disk.sync_dir().map_err(LogError::io("syncing", "."))
}

/// Takes the note away.
pub(crate) fn take_back(disk: &dyn Disk) -> Result<(), LogError> {
    disk.remove(NAME).map_err(LogError::io("removing", NAME))?;
    disk.sync_dir().map_err(LogError::io("syncing", "."))
}
