//! Time that passes when told to.
//!
//! Invariants
//! - It goes where it is told to, also back; nobody waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_broker::Clock;
use ferry_core::Millis;

/// The time of a world.
#[derive(Debug)]
pub struct VirtualClock(AtomicU64);

impl VirtualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Millis) -> VirtualClock {
        VirtualClock(AtomicU64::new(now))
    }

    /// Lets `time_ms` pass.
    pub fn advance(&self, time_ms: u64) {
        self.0.fetch_add(time_ms, Ordering::Relaxed);
    }

    /// Goes back by `time_ms`.
    pub fn go_back(&self, time_ms: u64) {
        self.0.fetch_sub(time_ms, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}
