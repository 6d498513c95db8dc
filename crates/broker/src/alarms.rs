//! When publishers are held, and freed: what is asked, and how often.
//!
//! Invariants
//! - The free space is asked for by what was written since, and not by a clock.
//!
//! Not here: the account of memory and its levels (`pressure`), what who is held does (protocols).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{BlockReason, Broker};

/// How much is written before the free space of the disk is asked for again, in bytes.
const DISK_LOOK_BYTES: u64 = 16 << 20;

/// What is known of the free space of the disk.
#[derive(Debug, Default)]
pub(crate) struct DiskRoom {
    /// Whether it is less than it has to be.
    low: AtomicBool,
    /// The end of the log when it was last asked for.
    looked_at: AtomicU64,
}

impl Broker {
    /// Asks for the free space when much was written since, and all the time while it is low.
    pub(crate) fn look_at_disk(&self) {
        let written = self.durability.log.written().0;
        let looked_at = self.disk_room.looked_at.load(Ordering::Relaxed);
        let low = self.disk_room.low.load(Ordering::Relaxed);
        if !low && written < looked_at + DISK_LOOK_BYTES && looked_at != 0 {
            return;
        }
        self.disk_room.looked_at.store(written, Ordering::Relaxed);
        let is_low = || {
            let free = self.disk.free_bytes().unwrap_or(u64::MAX);
            free < self.options.disk_free_bytes_min
        };
        // What the log keeps for later goes first; that may be enough.
        let low = is_low() && (!self.durability.log.remove_spares() || is_low());
        self.disk_room.low.store(low, Ordering::Relaxed);
        self.durability.watch(low);
    }

    /// Bytes behind a socket are gone: frees held publishers if that was enough. To be called by
    /// whoever gave something back to the account outside of a burst.
    pub fn memory_given_back(&self) {
        if self.pressure.blocked().is_some() {
            self.review_pressure();
        }
    }

    /// Sets the alarm by what is used, and has memory given back when half of it is.
    pub(crate) fn review_pressure(&self) {
        if self.pressure.starts_spill() {
            self.signals.upkeep();
        }
        let backlog_bytes = self.durability.log.backlog_bytes();
        let disk = self.durability.log.disk_full() || self.disk_room.low.load(Ordering::Relaxed);
        let disk_alarm = self.pressure.blocked() == Some(BlockReason::Disk);
        if (self.pressure.needs_review(backlog_bytes) || disk != disk_alarm)
            && self.pressure.review(backlog_bytes, disk)
        {
            self.pressure.report();
            self.signals.upkeep();
        }
    }
}
