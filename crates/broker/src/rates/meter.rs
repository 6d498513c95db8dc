//! Meters: how much has passed, shared by all that one rate is for.
//!
//! Invariants
//! - A meter without a rate owes nothing.
//! - Threads may charge it at the same time; nothing that is charged gets lost.
//!
//! Not here: what a debt means in time (`ferry_core::queue::Debt`).

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::Millis;
use ferry_core::queue::{Debt, Rate, went_back};

/// What one rate has let pass, in messages or in bytes.
#[derive(Debug, Default)]
struct Bucket {
    /// The rate; 0 for none.
    per_s: AtomicU64,
    /// The debt, as [`Debt`] counts it.
    paid_at_ns: AtomicU64,
    /// The time of the last charge.
    seen: AtomicU64,
}

impl Bucket {
    /// Says whether that is another rate.
    fn set(&self, per_s: u64, now: Millis) -> bool {
        let old = self.per_s.swap(per_s, Ordering::Relaxed);
        if old != per_s {
            self.update(|debt| debt.rescaled(old, per_s, now));
        }
        old != per_s
    }

    fn charge(&self, units: u64, now: Millis) -> Debt {
        let per_s = self.per_s.load(Ordering::Relaxed);
        if per_s == 0 {
            return Debt::default();
        }
        let back_ms = went_back(self.seen.swap(now, Ordering::Relaxed), now);
        self.update(|debt| {
            let debt = back_ms.map_or(debt, |back_ms| debt.moved_back(back_ms));
            debt.charged(units, per_s, now)
        })
    }

    fn debt(&self) -> Debt {
        Debt(self.paid_at_ns.load(Ordering::Relaxed))
    }

    fn update(&self, change: impl Fn(Debt) -> Debt) -> Debt {
        let mut old = self.paid_at_ns.load(Ordering::Relaxed);
        loop {
            let new = change(Debt(old));
            let swapped = self.paid_at_ns.compare_exchange_weak(
                old,
                new.0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return new,
                Err(newer) => old = newer,
            }
        }
    }
}

/// What is owed to a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owed {
    /// When whoever owes it goes on.
    pub resumes_at: Millis,
    /// Whether it is owed to the rate in bytes, not to the one in messages.
    pub bytes: bool,
}

/// A rate in messages and in bytes, with what has passed.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    messages: Bucket,
    bytes: Bucket,
}

impl Meter {
    /// Goes by that rate from now on. Says whether it is another one.
    pub fn set_rate(&self, rate: Rate, now: Millis) -> bool {
        let messages = self.messages.set(rate.messages.unwrap_or(0), now);
        self.bytes.set(rate.bytes.unwrap_or(0), now) | messages
    }

    /// Whether there is a rate.
    pub fn is_bound(&self) -> bool {
        self.messages.per_s.load(Ordering::Relaxed) != 0
            || self.bytes.per_s.load(Ordering::Relaxed) != 0
    }

    /// A message has passed. Says what is owed now, if anything.
    pub fn charge(&self, bytes: u64, now: Millis) -> Option<Owed> {
        owed(
            self.messages.charge(1, now),
            self.bytes.charge(bytes, now),
            now,
        )
    }

    /// What is owed, if anything.
    pub fn owed(&self, now: Millis) -> Option<Owed> {
        owed(self.messages.debt(), self.bytes.debt(), now)
    }
}

fn owed(messages: Debt, bytes: Debt, now: Millis) -> Option<Owed> {
    let debt = messages.max(bytes);
    debt.is_owed(now).then(|| Owed {
        resumes_at: debt.resumes_at(),
        bytes: bytes > messages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(messages: Option<u64>, bytes: Option<u64>) -> Meter {
        let meter = Meter::default();
        meter.set_rate(Rate { messages, bytes }, START);
        meter
    }

    const START: Millis = 1_700_000_000_000;

    /// What passes in that time if `sources` always have more and each looks again `late_ms` after
    /// its time, messages and bytes.
    fn pass(meter: &Meter, from: Millis, time_ms: u64, sources: usize, late_ms: u64) -> u64 {
        let size = |count: u64| [10, 700, 90][count as usize % 3];
        let (mut count, mut bytes) = (0, 0);
        let mut resumes_at = vec![from; sources];
        for now in from..from + time_ms {
            for at in &mut resumes_at {
                while now >= *at {
                    bytes += size(count);
                    count += 1;
                    if let Some(owed) = meter.charge(size(count - 1), now) {
                        *at = owed.resumes_at + late_ms;
                    }
                }
            }
        }
        match meter.messages.per_s.load(Ordering::Relaxed) {
            0 => bytes,
            _ => count,
        }
    }

    fn assert_near(found: u64, wanted: u64, percent: u64, what: &str) {
        let off = found.abs_diff(wanted);
        assert!(
            off * 100 <= wanted * percent,
            "{found} for {wanted}: {what}"
        );
    }

    #[test]
    fn a_minute_brings_what_the_rate_says() {
        for (per_s, sources, late_ms) in [
            (10, 1, 0),
            (100, 1, 0),
            (999, 1, 3),
            (1_000, 10, 0),
            (10_000, 10, 7),
            (77_777, 10, 20),
        ] {
            let what = format!("{per_s} a second from {sources}, late by {late_ms} ms");
            let by_messages = meter(Some(per_s), None);
            let count = pass(&by_messages, START, 60_000, sources, late_ms);
            assert_near(count, per_s * 60, 1, &what);
            let by_bytes = meter(None, Some(per_s * 1_000));
            let bytes = pass(&by_bytes, START, 60_000, sources, late_ms);
            assert_near(bytes, per_s * 60_000, 1, &what);
        }
    }

    #[test]
    fn what_comes_in_bursts_gets_no_more_than_a_burst_on_top() {
        let meter = meter(Some(1_000), None);
        let mut count = 0;
        for round in 0..30 {
            count += pass(&meter, START + round * 2_000, 1_000, 1, 0);
        }
        // Half of the time is idle and saves up a tenth of a second each.
        assert!((30_000..=33_030).contains(&count), "{count}");
    }

    #[test]
    fn a_huge_message_passes_and_is_paid_afterwards() {
        let meter = meter(None, Some(1_000));
        let owed = meter.charge(60_000, START).unwrap();
        assert_eq!(owed.resumes_at, START + 60_000 - 100 + 50);
        assert!(owed.bytes);
        assert!(meter.owed(START + 59_899).is_some());
        assert!(meter.owed(START + 59_900).is_none());
        let largest = meter.charge(u64::MAX, START + 60_000).unwrap();
        assert!(largest.resumes_at > START + u64::from(u32::MAX));
    }

    #[test]
    fn a_change_counts_at_once_and_keeps_what_is_owed() {
        for (rate, resumes_in) in [
            (Some(2_000), 10_000 + 50),
            (Some(200), 100_000 + 50),
            (None, 0),
        ] {
            let meter = meter(None, Some(1_000));
            meter.charge(20_100, START);
            meter.set_rate(
                Rate {
                    messages: None,
                    bytes: rate,
                },
                START,
            );
            let owed = meter.owed(START).map(|owed| owed.resumes_at - START);
            assert_eq!(owed.unwrap_or(0), resumes_in, "{rate:?}");
        }
        let meter = meter(Some(500), None);
        let before = pass(&meter, START, 30_000, 10, 0);
        let rate = Rate {
            messages: Some(2_000),
            bytes: None,
        };
        meter.set_rate(rate, START + 30_000);
        let after = pass(&meter, START + 30_000, 30_000, 10, 0);
        assert_near(before, 15_000, 1, "before");
        assert_near(after, 60_000, 1, "after");
    }

    #[test]
    fn a_clock_that_goes_back_holds_nobody() {
        let meter = meter(Some(1_000), None);
        pass(&meter, START, 1_000, 1, 0);
        let hour_ago = START - 3_600_000;
        let owed = meter.charge(0, hour_ago);
        assert!(
            owed.is_none_or(|owed| owed.resumes_at < hour_ago + 200),
            "{owed:?}"
        );
        assert_near(
            pass(&meter, hour_ago, 60_000, 1, 0),
            60_000,
            1,
            "an hour ago",
        );
    }

    #[test]
    fn without_a_rate_nothing_is_owed() {
        let meter = Meter::default();
        assert!(!meter.is_bound());
        assert_eq!(meter.charge(u64::MAX, START), None);
        assert_eq!(meter.owed(START), None);
    }

    #[test]
    fn of_two_rates_the_one_that_takes_longer_holds() {
        let meter = meter(Some(1), Some(1_000));
        for (bytes, resumes_in, by_bytes) in [(0, 950, false), (9_000, 8_950, true)] {
            let owed = meter.charge(bytes, START).unwrap();
            let count = if by_bytes { 0 } else { 1 };
            assert_eq!(
                (owed.resumes_at - START, owed.bytes),
                (resumes_in, by_bytes),
                "{count}"
            );
        }
    }
}
