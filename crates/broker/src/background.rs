//! What happens by itself: overdue messages, handed-over work, checkpoints, cleaning, spilling.
//!
//! Invariants
//! - An idle broker has no thread that wakes up.
//! - A segment is removed only when the facts that made it dead are on the disk.
//!
//! Not here: what is overdue (`partition`), what is written (`checkpoint`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_core::Millis;
use ferry_log::{Batch as LogBatch, LogError, Need, Position};
use parking_lot::{Condvar, Mutex};

use crate::Broker;
use crate::clean_stop;
use crate::definitions::{KIND_BODY, KIND_CLEAN_STOP, STREAM_BODIES, STREAM_BROKER, live_bytes};

/// Bytes in segments that nothing refers to, for which a checkpoint is written before its time.
const UNUSED_BYTES_MAX: u64 = 64 << 20;

/// Sparse segments that are emptied before something else gets its turn.
const EVACUATIONS_IN_A_ROW_MAX: usize = 4;

/// How long upkeep rests when it has failed: each commit asks for it again.
const UPKEEP_REST: Duration = Duration::from_secs(1);

/// Batches that others gathered are then worked off here.
#[derive(Default)]
struct Wanted {
    work: bool,
    upkeep: bool,
    stop: bool,
}

/// How the background thread is told what to do.
pub(crate) struct Signals {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    /// Until when the thread sleeps.
    asleep_until: AtomicU64,
}

impl Default for Signals {
    fn default() -> Signals {
        Signals {
            wanted: Mutex::new(Wanted::default()),
            changed: Condvar::new(),
            asleep_until: AtomicU64::new(0),
        }
    }
}

impl Signals {
    fn want(&self, set: impl FnOnce(&mut Wanted)) {
        set(&mut self.wanted.lock());
        self.changed.notify_one();
    }

    /// Somebody else must go on with an inbox.
    pub fn hand_over(&self) {
        self.want(|wanted| wanted.work = true);
    }

    /// Something is overdue earlier than before.
    pub fn deadline_moved(&self, deadline: Millis) {
        if deadline < self.asleep_until.load(Ordering::SeqCst) {
            self.hand_over();
        }
    }

    /// A checkpoint, cleaning or spilling may be due.
    pub fn upkeep(&self) {
        self.want(|wanted| wanted.upkeep = true);
    }
}

/// The broker's own threads; `stop` ends them.
pub struct Threads {
    broker: Arc<Broker>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts the thread that commits the log and the one for everything else.
    pub fn start(broker: &Arc<Broker>) -> std::io::Result<Threads> {
        let mut handles = Vec::new();
        let spawn = |name: &str, run: fn(&Broker)| {
            let broker = Arc::clone(broker);
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run(&broker))
        };
        handles.push(spawn("log", Broker::run_log)?);
        handles.push(spawn("background", Broker::run_background)?);
        Ok(Threads {
            broker: Arc::clone(broker),
            handles,
        })
    }

    /// Ends the threads and closes the log in order, as [`Broker::close`]: everything accepted is
    /// on the disk.
    pub fn stop(self) -> Result<(), LogError> {
        self.broker.signals.want(|wanted| wanted.stop = true);
        self.broker.durability.stop();
        for handle in self.handles {
            if handle.join().is_err() {
                tracing::error!("a thread of the broker ended in a panic");
            }
        }
        self.broker.close().map(|_| ())
    }
}

impl Broker {
    fn run_log(&self) {
        let after = |result: Result<(), &LogError>| {
            if let Err(error) = result {
                tracing::error!("the log has failed, nothing is confirmed any more: {error}");
                self.report_failure(&error.to_string());
            }
            self.after_commit();
            if self.durability.log.checkpoint_due() {
                self.signals.upkeep();
            }
        };
        self.durability.run(after, || {
            if self.checkpoint_frees_disk() {
                self.signals.upkeep();
            }
        });
    }

    fn run_background(&self) {
        let mut failed_at: Option<Instant> = None;
        loop {
            // Awake: whatever moves forward from here on is seen before the next sleep.
            self.signals
                .asleep_until
                .store(Millis::MAX, Ordering::SeqCst);
            self.tick();
            let deadline = self.next_deadline();
            let mut wanted = self.signals.wanted.lock();
            self.signals.asleep_until.store(deadline, Ordering::SeqCst);
            if !wanted.work && !wanted.upkeep && !wanted.stop {
                let now = self.now();
                if deadline == Millis::MAX {
                    self.signals.changed.wait(&mut wanted);
                } else if deadline > now {
                    let time = Duration::from_millis(deadline - now);
                    self.signals.changed.wait_for(&mut wanted, time);
                }
            }
            let now_wanted = std::mem::take(&mut *wanted);
            drop(wanted);
            if now_wanted.stop {
                return;
            }
            let rests = failed_at.is_some_and(|at| at.elapsed() < UPKEEP_REST);
            if now_wanted.upkeep
                && !rests
                && let Err(error) = self.upkeep()
            {
                tracing::error!("upkeep of the log: {error}");
                failed_at = Some(Instant::now());
            }
        }
    }

    /// When `tick` has something to do.
    pub fn next_deadline(&self) -> Millis {
        let partitions = self.partitions.iter().map(|p| p.deadline()).min();
        let stuck = self.stuck.lock().next_retry();
        let replay = self.replays.next_turn();
        let gather = self.gathers.next_deadline();
        let partitions = partitions.unwrap_or(Millis::MAX);
        let retained = self.retained.due();
        let due = partitions.min(stuck).min(replay).min(gather);
        due.min(retained).min(self.dissolving.due())
    }

    /// Lets everything that is overdue happen.
    pub fn tick(&self) {
        let around = self.surroundings();
        let now = self.now();
        for partition in &self.partitions {
            if partition.deadline() <= now {
                partition.tick(&around);
            }
            partition.drain(&around);
        }
        self.retry_stuck();
        self.run_replays();
        self.end_gatherings();
        self.sweep_retained();
        self.go_on_dissolving();
        self.run_afters();
        self.memory_given_back();
        self.after_work();
    }

    /// Writes a checkpoint if one is due, and gives the disk and the memory back that are free.
    pub fn upkeep(&self) -> Result<(), LogError> {
        let log = &self.durability.log;
        if log.checkpoint_due() || self.checkpoint_frees_disk() {
            self.checkpoint()?;
        }
        for _ in 0..EVACUATIONS_IN_A_ROW_MAX {
            let Some(segment) = log.cleaning().evacuate else {
                break;
            };
            self.evacuate(segment)?;
            self.checkpoint()?;
        }
        self.durability.remove_dead()?;
        self.after_commit();
        if self.pressure.wants_spill() {
            self.spill()?;
            self.pressure.spilled();
        }
        Ok(())
    }

    /// Whether enough segments are kept only because the last checkpoint still needs their facts.
    fn checkpoint_frees_disk(&self) -> bool {
        let active = self.durability.log.end().segment();
        let segments = self.durability.log.segments();
        let unused = segments.iter().filter(|segment| segment.live_refs == 0);
        let unused_bytes: u64 = unused
            .filter(|segment| segment.segment != active)
            .map(|segment| segment.file_bytes)
            .sum();
        unused_bytes > UNUSED_BYTES_MAX
    }

    /// Copies what is still needed of a sparse segment to the end of the log.
    fn evacuate(&self, segment: u32) -> Result<(), LogError> {
        let (from, to) = (Position::new(segment, 0).0, Position::new(segment + 1, 0).0);
        for partition in &self.partitions {
            partition.call(&self.surroundings(), |state, cx| {
                for place in state.places() {
                    state.evacuate_queue(cx, place, from, to);
                }
            });
        }
        self.commit_all()
    }

    /// Lets bodies go from memory to the log.
    fn spill(&self) -> Result<(), LogError> {
        for partition in &self.partitions {
            partition.call(&self.surroundings(), |state, cx| {
                for place in state.places() {
                    state.spill_queue(cx, place);
                }
            });
            self.commit_log()?;
        }
        Ok(())
    }

    /// Commits the log once; what `Threads` do all the time, for those who have no threads.
    pub fn commit_log(&self) -> Result<(), LogError> {
        self.durability.commit()?;
        self.after_commit();
        Ok(())
    }

    /// What follows a commit, or that it failed: what it has changed is looked at and passed on.
    fn after_commit(&self) {
        self.look_at_disk();
        self.review_pressure();
        self.after_work();
    }

    /// Everything that was appended is synced, and whoever waited for that is told.
    pub(crate) fn commit_all(&self) -> Result<(), LogError> {
        self.durability.commit_all()?;
        self.after_commit();
        Ok(())
    }

    /// Closes the log in order. Says whether the next start will know that: on a full disk, or if
    /// it can not be noted, that start is one after a crash.
    pub fn close(&self) -> Result<bool, LogError> {
        self.run_afters();
        self.checkpoint()?;
        let mut batch = LogBatch::new();
        batch.push(KIND_CLEAN_STOP, STREAM_BROKER, &[]);
        self.durability.append(&batch, Need::Sync)?;
        if self.durability.log.close()?.disk_full {
            return Ok(false);
        }
        let noted = clean_stop::note(self.disk.as_ref()).inspect_err(|error| {
            tracing::warn!(
                "the stop was in order and can not be noted, so the next start marks what it finds \
                 as redelivered: {error}"
            );
        });
        Ok(noted.is_ok())
    }
}

impl crate::partition::State {
    fn evacuate_queue(
        &mut self,
        cx: &crate::partition::StateContext<'_>,
        place: crate::partition::QueuePlace,
        from: u64,
        to: u64,
    ) {
        let mut reader = self.take_reader();
        let log = &cx.durability.log;
        self.with_queue(cx, place, &[], |queue, context| {
            let copy = |old: u64, size: u32| {
                let record = reader.read(Position(old)).ok()?;
                append_body(log, record.payload, size)
            };
            queue.evacuate(from, to, copy, context);
        });
        self.give_reader(reader);
    }

    fn spill_queue(
        &mut self,
        cx: &crate::partition::StateContext<'_>,
        place: crate::partition::QueuePlace,
    ) {
        let log = &cx.durability.log;
        self.with_queue(cx, place, &[], |queue, context| {
            queue.spill(|bytes, size| append_body(log, bytes, size), context);
        });
    }
}

/// Appends a body that one queue refers to.
fn append_body(log: &ferry_log::Log, bytes: &[u8], size: u32) -> Option<u64> {
    let mut batch = LogBatch::new();
    batch.push(KIND_BODY, STREAM_BODIES, &[bytes]);
    let appended = log.append(&batch, Need::Lazy).ok()?;
    log.retain(appended.base, live_bytes(size), 1);
    Some(appended.base.0)
}
