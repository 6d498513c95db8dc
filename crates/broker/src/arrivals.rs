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

/// Those who wait for one queue.
#[derive(Default)]
pub(crate) struct Arrivals {
    awaited: AtomicBool,
    waiters: Mutex<Vec<Weak<dyn ReadyWaiter>>>,
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
            std::mem::take(&mut *waiters)
        };
        let there = waiters.iter().filter_map(Weak::upgrade);
        there.for_each(|waiter| waiter.ready());
    }

    fn join(&self, waiter: Weak<dyn ReadyWaiter>) {
        let mut waiters = self.waiters.lock();
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
        assert!(arrivals.waiters.lock().len() < 10 && arrivals.is_awaited());
        arrivals.tell();
        arrivals.tell();
        assert_eq!(stay.0.load(Ordering::Relaxed), 1);
        assert!(!arrivals.is_awaited());
    }
}
