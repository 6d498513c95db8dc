//! The only way to the outside: files of one directory.
//!
//! What a disk promises, and no more:
//! - Bytes are safe after `sync_data` of their file; a new, renamed or removed name is safe after
//!   `sync_dir`. Before that a crash may keep any part of them, in any order, torn at 512 bytes.
//! - After `sync_data` failed, nothing is known about the bytes that it was to make safe.
//! - Overwriting bytes with the same bytes never harms them.

use std::io;
use std::sync::Arc;

/// One directory of files with exclusive access.
pub trait Disk: Send + Sync {
    /// Makes a file, or empties the one there is.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, replacing what had that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes names safe: creations, renames and removals up to now.
    fn sync_dir(&self) -> io::Result<()>;

    /// Bytes that can still be written; a disk that can not tell has no limit.
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Reads at most `bytes.len()` bytes; 0 is the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at least one byte of `bytes`, perhaps not all.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes all that was written to this file safe, and the length that it needs.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// The length in bytes.
    fn bytes(&self) -> io::Result<u64>;

    /// A hint that this range will be read soon.
    fn prefetch(&self, _offset: u64, _bytes: u64) {}
}

/// Writes all of `bytes`; a disk that takes none of them counts as full.
pub(crate) fn write_all_at(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `bytes` is full or the file ends; returns how many there were.
pub(crate) fn read_full_at(
    file: &dyn DiskFile,
    bytes: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
