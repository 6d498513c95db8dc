//! Segment files that are open for reading, one handle each for all readers.
//!
//! Invariants
//! - At most `HANDLES_MAX` are kept; readers hold them weakly, and come back for what was closed.
//! - A segment that was removed has no handle: one would keep its bytes on the disk. A file is
//!   opened and entered under the lock, so `forget`, which follows the removal, misses none.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::segment::name_of;

const HANDLES_MAX: usize = 64;

/// The open files of a log.
#[derive(Default)]
pub(crate) struct Handles {
    /// Segment and file, most recently asked for last.
    open: Mutex<Vec<(u32, Arc<dyn DiskFile>)>>,
}

impl Handles {
    /// The file of a segment, opened if it is not.
    pub fn of(&self, disk: &dyn Disk, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        if let Some(index) = open.iter().position(|(segment, _)| *segment == number) {
            open[index..].rotate_left(1);
        } else {
            let file = disk.open(&name_of(number))?;
            if open.len() == HANDLES_MAX {
                open.remove(0);
            }
            open.push((number, file));
        }
        let (_, file) = open.last().expect("it was just used");
        Ok(Arc::clone(file))
    }

    /// Closes the file of a segment that was removed.
    pub fn forget(&self, number: u32) {
        self.open.lock().retain(|(segment, _)| *segment != number);
    }
}
