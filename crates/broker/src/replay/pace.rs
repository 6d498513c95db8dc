//! How fast a job goes.
//!
//! Invariants
//! - Message `n` is due `n` times the interval after the start; who comes late makes up for a
//!   second at most, so that a pause is not followed by a flood.

use std::num::NonZeroU32;

use ferry_core::Millis;

/// How much lateness is made up for, in milliseconds.
const CATCH_UP_MS: u64 = 1000;

/// A clock of messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Messages a second; none for as fast as may be.
    rate: Option<NonZeroU32>,
    since: Millis,
    sent: u64,
}

impl Pace {
    pub fn new(rate: Option<NonZeroU32>, now: Millis) -> Pace {
        let (since, sent) = (now, 0);
        Pace { rate, since, sent }
    }

    /// When the next message is due.
    pub fn next_at(&self) -> Millis {
        let Some(rate) = self.rate else {
            return 0;
        };
        let interval_ms = (u128::from(self.sent) * 1000).div_ceil(u128::from(rate.get()));
        let interval_ms = u64::try_from(interval_ms).unwrap_or(u64::MAX);
        self.since.saturating_add(interval_ms)
    }

    /// How many messages are due, at most `max`.
    pub fn due(&mut self, now: Millis, max: u64) -> u64 {
        let Some(rate) = self.rate else {
            return max;
        };
        let late_ms = now.saturating_sub(self.next_at());
        if now < self.since || late_ms > CATCH_UP_MS {
            // It was held, or the clock was set.
            let made_up_ms = if now < self.since { 0 } else { CATCH_UP_MS };
            *self = Pace::new(self.rate, now.saturating_sub(made_up_ms));
        }
        let passed = u128::from(now - self.since) * u128::from(rate.get()) / 1000;
        let due = u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1);
        due.saturating_sub(self.sent).min(max)
    }

    /// So many were sent.
    pub fn sent(&mut self, count: u64) {
        self.sent += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pace: &mut Pace, from: Millis, to: Millis, step: usize) -> u64 {
        let mut sent = 0;
        for now in (from..to).step_by(step) {
            let due = pace.due(now, 1 << 20);
            assert!(due == 0 || pace.next_at() <= now);
            pace.sent(due);
            sent += due;
        }
        sent
    }

    #[test]
    fn a_rate_is_kept_however_often_it_is_looked_at() {
        for (rate, step) in [(1, 7), (3, 1), (50, 1), (50, 333), (999, 10), (40_000, 1)] {
            let mut pace = Pace::new(NonZeroU32::new(rate), 5_000);
            let sent = run(&mut pace, 5_000, 65_000, step);
            let wanted = u64::from(rate) * 60;
            let slack = 1 + u64::from(rate) * step as u64 / 1000;
            assert!(sent.abs_diff(wanted) <= slack, "{rate}/s: {sent}");
        }
    }

    #[test]
    fn a_pause_is_not_followed_by_a_flood() {
        let mut pace = Pace::new(NonZeroU32::new(100), 0);
        assert_eq!(run(&mut pace, 0, 1_000, 10), 100);
        assert!(pace.due(3_600_000, 1 << 20) <= 101);
        let mut pace = Pace::new(NonZeroU32::new(100), 1_000_000);
        assert_eq!(pace.due(10, 50), 1, "the clock was set back");
    }

    #[test]
    fn without_a_rate_as_many_are_due_as_may_be() {
        let mut pace = Pace::new(None, 7);
        assert_eq!((pace.due(7, 64), pace.next_at()), (64, 0));
    }
}
