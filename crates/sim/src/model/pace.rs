//! How fast a queue may deliver, and when it must go on.
//!
//! Invariants
//! - In any time passes at most what the rate gives for it, what it gives for a burst, and one
//!   message; who waits longer than until half a burst is free waits for nothing.

use ferry_core::queue::BURST_MS;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// When all that was delivered is paid, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaceModel {
    owed_until: u64,
    /// The clock went back: nothing is known until the next start.
    vague: bool,
}

impl PaceModel {
    /// A message is taken out.
    pub fn charge(&mut self, per_s: u64, now: u64) {
        let from = (now - BURST_MS) * NS_PER_MS;
        let cost = (NS_PER_S + per_s / 2) / per_s;
        self.owed_until = self.owed_until.max(from) + cost;
    }

    /// Whether a message may be delivered.
    #[must_use]
    pub fn allows(&self, now: u64) -> bool {
        self.vague || self.owed_until <= now * NS_PER_MS
    }

    /// Whether nobody has to wait for it.
    #[must_use]
    pub fn is_free(&self, now: u64) -> bool {
        let pause = (BURST_MS / 2 + 1) * NS_PER_MS;
        !self.vague && self.owed_until + pause <= now * NS_PER_MS
    }

    /// The clock goes back.
    pub fn clock_fell(&mut self) {
        self.vague = true;
    }
}
