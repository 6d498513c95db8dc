//! What others left for whoever holds the partition.
//!
//! The protocol that strands nothing: push, then try to become the holder; the holder lets go,
//! then looks into the inbox once more. Both look-ups are under the inbox's own lock, so either
//! the holder sees the push, or the pusher sees that the holder has let go.

use super::primitives::{AtomicUsize, Mutex, Ordering};

/// A queue of batches, in order.
pub(crate) struct Inbox<T> {
    waiting: Mutex<Vec<T>>,
    /// A hint that saves the lock when nothing waits; exact for whoever pushed.
    count: AtomicUsize,
}

impl<T> Default for Inbox<T> {
    fn default() -> Inbox<T> {
        Inbox {
            waiting: Mutex::new(Vec::new()),
            count: AtomicUsize::new(0),
        }
    }
}

impl<T> Inbox<T> {
    /// Leaves a batch.
    pub fn push(&self, batch: T) {
        let mut waiting = self.waiting.lock();
        waiting.push(batch);
        // A swap, not a store: it reads what the holder's last look wrote, so that it comes after
        // that look's letting go, and the lock can not seem taken any more.
        self.count.swap(waiting.len(), Ordering::SeqCst);
    }

    /// Takes all that waits.
    pub fn take(&self) -> Vec<T> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        self.count.swap(0, Ordering::SeqCst);
        std::mem::take(&mut *waiting)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        // A fence-like read: ordered after the caller's release of the partition's lock.
        self.count.fetch_add(0, Ordering::SeqCst) == 0
    }
}
