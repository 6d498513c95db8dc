//! Reading a whole directory and saying what in it is not as it was written.
//!
//! Invariants
//! - Nothing is changed.
//! - Where a start would stop with damage, the first region begins at the same place.
//! - A region begins and ends where a record begins or ends.

use std::io;
use std::sync::Arc;

use crate::checkpoint::{self, Loaded};
use crate::disk::{Disk, DiskFile, read_full_at};
use crate::error::LogError;
use crate::open::{Recovery, Replay};
use crate::position::Position;
use crate::record::{HEAD_BYTES, Head, KIND_COMMIT, KIND_PAD, KIND_RESERVED_MIN, claim_of};
use crate::remains::{Remains, heads_in};
use crate::report::{Region, Report};
use crate::scan::{self, Scan, Step, Window, is_unborn, look_beyond, next_valid};
use crate::segment::{DATA_START, FORMAT_VERSION, HeadState, SegmentHead, name_of, number_of};
use crate::tolerant::Tolerant;

/// With more segments missing in a row this is not the directory of a damaged log.
const MISSING_SEGMENTS_MAX: u32 = 65_536;

/// Of a larger damaged part only the beginning is looked into.
const REMAINS_BYTES_MAX: u64 = 64 << 20;

/// A segment that is there, or should be.
pub(crate) struct Segment {
    pub number: u32,
    pub name: String,
    /// `None` when there is no file.
    pub file: Option<Arc<dyn DiskFile>>,
    file_bytes: u64,
    /// All of it was synced, although nobody says where it ends.
    is_full: bool,
    pub head: Option<SegmentHead>,
    /// Where the records end: what the next segment says, else where they were found to end.
    pub end: Option<u32>,
}

impl Segment {
    /// Whether anything was ever written to it, or it is not there and should be.
    fn was_used(&self) -> Result<bool, LogError> {
        match &self.file {
            Some(file) => Ok(!is_unborn(file.as_ref(), self.file_bytes, &self.name)?),
            None => Ok(true),
        }
    }
}

/// The state of an examination, from which a repair goes on.
pub(crate) struct Examination<'a> {
    pub disk: &'a dyn Disk,
    pub segments: Vec<Segment>,
    /// Where a start would begin.
    pub start: Position,
    /// The highest position known to have been durable.
    claimed: Position,
    pub loaded: Loaded,
    pub replay: &'a mut dyn Replay,
    pub report: Report,
}

impl<'a> Examination<'a> {
    pub fn new(
        disk: &'a dyn Disk,
        replay: &'a mut dyn Replay,
    ) -> Result<Examination<'a>, LogError> {
        let names = disk.list().map_err(LogError::io("listing", "."))?;
        let loaded = checkpoint::load(disk, &names, &mut Recovery::default(), replay)?;
        let report = Report {
            rejected_checkpoints: loaded.rejected.clone(),
            ..Report::default()
        };
        let mut work = Examination {
            disk,
            segments: Vec::new(),
            start: loaded.start,
            claimed: loaded.durable,
            loaded,
            replay,
            report,
        };
        let bad_copy = checkpoint::check_copy(disk, &names, &work.loaded)?;
        work.report.rejected_checkpoints.extend(bad_copy);
        let mut numbers: Vec<u32> = names.iter().filter_map(|n| number_of(n)).collect();
        numbers.sort_unstable();
        let first = numbers.first().copied().unwrap_or(1);
        if work.loaded.number.is_none() && first > 1 {
            work.report.checkpoint_lost = true;
            work.start = Position::new(first, DATA_START);
        }
        work.report.start = work.start;
        for number in numbers {
            work.add_missing_before(number)?;
            let segment = work.read_head(number)?;
            work.segments.push(segment);
        }
        if work.claimed > work.start {
            work.add_missing_before(work.claimed.segment().saturating_add(1))?;
        }
        work.chain()?;
        Ok(work)
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
            is_full: false,
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
                is_full: false,
                head: None,
                end: None,
            };
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Each segment's end is what the next one says. One that can not say it was begun when all
    /// of the one before was synced.
    fn chain(&mut self) -> Result<(), LogError> {
        for index in 1..self.segments.len() {
            if self.names_another_before(index) {
                self.segments[index].head = None;
            }
            let Some(head) = self.segments[index].head else {
                let is_begun = self.segments[index].was_used()?;
                self.segments[index - 1].is_full = is_begun;
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
        Ok(())
    }

    /// Whether a head says that another segment came before it than the one that did.
    fn names_another_before(&self, index: usize) -> bool {
        let (before, this) = (&self.segments[index - 1], &self.segments[index]);
        let follows = before.file.is_some() && before.number + 1 == this.number;
        let names = this.head.map(|head| head.previous_end.segment());
        follows && names.is_some_and(|number| number != before.number)
    }

    /// Reads all segments.
    pub fn examine(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), LogError> {
        let total = self.segments.iter().map(|segment| segment.file_bytes).sum();
        for index in 0..self.segments.len() {
            progress(self.report.bytes, total);
            self.examine_segment(index)?;
            self.report.bytes += self.segments[index].file_bytes;
        }
        self.add_missed();
        self.report.segments = self.segments.len();
        progress(total, total);
        Ok(())
    }

    /// Segments that a start would not miss, and that hold what the caller refers to.
    fn add_missed(&mut self) {
        let there = self.segments.iter().map(|segment| segment.number).collect();
        let mut missed = self.replay.missed(&there);
        missed.sort_unstable();
        for positions in missed.chunk_by(|a, b| a.segment() == b.segment()) {
            let last = positions[positions.len() - 1];
            let number = last.segment();
            let index = self.segments.partition_point(|one| one.number < number);
            let next = self.segments.get(index).and_then(|next| next.head);
            let end = next.map(|head| head.previous_end);
            let end = match end.filter(|end| end.segment() == number && *end > last) {
                Some(end) => end.offset(),
                // Not before where a start begins to read, which would be short of something then.
                None => {
                    let least = self.least_end(number).min(u64::from(u32::MAX));
                    (last.offset() + HEAD_BYTES as u32).max(least as u32)
                }
            };
            self.segments.insert(
                index,
                Segment {
                    number,
                    name: name_of(number),
                    file: None,
                    file_bytes: 0,
                    is_full: false,
                    head: None,
                    end: Some(end),
                },
            );
            self.lose(number, DATA_START.into(), end.into());
        }
        let place = |region: &Region| (region.segment, region.offset);
        self.report.regions.sort_unstable_by_key(place);
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
                self.note(position, head, payload)?;
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
            self.tell_remains(file.as_ref(), head.salt, number, at, to);
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
        let is_this = |one: &&Segment| one.number == number;
        let is_full = self
            .segments
            .iter()
            .find(is_this)
            .is_some_and(|one| one.is_full);
        let known_end = match end {
            Some(end) => end,
            None => {
                let beyond = look_beyond(window, number, salt, at)?;
                self.claimed = self.claimed.max(beyond.claim);
                if !is_full && self.claimed <= Position::new(number, at as u32) {
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
                match !is_full && self.claimed.segment() == number {
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

    /// Shows the caller what is left of a damaged part.
    fn tell_remains(&mut self, file: &dyn DiskFile, salt: u64, number: u32, from: u64, to: u64) {
        let region = Region {
            segment: number,
            offset: from as u32,
            bytes: to - from,
        };
        let mut bytes = vec![0; region.bytes.min(REMAINS_BYTES_MAX) as usize];
        let count = read_full_at(file, &mut bytes, from).unwrap_or(0);
        bytes.truncate(count);
        let (heads, is_told) = heads_in(&bytes, region, salt);
        self.replay.remains(&Remains {
            region,
            heads: &heads,
            bytes: &bytes,
            is_told,
        });
    }

    fn note(&mut self, position: Position, head: Head, payload: &[u8]) -> Result<(), LogError> {
        self.report.records += 1;
        match head.kind {
            KIND_PAD => self.report.holes.push(Region {
                segment: position.segment(),
                offset: position.offset(),
                bytes: head.record_bytes(),
            }),
            KIND_COMMIT => {
                let claim = claim_of(payload, position).unwrap_or_default();
                self.claimed = self.claimed.max(claim);
            }
            kind if kind >= KIND_RESERVED_MIN => {}
            _ if position < self.start || position < self.loaded.as_of(head.stream) => {}
            kind => {
                let (stream, flags) = (head.stream, head.flags);
                let taken = self.replay.record(position, stream, kind, flags, payload);
                taken.map_err(|cause| LogError::Replay { position, cause })?;
            }
        }
        Ok(())
    }

    /// Without a head, or without a file, nothing of a segment can be believed.
    fn all_lost(&mut self, index: usize, is_last: bool) -> Result<(), LogError> {
        let segment = &self.segments[index];
        let mut used_end = 0;
        if let Some(file) = &segment.file {
            let mut window = Window::new(file.as_ref(), segment.file_bytes);
            let end = scan::used_end(&mut window, DATA_START.into());
            used_end = end.map_err(LogError::io("reading", &segment.name))?;
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
        self.replay.remains(&Remains {
            region: Region {
                segment: number,
                offset: DATA_START,
                bytes: end - u64::from(DATA_START),
            },
            heads: &[],
            bytes: &[],
            is_told: false,
        });
        Ok(())
    }
}
