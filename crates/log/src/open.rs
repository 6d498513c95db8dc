//! Recovery: from whatever is on the disk to a log that can go on.
//!
//! 1. The newest valid checkpoint is handed to the caller.
//! 2. All records from its start on are handed over in order, each checked.
//! 3. The end is decided: at the first bad record of the last segment, unless something says
//!    that synced data lay there. Then it is corruption, and nothing is changed.
//!    A last segment that never got a record is removed.
//!    One that lies in between and that the caller can do without is left alone.
//! 4. What lies behind the end is cut off and reported; what was written but perhaps never
//!    synced is written once more and synced, because a sync that failed in an earlier life may
//!    have left pages that look written and are not.
//!
//! Invariants
//! - Nothing is skipped in silence: every byte from the start on is a valid record, or one that the
//!   caller can do without and that is reported, or cut as unsynced and reported, or an error that
//!   names the place.
//! - A log goes on in a new segment with a new salt: nothing left over can ever pass for new.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::checkpoint::{self, CheckpointState, Loaded};
use crate::disk::{Disk, DiskFile, read_full_at, write_all_at};
use crate::error::LogError;
use crate::live::Live;
use crate::log::{Log, Options, Start};
use crate::position::Position;
use crate::record::{KIND_COMMIT, KIND_PAD, KIND_RESERVED_MIN, claim_of};
use crate::remains::Remains;
use crate::report::Region;
use crate::scan::{Beyond, Scan, Step, Window, is_unborn, look_beyond};
use crate::segment::{DATA_START, FORMAT_VERSION, HeadState, SegmentHead, name_of, number_of};
use crate::spare::Spares;
use crate::tail::OldEnd;

/// What a caller does with what the log had kept.
pub trait Replay {
    /// A section of the checkpoint, as it was given to `Log::write_checkpoint`.
    ///
    /// # Errors
    /// A text that stops the start.
    fn section(&mut self, stream: u16, bytes: &[u8]) -> Result<(), String>;

    /// A record that its stream's section does not cover, in the order of appending.
    ///
    /// # Errors
    /// A text that stops the start.
    fn record(
        &mut self,
        position: Position,
        stream: u16,
        kind: u8,
        flags: u8,
        payload: &[u8],
    ) -> Result<(), String>;

    /// A record whose head can be believed and whose payload is not what was written. If it can be
    /// done without, the start goes on behind it.
    fn spare(&mut self, _position: Position, _stream: u16, _kind: u8) -> bool {
        false
    }

    /// Only when everything is read: what can still be told of a damaged part, at its place in the
    /// order of records.
    fn remains(&mut self, _remains: &Remains<'_>) {}

    /// Only when everything is read, and at its end: records that are referred to and lie in
    /// segments that are not among those that are there.
    fn missed(&mut self, _segments: &BTreeSet<u32>) -> Vec<Position> {
        Vec::new()
    }
}

/// What recovery found.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Number of the checkpoint that was used.
    pub checkpoint: Option<u32>,
    /// Checkpoints that could not be used, with the reason.
    pub rejected_checkpoints: Vec<String>,
    /// Records handed to the caller.
    pub replayed_records: u64,
    /// Bytes of the log that were read and checked.
    pub replayed_bytes: u64,
    /// The end of the log.
    pub end: Position,
    /// Bytes behind the end that were cut off: written but never synced, so never confirmed.
    pub torn_bytes: u64,
    /// How many segments there are.
    pub segments: usize,
    /// Parts of what was read that a repair had set aside.
    pub holes: u64,
    /// Damaged records that the caller could do without.
    pub spared: Vec<Region>,
}

/// Damaged records that a start goes past; with more there is something wrong with the disk.
const SPARED_MAX: usize = 4096;

impl Log {
    /// Opens the log of `disk` and hands everything to `replay`. The caller then says what it
    /// still needs with [`Log::retain`], before it lets [`Log::remove_dead`] remove anything.
    ///
    /// # Errors
    /// Damage of synced data ([`LogError::Corrupt`] and its like), a newer format, the disk's
    /// and the caller's own errors. None of them changes what is on the disk.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        replay: &mut dyn Replay,
    ) -> Result<(Arc<Log>, Recovery), LogError> {
        let names = disk.list().map_err(LogError::io("listing", "."))?;
        let mut recovery = Recovery::default();
        let loaded = checkpoint::load(disk.as_ref(), &names, &mut recovery, replay)?;
        let mut open = Opening::new(disk.clone(), &loaded, names, replay);
        open.segments()?;
        open.scan_all(&mut recovery)?;
        open.finish(&mut recovery)?;
        checkpoint::clean(disk.as_ref(), &open.names, loaded.number);
        let next_segment = open.next_segment()?;
        let start = Start {
            live: open.live,
            old: open.old,
            next_segment,
            checkpoint: CheckpointState::from_loaded(&loaded),
            spares: Spares::among(&open.names),
            replayed_bytes: recovery.replayed_bytes,
        };
        Ok((Arc::new(Log::start(disk, options, start)), recovery))
    }
}

struct Segment {
    number: u32,
    name: String,
    file: Arc<dyn DiskFile>,
    file_bytes: u64,
    head: SegmentHead,
}

struct Opening<'a> {
    disk: Arc<dyn Disk>,
    loaded: &'a Loaded,
    names: Vec<String>,
    replay: &'a mut dyn Replay,
    live: Live,
    /// Segments from the start of the replay on.
    to_scan: Vec<Segment>,
    last_number: u32,
    /// Segments whose creation never came to an end.
    unborn: Vec<u32>,
    old: OldEnd,
    /// Behind the first bad record of the last segment.
    beyond: Option<Beyond>,
    spared: usize,
}

fn corrupt(segment: u32, offset: u64, what: impl Into<String>) -> LogError {
    LogError::Corrupt {
        segment,
        offset: offset as u32,
        what: what.into(),
    }
}

impl<'a> Opening<'a> {
    fn new(
        disk: Arc<dyn Disk>,
        loaded: &'a Loaded,
        names: Vec<String>,
        replay: &'a mut dyn Replay,
    ) -> Opening<'a> {
        Opening {
            disk,
            loaded,
            names,
            replay,
            live: Live::default(),
            to_scan: Vec::new(),
            last_number: 0,
            unborn: Vec::new(),
            old: OldEnd {
                end: loaded.start,
                data_end: loaded.start,
                claimed: loaded.durable,
            },
            beyond: None,
            spared: 0,
        }
    }

    /// Reads the heads of all segments.
    fn segments(&mut self) -> Result<(), LogError> {
        let mut numbers: Vec<u32> = self.names.iter().filter_map(|n| number_of(n)).collect();
        numbers.sort_unstable();
        for (index, number) in numbers.iter().copied().enumerate() {
            let name = name_of(number);
            let file = self
                .disk
                .open(&name)
                .map_err(LogError::io("opening", &name))?;
            let file_bytes = file.bytes().map_err(LogError::io("measuring", &name))?;
            let is_last = index + 1 == numbers.len();
            if is_last && file_bytes < u64::from(DATA_START) {
                self.unborn.push(number);
                continue;
            }
            let state = SegmentHead::read(file.as_ref(), number);
            match state.map_err(LogError::io("reading", &name))? {
                HeadState::Good(head) => {
                    let end = u32::try_from(file_bytes)
                        .map_err(|_| corrupt(number, 0, "the file is larger than 4 GiB"))?;
                    self.live.insert(number, head.salt, end);
                    self.last_number = number;
                    if number >= self.loaded.start.segment() {
                        self.to_scan.push(Segment {
                            number,
                            name,
                            file,
                            file_bytes,
                            head,
                        });
                    }
                }
                HeadState::Newer(version) => {
                    return Err(LogError::NewerFormat {
                        file: name,
                        version,
                        supported: FORMAT_VERSION,
                    });
                }
                HeadState::Bad => {
                    if !is_last || !is_unborn(file.as_ref(), file_bytes, &name)? {
                        return Err(corrupt(number, 0, "both copies of its head are bad"));
                    }
                    self.unborn.push(number);
                }
            }
        }
        Ok(())
    }

    fn scan_all(&mut self, recovery: &mut Recovery) -> Result<(), LogError> {
        let segments = std::mem::take(&mut self.to_scan);
        for (index, segment) in segments.iter().enumerate() {
            self.check_chain(index, segment)?;
            self.old.claimed = self.old.claimed.max(segment.head.previous_end);
            self.scan(segment, segments.get(index + 1), recovery)?;
        }
        // Whatever is claimed must have been found.
        if self.old.claimed > self.old.end {
            let (claimed, end) = (self.old.claimed, self.old.end);
            return Err(match claimed.segment() == end.segment() {
                true => corrupt(end.segment(), end.offset().into(), "the file was cut short"),
                false => LogError::SegmentMissing {
                    segment: end.segment() + 1,
                },
            });
        }
        self.to_scan = segments;
        Ok(())
    }

    /// No segment between the start and the end may be missing or cut.
    fn check_chain(&mut self, index: usize, segment: &Segment) -> Result<(), LogError> {
        let (start, previous_end) = (self.loaded.start, segment.head.previous_end);
        if index == 0 {
            if segment.number != start.segment() && previous_end > start {
                return Err(self.not_reaching_back(segment.number));
            }
            return Ok(());
        }
        let expected = self.old.end.segment() + 1;
        if segment.number != expected {
            return Err(LogError::SegmentMissing { segment: expected });
        }
        if previous_end != self.old.end {
            let end = self.old.end;
            let what = format!("it ends here and should end at {}", previous_end.offset());
            return Err(corrupt(end.segment(), end.offset().into(), what));
        }
        Ok(())
    }

    fn not_reaching_back(&self, first: u32) -> LogError {
        if self.loaded.number == Some(self.loaded.number_max) {
            return LogError::SegmentMissing {
                segment: self.loaded.start.segment(),
            };
        }
        let what = match self.loaded.rejected.is_empty() {
            true => "there is no checkpoint".to_owned(),
            false => self.loaded.rejected.join("; "),
        };
        LogError::CheckpointLost { first, what }
    }

    fn scan(
        &mut self,
        segment: &Segment,
        next: Option<&Segment>,
        recovery: &mut Recovery,
    ) -> Result<(), LogError> {
        let number = segment.number;
        // A full segment ends where the next one says, whatever its file has behind that.
        let file_bytes = match next.map(|next| next.head.previous_end) {
            Some(end) if end.segment() == number => segment.file_bytes.min(end.offset().into()),
            _ => segment.file_bytes,
        };
        let from = match number == self.loaded.start.segment() {
            true => self.loaded.start.offset().max(DATA_START),
            false => DATA_START,
        };
        if u64::from(from) > file_bytes {
            return Err(corrupt(number, file_bytes, "the file was cut short"));
        }
        let window = Window::new(segment.file.as_ref(), file_bytes);
        let mut scan = Scan::new(window, number, segment.head.salt, from);
        let good = loop {
            let at = scan.at;
            let unreadable = |source| LogError::Unreadable {
                segment: number,
                offset: at as u32,
                source,
            };
            match scan.step().map_err(unreadable)? {
                Step::Record {
                    position,
                    head,
                    payload,
                } => {
                    if head.kind >= KIND_RESERVED_MIN {
                        recovery.holes += u64::from(head.kind == KIND_PAD);
                        if head.kind == KIND_COMMIT
                            && let Some(claim) = claim_of(payload, position)
                        {
                            self.old.claimed = self.old.claimed.max(claim);
                        }
                        continue;
                    }
                    self.old.data_end = position.plus(head.record_bytes() as u32);
                    if position < self.loaded.as_of(head.stream) {
                        continue;
                    }
                    recovery.replayed_records += 1;
                    self.replay
                        .record(position, head.stream, head.kind, head.flags, payload)
                        .map_err(|cause| LogError::Replay { position, cause })?;
                }
                Step::End => break true,
                Step::Bad => match self.spare(segment, next.is_none(), &mut scan)? {
                    Some(region) => recovery.spared.push(region),
                    None => break false,
                },
            }
        };
        recovery.replayed_bytes += scan.at - u64::from(from);
        self.old.end = Position::new(number, scan.at as u32);
        match good {
            true => Ok(()),
            false => self.judge_end(segment, next.is_none()),
        }
    }

    /// Goes past a damaged record whose head still says what it was and where it ends, if it was
    /// synced and the caller can do without it.
    fn spare(
        &mut self,
        segment: &Segment,
        is_last: bool,
        scan: &mut Scan<'_>,
    ) -> Result<Option<Region>, LogError> {
        let fail = LogError::io("reading", &segment.name);
        let at = scan.at;
        let Some((position, head)) = scan.lone_head().map_err(&fail)? else {
            return Ok(None);
        };
        if is_last {
            self.look_beyond(segment, at)?;
            if self.old.claimed < position.plus(head.record_bytes() as u32) {
                return Ok(None);
            }
        }
        let own = head.kind >= KIND_RESERVED_MIN;
        if own || self.spared == SPARED_MAX || !self.replay.spare(position, head.stream, head.kind)
        {
            return Ok(None);
        }
        self.spared += 1;
        scan.at = at + head.record_bytes();
        self.old.data_end = position.plus(head.record_bytes() as u32);
        Ok(Some(Region {
            segment: segment.number,
            offset: at as u32,
            bytes: head.record_bytes(),
        }))
    }

    /// What the last segment holds from a bad record on, looked at once.
    fn look_beyond(&mut self, segment: &Segment, from: u64) -> Result<(), LogError> {
        if self.beyond.is_none() {
            let mut window = Window::new(segment.file.as_ref(), segment.file_bytes);
            let beyond = look_beyond(&mut window, segment.number, segment.head.salt, from);
            let beyond = beyond.map_err(LogError::io("reading", &segment.name))?;
            self.old.claimed = self.old.claimed.max(beyond.claim);
            self.beyond = Some(beyond);
        }
        Ok(())
    }

    /// Decides whether the bad record at `old.end` is a torn tail or damage.
    fn judge_end(&mut self, segment: &Segment, is_last: bool) -> Result<(), LogError> {
        let end = u64::from(self.old.end.offset());
        if !is_last {
            return Err(corrupt(
                segment.number,
                end,
                "a bad record in a full segment",
            ));
        }
        self.look_beyond(segment, end)?;
        if self.old.claimed > self.old.end {
            let what = format!("a bad record below {}, which was synced", self.old.claimed);
            return Err(corrupt(segment.number, end, what));
        }
        Ok(())
    }

    /// Makes the disk hold what was found and nothing else.
    fn finish(&mut self, recovery: &mut Recovery) -> Result<(), LogError> {
        let used_end = self.beyond.map_or(0, |beyond| beyond.used_end);
        recovery.torn_bytes = used_end.saturating_sub(self.old.end.offset().into());
        self.give_up_empty_segment();
        if let Some(last) = self.to_scan.last() {
            let end = self.old.end;
            assert_eq!(end.segment(), last.number, "the end is in the last segment");
            // Even if it has that length: an earlier cut may not have reached the disk.
            let cut = last.file.set_len(end.offset().into());
            cut.map_err(LogError::io("cutting", &last.name))?;
            self.live.set_end(end);
            let from = match self.old.claimed.segment() == last.number {
                true => self.old.claimed.offset().max(DATA_START),
                false => DATA_START,
            };
            write_again(last, from.into(), end.offset().into())
                .map_err(LogError::io("writing again", &last.name))?;
            last.file
                .sync_data()
                .map_err(LogError::io("syncing", &last.name))?;
        }
        for number in &self.unborn {
            let name = name_of(*number);
            self.disk
                .remove(&name)
                .map_err(LogError::io("removing", &name))?;
        }
        self.disk.sync_dir().map_err(LogError::io("syncing", "."))?;
        recovery.end = self.old.end;
        recovery.segments = self.live.uses().len();
        Ok(())
    }

    /// A last segment without a record may have a head that only looks synced: it goes, and its
    /// number is used again.
    fn give_up_empty_segment(&mut self) {
        let is_empty = |last: &mut Segment| self.old.end == Position::new(last.number, DATA_START);
        if let Some(last) = self.to_scan.pop_if(is_empty) {
            self.old.end = last.head.previous_end.max(self.loaded.start);
            self.live.remove(last.number);
            self.unborn.push(last.number);
            self.last_number = self.live.uses().last().map_or(0, |last| last.segment);
        }
    }

    fn next_segment(&self) -> Result<u32, LogError> {
        let last = self.last_number.max(self.old.end.segment());
        last.checked_add(1).ok_or(LogError::SegmentsExhausted)
    }
}

/// Writes what the file holds in a range to the same place, so that a sync has it to sync.
fn write_again(segment: &Segment, from: u64, end: u64) -> std::io::Result<()> {
    const CHUNK_BYTES: u64 = 1 << 20;
    let file = segment.file.as_ref();
    let mut bytes = Vec::new();
    let mut at = from;
    while at < end {
        bytes.resize((end - at).min(CHUNK_BYTES) as usize, 0);
        let count = read_full_at(file, &mut bytes, at)?;
        if count != bytes.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(file, &bytes, at)?;
        at += count as u64;
    }
    Ok(())
}
