//! Offline: read everything and name what is damaged; on request set the damage aside.
//!
//! A damaged region of synced data becomes one hole (a pad record) that keeps the bytes as they
//! are, so that the records around it can be used again. What the region held is lost, and the
//! report says where it was. A checkpoint that can not be used gets another name.
//!
//! Invariants
//! - `verify` changes nothing; `repair` changes only the regions and checkpoints that it reports.
//! - A repair that was cut short can be begun again.
//! - A torn tail is not damage: it is reported apart and left to the next start.
//! - After a repair that returned `Ok` a log opens, unless the disk fails again.

use std::io;

use crate::checkpoint::{self, Draft};
use crate::disk::{Disk, DiskFile, read_full_at, write_all_at};
use crate::error::LogError;
use crate::examine::Examination;
use crate::log::{Options, salt_of};
use crate::open::Replay;
use crate::position::Position;
use crate::record::{HEAD_BYTES, mix, seal_pad};
use crate::report::{Region, Report};
use crate::segment::{DATA_START, SegmentHead};

/// Who wants to hear nothing of what is read.
struct Nobody;

impl Replay for Nobody {
    fn section(&mut self, _stream: u16, _bytes: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn record(&mut self, _: Position, _: u16, _: u8, _: u8, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// Reads everything. `progress` hears how many bytes of how many are done.
///
/// # Errors
/// The disk's, or a newer format.
pub fn verify(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, LogError> {
    verify_with(disk, &mut Nobody, progress)
}

/// Reads everything, and hands `replay` all that a start would, and what is left of damaged parts.
///
/// # Errors
/// The disk's, a newer format, or the caller's own.
pub fn verify_with(
    disk: &dyn Disk,
    replay: &mut dyn Replay,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, LogError> {
    let mut work = Examination::new(disk, replay)?;
    work.examine(progress)?;
    Ok(work.report)
}

/// Makes a hole of every damaged region, so that the log opens again.
///
/// # Errors
/// The disk's, or a newer format.
pub fn repair(disk: &dyn Disk) -> Result<Report, LogError> {
    repair_with(disk, &mut Nobody, &mut |_, _| {})
}

/// The same, and of segments that only the caller misses, too.
///
/// # Errors
/// The disk's, a newer format, or the caller's own.
pub fn repair_with(
    disk: &dyn Disk,
    replay: &mut dyn Replay,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, LogError> {
    let mut work = Examination::new(disk, replay)?;
    work.examine(progress)?;
    work.mend()?;
    Ok(work.report)
}

impl Examination<'_> {
    fn mend(&mut self) -> Result<(), LogError> {
        let entropy = Options::default().entropy;
        for region in self.report.regions.clone() {
            let index = self
                .segments
                .iter()
                .position(|s| s.number == region.segment);
            let index = index.expect("a region lies in a segment");
            let previous_end = match index.checked_sub(1).map(|before| &self.segments[before]) {
                Some(before) => Position::new(before.number, before.end.unwrap_or(DATA_START)),
                None => Position::ZERO,
            };
            let segment = &mut self.segments[index];
            let fail = LogError::io("repairing", &segment.name);
            if segment.file.is_none() {
                segment.file = Some(self.disk.create(&segment.name).map_err(&fail)?);
            }
            let file = segment.file.clone().expect("it was just made");
            let salt = match segment.head {
                Some(head) => head.salt,
                None => {
                    let salt = salt_of(entropy, segment.number);
                    let head = SegmentHead {
                        number: segment.number,
                        salt,
                        previous_end,
                    };
                    head.write(file.as_ref()).map_err(&fail)?;
                    segment.head = Some(head);
                    salt
                }
            };
            make_hole(file.as_ref(), salt, region).map_err(&fail)?;
            file.sync_data().map_err(&fail)?;
        }
        self.disk.sync_dir().map_err(LogError::io("syncing", "."))?;
        if self.report.checkpoint_lost {
            self.restart_from_log()?;
        }
        match self.report.rejected_checkpoints.is_empty() {
            true => Ok(()),
            false => checkpoint::set_aside(self.disk, &self.loaded),
        }
    }

    /// A checkpoint that says only where the log begins now.
    fn restart_from_log(&self) -> Result<(), LogError> {
        let draft = Draft {
            number: self.loaded.number_max + 1,
            start: self.start,
            durable: self.start,
            sections: &[],
        };
        draft.write(self.disk).map(drop)
    }
}

/// Turns a region into one pad record with the bytes that are there.
fn make_hole(file: &dyn DiskFile, salt: u64, region: Region) -> io::Result<()> {
    const CHUNK_BYTES: usize = 1 << 20;
    let start = u64::from(region.offset);
    let end = start + region.bytes;
    if file.bytes()? < end {
        file.set_len(end)?;
    }
    let too_small = || io::Error::other("a damaged region is smaller than a record's head");
    let payload = region
        .bytes
        .checked_sub(HEAD_BYTES as u64)
        .ok_or_else(too_small)?;
    let mut seal = seal_pad(payload as u32);
    let mut bytes = Vec::new();
    let mut at = start + HEAD_BYTES as u64;
    while at < end {
        bytes.resize((end - at).min(CHUNK_BYTES as u64) as usize, 0);
        let count = read_full_at(file, &mut bytes, at)?;
        bytes[count..].fill(0);
        seal.update(&bytes);
        write_all_at(file, &bytes, at)?;
        at += bytes.len() as u64;
    }
    let position = Position::new(region.segment, region.offset);
    write_all_at(file, &seal.finish(mix(salt, position)), start)
}
