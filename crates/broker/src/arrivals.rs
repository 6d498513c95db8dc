//! Who waits for a queue to have something ready, without being its consumer.
//!
//! Invariants
//! - Whoever joins before looking at the queue misses nothing: what comes after the look is told.
//! - All who wait are told, once; who finds nothing then joins again.
//! - A queue that nobody waits for pays a look at a flag.

use std::fmt;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::QueueHandle;

/// Is told that a queue has something ready.
pub trait ReadyWaiter: Send + Sync {
    /// There may be a message now. Called under the lock of a partition: it must not call the
    /// broker.
    fn ready(&self);
}

/// Nobody waits for most queues, and an empty pointer is less than an empty list.
type Waiters = Option<Box<Vec<Weak<dyn ReadyWaiter>>>>;

/// Those who wait for one queue.
#[derive(Default)]
pub(crate) struct Arrivals {
    awaited: AtomicBool,
    waiters: Mutex<Waiters>,
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let awaited = self.is_awaited();
        formatter
            .debug_struct("Arrivals")
            .field("awaited", &awaited)
            .finish()
    }
}

impl Arrivals {
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    #[cold]
    pub fn tell(&self) {
        let waiters = {
            let mut waiters = self.waiters.lock();
            self.awaited.store(false, Ordering::Relaxed);
            waiters.take()
        };
        let there = waiters.iter().flat_map(|waiters| waiters.iter());
        let there = there.filter_map(Weak::upgrade);
        there.for_each(|waiter| waiter.ready());
    }

    fn join(&self, waiter: Weak<dyn ReadyWaiter>) {
        let mut guard = self.waiters.lock();
        let waiters = guard.get_or_insert_default();
        if waiters.len() == waiters.capacity() {
            waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        waiters.push(waiter);
        self.awaited.store(true, Ordering::Relaxed);
    }
}

impl QueueHandle {
    /// Tells `waiter` once that something is ready, or that the queue goes, unless it is gone by
    /// then.
    pub fn when_ready(&self, waiter: Weak<dyn ReadyWaiter>) {
        self.arrivals.join(waiter);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl ReadyWaiter for Count {
        fn ready(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn all_who_wait_are_told_once_and_who_is_gone_is_forgotten() {
        let arrivals = Arrivals::default();
        let weak = |waiter: &Arc<Count>| {
            let waiter: Arc<dyn ReadyWaiter> = Arc::clone(waiter) as _;
            Arc::downgrade(&waiter)
        };
        let stay = Arc::new(Count::default());
        for _ in 0..1000 {
            arrivals.join(weak(&Arc::new(Count::default())));
        }
        arrivals.join(weak(&stay));
        let waiting = arrivals.waiters.lock().as_ref().map_or(0, |all| all.len());
        assert!((1..10).contains(&waiting) && arrivals.is_awaited());
        arrivals.tell();
        arrivals.tell();
        assert_eq!(stay.0.load(Ordering::Relaxed), 1);
        assert!(!arrivals.is_awaited());
    }
}
