//! Writing a checkpoint, and its copy.

use std::sync::Arc;

use super::{
    CHUNK_BYTES, FORMAT_VERSION, HEAD_BYTES, MAGIC, SECTION_HEAD_BYTES, Section,
    TEMPORARY_COPY_NAME, TEMPORARY_NAME, copy_name_of, name_of,
};
use crate::disk::{Disk, DiskFile, write_all_at};
use crate::error::LogError;
use crate::position::Position;

/// The largest checkpoint that is written twice.
const COPY_BYTES_MAX: u64 = 16 << 20;

/// Writes a file once from start to end with its checksum, a large part of it with each call.
struct Sink {
    file: Arc<dyn DiskFile>,
    /// End of what is in the file.
    at: u64,
    /// What follows it.
    gathered: Vec<u8>,
    hasher: crc32fast::Hasher,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        for part in bytes.chunks(CHUNK_BYTES) {
            self.gathered.extend_from_slice(part);
            if self.gathered.len() >= CHUNK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        write_all_at(self.file.as_ref(), &self.gathered, self.at)?;
        self.at += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

/// A checkpoint to be written.
pub(crate) struct Draft<'a> {
    pub number: u32,
    pub start: Position,
    pub durable: Position,
    pub sections: &'a [Section],
}

impl Draft<'_> {
    fn file_bytes(&self) -> u64 {
        let sections = self.sections.iter();
        let sections = sections
            .map(|section| SECTION_HEAD_BYTES as u64 + section.bytes())
            .sum::<u64>();
        (HEAD_BYTES + 4) as u64 + sections
    }

    fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&self.number.to_le_bytes());
        head[16..24].copy_from_slice(&self.start.0.to_le_bytes());
        head[24..32].copy_from_slice(&self.durable.0.to_le_bytes());
        head[32..40].copy_from_slice(&self.file_bytes().to_le_bytes());
        head[40..44].copy_from_slice(&(self.sections.len() as u32).to_le_bytes());
        let crc = crc32fast::hash(&head[..44]);
        head[44..].copy_from_slice(&crc.to_le_bytes());
        head
    }

    fn section_head(section: &Section) -> [u8; SECTION_HEAD_BYTES] {
        let mut head = [0; SECTION_HEAD_BYTES];
        head[..2].copy_from_slice(&section.stream.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        section.pieces.iter().for_each(|piece| crc.update(piece));
        head[4..8].copy_from_slice(&crc.finalize().to_le_bytes());
        head[8..16].copy_from_slice(&section.as_of.0.to_le_bytes());
        head[16..24].copy_from_slice(&section.bytes().to_le_bytes());
        let crc = crc32fast::hash(&head[..24]);
        head[24..].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Writes it, and once more if it is not large.
    pub fn write(&self, disk: &dyn Disk) -> Result<u64, LogError> {
        let bytes = self.write_as(disk, TEMPORARY_NAME, &name_of(self.number))?;
        let copy = copy_name_of(self.number);
        if bytes <= COPY_BYTES_MAX && self.write_as(disk, TEMPORARY_COPY_NAME, &copy).is_err() {
            // There is one, which is enough; the next checkpoint has a copy again.
            let _ = disk.remove(TEMPORARY_COPY_NAME);
        }
        Ok(bytes)
    }

    fn write_to(&self, sink: &mut Sink) -> std::io::Result<()> {
        sink.write(&self.head())?;
        for section in self.sections {
            sink.write(&Draft::section_head(section))?;
            section
                .pieces
                .iter()
                .try_for_each(|piece| sink.write(piece))?;
        }
        let crc = sink.hasher.clone().finalize();
        sink.write(&crc.to_le_bytes())?;
        sink.flush()
    }

    /// Writes it under a temporary name, syncs it, gives it its name and makes that safe.
    fn write_as(&self, disk: &dyn Disk, temporary: &str, name: &str) -> Result<u64, LogError> {
        let fail = |operation| LogError::io(operation, temporary);
        let file = disk.create(temporary).map_err(fail("creating"))?;
        let mut sink = Sink {
            file,
            at: 0,
            gathered: Vec::new(),
            hasher: crc32fast::Hasher::new(),
        };
        self.write_to(&mut sink).map_err(fail("writing"))?;
        assert_eq!(sink.at, self.file_bytes());
        sink.file.sync_data().map_err(fail("syncing"))?;
        disk.rename(temporary, name).map_err(fail("renaming"))?;
        disk.sync_dir().map_err(fail("syncing the name of"))?;
        Ok(sink.at)
    }
}
