//! Reading a segment from one end to the other, trusting nothing.
//!
//! Invariants
//! - A record is handed out only if it is valid at its place.
//! - Memory is bounded by the window and by the longest record whose head is plausible and that
//!   fits into the file.

use std::io;

use crate::disk::{DiskFile, read_full_at};
use crate::error::LogError;
use crate::position::Position;
use crate::record::{COMMIT_BYTES, HEAD_BYTES, Head, KIND_COMMIT, claim_of, mix};
use crate::segment::DATA_START;

const WINDOW_BYTES: usize = 1 << 20;

/// A part of a segment's file that is read in order.
pub(crate) struct Window<'a> {
    file: &'a dyn DiskFile,
    pub file_bytes: u64,
    buffer: Vec<u8>,
    /// Offset in the file of the buffer's first byte.
    start: u64,
}

impl<'a> Window<'a> {
    pub fn new(file: &'a dyn DiskFile, file_bytes: u64) -> Window<'a> {
        Window {
            file,
            file_bytes,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// The bytes from `at` on: `bytes` of them and perhaps more, fewer only at the file's end.
    pub fn get(&mut self, at: u64, bytes: usize) -> io::Result<&[u8]> {
        let left = self.file_bytes.saturating_sub(at);
        let wanted = left.min(bytes as u64) as usize;
        let end = self.start + self.buffer.len() as u64;
        if at < self.start || at + wanted as u64 > end {
            let length = left.min(bytes.max(WINDOW_BYTES) as u64) as usize;
            let kept = match at >= self.start && at < end {
                true => (end - at) as usize,
                false => 0,
            };
            let from = self.buffer.len() - kept;
            self.buffer.copy_within(from.., 0);
            self.buffer.resize(length, 0);
            self.start = at;
            let rest = &mut self.buffer[kept..];
            let count = read_full_at(self.file, rest, at + kept as u64)?;
            self.buffer.truncate(kept + count);
        }
        let from = ((at - self.start) as usize).min(self.buffer.len());
        Ok(&self.buffer[from..])
    }
}

/// What there is at a place.
pub(crate) enum Step<'a> {
    Record {
        position: Position,
        head: Head,
        payload: &'a [u8],
    },
    /// The file ends here.
    End,
    /// Not a record.
    Bad,
}

/// The records of one segment in order.
pub(crate) struct Scan<'a> {
    window: Window<'a>,
    number: u32,
    salt: u64,
    pub at: u64,
}

impl<'a> Scan<'a> {
    pub fn new(window: Window<'a>, number: u32, salt: u64, at: u32) -> Scan<'a> {
        Scan {
            window,
            number,
            salt,
            at: u64::from(at),
        }
    }

    /// The next record; after `Bad` or `End` it stays where it is.
    pub fn step(&mut self) -> io::Result<Step<'_>> {
        let (at, file_bytes) = (self.at, self.window.file_bytes);
        if at == file_bytes {
            return Ok(Step::End);
        }
        let Ok(offset) = u32::try_from(at) else {
            return Ok(Step::Bad);
        };
        let position = Position::new(self.number, offset);
        let mix = mix(self.salt, position);
        let Some(head) = Head::parse(self.window.get(at, HEAD_BYTES)?) else {
            return Ok(Step::Bad);
        };
        let end = at + head.record_bytes();
        if !head.is_plausible(mix) || end > file_bytes {
            return Ok(Step::Bad);
        }
        let record_bytes = head.record_bytes() as usize;
        let bytes = self.window.get(at, record_bytes)?;
        let Some(record) = bytes.get(..record_bytes).filter(|r| head.is_valid(r, mix)) else {
            return Ok(Step::Bad);
        };
        self.at = end;
        Ok(Step::Record {
            position,
            head,
            payload: &record[HEAD_BYTES..],
        })
    }
}

impl Scan<'_> {
    /// The head of the bad record that `step` stays at, if it may be believed: it is bound to its
    /// place, and its record ends where the segment has room for it.
    pub fn lone_head(&mut self) -> io::Result<Option<(Position, Head)>> {
        let (at, file_bytes) = (self.at, self.window.file_bytes);
        let Ok(offset) = u32::try_from(at) else {
            return Ok(None);
        };
        let position = Position::new(self.number, offset);
        let mix = mix(self.salt, position);
        let head = Head::parse(self.window.get(at, HEAD_BYTES)?);
        let head = head.filter(|head| head.is_plausible(mix));
        Ok(head
            .filter(|head| at + head.record_bytes() <= file_bytes)
            .map(|head| (position, head)))
    }
}

/// What lies behind a bad record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// The highest durable position that any commit record claims.
    pub claim: Position,
    /// Behind the last record of which there is a head, as far as the file goes; 0 if there is
    /// none. What else lies there may be what the file held when it was another segment's.
    pub used_end: u64,
}

/// Looks at all of a segment from `from` on, at every byte.
pub(crate) fn look_beyond(
    window: &mut Window<'_>,
    number: u32,
    salt: u64,
    from: u64,
) -> io::Result<Beyond> {
    let mut beyond = Beyond::default();
    let file_bytes = window.file_bytes;
    each_part(window, from, |bytes, at| {
        let starts = (bytes.len() + 1).saturating_sub(HEAD_BYTES);
        for start in 0..starts {
            let (rest, place) = (&bytes[start..], at + start as u64);
            let (Some(head), Ok(offset)) = (Head::parse(rest), u32::try_from(place)) else {
                break;
            };
            let position = Position::new(number, offset);
            let mix = mix(salt, position);
            if !head.is_plausible(mix) {
                continue;
            }
            let end = (place + head.record_bytes()).min(file_bytes);
            beyond.used_end = beyond.used_end.max(end);
            let record = rest.get(..COMMIT_BYTES).unwrap_or_default();
            if head.kind == KIND_COMMIT
                && head.is_valid(record, mix)
                && let Some(claim) = claim_of(&record[HEAD_BYTES..], position)
            {
                beyond.claim = beyond.claim.max(claim);
            }
        }
    })?;
    Ok(beyond)
}

/// Behind the last byte from `from` on that is not zero; 0 if there is none.
pub(crate) fn used_end(window: &mut Window<'_>, from: u64) -> io::Result<u64> {
    let mut used_end = 0;
    each_part(window, from, |bytes, at| {
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            used_end = at + last as u64 + 1;
        }
    })?;
    Ok(used_end)
}

/// Shows all from `from` on, part by part, such that a commit record lies whole in one of them.
fn each_part(
    window: &mut Window<'_>,
    from: u64,
    mut look: impl FnMut(&[u8], u64),
) -> io::Result<()> {
    let (mut at, file_bytes) = (from, window.file_bytes);
    while at < file_bytes {
        let bytes = window.get(at, WINDOW_BYTES)?;
        look(bytes, at);
        let is_last = at + bytes.len() as u64 >= file_bytes || bytes.len() < COMMIT_BYTES;
        if is_last {
            break;
        }
        at += (bytes.len() - COMMIT_BYTES + 1) as u64;
    }
    Ok(())
}

/// True when nothing but a head was ever written to the file.
pub(crate) fn is_unborn(
    file: &dyn DiskFile,
    file_bytes: u64,
    name: &str,
) -> Result<bool, LogError> {
    let used_end = used_end(&mut Window::new(file, file_bytes), DATA_START.into());
    Ok(used_end.map_err(LogError::io("reading", name))? == 0)
}

/// The first valid record at or after `from`.
pub(crate) fn next_valid(
    window: &mut Window<'_>,
    number: u32,
    salt: u64,
    from: u64,
) -> io::Result<Option<u64>> {
    let mut record = Vec::new();
    let mut at = from;
    let (file, file_bytes) = (window.file, window.file_bytes);
    while at + HEAD_BYTES as u64 <= file_bytes {
        let bytes = window.get(at, WINDOW_BYTES)?;
        if bytes.len() < HEAD_BYTES {
            break;
        }
        let starts = bytes.len() - HEAD_BYTES + 1;
        for start in 0..starts {
            let place = at + start as u64;
            let Some(head) = Head::parse(&bytes[start..]) else {
                break;
            };
            let Ok(offset) = u32::try_from(place) else {
                return Ok(None);
            };
            let mix = mix(salt, Position::new(number, offset));
            if !head.is_plausible(mix) || place + head.record_bytes() > file_bytes {
                continue;
            }
            record.resize(head.record_bytes() as usize, 0);
            let count = read_full_at(file, &mut record, place)?;
            if head.is_valid(&record[..count], mix) {
                return Ok(Some(place));
            }
        }
        at += starts as u64;
    }
    Ok(None)
}
