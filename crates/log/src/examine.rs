//! Reading a whole directory and saying what in it is not as it was written.
//!
//! Invariants
//! - Nothing is changed.
//! - Where a start would stop with damage, the first region begins at the same place.
//! - A region begins and ends where a record begins or ends.

use std::io;
use std::sync::Arc;

use crate::checkpoint::{self, CheckError};
use crate::disk::{Disk, DiskFile, read_full_at};
use crate::error::LogError;
use crate::position::Position;
use crate::record::{HEAD_BYTES, Head, KIND_COMMIT, KIND_PAD, claim_of};
use crate::scan::{Scan, Step, Window, look_beyond, next_valid};
use crate::segment::{DATA_START, FORMAT_VERSION, HeadState, SegmentHead, name_of, number_of};

/// A part of a segment that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Number of the segment.
    pub segment: u32,
    /// First byte in its file.
    pub offset: u32,
    /// How many bytes.
    pub bytes: u64,
}

/// What was found, and with `repair` also done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments read.
    pub segments: usize,
    /// Valid records.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damaged or missing parts of synced data. With `repair` these are holes now.
    pub regions: Vec<Region>,
    /// Holes of earlier repairs.
    pub holes: Vec<Region>,
    /// Written but never synced: the next start cuts it off.
    pub torn_tail: Option<Region>,
    /// Checkpoints that can not be used, with the reason.
    pub rejected_checkpoints: Vec<String>,
    /// No checkpoint is usable and the log does not reach back to its beginning. With `repair`
    /// the next start knows only what the log still holds.
    pub checkpoint_lost: bool,
}

impl Report {
    /// True when nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.regions.is_empty() && self.rejected_checkpoints.is_empty() && !self.checkpoint_lost
    }
}

/// With more segments missing in a row this is not the directory of a damaged log.
const MISSING_SEGMENTS_MAX: u32 = 65_536;

/// A segment that is there, or should be.
pub(crate) struct Segment {
    pub number: u32,
    pub name: String,
    /// `None` when there is no file.
    pub file: Option<Arc<dyn DiskFile>>,
    file_bytes: u64,
    pub head: Option<SegmentHead>,
    /// Where the records end: what the next segment says, else where they were found to end.
    pub end: Option<u32>,
}

/// The state of an examination, from which a repair goes on.
pub(crate) struct Examination<'a> {
    pub disk: &'a dyn Disk,
    pub segments: Vec<Segment>,
    /// Where a start would begin.
    pub start: Position,
    /// The highest position known to have been durable.
    claimed: Position,
    pub newest_checkpoint: u32,
    pub report: Report,
}

/// Reads zeros where the device can not read.
struct Tolerant(Arc<dyn DiskFile>);

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

impl<'a> Examination<'a> {
    pub fn new(disk: &'a dyn Disk) -> Result<Examination<'a>, LogError> {
        let names = disk.list().map_err(LogError::io("listing", "."))?;
        let mut work = Examination {
            disk,
            segments: Vec::new(),
            start: Position::ZERO,
            claimed: Position::ZERO,
            newest_checkpoint: 0,
            report: Report::default(),
        };
        let has_checkpoint = work.checkpoints(&names)?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|n| number_of(n)).collect();
        numbers.sort_unstable();
        let first = numbers.first().copied().unwrap_or(1);
        if !has_checkpoint && first > 1 {
            work.report.checkpoint_lost = true;
            work.start = Position::new(first, DATA_START);
        }
        for number in numbers {
            work.add_missing_before(number)?;
            let segment = work.read_head(number)?;
            work.segments.push(segment);
        }
        if work.claimed > work.start {
            work.add_missing_before(work.claimed.segment().saturating_add(1))?;
        }
        work.chain();
        Ok(work)
    }

    /// Returns whether there is a checkpoint that a start can use.
    fn checkpoints(&mut self, names: &[String]) -> Result<bool, LogError> {
        for number in checkpoint::numbers(names) {
            self.newest_checkpoint = self.newest_checkpoint.max(number);
            let name = checkpoint::name_of(number);
            let file = self
                .disk
                .open(&name)
                .map_err(LogError::io("opening", &name))?;
            match checkpoint::check(file.as_ref(), number) {
                Ok(checked) => {
                    self.start = checked.start;
                    self.claimed = checked.durable;
                    return Ok(true);
                }
                Err(CheckError::Bad(what)) => {
                    self.report
                        .rejected_checkpoints
                        .push(format!("`{name}`: {what}"));
                }
                Err(CheckError::Newer(version)) => {
                    return Err(LogError::NewerFormat {
                        file: name,
                        version,
                        supported: checkpoint::FORMAT_VERSION,
                    });
                }
            }
        }
        Ok(false)
    }

    fn read_head(&self, number: u32) -> Result<Segment, LogError> {
        let name = name_of(number);
        let file = self
            .disk
            .open(&name)
            .map_err(LogError::io("opening", &name))?;
        let file: Arc<dyn DiskFile> = Arc::new(Tolerant(file));
        let file_bytes = file.bytes().map_err(LogError::io("measuring", &name))?;
        let state = SegmentHead::read(file.as_ref(), number);
        let head = match state.map_err(LogError::io("reading", &name))? {
            HeadState::Good(head) if file_bytes >= u64::from(DATA_START) => Some(head),
            HeadState::Good(_) | HeadState::Bad => None,
            HeadState::Newer(version) => {
                let supported = FORMAT_VERSION;
                return Err(LogError::NewerFormat {
                    file: name,
                    version,
                    supported,
                });
            }
        };
        Ok(Segment {
            number,
            name,
            file: Some(file),
            file_bytes,
            head,
            end: None,
        })
    }

    /// Segments that a start needs and that have no file.
    fn add_missing_before(&mut self, number: u32) -> Result<(), LogError> {
        let from = match self.segments.last() {
            Some(last) => (last.number + 1).max(self.start.segment()),
            None => self.start.segment().max(1),
        };
        if number.saturating_sub(from) > MISSING_SEGMENTS_MAX {
            return Err(LogError::SegmentMissing { segment: from });
        }
        for missing in from..number {
            let name = name_of(missing);
            let segment = Segment {
                number: missing,
                name,
                file: None,
                file_bytes: 0,
                head: None,
                end: None,
            };
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Each segment's end is what the next one says.
    fn chain(&mut self) {
        for index in 1..self.segments.len() {
            let Some(head) = self.segments[index].head else {
                continue;
            };
            self.claimed = self.claimed.max(head.previous_end);
            let before = &mut self.segments[index - 1];
            if before.number == head.previous_end.segment() {
                before.end = Some(head.previous_end.offset());
            }
        }
        let claimed = self.claimed;
        if let Some(last) = self.segments.last_mut()
            && last.file.is_none()
            && last.number == claimed.segment()
        {
            last.end = Some(claimed.offset());
        }
        // One that a start begins behind is not missed.
        let start = self.start;
        let first_end = self
            .segments
            .first()
            .map(|segment| (segment.file.is_none(), segment.end));
        let is_last = self.segments.len() == 1;
        if let Some((true, end)) = first_end
            && !is_last
        {
            let first = self.segments[0].number;
            let next = self.segments[1].head.map(|head| head.previous_end);
            let ends_before = next.is_some_and(|previous| previous <= start)
                || end.is_some_and(|end| Position::new(first, end) <= start);
            if ends_before {
                self.segments.remove(0);
            }
        }
    }

    /// Reads all segments.
    pub fn examine(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), LogError> {
        let total = self.segments.iter().map(|segment| segment.file_bytes).sum();
        for index in 0..self.segments.len() {
            progress(self.report.bytes, total);
            self.examine_segment(index)?;
            self.report.bytes += self.segments[index].file_bytes;
        }
        self.report.segments = self.segments.len();
        progress(total, total);
        Ok(())
    }

    fn examine_segment(&mut self, index: usize) -> Result<(), LogError> {
        let is_last = index + 1 == self.segments.len();
        let segment = &self.segments[index];
        let (Some(file), Some(head)) = (segment.file.clone(), segment.head) else {
            return self.all_lost(index, is_last);
        };
        let (number, name) = (segment.number, segment.name.clone());
        let end = segment.end.map(u64::from);
        let file_bytes = segment.file_bytes.min(end.unwrap_or(u64::from(u32::MAX)));
        let fail = LogError::io("reading", &name);
        let mut scan = Scan::new(
            Window::new(file.as_ref(), file_bytes),
            number,
            head.salt,
            DATA_START,
        );
        loop {
            let at = scan.at;
            if let Step::Record {
                position,
                head,
                payload,
            } = scan.step().map_err(&fail)?
            {
                self.note(position, head, payload);
                continue;
            }
            if at >= end.unwrap_or(file_bytes) {
                break;
            }
            let mut window = Window::new(file.as_ref(), file_bytes);
            let Some(to) = self.damage(&mut window, head, at, end).map_err(&fail)? else {
                break;
            };
            self.lose(number, at, to);
            scan.at = to;
        }
        let mut found_end = scan.at;
        if end.is_none() && self.least_end(number) > found_end {
            let least_end = self.least_end(number);
            self.lose(number, found_end, least_end);
            found_end = least_end;
        }
        self.segments[index].end = Some(found_end as u32);
        Ok(())
    }

    /// Up to where a segment is known to have been used, whatever it holds now.
    fn least_end(&self, number: u32) -> u64 {
        let known = [self.claimed, self.start].into_iter();
        let known = known.filter(|position| position.segment() == number);
        known
            .map(|position| position.offset().into())
            .max()
            .unwrap_or(0)
    }

    /// Where the damage that begins at `at` ends, or `None` if it is a torn tail.
    fn damage(
        &mut self,
        window: &mut Window<'_>,
        head: SegmentHead,
        at: u64,
        end: Option<u64>,
    ) -> io::Result<Option<u64>> {
        let (number, salt) = (head.number, head.salt);
        let known_end = match end {
            Some(end) => end,
            None => {
                let beyond = look_beyond(window, number, salt, at)?;
                self.claimed = self.claimed.max(beyond.claim);
                if self.claimed <= Position::new(number, at as u32) {
                    if beyond.used_end > at {
                        let bytes = beyond.used_end - at;
                        let offset = at as u32;
                        self.report.torn_tail = Some(Region {
                            segment: number,
                            offset,
                            bytes,
                        });
                    }
                    return Ok(None);
                }
                match self.claimed.segment() == number {
                    true => u64::from(self.claimed.offset()),
                    // Cut, and nobody knows how long it was.
                    false => self.with_room_for_a_head(number, at, window.file_bytes),
                }
            }
        };
        let next = next_valid(window, number, salt, at + 1)?;
        Ok(Some(next.unwrap_or(known_end).min(known_end)))
    }

    /// A guessed end for a region from `from` on, so that a hole fits in, on both sides of the
    /// start if that lies there.
    fn with_room_for_a_head(&self, number: u32, from: u64, end: u64) -> u64 {
        let start = match self.start.segment() == number {
            true => u64::from(self.start.offset()).max(from),
            false => from,
        };
        end.max(start + HEAD_BYTES as u64)
    }

    /// Notes a region; what lies on both sides of the start becomes two.
    fn lose(&mut self, segment: u32, from: u64, to: u64) {
        let start = u64::from(self.start.offset());
        let mut push = |from: u64, to: u64| {
            self.report.regions.push(Region {
                segment,
                offset: from as u32,
                bytes: to - from,
            });
        };
        if segment == self.start.segment() && from < start && start < to {
            push(from, start);
            push(start, to);
        } else {
            push(from, to);
        }
    }

    fn note(&mut self, position: Position, head: Head, payload: &[u8]) {
        self.report.records += 1;
        match head.kind {
            KIND_PAD => self.report.holes.push(Region {
                segment: position.segment(),
                offset: position.offset(),
                bytes: head.record_bytes(),
            }),
            KIND_COMMIT => {
                self.claimed = self.claimed.max(claim_of(payload).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Without a head, or without a file, nothing of a segment can be believed.
    fn all_lost(&mut self, index: usize, is_last: bool) -> Result<(), LogError> {
        let segment = &self.segments[index];
        let mut used_end = 0;
        if let Some(file) = &segment.file {
            let mut window = Window::new(file.as_ref(), segment.file_bytes);
            let beyond = look_beyond(&mut window, 0, 0, DATA_START.into());
            used_end = beyond
                .map_err(LogError::io("reading", &segment.name))?
                .used_end;
            if is_last && used_end == 0 && self.least_end(segment.number) == 0 {
                return Ok(()); // never used: the next start removes it
            }
        }
        let number = segment.number;
        let end = match segment.end {
            Some(end) => u64::from(end),
            None => {
                // Zeros at the end of the last record are not seen.
                let used = used_end
                    .max(self.least_end(number))
                    .min(u64::from(u32::MAX));
                self.with_room_for_a_head(number, DATA_START.into(), used)
            }
        };
        self.segments[index].end = Some(end as u32);
        self.lose(number, DATA_START.into(), end);
        Ok(())
    }
}
