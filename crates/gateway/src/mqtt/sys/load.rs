//! Averages per minute over the last one, five and fifteen minutes.
//!
//! Invariants
//! - An average decays with time alone: how often it is sampled does not matter.

use std::time::Instant;

/// What is counted, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) connections: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

/// Over how many minutes.
const MINUTES: [u32; 3] = [1, 5, 15];

const NAMES: [&str; 5] = [
    "connections",
    "publish/received",
    "publish/sent",
    "bytes/received",
    "bytes/sent",
];

impl Totals {
    fn each(self) -> [u64; NAMES.len()] {
        [
            self.connections,
            self.published,
            self.delivered,
            self.received_bytes,
            self.sent_bytes,
        ]
    }
}

/// The averages.
#[derive(Debug, Default)]
pub(super) struct Loads {
    before: Option<(Totals, Instant)>,
    per_minute: [[f64; MINUTES.len()]; NAMES.len()],
}

impl Loads {
    /// Averages that begin now.
    pub(super) fn new(totals: Totals, now: Instant) -> Loads {
        Loads {
            before: Some((totals, now)),
            ..Loads::default()
        }
    }

    /// Takes in what was counted since the last time.
    pub(super) fn sample(&mut self, totals: Totals, now: Instant) {
        let Some((before, at)) = self.before.replace((totals, now)) else {
            return;
        };
        let minutes = now.saturating_duration_since(at).as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return;
        }
        let counted = totals.each().into_iter().zip(before.each());
        for (averages, (count, before)) in self.per_minute.iter_mut().zip(counted) {
            let rate = count.saturating_sub(before) as f64 / minutes;
            for (average, over) in averages.iter_mut().zip(MINUTES) {
                let kept = (-minutes / f64::from(over)).exp();
                *average = rate + (*average - rate) * kept;
            }
        }
    }

    /// Each average: what of, over how many minutes, and how many per minute.
    pub(super) fn each(&self, mut tell: impl FnMut(&str, u32, f64)) {
        for (name, averages) in NAMES.into_iter().zip(&self.per_minute) {
            for (minutes, average) in MINUTES.into_iter().zip(averages) {
                tell(name, minutes, *average);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn published(count: u64) -> Totals {
        Totals {
            published: count,
            ..Totals::default()
        }
    }

    fn told(loads: &Loads) -> Vec<f64> {
        let mut told = Vec::new();
        loads.each(|name, _, average| {
            if name == "publish/received" {
                told.push(average);
            }
        });
        told
    }

    #[test]
    fn averages_come_near_the_rate_each_in_its_time() {
        let start = Instant::now();
        let mut loads = Loads::new(published(1000), start);
        assert_eq!(told(&loads), [0.0; 3]);
        // 60 a minute, for five minutes.
        for second in (10..=300).step_by(10) {
            loads.sample(
                published(1000 + second),
                start + Duration::from_secs(second),
            );
        }
        let [one, five, fifteen] = told(&loads)[..] else {
            panic!("three of them");
        };
        assert!((59.0..60.0).contains(&one), "{one}");
        assert!((37.0..39.0).contains(&five), "63 % of it: {five}");
        assert!((16.0..18.0).contains(&fifteen), "28 % of it: {fifteen}");
    }

    #[test]
    fn how_often_it_is_sampled_does_not_matter() {
        let start = Instant::now();
        let averages = [1, 60].map(|step: u64| {
            let mut loads = Loads::new(published(0), start);
            for second in (step..=120).step_by(step as usize) {
                loads.sample(published(second * 5), start + Duration::from_secs(second));
            }
            told(&loads)
        });
        let [often, seldom] = averages;
        for (left, right) in often.iter().zip(seldom) {
            assert!((left - right).abs() < 1e-6, "{left} and {right}");
        }
    }

    #[test]
    fn a_clock_that_stands_still_changes_nothing() {
        let start = Instant::now();
        let mut loads = Loads::new(published(0), start);
        loads.sample(published(100), start);
        assert_eq!(told(&loads), [0.0; 3]);
    }
}
