//! A file that can be read where its device can not.
//!
//! Invariant: what can be read is read as it is.

use std::io;
use std::sync::Arc;

use crate::disk::{DiskFile, read_full_at};

/// Reads zeros where the device can not read.
pub(crate) struct Tolerant(pub Arc<dyn DiskFile>);

impl DiskFile for Tolerant {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        const PAGE_BYTES: u64 = 4096;
        if let Ok(count) = self.0.read_at(bytes, offset) {
            return Ok(count);
        }
        let left = self
            .0
            .bytes()?
            .saturating_sub(offset)
            .min(bytes.len() as u64);
        let count = left.min(PAGE_BYTES - offset % PAGE_BYTES) as usize;
        let page = &mut bytes[..count];
        if read_full_at(self.0.as_ref(), page, offset).is_err() {
            page.fill(0);
        }
        Ok(count)
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
        self.0.bytes()
    }
}
