//! The time: the wall clock at the start, and from then on what has passed.
//!
//! Invariants
//! - It never goes back and never jumps, whatever is done to the machine's clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The broker's clock.
pub(crate) struct SteadyClock {
    start_ms: u64,
    start: Instant,
}

impl SteadyClock {
    pub fn new() -> SteadyClock {
        // A machine whose clock stands before 1970 counts from there.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        SteadyClock {
            start_ms: since_epoch.as_millis() as u64,
            start: Instant::now(),
        }
    }
}

impl ferry_broker::Clock for SteadyClock {
    fn now(&self) -> u64 {
        self.start_ms + self.start.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use ferry_broker::Clock;

    use super::*;

    #[test]
    fn it_starts_with_the_wall_clock_and_goes_on() {
        let wall_ms = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_millis() as u64
        };
        let before = wall_ms();
        let clock = SteadyClock::new();
        let first = clock.now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(clock.now() >= first + 20);
        assert!(first >= before && first <= wall_ms());
    }
}
