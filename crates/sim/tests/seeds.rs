//! A short run of every workload, every seed that ever failed, and that a seed repeats itself.

use sim::{Workload, run_seed};

/// Seeds of the short run.
const SEEDS: u64 = 100;

/// Steps of each.
const STEPS: u64 = 200;

#[test]
fn a_short_run_of_fresh_worlds_keeps_every_promise() {
    for seed in 0..SEEDS {
        let workload = Workload::of_seed(seed);
        if let Err(failure) = run_seed(seed, STEPS, workload, false) {
            panic!("{failure}");
        }
    }
}

#[test]
fn seeds_that_failed_once_pass() {
    for line in include_str!("../seeds.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let mut words = line.split_whitespace();
        let workload = words
            .next()
            .and_then(Workload::named)
            .expect("a line names a workload");
        let mut number = || {
            words
                .next()
                .and_then(|word| word.parse().ok())
                .expect("a number")
        };
        let (seed, steps) = (number(), number());
        if let Err(failure) = run_seed(seed, steps, workload, false) {
            panic!("{line}\n{failure}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for workload in Workload::ALL {
        let run = || run_seed(77, 150, workload, false).map_err(|failure| failure.what);
        assert_eq!(run(), run(), "{}", workload.name);
        let other = run_seed(78, 150, workload, false).map_err(|failure| failure.what);
        assert_ne!(run(), other, "{}", workload.name);
    }
}
