//! How long a message that came back waits before it is tried again.
//!
//! Invariants
//! - The same message, try and options give the same wait: jitter comes from the message's place,
//!   not from chance.
//! - A wait is at most the longest that was asked for, and never beyond `DELAY_MS_MAX`.

use super::Retry;
use crate::limits::DELAY_MS_MAX;

/// Waits are multiplied in millionths of a millisecond, so that short ones grow too.
const SCALE: u128 = 1_000_000;

impl Retry {
    /// The wait after so many failed tries, in milliseconds. `salt` tells messages apart.
    pub fn wait_ms(&self, failed: u32, salt: u64) -> u64 {
        let max = self.max_delay_ms.unwrap_or(DELAY_MS_MAX).min(DELAY_MS_MAX);
        let longest = u128::from(max) * SCALE;
        let mut wait = u128::from(self.delay_ms) * SCALE;
        let mut step = 1;
        while step < failed && wait < longest && wait > 0 && self.factor_milli > 1000 {
            wait = wait * u128::from(self.factor_milli) / 1000;
            step += 1;
        }
        let wait = (wait.min(longest) / SCALE) as u64;
        self.jittered(wait, salt ^ u64::from(failed)).min(max)
    }

    fn jittered(&self, wait: u64, salt: u64) -> u64 {
        let span = wait / 100 * u64::from(self.jitter_percent)
            + wait % 100 * u64::from(self.jitter_percent) / 100;
        if span == 0 {
            return wait;
        }
        wait - span + mix(salt) % (2 * span + 1)
    }
}

/// Spreads close numbers evenly (the finalizer of SplitMix64).
fn mix(mut number: u64) -> u64 {
    number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(delay_ms: u64, factor_milli: u32, max_delay_ms: Option<u64>, jitter: u8) -> Retry {
        Retry {
            limit: None,
            delay_ms,
            factor_milli,
            max_delay_ms,
            jitter_percent: jitter,
        }
    }

    #[test]
    fn waits_grow_by_the_factor_up_to_the_longest() {
        for (policy, waits) in [
            (retry(0, 2000, None, 0), [0, 0, 0, 0]),
            (retry(100, 1000, None, 0), [100, 100, 100, 100]),
            (retry(100, 2000, None, 0), [100, 200, 400, 800]),
            (retry(100, 2000, Some(300), 0), [100, 200, 300, 300]),
            (retry(100, 1500, None, 0), [100, 150, 225, 337]),
        ] {
            let found: Vec<u64> = (1..=4).map(|failed| policy.wait_ms(failed, 7)).collect();
            assert_eq!(found, waits, "{policy:?}");
        }
    }

    #[test]
    fn jitter_stays_within_its_percentage_and_differs_between_messages() {
        let policy = retry(1000, 2000, Some(4000), 10);
        let waits: Vec<u64> = (0..1000).map(|salt| policy.wait_ms(2, salt)).collect();
        assert!(waits.iter().all(|wait| (1800..=2200).contains(wait)));
        let mean = waits.iter().sum::<u64>() / 1000;
        assert!((1950..=2050).contains(&mean), "{mean}");
        assert!((0..1000).all(|salt| policy.wait_ms(9, salt) <= 4000));
        assert_eq!(policy.wait_ms(2, 5), policy.wait_ms(2, 5));
    }

    #[test]
    fn no_number_of_tries_and_no_wait_overflows() {
        let endless = retry(DELAY_MS_MAX, 1_000_000, None, 100);
        assert!(endless.wait_ms(u32::MAX, u64::MAX) <= DELAY_MS_MAX);
        assert_eq!(retry(1, 1001, Some(1), 0).wait_ms(u32::MAX, 0), 1);
        assert_eq!(retry(1, 1001, None, 0).wait_ms(u32::MAX, 0), DELAY_MS_MAX);
    }
}
