//! An open file of the faulty disk.
//!
//! Invariant: a file opened before a crash only fails after it.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::faulty_disk::{Change, Fault, State, apply, device_error, full_error};
use crate::disk::DiskFile;

/// One open file.
pub(super) struct FaultyFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    life: u64,
}

impl FaultyFile {
    pub(super) fn new(state: Arc<Mutex<State>>, inode: usize, life: u64) -> FaultyFile {
        FaultyFile { state, inode, life }
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.read(self.life)?;
        let current = &state.inodes[self.inode].current;
        let rest = current.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let fault = state.call(self.life)?;
        let end = offset + bytes.len() as u64;
        let growth = end.saturating_sub(state.inodes[self.inode].len());
        let missing = growth.saturating_sub(state.room()) as usize;
        let mut count = bytes.len() - missing.min(bytes.len());
        let mut error = (missing > 0).then(full_error);
        match fault {
            None => {}
            Some(Fault::Short) => count = count.min(1 + bytes.len() / 3),
            Some(Fault::Io | Fault::NoSpace) => {
                count = state.random.below(count as u64 + 1) as usize;
                error = Some(if fault == Some(Fault::Io) {
                    device_error()
                } else {
                    full_error()
                });
            }
        }
        if count > 0 {
            state.change(
                self.inode,
                Change::Write {
                    offset,
                    bytes: bytes[..count].to_vec(),
                },
            );
        }
        match error {
            // As a system does: a part that was written first, the error with the next call;
            // a fault that was asked for shows at once.
            Some(_) if count > 0 && fault.is_none() => Ok(count),
            Some(error) => Err(error),
            None => Ok(count),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let result = state.call_whole(self.life);
        let state = &mut *state;
        let inode = &mut state.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        match &result {
            Ok(()) => {
                pending
                    .iter()
                    .for_each(|change| apply(&mut inode.durable, change));
                state.syncs += 1;
            }
            Err(_) => {
                for change in pending.iter().filter(|_| state.random.chance(50)) {
                    apply(&mut inode.durable, change);
                }
            }
        }
        result
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call_whole(self.life)?;
        if bytes.saturating_sub(state.inodes[self.inode].len()) > state.room() {
            return Err(full_error());
        }
        state.change(self.inode, Change::SetLen(bytes));
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.state.lock().inodes[self.inode].len())
    }
}
