//! A histogram whose bounds are the powers of two.
//!
//! Invariants
//! - A value is counted once, below the smallest bound that it does not exceed.
//! - Counts only grow. A reader may meet a value in `counts` that is not in `sum` yet.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many bounds there are: 1, 2, 4 and so on; what exceeds the last is counted apart.
pub const BOUNDS: usize = 28;

/// A value that came several times in a row, kept back from its histogram until another comes: the
/// times of a step are mostly the same.
#[derive(Debug, Default)]
pub(crate) struct Run {
    value: u64,
    count: u64,
}

impl Run {
    /// Counts a value. Only for the histogram's one writer.
    #[inline]
    pub fn note(&mut self, value: u64, histogram: &Histogram) {
        if value != self.value {
            self.end(histogram);
            self.value = value;
        }
        self.count += 1;
    }

    /// Adds what was kept back.
    #[inline]
    pub fn end(&mut self, histogram: &Histogram) {
        if self.count > 0 {
            histogram.note(self.value, std::mem::take(&mut self.count));
        }
    }
}

/// Values counted by their size.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Values by bound: at most `1 << index`, and in the last place all that are larger.
    pub counts: [u64; BOUNDS + 1],
    /// All values together.
    pub sum: u64,
}

/// Where a value is counted.
fn place(value: u64) -> usize {
    let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
    (bits as usize).min(BOUNDS)
}

/// Adds without a locked instruction, for a counter with one writer at a time.
fn bump(counter: &AtomicU64, by: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(by), Ordering::Relaxed);
}

impl Histogram {
    /// Counts `value` `count` times; anybody may, at any time.
    pub fn add(&self, value: u64, count: u64) {
        self.counts[place(value)].fetch_add(count, Ordering::Relaxed);
        self.sum
            .fetch_add(value.wrapping_mul(count), Ordering::Relaxed);
    }

    /// The same. Only for who holds what excludes all other writers.
    pub fn note(&self, value: u64, count: u64) {
        bump(&self.counts[place(value)], count);
        bump(&self.sum, value.wrapping_mul(count));
    }

    /// What was counted.
    pub fn read(&self) -> Distribution {
        Distribution {
            counts: std::array::from_fn(|place| self.counts[place].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl Distribution {
    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds what another histogram has counted.
    pub fn merge(&mut self, other: &Distribution) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_below_the_smallest_bound_that_holds_it() {
        for (value, expected) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1 << 27, 27),
            ((1 << 27) + 1, 28),
            (u64::MAX, 28),
        ] {
            assert_eq!(place(value), expected, "{value}");
        }
    }

    #[test]
    fn a_run_keeps_back_the_last_value_only() {
        let (histogram, mut run) = (Histogram::default(), Run::default());
        let counted = |histogram: &Histogram| {
            let read = histogram.read();
            (read.count(), read.sum)
        };
        for value in [0, 0, 5, 5, 5, 7] {
            run.note(value, &histogram);
        }
        assert_eq!(counted(&histogram), (5, 15));
        run.end(&histogram);
        run.end(&histogram);
        assert_eq!(counted(&histogram), (6, 22));
    }

    #[test]
    fn both_ways_of_counting_add_up() {
        let histogram = Histogram::default();
        histogram.note(3, 1);
        histogram.add(4, 2);
        histogram.add(u64::MAX, 0);
        let mut read = histogram.read();
        assert_eq!((read.counts[2], read.count(), read.sum), (3, 3, 11));
        read.merge(&histogram.read());
        assert_eq!((read.counts[2], read.count(), read.sum), (6, 6, 22));
    }
}
