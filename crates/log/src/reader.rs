//! Reading records back, wherever they are.
//!
//! A reader belongs to one owner. Reads that go forwards fill blocks and hint the disk at the
//! next one; scattered reads fetch only the record.
//!
//! Invariants
//! - Every record is checked against its place before it is handed out, from memory too.
//! - A block's bytes are trusted only as far as `written` was when they were read.
//! - Nothing is allocated before the first read.
//! - Files are the log's: a reader keeps none open, or what was removed would stay on the disk.

use std::io;
use std::sync::{Arc, Weak};

use crate::disk::{DiskFile, read_full_at};
use crate::error::ReadError;
use crate::log::Log;
use crate::position::Position;
use crate::record::{HEAD_BYTES, Head, KIND_RESERVED_MIN, mix};

const BLOCK_BYTES: u64 = 128 << 10;
const BLOCKS_MAX: usize = 8;
const FILES_MAX: usize = 8;

/// What a scattered read fetches at first: most records are smaller.
const SCATTERED_BYTES: usize = 4 << 10;

/// How far ahead of a forward read the disk is asked to read.
const AHEAD_BYTES: u64 = 1 << 20;

/// Forward reads in a row after which blocks are used.
const FORWARD_MIN: u32 = 2;

/// Capacity of the scratch buffer that is kept.
const SCRATCH_KEPT_BYTES: usize = 256 << 10;

/// A record that was read; its payload lives in the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Where it is.
    pub position: Position,
    /// The caller's kind.
    pub kind: u8,
    /// The caller's flags.
    pub flags: u8,
    /// The stream it belongs to.
    pub stream: u16,
    /// The payload.
    pub payload: &'a [u8],
}

struct OpenSegment {
    number: u32,
    salt: u64,
    file: Weak<dyn DiskFile>,
}

struct Block {
    segment: u32,
    start: u64,
    bytes: Vec<u8>,
}

/// Reads records of one log.
pub struct Reader {
    log: Arc<Log>,
    /// Most recently used last.
    files: Vec<OpenSegment>,
    /// Most recently used last.
    blocks: Vec<Block>,
    scratch: Vec<u8>,
    last_end: Position,
    forward: u32,
    /// The disk was asked to read up to here.
    ahead: Position,
}

/// Where a record's bytes ended up.
enum Found {
    Scratch,
    Block { start: usize, end: usize },
}

impl Reader {
    /// A reader of `log`.
    #[must_use]
    pub fn new(log: Arc<Log>) -> Reader {
        Reader {
            log,
            files: Vec::new(),
            blocks: Vec::new(),
            scratch: Vec::new(),
            last_end: Position::ZERO,
            forward: 0,
            ahead: Position::ZERO,
        }
    }

    /// Reads the record at `position`, which an append or a replay has given.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the bytes there are not what was written.
    pub fn read(&mut self, position: Position) -> Result<RecordRef<'_>, ReadError> {
        if self.scratch.capacity() > SCRATCH_KEPT_BYTES {
            self.scratch = Vec::new();
        }
        let (found, salt) = match self.read_tail(position) {
            Some(salt) => (Found::Scratch, salt),
            None => self.read_file(position)?,
        };
        let bytes = match found {
            Found::Scratch => &self.scratch[..],
            Found::Block { start, end } => {
                &self.blocks.last().expect("it was just used").bytes[start..end]
            }
        };
        // Where the log has a record of its own, a repair has made a hole of what was there.
        let head = Head::parse(bytes).filter(|head| {
            head.kind < KIND_RESERVED_MIN && head.is_valid(bytes, mix(salt, position))
        });
        let head = head.ok_or(ReadError::Damaged { position })?;
        self.last_end = Position(position.0 + bytes.len() as u64);
        Ok(RecordRef {
            position,
            kind: head.kind,
            flags: head.flags,
            stream: head.stream,
            payload: &bytes[HEAD_BYTES..],
        })
    }

    fn read_tail(&mut self, position: Position) -> Option<u64> {
        if position < self.log.written() {
            return None;
        }
        self.log.tail.lock().read(position, &mut self.scratch)
    }

    fn read_file(&mut self, position: Position) -> Result<(Found, u64), ReadError> {
        let failed = |source| ReadError::Io { position, source };
        let (salt, file) = self.use_file(position)?;
        // What is written now can be read now.
        let written = self.log.written();
        let readable = match written.segment() == position.segment() {
            true => u64::from(written.offset()),
            false => u64::from(u32::MAX),
        };
        self.note_direction(position);
        let found = match self.forward >= FORWARD_MIN || self.has_block(position) {
            true => self.read_block(file.as_ref(), position, readable, salt),
            false => self.read_scattered(file.as_ref(), position, readable, salt),
        };
        match found.map_err(failed)? {
            Some(found) => Ok((found, salt)),
            None => Err(ReadError::Damaged { position }),
        }
    }

    /// The salt and the file of the segment of `position`, which becomes the last in `files`.
    fn use_file(&mut self, position: Position) -> Result<(u64, Arc<dyn DiskFile>), ReadError> {
        let number = position.segment();
        if let Some(index) = self.files.iter().position(|open| open.number == number) {
            if let Some(file) = self.files[index].file.upgrade() {
                self.files[index..].rotate_left(1);
                return Ok((self.files.last().expect("it was just used").salt, file));
            }
            self.files.remove(index);
        }
        if position >= self.log.written() {
            return Err(ReadError::Gone { position });
        }
        let salt = self
            .log
            .live
            .lock()
            .salt(number)
            .ok_or(ReadError::Gone { position })?;
        let opened = self.log.handles.of(self.log.disk.as_ref(), number);
        let file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ReadError::Gone { position },
            _ => ReadError::Io { position, source },
        })?;
        if self.files.len() == FILES_MAX {
            self.files.remove(0);
        }
        self.files.push(OpenSegment {
            number,
            salt,
            file: Arc::downgrade(&file),
        });
        Ok((salt, file))
    }

    /// A read that begins at most a block behind the last one goes forwards.
    fn note_direction(&mut self, position: Position) {
        let distance = position.0.checked_sub(self.last_end.0);
        match distance.is_some_and(|bytes| bytes < BLOCK_BYTES) {
            true => self.forward = (self.forward + 1).min(2 * FORWARD_MIN),
            false => self.forward = self.forward.saturating_sub(1),
        }
    }

    fn has_block(&self, position: Position) -> bool {
        let start = u64::from(position.offset()) / BLOCK_BYTES * BLOCK_BYTES;
        self.blocks
            .iter()
            .any(|b| b.segment == position.segment() && b.start == start)
    }

    fn read_scattered(
        &mut self,
        file: &dyn DiskFile,
        position: Position,
        readable: u64,
        salt: u64,
    ) -> io::Result<Option<Found>> {
        let at = u64::from(position.offset());
        let wanted = readable.saturating_sub(at).min(SCATTERED_BYTES as u64) as usize;
        self.scratch.resize(wanted, 0);
        let count = read_full_at(file, &mut self.scratch, at)?;
        self.scratch.truncate(count);
        let Some(record_bytes) = self.plausible(&self.scratch, position, readable, salt) else {
            return Ok(None);
        };
        if record_bytes > self.scratch.len() {
            if file.bytes()? < at + record_bytes as u64 {
                return Ok(None);
            }
            let had = self.scratch.len();
            self.scratch.resize(record_bytes, 0);
            let count = read_full_at(file, &mut self.scratch[had..], at + had as u64)?;
            self.scratch.truncate(had + count);
        }
        self.scratch.truncate(record_bytes);
        Ok(Some(Found::Scratch))
    }

    /// The record's length, if its head may be believed so far.
    fn plausible(
        &self,
        bytes: &[u8],
        position: Position,
        readable: u64,
        salt: u64,
    ) -> Option<usize> {
        let head = Head::parse(bytes)?;
        let end = u64::from(position.offset()) + head.record_bytes();
        let plausible = head.is_plausible(mix(salt, position)) && end <= readable;
        plausible.then_some(head.record_bytes() as usize)
    }

    fn read_block(
        &mut self,
        file: &dyn DiskFile,
        position: Position,
        readable: u64,
        salt: u64,
    ) -> io::Result<Option<Found>> {
        let at = u64::from(position.offset());
        let block_start = at / BLOCK_BYTES * BLOCK_BYTES;
        let start = (at - block_start) as usize;
        self.use_block(
            file,
            position.segment(),
            block_start,
            start + HEAD_BYTES,
            readable,
        )?;
        let bytes = &self.blocks.last().expect("it was just used").bytes;
        let Some(record) = bytes.get(start..).filter(|bytes| bytes.len() >= HEAD_BYTES) else {
            return self.read_scattered(file, position, readable, salt);
        };
        let Some(record_bytes) = self.plausible(record, position, readable, salt) else {
            return Ok(None);
        };
        let end = start + record_bytes;
        if end as u64 > BLOCK_BYTES {
            return self.read_scattered(file, position, readable, salt);
        }
        self.use_block(file, position.segment(), block_start, end, readable)?;
        let bytes = &self.blocks.last().expect("it was just used").bytes;
        Ok((bytes.len() >= end).then_some(Found::Block { start, end }))
    }

    /// Makes a block that has its first `least` bytes, if the file has, the last in `blocks`.
    fn use_block(
        &mut self,
        file: &dyn DiskFile,
        segment: u32,
        start: u64,
        least: usize,
        readable: u64,
    ) -> io::Result<()> {
        let same = |block: &Block| block.segment == segment && block.start == start;
        if let Some(index) = self.blocks.iter().position(same) {
            self.blocks[index..].rotate_left(1);
            let last = self.blocks.last().expect("there is one");
            if last.bytes.len() >= least || start + last.bytes.len() as u64 >= readable {
                return Ok(());
            }
        } else if self.blocks.len() < BLOCKS_MAX {
            self.blocks.push(Block {
                segment,
                start,
                bytes: Vec::new(),
            });
        } else {
            self.blocks.rotate_left(1);
        }
        let block = self.blocks.last_mut().expect("there is one");
        // Until the read is over the block is nobody's.
        (block.segment, block.start) = (0, 0);
        let bytes = readable.saturating_sub(start).min(BLOCK_BYTES) as usize;
        block.bytes.resize(bytes, 0);
        let count = read_full_at(file, &mut block.bytes, start)?;
        block.bytes.truncate(count);
        (block.segment, block.start) = (segment, start);
        self.hint(file, segment, start + BLOCK_BYTES, readable);
        Ok(())
    }

    /// Asks for what a forward read will want next, once per stretch.
    fn hint(&mut self, file: &dyn DiskFile, segment: u32, next: u64, readable: u64) {
        let (Ok(next_offset), true) = (u32::try_from(next), next < readable) else {
            return;
        };
        let next_position = Position::new(segment, next_offset);
        let asked = self.ahead.segment() == segment
            && self.ahead > next_position
            && self.ahead.0 - next_position.0 <= AHEAD_BYTES;
        if !asked {
            file.prefetch(next, AHEAD_BYTES);
            self.ahead = Position(next_position.0 + AHEAD_BYTES);
        }
    }
}
