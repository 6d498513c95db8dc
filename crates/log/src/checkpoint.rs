//! Checkpoints: what the caller knew at a position, so that a restart need not read all.
//!
//! ```text
//!  checkpoint-<number>.ckp, little-endian:
//!  0           8             12           16          24            32           40         44
//!  | FERRYCKP | version u32 | number u32 | start u64 | durable u64 | bytes u64  | sections | crc |
//!  then for each section:
//!  | stream u16 | 0 u16 | crc of the section's bytes u32 | as of u64 | bytes u64 | crc of this |
//!  | the section's bytes ... |
//!  and at the end: crc32 of everything before
//! ```
//! `start` is where replay starts (the lowest `as of`), `durable` what was durable then, `bytes`
//! the length of the file.
//!
//! Invariants
//! - A file with the final name was whole and synced before it got that name.
//! - The one before is removed after the new one's name is safe.
//! - A checkpoint of at most `COPY_BYTES_MAX` is there twice, so that damage to one file of it
//!   costs nothing: without it nobody knows what queues there are. A large one is not: it would
//!   cost as much again as the messages that it is about.
//! - A section is handed out only after the whole file has been checked.

mod draft;

use std::sync::Arc;

use crate::disk::{Disk, DiskFile, read_full_at};
use crate::error::LogError;
use crate::log::Log;
use crate::open::{Recovery, Replay};
use crate::position::Position;
pub(crate) use draft::Draft;

/// Checkpoints are further apart than so many times the bytes of the last one: of a deep backlog
/// they are large, and written beside the syncs that confirms wait for.
const GROWTH: u64 = 8;

const MAGIC: [u8; 8] = *b"FERRYCKP";
/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 48;
const SECTION_HEAD_BYTES: usize = 28;
const CHUNK_BYTES: usize = 1 << 20;
const TEMPORARY_NAME: &str = "checkpoint.tmp";
const TEMPORARY_COPY_NAME: &str = "checkpoint.copy.tmp";

/// What one stream's owner wants to find again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The stream; every stream that has records must have a section.
    pub stream: u16,
    /// The section covers the stream's records before this place.
    pub as_of: Position,
    /// The owner's own encoding, one piece after the other; pieces may be shared.
    pub pieces: Vec<Arc<[u8]>>,
}

impl Section {
    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// The last checkpoint of a running log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CheckpointState {
    pub number: u32,
    pub start: Position,
    pub bytes: u64,
    /// `Log::appended_bytes` at the time.
    pub appended_bytes: u64,
}

/// What a start begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub number: Option<u32>,
    /// The file that it was read from.
    pub name: String,
    /// The highest number of any checkpoint there is.
    pub number_max: u32,
    pub start: Position,
    pub durable: Position,
    pub rejected: Vec<String>,
    bytes: u64,
    as_of: Vec<Position>,
}

impl Loaded {
    /// Records of `stream` before this are covered.
    pub fn as_of(&self, stream: u16) -> Position {
        self.as_of
            .get(usize::from(stream))
            .copied()
            .unwrap_or_default()
    }
}

impl CheckpointState {
    pub fn from_loaded(loaded: &Loaded) -> CheckpointState {
        CheckpointState {
            number: loaded.number_max,
            start: loaded.start,
            bytes: loaded.bytes,
            appended_bytes: 0,
        }
    }
}

pub(crate) fn name_of(number: u32) -> String {
    format!("checkpoint-{number:010}.ckp")
}

pub(crate) fn copy_name_of(number: u32) -> String {
    format!("checkpoint-{number:010}.copy")
}

/// The number in the name of a checkpoint or of its copy.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let (digits, _) = name.strip_prefix("checkpoint-")?.split_once('.')?;
    let number = digits.parse().ok()?;
    (name_of(number) == name || copy_name_of(number) == name).then_some(number)
}

/// The numbers of all checkpoints, newest first.
fn numbers(names: &[String]) -> Vec<u32> {
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    numbers
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// A section's place in the file.
struct Place {
    stream: u16,
    as_of: Position,
    offset: u64,
    bytes: u64,
    crc: u32,
}

/// A checkpoint whose every byte has been checked.
pub(crate) struct Checked {
    pub start: Position,
    pub durable: Position,
    bytes: u64,
    sections: Vec<Place>,
}

pub(crate) enum CheckError {
    Bad(String),
    Newer(u32),
}

fn bad(what: impl Into<String>) -> CheckError {
    CheckError::Bad(what.into())
}

/// Reads a file once from start to end with its checksum.
struct Source<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    hasher: crc32fast::Hasher,
}

impl Source<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), CheckError> {
        let count = read_full_at(self.file, bytes, self.at)
            .map_err(|error| bad(format!("it can not be read: {error}")))?;
        if count < bytes.len() {
            return Err(bad("it is cut short"));
        }
        self.at += count as u64;
        self.hasher.update(bytes);
        Ok(())
    }
}

/// Checks all of a checkpoint.
pub(crate) fn check(file: &dyn DiskFile, number: u32) -> Result<Checked, CheckError> {
    let mut source = Source {
        file,
        at: 0,
        hasher: crc32fast::Hasher::new(),
    };
    let mut head = [0; HEAD_BYTES];
    source.read(&mut head)?;
    if head[..8] != MAGIC || word(&head, 44) != crc32fast::hash(&head[..44]) {
        return Err(bad("its head is bad"));
    }
    if word(&head, 8) != FORMAT_VERSION {
        return Err(CheckError::Newer(word(&head, 8)));
    }
    let file_bytes = long(&head, 32);
    if file.bytes().ok() != Some(file_bytes) || word(&head, 12) != number {
        return Err(bad("its length or number is wrong"));
    }
    let mut checked = Checked {
        start: Position(long(&head, 16)),
        durable: Position(long(&head, 24)),
        bytes: file_bytes,
        sections: Vec::new(),
    };
    for _ in 0..word(&head, 40) {
        checked
            .sections
            .push(check_section(&mut source, file_bytes)?);
    }
    let crc = source.hasher.clone().finalize();
    let mut last = [0; 4];
    source.read(&mut last)?;
    if u32::from_le_bytes(last) != crc || source.at != file_bytes {
        return Err(bad("its checksum is wrong"));
    }
    Ok(checked)
}

fn check_section(source: &mut Source<'_>, file_bytes: u64) -> Result<Place, CheckError> {
    let mut head = [0; SECTION_HEAD_BYTES];
    source.read(&mut head)?;
    if word(&head, 24) != crc32fast::hash(&head[..24]) {
        return Err(bad("a section's head is bad"));
    }
    let (offset, bytes) = (source.at, long(&head, 16));
    if bytes > file_bytes.saturating_sub(offset) {
        return Err(bad("a section is longer than the file"));
    }
    let mut crc = crc32fast::Hasher::new();
    let mut chunk = Vec::new();
    let mut left = bytes;
    while left > 0 {
        chunk.resize(left.min(CHUNK_BYTES as u64) as usize, 0);
        source.read(&mut chunk)?;
        crc.update(&chunk);
        left -= chunk.len() as u64;
    }
    let crc = crc.finalize();
    if crc != word(&head, 4) {
        return Err(bad("a section's checksum is wrong"));
    }
    Ok(Place {
        stream: u16::from_le_bytes([head[0], head[1]]),
        as_of: Position(long(&head, 8)),
        offset,
        bytes,
        crc,
    })
}

/// Hands the newest valid checkpoint to the caller.
pub(crate) fn load(
    disk: &dyn Disk,
    names: &[String],
    recovery: &mut Recovery,
    replay: &mut dyn Replay,
) -> Result<Loaded, LogError> {
    let mut loaded = Loaded::default();
    'all: for number in numbers(names) {
        loaded.number_max = loaded.number_max.max(number);
        let copy = copy_name_of(number);
        let copy = names.contains(&copy).then_some(copy);
        for name in std::iter::once(name_of(number)).chain(copy) {
            if !names.contains(&name) {
                loaded.rejected.push(format!("`{name}`: it is missing"));
            } else if load_one(disk, &name, number, &mut loaded, replay)? {
                break 'all;
            }
        }
    }
    recovery.checkpoint = loaded.number;
    recovery.rejected_checkpoints = loaded.rejected.clone();
    Ok(loaded)
}

/// Whether that file could be used.
fn load_one(
    disk: &dyn Disk,
    name: &str,
    number: u32,
    loaded: &mut Loaded,
    replay: &mut dyn Replay,
) -> Result<bool, LogError> {
    let file = disk.open(name).map_err(LogError::io("opening", name))?;
    match check(file.as_ref(), number) {
        Ok(checked) => {
            loaded.number = Some(number);
            loaded.name = name.to_owned();
            loaded.start = checked.start;
            loaded.durable = checked.durable;
            loaded.bytes = checked.bytes;
            hand_out(file.as_ref(), name, &checked, loaded, replay)?;
            Ok(true)
        }
        Err(CheckError::Bad(what)) => {
            loaded.rejected.push(format!("`{name}`: {what}"));
            Ok(false)
        }
        Err(CheckError::Newer(version)) => Err(LogError::NewerFormat {
            file: name.to_owned(),
            version,
            supported: FORMAT_VERSION,
        }),
    }
}

/// What is wrong with the copy of the checkpoint that was used, if there is one.
pub(crate) fn check_copy(
    disk: &dyn Disk,
    names: &[String],
    loaded: &Loaded,
) -> Result<Option<String>, LogError> {
    let Some(number) = loaded.number else {
        return Ok(None);
    };
    let name = copy_name_of(number);
    if name == loaded.name || !names.contains(&name) {
        return Ok(None);
    }
    let file = disk.open(&name).map_err(LogError::io("opening", &name))?;
    match check(file.as_ref(), number) {
        Ok(_) => Ok(None),
        Err(CheckError::Bad(what)) => Ok(Some(format!("`{name}`: {what}"))),
        Err(CheckError::Newer(version)) => Err(LogError::NewerFormat {
            file: name,
            version,
            supported: FORMAT_VERSION,
        }),
    }
}

fn hand_out(
    file: &dyn DiskFile,
    name: &str,
    checked: &Checked,
    loaded: &mut Loaded,
    replay: &mut dyn Replay,
) -> Result<(), LogError> {
    for place in &checked.sections {
        let mut bytes = vec![0; place.bytes as usize];
        read_full_at(file, &mut bytes, place.offset).map_err(LogError::io("reading", name))?;
        if crc32fast::hash(&bytes) != place.crc {
            let changed = std::io::ErrorKind::InvalidData.into();
            return Err(LogError::io("reading again", name)(changed));
        }
        let stream = usize::from(place.stream);
        if loaded.as_of.len() <= stream {
            loaded.as_of.resize(stream + 1, Position::ZERO);
        }
        loaded.as_of[stream] = loaded.as_of[stream].max(place.as_of);
        replay
            .section(place.stream, &bytes)
            .map_err(|cause| LogError::Replay {
                position: Position::ZERO,
                cause,
            })?;
    }
    Ok(())
}

/// Gives files that can not be used another name, and the checkpoint in use its own.
pub(crate) fn set_aside(disk: &dyn Disk, loaded: &Loaded) -> Result<(), LogError> {
    let names = disk.list().map_err(LogError::io("listing", "."))?;
    let Some(used) = loaded.number else {
        return Ok(());
    };
    for name in names.iter().filter(|name| number_of(name) >= Some(used)) {
        let file = disk.open(name).map_err(LogError::io("opening", name))?;
        let number = number_of(name).expect("it was just looked at");
        if let Err(CheckError::Bad(_)) = check(file.as_ref(), number) {
            disk.rename(name, &format!("{name}.damaged"))
                .map_err(LogError::io("renaming", name))?;
        }
    }
    if *loaded.name == copy_name_of(used) {
        disk.rename(&loaded.name, &name_of(used))
            .map_err(LogError::io("renaming", &loaded.name))?;
    }
    disk.sync_dir().map_err(LogError::io("syncing", "."))
}

/// Removes what is left of unfinished checkpoints and those that are older than the used one.
pub(crate) fn clean(disk: &dyn Disk, names: &[String], used: Option<u32>) {
    let stale = |name: &&String| {
        let older = number_of(name).is_some_and(|number| used.is_some_and(|used| number < used));
        older || [TEMPORARY_NAME, TEMPORARY_COPY_NAME].contains(&name.as_str())
    };
    for name in names.iter().filter(stale) {
        // They do no harm; the next start tries again.
        let _ = disk.remove(name);
    }
}

impl Log {
    /// True when the log has grown enough since the last checkpoint.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        let state = *self.checkpoint.lock();
        let appended = self
            .appended_bytes
            .load(std::sync::atomic::Ordering::Relaxed);
        let grown = appended.saturating_sub(state.appended_bytes);
        let enough = GROWTH * state.bytes;
        grown > enough.max(self.options.checkpoint_growth_bytes)
    }

    /// Keeps `sections` for the next start, which then reads the log from the lowest `as_of` on.
    /// All must be durable up to the highest `as_of` (see [`Log::commit_all`]). With no sections
    /// all that is durable is forgotten. Returns the bytes written.
    ///
    /// # Errors
    /// [`LogError::NotDurable`], or the disk's error: then the checkpoint before stays in use,
    /// and the log is not affected.
    pub fn write_checkpoint(&self, sections: Vec<Section>) -> Result<u64, LogError> {
        let _one_at_a_time = self.checkpointing.lock();
        self.check_failed()?;
        let durable = self.durable();
        let highest = sections.iter().map(|section| section.as_of).max();
        if let Some(as_of) = highest.filter(|as_of| *as_of > durable) {
            return Err(LogError::NotDurable { as_of, durable });
        }
        let appended_bytes = self
            .appended_bytes
            .load(std::sync::atomic::Ordering::Relaxed);
        let before = self.checkpoint.lock().number;
        let draft = Draft {
            number: before + 1,
            start: sections
                .iter()
                .map(|section| section.as_of)
                .min()
                .unwrap_or(durable),
            durable,
            sections: &sections,
        };
        let bytes = draft.write(self.disk.as_ref()).inspect_err(|_| {
            // Only to give the space back; a start removes it too.
            let _ = self.disk.remove(TEMPORARY_NAME);
        })?;
        *self.checkpoint.lock() = CheckpointState {
            number: draft.number,
            start: draft.start,
            bytes,
            appended_bytes,
        };
        let names = self.disk.list().unwrap_or_default();
        clean(self.disk.as_ref(), &names, Some(draft.number));
        Ok(bytes)
    }
}
