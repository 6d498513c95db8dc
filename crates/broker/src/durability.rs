//! The log, who waits for it, and when it is committed.
//!
//! One thread (or the simulator) calls [`Durability::commit`]; there is no timer in group commit:
//! the next sync starts when the last one ends.
//!
//! Invariants
//! - A waiter is told once, and only when its promise is kept; after a failure nobody is told.
//! - Work that somebody waits for wakes the committing thread; lazy work lets it sleep a little.
//!
//! Not here: what is in a record (`partition`, `definitions`), the format (`ferry-log`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use ferry_log::{Appended, Batch, Committed, Log, LogError, Need, Pending};
use parking_lot::{Condvar, Mutex};

use crate::Promise;
use crate::definitions::ImageBytes;
use crate::measure::{Histogram, micros};

/// How long lazy work may stay in memory.
const LAZY_MS: u64 = 2;

/// How long nothing is written before what was synced is claimed.
const QUIET_MS: u64 = 100;

/// How long a full disk is left alone before the next try.
const DISK_FULL_RETRY_MS: u64 = 200;

/// Is told when a promise is kept.
pub trait DurableWaiter: Send + Sync {
    /// The promise is kept.
    fn kept(&self);
}

const ASLEEP: u8 = 0;
const NAPPING: u8 = 1;
const AWAKE: u8 = 2;

/// The log and everything that waits for it.
pub(crate) struct Durability {
    pub log: Arc<Log>,
    /// What is written of definitions, as a checkpoint would have it.
    pub image_bytes: ImageBytes,
    /// How long syncs took, in µs.
    pub sync_us: Histogram,
    waiters: Mutex<Vec<(Promise, Arc<dyn DurableWaiter>)>>,
    thread: AtomicU8,
    stopping: AtomicBool,
    watching: AtomicBool,
    asleep: Mutex<bool>,
    wake: Condvar,
}

impl Durability {
    pub fn new(log: Arc<Log>) -> Durability {
        Durability {
            log,
            image_bytes: ImageBytes::default(),
            sync_us: Histogram::default(),
            waiters: Mutex::new(Vec::new()),
            thread: AtomicU8::new(AWAKE),
            stopping: AtomicBool::new(false),
            watching: AtomicBool::new(false),
            asleep: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Appends a batch and sees to it that it is written as it needs.
    pub fn append(&self, batch: &Batch, need: Need) -> Result<Appended, LogError> {
        let appended = self.log.append(batch, need)?;
        self.nudge(need);
        Ok(appended)
    }

    /// What a batch with that need promises once it is appended.
    pub fn promise(appended: &Appended, need: Need) -> Promise {
        match need {
            Need::Lazy => Promise::Now,
            Need::Write => Promise::Written(appended.end),
            Need::Sync => Promise::Synced(appended.end),
        }
    }

    fn nudge(&self, need: Need) {
        let state = self.thread.load(Ordering::SeqCst);
        if state == ASLEEP || (state == NAPPING && need != Need::Lazy) {
            self.wake_up();
        }
    }

    /// Wakes the committing thread.
    fn wake_up(&self) {
        let mut asleep = self.asleep.lock();
        *asleep = false;
        self.wake.notify_one();
    }

    pub fn kept(&self, promise: Promise) -> bool {
        promise.kept_by(&self.log)
    }

    /// Tells `waiter` when `promise` is kept, perhaps at once.
    pub fn when_kept(&self, promise: Promise, waiter: Arc<dyn DurableWaiter>) {
        {
            let mut waiters = self.waiters.lock();
            if !self.kept(promise) {
                waiters.push((promise, waiter));
                return;
            }
        }
        waiter.kept();
    }

    /// Writes and syncs what has gathered, then tells who waited for it.
    pub fn commit(&self) -> Result<(), LogError> {
        let committed = self.log.commit().inspect_err(|_| self.let_go())?;
        self.note_sync(&committed);
        self.release();
        Ok(())
    }

    /// Writes and syncs all that was appended, then tells who waited for it: the committing thread
    /// finds nothing left to do, and would tell nobody.
    pub fn commit_all(&self) -> Result<(), LogError> {
        let committed = self.log.commit_all().inspect_err(|_| self.let_go())?;
        self.note_sync(&committed);
        self.release();
        Ok(())
    }

    /// As [`Log::remove_dead`], which commits, too.
    pub fn remove_dead(&self) -> Result<(), LogError> {
        let removed = self.log.remove_dead();
        self.release();
        removed.map(|_| ())
    }

    fn note_sync(&self, committed: &Committed) {
        if let Some(time) = committed.sync_time {
            self.sync_us.add(micros(time), 1);
        }
    }

    fn release(&self) {
        let kept: Vec<_> = {
            let mut waiters = self.waiters.lock();
            let log = &self.log;
            waiters
                .extract_if(.., |(promise, _)| promise.kept_by(log))
                .collect()
        };
        for (_, waiter) in kept {
            waiter.kept();
        }
    }

    /// What a log that has failed does not keep by now it never will: nobody waits for it any more.
    fn let_go(&self) {
        if self.log.failure().is_some() {
            let waiters = std::mem::take(&mut *self.waiters.lock());
            drop(waiters);
        }
    }

    /// Whether `after` must run now and then although nothing is written.
    pub fn watch(&self, watching: bool) {
        self.watching.store(watching, Ordering::Relaxed);
    }

    /// Ends `run`.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake_up();
    }

    /// Commits until `stop`. `after` runs when something was committed or failed, `quiet` when
    /// nothing has come for a while.
    pub fn run(&self, after: impl Fn(Result<(), &LogError>), quiet: impl Fn()) {
        while !self.stopping.load(Ordering::SeqCst) {
            match self.log.pending() {
                Pending::None => self.rest(&after, &quiet),
                Pending::Lazy => {
                    self.sleep(NAPPING, Some(Duration::from_millis(LAZY_MS)));
                    self.commit_once(&after);
                }
                Pending::Write | Pending::Sync => self.commit_once(&after),
            }
        }
    }

    /// Nothing is to be written. After a quiet moment what nobody waits for is synced too, and
    /// what is synced is claimed in the log, so that damage to it can be told from a torn end.
    /// Then there is nothing to wake up for.
    fn rest(&self, after: &impl Fn(Result<(), &LogError>), quiet: &impl Fn()) {
        self.sleep(ASLEEP, Some(Duration::from_millis(QUIET_MS)));
        if self.log.pending() != Pending::None || self.stopping.load(Ordering::SeqCst) {
            return;
        }
        if self.log.failure().is_none() && self.log.durable() < self.log.end() {
            let result = self.commit_all();
            after(result.as_ref().copied());
        }
        if self.log.failure().is_none() && self.log.attest() {
            self.commit_once(after);
            quiet();
        } else if self.watching.load(Ordering::Relaxed) {
            self.sleep(ASLEEP, Some(Duration::from_millis(DISK_FULL_RETRY_MS)));
            after(Ok(()));
        } else {
            self.sleep(ASLEEP, None);
        }
    }

    fn commit_once(&self, after: &impl Fn(Result<(), &LogError>)) {
        let result = self.commit();
        after(result.as_ref().copied());
        if result.is_err() {
            self.sleep(ASLEEP, None);
        } else if self.log.disk_full() {
            self.sleep(AWAKE, Some(Duration::from_millis(DISK_FULL_RETRY_MS)));
        }
    }

    /// Sleeps in `state` until woken or the time is over. What came before the state was shown
    /// is seen by looking once more.
    fn sleep(&self, state: u8, time: Option<Duration>) {
        let mut asleep = self.asleep.lock();
        *asleep = true;
        self.thread.store(state, Ordering::SeqCst);
        let pending = self.log.pending();
        let missed = match state {
            _ if self.stopping.load(Ordering::SeqCst) => true,
            ASLEEP => pending != Pending::None && self.log.failure().is_none(),
            NAPPING => pending > Pending::Lazy,
            _ => false,
        };
        if !missed {
            match time {
                Some(time) => {
                    self.wake.wait_for(&mut asleep, time);
                }
                None => {
                    while *asleep {
                        self.wake.wait(&mut asleep);
                    }
                }
            }
        }
        *asleep = false;
        self.thread.store(AWAKE, Ordering::SeqCst);
    }
}
