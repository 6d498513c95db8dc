//! Files of segments that are needed no more, kept to become the next ones.
//!
//! A file that has its length and its blocks already is cheaper to sync, as there is no metadata to
//! write: half the time on ext4, at 4 KiB as at 512 KiB (`examples/sync_cost.rs`).
//!
//! Invariants
//! - A file is spare only after its old name is gone for good: it is about to be overwritten.
//! - It gets the name of a segment after its new head was synced: under a segment's name there is
//!   never the head of another.
//! - What it held is bound to another salt, so nothing of it can pass for new.
//! - A disk with little room has none.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};

/// What spare files are called; there are never more.
const NAMES: [&str; 2] = ["spare-1.seg", "spare-2.seg"];

/// A file is kept only where this many segments more would find room.
const ROOM_SEGMENTS: u64 = 8;

/// The spare files of a directory.
pub(crate) struct Spares(Mutex<Vec<&'static str>>);

impl Spares {
    /// Those that are there; the names of the directory are safe.
    pub fn among(names: &[String]) -> Spares {
        let there = |spare: &&str| names.iter().any(|name| name == spare);
        Spares(Mutex::new(NAMES.into_iter().filter(there).collect()))
    }

    /// Keeps a file that nobody needs any more, or removes it.
    pub fn keep_or_remove(
        &self,
        disk: &dyn Disk,
        name: &str,
        segment_bytes: u64,
    ) -> io::Result<()> {
        let free_name = |names: &[_]| NAMES.into_iter().find(|spare| !names.contains(spare));
        let spare = free_name(self.0.lock().as_slice());
        let Some(spare) = spare.filter(|_| has_room(disk, segment_bytes)) else {
            return disk.remove(name);
        };
        disk.rename(name, spare)?;
        disk.sync_dir()?;
        self.0.lock().push(spare);
        Ok(())
    }

    /// A spare file that can be opened; it stays one until [`Spares::give_name`].
    pub fn open(&self, disk: &dyn Disk) -> Option<(&'static str, Arc<dyn DiskFile>)> {
        let spare = self.0.lock().last().copied()?;
        Some((spare, disk.open(spare).ok()?))
    }

    /// Makes a spare file a segment; not safe before the names are.
    pub fn give_name(&self, disk: &dyn Disk, spare: &'static str, name: &str) -> io::Result<()> {
        disk.rename(spare, name)?;
        self.0.lock().retain(|one| *one != spare);
        Ok(())
    }

    /// Gives the room back and says whether there was any; a file that can not be removed stays
    /// spare.
    pub fn remove_all(&self, disk: &dyn Disk) -> bool {
        let mut names = self.0.lock();
        let before = names.len();
        names.retain(|spare| disk.remove(spare).is_err());
        names.len() < before
    }
}

fn has_room(disk: &dyn Disk, segment_bytes: u64) -> bool {
    let free_bytes = disk.free_bytes().unwrap_or(0);
    free_bytes >= ROOM_SEGMENTS.saturating_mul(segment_bytes)
}
