//! Log-linear histogram of durations in nanoseconds.
//!
//! Invariants
//! - Values below 64 have a bucket each; above, every power of two has 64 buckets, so that a
//!   quantile is at most 1.6 % below the true value, and never above the largest value seen.
//! - `samples` is the sum of all buckets.

/// Buckets for each power of two.
const BUCKETS_PER_OCTAVE: usize = 64;
/// Powers of two above the linear part that a `u64` can reach, and the linear part itself.
const OCTAVES: usize = 59;

/// A histogram with a fixed number of buckets (30 KiB).
#[derive(Clone)]
pub struct Hist {
    buckets: Vec<u64>,
    /// How many values were added.
    pub samples: u64,
    /// The largest value added.
    pub max: u64,
}

impl Default for Hist {
    fn default() -> Self {
        Hist {
            buckets: vec![0; BUCKETS_PER_OCTAVE * OCTAVES],
            samples: 0,
            max: 0,
        }
    }
}

impl Hist {
    #[inline]
    fn bucket(value: u64) -> usize {
        if value < BUCKETS_PER_OCTAVE as u64 {
            return value as usize;
        }
        let exponent = 63 - value.leading_zeros() as usize;
        (exponent - 5) * BUCKETS_PER_OCTAVE + (value >> (exponent - 6)) as usize
            - BUCKETS_PER_OCTAVE
    }

    /// The smallest value that falls into `bucket`.
    fn floor(bucket: usize) -> u64 {
        if bucket < BUCKETS_PER_OCTAVE {
            return bucket as u64;
        }
        let exponent = bucket / BUCKETS_PER_OCTAVE + 5;
        let mantissa = bucket % BUCKETS_PER_OCTAVE + BUCKETS_PER_OCTAVE;
        (mantissa as u64) << (exponent - 6)
    }

    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: u64) {
        self.buckets[Self::bucket(value)] += 1;
        self.samples += 1;
        self.max = self.max.max(value);
    }

    /// The value below which the share `p` (0 to 1) of all values lies; 0 when there are none.
    pub fn quantile(&self, p: f64) -> u64 {
        let wanted = ((self.samples as f64 * p).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Self::floor(bucket).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut hist = Hist::default();
        for value in 1..=100_000u64 {
            hist.add(value);
        }
        for p in [0.01, 0.5, 0.99, 0.999, 1.0] {
            let (got, want) = (hist.quantile(p) as f64, 100_000.0 * p);
            assert!(
                (got - want).abs() / want < 0.02,
                "{p}: {got} against {want}"
            );
        }
        assert_eq!((hist.samples, hist.max), (100_000, 100_000));
    }

    #[test]
    fn a_bucket_holds_the_values_from_its_floor_on() {
        for value in [
            0,
            1,
            63,
            64,
            65,
            127,
            128,
            1_000,
            1 << 20,
            u64::MAX / 3,
            u64::MAX,
        ] {
            let bucket = Hist::bucket(value);
            let floor = Hist::floor(bucket);
            assert!(floor <= value, "{value}");
            assert_eq!(Hist::bucket(floor), bucket, "{value}");
            assert!(
                (value - floor) as f64 <= value as f64 / 60.0,
                "{value} against {floor}"
            );
        }
    }

    #[test]
    fn an_empty_histogram_has_quantile_zero() {
        assert_eq!(Hist::default().quantile(0.5), 0);
    }
}
