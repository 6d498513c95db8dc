//! Every interleaving of the inbox's protocol, and every order of memory that the hardware may
//! show: nothing is stranded, nothing is applied twice, and each thread's batches stay in order.
//!
//! The inbox is the broker's own file, over the model checker's lock and atomics. Around it stands
//! what `Partition` does with it: push, try to become the holder, let go, look again.
#![allow(clippy::unwrap_used)]

/// What the inbox is made of here.
mod primitives {
    pub use loom::sync::atomic::{AtomicUsize, Ordering};

    /// The checker's lock, without poisoning.
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

#[path = "../src/partition/inbox.rs"]
mod inbox;

use inbox::Inbox;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// As in the broker, but small enough to be met.
const BATCHES_IN_A_ROW_MAX: usize = 2;
/// Forced switches of threads in one run: more find nothing more, and take minutes.
const PREEMPTIONS_MAX: usize = 3;

/// A batch: who brought it, and its number there.
type Batch = (u8, u8);

/// A partition whose state is the list of what was applied.
struct Partition {
    inbox: Inbox<Batch>,
    /// The state's lock, as weak as the real one may be: finding it taken orders nothing.
    locked: AtomicBool,
    applied: UnsafeCell<Vec<Batch>>,
    handed_over: AtomicBool,
}

impl Partition {
    fn new() -> Arc<Partition> {
        Arc::new(Partition {
            inbox: Inbox::default(),
            locked: AtomicBool::new(false),
            applied: UnsafeCell::new(Vec::new()),
            handed_over: AtomicBool::new(false),
        })
    }

    fn try_lock(&self) -> bool {
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        !self.locked.load(Ordering::Relaxed)
            && self
                .locked
                .compare_exchange(false, true, success, failure)
                .is_ok()
    }

    fn lock(&self) {
        while !self.try_lock() {
            thread::yield_now();
        }
    }

    fn let_go(&self) {
        self.locked.store(false, Ordering::Release);
    }

    /// Only with the lock.
    fn apply(&self, batch: Batch) {
        // SAFETY: the lock is held; the checker fails if two threads are here at once, or one does
        // not see the other's work.
        #[allow(unsafe_code, reason = "the checker's cell gives a pointer")]
        self.applied
            .with_mut(|applied| unsafe { (*applied).push(batch) });
    }

    fn take_all(&self) -> usize {
        let batches = self.inbox.take();
        let count = batches.len();
        batches.into_iter().for_each(|batch| self.apply(batch));
        count
    }

    fn publish(&self, batch: Batch) {
        if self.try_lock() {
            self.take_all();
            self.apply(batch);
            self.let_go();
        } else {
            self.inbox.push(batch);
        }
        self.drain();
    }

    fn drain(&self) {
        let mut done = 0;
        while !self.inbox.is_empty() {
            if done >= BATCHES_IN_A_ROW_MAX {
                self.handed_over.store(true, Ordering::SeqCst);
                return;
            }
            if !self.try_lock() {
                return;
            }
            done += self.take_all();
            self.let_go();
        }
    }

    fn call(&self) {
        self.lock();
        self.take_all();
        self.let_go();
        self.drain();
    }

    /// When all threads are done, and the background has done what was handed to it.
    fn check(&self, expected: &[Batch]) {
        if self.handed_over.load(Ordering::SeqCst) {
            self.drain();
        }
        assert!(self.inbox.is_empty(), "a batch is stranded");
        assert!(self.try_lock(), "nobody holds the partition");
        // SAFETY: the lock was just taken.
        #[allow(unsafe_code, reason = "the checker's cell gives a pointer")]
        let applied = self.applied.with(|applied| unsafe { (*applied).clone() });
        let mut sorted = applied.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected, "each batch once");
        for thread in [0, 1, 2] {
            let own = applied.iter().filter(|batch| batch.0 == thread);
            assert!(
                own.is_sorted(),
                "a thread's batches changed places: {applied:?}"
            );
        }
    }
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

#[test]
fn two_publishers_strand_nothing() {
    explore(|| {
        let partition = Partition::new();
        let other = Arc::clone(&partition);
        let second = thread::spawn(move || {
            other.publish((1, 0));
            other.publish((1, 1));
        });
        partition.publish((0, 0));
        partition.publish((0, 1));
        second.join().unwrap();
        partition.check(&[(0, 0), (0, 1), (1, 0), (1, 1)]);
    });
}

#[test]
fn three_publishers_strand_nothing() {
    explore(|| {
        let partition = Partition::new();
        let others = [1, 2].map(|number| {
            let partition = Arc::clone(&partition);
            thread::spawn(move || partition.publish((number, 0)))
        });
        partition.publish((0, 0));
        others.into_iter().for_each(|other| other.join().unwrap());
        partition.check(&[(0, 0), (1, 0), (2, 0)]);
    });
}

#[test]
fn a_call_that_waits_for_the_partition_strands_nothing() {
    explore(|| {
        let partition = Partition::new();
        let other = Arc::clone(&partition);
        let caller = thread::spawn(move || other.call());
        partition.publish((0, 0));
        partition.publish((0, 1));
        caller.join().unwrap();
        partition.check(&[(0, 0), (0, 1)]);
    });
}
