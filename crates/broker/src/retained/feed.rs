//! The one consumer of the queue: what enters it is put into the index.
//!
//! Invariants
//! - It is called under the partition's lock and takes no lock of the broker's but those that are
//!   taken last: of the shelf, of the afters, of the signals.
//! - A queue that is found full at a start hands over in pieces, so that its effects are few.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Retained;
use crate::{Delivery, Outlet};

/// The room of a feed that takes whatever comes.
const OPEN: u64 = u64::MAX;

/// A way from one queue to the store.
pub(super) struct Feed {
    store: Weak<Retained>,
    /// Messages that it takes now.
    room: AtomicU64,
    /// It has refused one since it was last asked.
    starved: AtomicBool,
    gone: AtomicBool,
}

impl Feed {
    /// A feed that takes so many messages for now.
    pub fn new(store: Weak<Retained>, room: u64) -> Feed {
        Feed {
            store,
            room: AtomicU64::new(room),
            starved: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        }
    }

    /// Lets so many messages in.
    pub fn let_in(&self, count: u64) {
        self.room.store(count, Ordering::SeqCst);
    }

    /// Takes whatever comes from now on.
    pub fn open(&self) {
        self.let_in(OPEN);
    }

    /// Whether it has refused a message since this was last asked.
    pub fn was_starved(&self) -> bool {
        self.starved.swap(false, Ordering::SeqCst)
    }

    /// Whether its queue is gone.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn take_room(&self) -> bool {
        let take = |room: u64| match room {
            OPEN => Some(OPEN),
            room => room.checked_sub(1),
        };
        let taken = self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.is_ok()
    }
}

impl Outlet for Feed {
    fn admit(&self, _bytes: usize) -> bool {
        self.take_room() || {
            self.starved.store(true, Ordering::SeqCst);
            self.take_room()
        }
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        if let (Some(store), Some(lease)) = (self.store.upgrade(), delivery.lease) {
            store.take_in(&delivery.message, lease);
        }
    }

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {
        self.gone.store(true, Ordering::Release);
        if let Some(store) = self.store.upgrade() {
            store.forget_all();
        }
    }
}
