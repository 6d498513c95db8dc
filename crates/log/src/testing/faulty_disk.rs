//! A disk in memory that keeps only what was synced, and breaks when told to.
//!
//! Invariants
//! - What was synced (bytes by `sync_data`, names by `sync_dir`) survives every crash.
//! - What was not may survive in any part, torn at sectors of 512 bytes, in any order.
//! - After a failed `sync_data` the file reads as written, and a later sync that succeeds does
//!   not make those bytes safe: the worst that real systems do.
//! - The same seeds and calls give the same bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::faulty_file::FaultyFile;
use super::random::Random;
use crate::disk::{Disk, DiskFile};

/// The unit that a crash keeps or loses as a whole.
const SECTOR_BYTES: u64 = 512;

/// What a call that fails does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error. A write may have done a part.
    Io,
    /// No space is left. A write may have done a part.
    NoSpace,
    /// A write does only a part and succeeds; other calls are not affected.
    Short,
}

/// How much of what was not synced survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; the system and its cache live on.
    Process,
    /// Power is lost: nothing that was not synced is there.
    LoseAll,
    /// Power is lost: any part of what was not synced is there.
    LoseSome,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Clone, Debug)]
enum Naming {
    Set(String, usize),
    Remove(String),
    Rename {
        from: String,
        to: String,
        inode: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What is read.
    pub(super) current: Vec<u8>,
    /// What a crash leaves for certain.
    pub(super) durable: Vec<u8>,
    /// What lies between the two, in order.
    pub(super) pending: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<Naming>,
    pub(super) random: Random,
    /// Files opened before a crash are dead after it.
    pub(super) life: u64,
    /// Calls so far; those that only look are not counted.
    calls: u64,
    reads: u64,
    /// The read that fails, counted from the beginning.
    read_fault: Option<u64>,
    /// New files with names that begin like this find no room.
    refused: Option<&'static str>,
    fault: Option<(u64, Fault, bool)>,
    capacity_bytes: Option<u64>,
    pub(super) syncs: u64,
}

/// A disk that tears, reorders, forgets, fills up and fails. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

pub(super) fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write {
            offset,
            bytes: written,
        } => {
            let end = *offset as usize + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset as usize..end].copy_from_slice(written);
        }
        Change::SetLen(length) => bytes.resize(*length as usize, 0),
    }
}

fn rename(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Set(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Naming::Remove(name) => {
            names.remove(name);
        }
        Naming::Rename { from, to, inode } => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
    }
}

pub(super) fn device_error() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

pub(super) fn full_error() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl Inode {
    /// What a crash leaves.
    fn survivor(&self, crash: Crash, random: &mut Random) -> Vec<u8> {
        let mut bytes = match crash {
            Crash::Process => return self.current.clone(),
            Crash::LoseAll | Crash::LoseSome => self.durable.clone(),
        };
        if crash == Crash::LoseAll {
            return bytes;
        }
        let kept_per_cent = [0, 10, 50, 90, 100][random.below(5) as usize];
        for change in &self.pending {
            match change {
                Change::SetLen(_) if random.chance(kept_per_cent) => apply(&mut bytes, change),
                Change::SetLen(_) => {}
                Change::Write {
                    offset,
                    bytes: written,
                } => {
                    keep_sectors(&mut bytes, *offset, written, kept_per_cent, random);
                }
            }
        }
        bytes
    }
}

fn keep_sectors(
    bytes: &mut Vec<u8>,
    offset: u64,
    written: &[u8],
    kept_per_cent: u64,
    random: &mut Random,
) {
    let mut done = 0;
    while done < written.len() {
        let at = offset + done as u64;
        let border = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES - at) as usize;
        let end = written.len().min(done + border);
        if random.chance(kept_per_cent) {
            apply(
                bytes,
                &Change::Write {
                    offset: at,
                    bytes: written[done..end].to_vec(),
                },
            );
        }
        done = end;
    }
}

impl State {
    /// Counts a call; says how it fails, if it does.
    pub(super) fn call(&mut self, life: u64) -> Result<Option<Fault>, io::Error> {
        if life != self.life {
            return Err(device_error());
        }
        self.calls += 1;
        match self.fault {
            Some((call, fault, _)) if call == self.calls => Ok(Some(fault)),
            Some((call, fault, true)) if call < self.calls => Ok(Some(fault)),
            _ => Ok(None),
        }
    }

    /// Like `call`, for what has no part to be done.
    pub(super) fn call_whole(&mut self, life: u64) -> io::Result<()> {
        match self.call(life)? {
            None | Some(Fault::Short) => Ok(()),
            Some(Fault::Io) => Err(device_error()),
            Some(Fault::NoSpace) => Err(full_error()),
        }
    }

    /// Counts a read.
    pub(super) fn read(&mut self, life: u64) -> io::Result<()> {
        self.reads += 1;
        match life != self.life || self.read_fault == Some(self.reads) {
            true => Err(device_error()),
            false => Ok(()),
        }
    }

    pub(super) fn room(&self) -> u64 {
        let used: u64 = self
            .names
            .values()
            .map(|inode| self.inodes[*inode].len())
            .sum();
        self.capacity_bytes
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(used))
    }

    pub(super) fn change(&mut self, inode: usize, change: Change) {
        let inode = &mut self.inodes[inode];
        apply(&mut inode.current, &change);
        inode.pending.push(change);
    }
}

impl Inode {
    pub(super) fn len(&self) -> u64 {
        self.current.len() as u64
    }
}

impl FaultyDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> FaultyDisk {
        let state = State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            random: Random::new(seed),
            life: 0,
            calls: 0,
            reads: 0,
            read_fault: None,
            refused: None,
            fault: None,
            capacity_bytes: None,
            syncs: 0,
        };
        FaultyDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Ends the life of all open files and leaves what such a crash leaves. Faults are over.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.life += 1;
        state.fault = None;
        state.read_fault = None;
        for inode in &mut state.inodes {
            inode.current = inode.survivor(crash, &mut state.random);
            if crash != Crash::Process {
                inode.durable = inode.current.clone();
                inode.pending.clear();
            }
        }
        if crash == Crash::Process {
            return;
        }
        for naming in std::mem::take(&mut state.pending_names) {
            if crash == Crash::LoseSome && state.random.chance(50) {
                rename(&mut state.durable_names, &naming);
            }
        }
        state.names = state.durable_names.clone();
    }

    /// The `call`-th counted call from now (1 is the next) fails, once or from then on.
    pub fn fail_call(&self, call: u64, fault: Fault, for_ever: bool) {
        let mut state = self.state.lock();
        state.fault = Some((state.calls + call, fault, for_ever));
    }

    /// The `read`-th read from now (1 is the next) fails with a device error.
    pub fn fail_read(&self, read: u64) {
        let mut state = self.state.lock();
        state.read_fault = Some(state.reads + read);
    }

    /// How many reads there were.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// No call fails any more.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.fault = None;
        state.read_fault = None;
    }

    /// Finds no room for new files whose names begin like this; `None` is for all others.
    pub fn refuse(&self, prefix: Option<&'static str>) {
        self.state.lock().refused = prefix;
    }

    /// Holds at most `bytes` in all files; `None` is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// Has room for `bytes` more.
    pub fn enospc_after(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.capacity_bytes = None;
        let used: u64 = state
            .names
            .values()
            .map(|inode| state.inodes[*inode].len())
            .sum();
        state.capacity_bytes = Some(used + bytes);
    }

    /// How many calls were counted: creations, writes, syncs, cuts, renamings, removals.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// How many syncs of files succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// What a file holds now.
    #[must_use]
    pub fn bytes_of(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state
            .names
            .get(name)
            .map(|inode| state.inodes[*inode].current.clone())
    }

    /// Changes a file behind everybody's back, on the platter too: bit rot.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let inode = *state.names.get(name).expect("the file to damage is there");
        let inode = &mut state.inodes[inode];
        change(&mut inode.current);
        inode.durable = inode.current.clone();
        inode.pending.clear();
    }

    /// A copy of all files and names as they are now, all of it safe: a disk of its own.
    #[must_use]
    pub fn fork(&self, seed: u64) -> FaultyDisk {
        let copy = FaultyDisk::new(seed);
        let state = self.state.lock();
        let mut new = copy.state.lock();
        for (name, inode) in &state.names {
            let current = state.inodes[*inode].current.clone();
            let number = new.inodes.len();
            new.inodes.push(Inode {
                durable: current.clone(),
                current,
                pending: Vec::new(),
            });
            new.names.insert(name.clone(), number);
        }
        new.durable_names = new.names.clone();
        drop(new);
        copy
    }

    fn file(&self, inode: usize, life: u64) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile::new(self.state.clone(), inode, life))
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for FaultyDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let life = state.life;
        state.call_whole(life)?;
        if state.refused.is_some_and(|prefix| name.starts_with(prefix)) {
            return Err(full_error());
        }
        if let Some(inode) = state.names.get(name).copied() {
            state.change(inode, Change::SetLen(0));
            return Ok(self.file(inode, life));
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(name.to_owned(), inode);
        state
            .pending_names
            .push(Naming::Set(name.to_owned(), inode));
        Ok(self.file(inode, life))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let inode = state.names.get(name).copied().ok_or_else(not_found)?;
        Ok(self.file(inode, state.life))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let life = state.life;
        state.call_whole(life)?;
        state.names.remove(name).ok_or_else(not_found)?;
        state.pending_names.push(Naming::Remove(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let life = state.life;
        state.call_whole(life)?;
        let inode = *state.names.get(from).ok_or_else(not_found)?;
        let naming = Naming::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        };
        rename(&mut state.names, &naming);
        state.pending_names.push(naming);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let life = state.life;
        state.call_whole(life)?;
        state.durable_names = state.names.clone();
        state.pending_names.clear();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state.lock();
        let used: u64 = state
            .names
            .values()
            .map(|inode| state.inodes[*inode].len())
            .sum();
        Ok(state
            .capacity_bytes
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(used)))
    }
}
