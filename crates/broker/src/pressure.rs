//! How much memory messages take, and whether publishers are held for it.
//!
//! Invariants
//! - Publishers are held from the high watermark until use is a tenth below it again, or while
//!   the disk has no space; nothing else is ever held.
//! - Every waiter is told of each change, once.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::kept::KeptFor;

/// What a queue keeps of a message that waits, beside its body, in bytes, about: of a long run of
/// messages that are in the log it is 11.
const WAITING_BYTES: u64 = 12;
/// What queue and connection keep of a message that somebody has not settled, beside its body, in
/// bytes, about.
pub(crate) const UNSETTLED_BYTES: u64 = 150;
/// In place of the mark while bodies are being let go.
const SPILLING: u64 = u64::MAX;

/// What is kept of so many messages beside their bodies, in bytes.
pub(crate) fn index_bytes(waiting: u64, unsettled: u64) -> u64 {
    waiting * WAITING_BYTES + unsettled * UNSETTLED_BYTES
}

/// Why publishers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockReason {
    /// Messages take more memory than allowed.
    Memory,
    /// The disk is full.
    Disk,
}

/// Is told when publishers are held or free again.
pub trait PressureWaiter: Send + Sync {
    /// Publishers are held for this reason, or free; the same as before if one of two alarms went.
    fn pressure(&self, blocked: Option<BlockReason>);
}

/// The account of memory, and the state of the alarm.
pub struct Pressure {
    body_bytes: AtomicI64,
    index_bytes: AtomicI64,
    /// Of what is no message in a queue yet, by what it is for.
    kept_bytes: [AtomicI64; KeptFor::COUNT],
    high_bytes: AtomicU64,
    memory: AtomicBool,
    disk: AtomicBool,
    /// Use at which bodies are let go from memory to the log, in bytes.
    spill_at_bytes: AtomicU64,
    waiters: Mutex<Vec<Weak<dyn PressureWaiter>>>,
    /// Held while waiters are told, so that they hear changes in order.
    telling: Mutex<()>,
}

impl Pressure {
    pub(crate) fn new(high_bytes: u64) -> Pressure {
        Pressure {
            body_bytes: AtomicI64::new(0),
            index_bytes: AtomicI64::new(0),
            kept_bytes: [const { AtomicI64::new(0) }; KeptFor::COUNT],
            high_bytes: AtomicU64::new(high_bytes),
            memory: AtomicBool::new(false),
            disk: AtomicBool::new(false),
            spill_at_bytes: AtomicU64::new(high_bytes / 2),
            waiters: Mutex::new(Vec::new()),
            telling: Mutex::new(()),
        }
    }

    /// Bytes that messages take in memory: bodies, and about what queues keep of each.
    pub fn used_bytes(&self) -> u64 {
        self.body_bytes() + self.index_bytes()
    }

    /// Bytes that are kept of the messages that queues hold, beside their bodies, about.
    pub fn index_bytes(&self) -> u64 {
        self.index_bytes.load(Ordering::Relaxed).max(0) as u64
    }

    /// Bytes that bodies take in memory, in queues and on their way out.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed).max(0) as u64
    }

    /// The high watermark, in bytes.
    pub fn high_bytes(&self) -> u64 {
        self.high_bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes that bodies take from now on or, below zero, no longer.
    pub fn account(&self, bytes: i64) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are kept beside bodies from now on or, below zero, no longer.
    pub(crate) fn account_index(&self, bytes: i64) {
        self.index_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are kept for a client, by what they are for and, if publishers are held
    /// for it, as those of bodies.
    pub(crate) fn account_kept(&self, what: KeptFor, bytes: i64) {
        self.kept_bytes[what as usize].fetch_add(bytes, Ordering::Relaxed);
        if what.holds_publishers() {
            self.account(bytes);
        }
    }

    /// Bytes that are kept for clients, by what they are for.
    pub fn kept_bytes(&self, what: KeptFor) -> u64 {
        self.kept_bytes[what as usize]
            .load(Ordering::Relaxed)
            .max(0) as u64
    }

    /// Why publishers are held, if they are.
    pub fn blocked(&self) -> Option<BlockReason> {
        if self.is_full() {
            Some(BlockReason::Disk)
        } else if self.is_short() {
            Some(BlockReason::Memory)
        } else {
            None
        }
    }

    /// Whether messages take more memory than they may.
    pub fn is_short(&self) -> bool {
        self.memory.load(Ordering::Acquire)
    }

    fn is_full(&self) -> bool {
        self.disk.load(Ordering::Acquire)
    }

    /// Tells the operator what holds publishers, and what frees them.
    pub(crate) fn report(&self) {
        let (used_bytes, high_bytes) = (self.used_bytes(), self.high_bytes());
        match self.blocked() {
            Some(BlockReason::Memory) => tracing::warn!(
                used_bytes,
                high_bytes,
                "publishers are held: messages take more memory than they may; consume and ack \
                 them, or raise memory_high"
            ),
            Some(BlockReason::Disk) => {
                tracing::warn!("publishers are held: the disk is nearly full; make room on it");
            }
            None => tracing::warn!(used_bytes, high_bytes, "publishers are free again"),
        }
    }

    /// Keeps telling `waiter` until it is gone.
    pub fn subscribe(&self, waiter: Weak<dyn PressureWaiter>) {
        let mut waiters = self.waiters.lock();
        if waiters.len() == waiters.capacity() {
            waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        waiters.push(waiter);
    }

    /// Whether it is time to let bodies go; says so once until `spilled`.
    pub(crate) fn starts_spill(&self) -> bool {
        let at = self.spill_at_bytes.load(Ordering::Relaxed);
        at != SPILLING
            && self.used_bytes() > at
            && self.spill_at_bytes.swap(SPILLING, Ordering::AcqRel) != SPILLING
    }

    /// Whether bodies are to be let go.
    pub(crate) fn wants_spill(&self) -> bool {
        let at = self.spill_at_bytes.load(Ordering::Relaxed);
        at == SPILLING || self.used_bytes() > at
    }

    /// Bodies were let go as far as possible: the next time is when more has come.
    pub(crate) fn spilled(&self) {
        let high = self.high_bytes();
        let next = (self.used_bytes() + high / 10).max(high / 2);
        self.spill_at_bytes.store(next, Ordering::Release);
    }

    /// Whether the state of the alarm no longer fits the account.
    pub(crate) fn needs_review(&self, backlog_bytes: u64) -> bool {
        let used = self.used_bytes() + backlog_bytes;
        let high = self.high_bytes();
        if self.memory.load(Ordering::Relaxed) {
            used < high - high / 10
        } else {
            used > high
        }
    }

    /// Sets the alarms by the account and the disk, and tells everybody if that changed anything.
    /// Whether publishers are held for another reason than before, or no longer.
    pub(crate) fn review(&self, backlog_bytes: u64, disk_full: bool) -> bool {
        let _telling = self.telling.lock();
        let (before, alarms_before) = (self.blocked(), (self.is_short(), self.is_full()));
        if self.needs_review(backlog_bytes) {
            self.memory.fetch_xor(true, Ordering::AcqRel);
        }
        self.disk.store(disk_full, Ordering::Release);
        if (self.is_short(), self.is_full()) == alarms_before {
            return false;
        }
        let now = self.blocked();
        let waiters = self.waiters.lock().clone();
        waiters
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|waiter| waiter.pressure(now));
        now != before
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn publishers_are_held_at_the_mark_and_freed_a_tenth_below() {
        let pressure = Pressure::new(1000);
        for (change, blocked) in [
            (1000, None),
            (1, Some(BlockReason::Memory)),
            (-100, Some(BlockReason::Memory)),
            (-2, None),
        ] {
            pressure.account(change);
            pressure.review(0, false);
            assert_eq!(pressure.blocked(), blocked, "after {change}");
        }
        pressure.account_index(108);
        pressure.review(0, false);
        assert_eq!(
            pressure.blocked(),
            Some(BlockReason::Memory),
            "by what is kept of them"
        );
        pressure.account_index(-108);
        assert!(pressure.review(0, true));
        assert_eq!(pressure.blocked(), Some(BlockReason::Disk));
        assert!(pressure.review(0, false));
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<Option<BlockReason>>>);

    impl PressureWaiter for Heard {
        fn pressure(&self, blocked: Option<BlockReason>) {
            self.0.lock().push(blocked);
        }
    }

    #[test]
    fn waiters_hear_of_each_alarm_behind_the_other_too() {
        let (pressure, heard) = (Pressure::new(1000), Arc::new(Heard::default()));
        pressure.subscribe(Arc::downgrade(&heard) as Weak<dyn PressureWaiter>);
        let (memory, disk) = (Some(BlockReason::Memory), Some(BlockReason::Disk));
        for (change, full, tells, publishers_see_it) in [
            (0, false, None, false),
            (0, true, Some(disk), true),
            (1001, true, Some(disk), false),
            (0, true, None, false),
            (-1001, true, Some(disk), false),
            (1001, true, Some(disk), false),
            (0, false, Some(memory), true),
            (-1001, false, Some(None), true),
        ] {
            pressure.account(change);
            let case = format!("{change} more bytes, disk full: {full}");
            assert_eq!(pressure.review(0, full), publishers_see_it, "{case}");
            let told = std::mem::take(&mut *heard.0.lock());
            assert_eq!(told, Vec::from_iter(tells), "{case}");
        }
    }
}
