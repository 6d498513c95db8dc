//! The directory of the operating system.
//!
//! Invariants
//! - One process has a directory at a time: `lock` in it is held by `flock` while this lives.
//! - The directory is made with mode 0700 and files with 0600.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FlockOperation};
use rustix::io::Errno;

use crate::disk::{Disk, DiskFile};
use crate::error::LogError;

const LOCK_NAME: &str = "lock";

/// A directory on a file system, locked for this process.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    handle: File,
    _lock: File,
}

impl RealDisk {
    /// Opens `directory`, making it if need be, and locks it.
    ///
    /// # Errors
    /// [`LogError::InUse`] when another process has it, otherwise [`LogError::Io`].
    pub fn open(directory: impl AsRef<Path>) -> Result<RealDisk, LogError> {
        let directory = directory.as_ref();
        let name = directory.display().to_string();
        let fail = LogError::io("opening", &name);
        make_directory(directory).map_err(&fail)?;
        let handle = File::open(directory).map_err(&fail)?;
        let lock = options()
            .create(true)
            .truncate(false)
            .open(directory.join(LOCK_NAME));
        let lock_name = directory.join(LOCK_NAME).display().to_string();
        let lock = lock.map_err(LogError::io("opening", &lock_name))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(RealDisk {
                directory: directory.to_owned(),
                handle,
                _lock: lock,
            }),
            Err(Errno::WOULDBLOCK) => Err(LogError::InUse {
                directory: name.clone(),
            }),
            Err(errno) => Err(LogError::io("locking", &lock_name)(errno.into())),
        }
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let parent = directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for RealDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = options()
            .create(true)
            .truncate(true)
            .open(self.directory.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(
            options().open(self.directory.join(name))?,
        )))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn prefetch(&self, offset: u64, bytes: u64) {
        let bytes = std::num::NonZeroU64::new(bytes);
        // A hint: where the system does not take it, the read is only slower.
        let _ = rustix::fs::fadvise(&self.0, offset, bytes, Advice::WillNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::disk::{read_full_at, write_all_at};

    #[test]
    fn a_directory_belongs_to_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = RealDisk::open(directory.path()).unwrap();
        let error = RealDisk::open(directory.path()).unwrap_err();
        assert!(
            error.to_string().contains("in use by another process"),
            "{error}"
        );
        drop(first);
        RealDisk::open(directory.path()).unwrap();
    }

    #[test]
    fn a_lock_that_can_not_be_opened_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join(LOCK_NAME);
        std::fs::create_dir(&lock).unwrap();
        let error = RealDisk::open(directory.path()).unwrap_err().to_string();
        let named = format!("opening `{}`: ", lock.display());
        assert!(error.starts_with(&named), "{error}");
    }

    #[test]
    fn nobody_else_can_read_directory_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b");
        let disk = RealDisk::open(&inner).unwrap();
        disk.create("file").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&inner.join("file")), 0o600);
        assert_eq!(mode(&inner.join(LOCK_NAME)), 0o600);
    }

    #[test]
    fn files_are_written_read_renamed_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(directory.path()).unwrap();
        let file = disk.create("a").unwrap();
        write_all_at(file.as_ref(), b"hello", 3).unwrap();
        file.sync_data().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        let file = disk.open("b").unwrap();
        file.prefetch(0, 8);
        let mut bytes = [9; 10];
        assert_eq!(read_full_at(file.as_ref(), &mut bytes, 0).unwrap(), 8);
        assert_eq!(&bytes[..8], b"\0\0\0hello");
        file.set_len(4).unwrap();
        assert_eq!(file.bytes().unwrap(), 4);
        disk.remove("b").unwrap();
        assert_eq!(disk.list().unwrap(), [LOCK_NAME]);
        assert_eq!(
            disk.open("b").err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
    }
}
