//! A short run of the clients that speak to the doors, and that it repeats itself.

use sim::{Workload, run_seed};

/// Seeds of the short run.
const SEEDS: u64 = 12;

/// Steps of each.
const STEPS: u64 = 200;

#[test]
fn clients_of_all_protocols_get_what_was_promised() {
    for seed in 0..SEEDS {
        if let Err(failure) = run_seed(seed, STEPS, Workload::WIRE, false) {
            panic!("{failure}");
        }
    }
}

#[test]
fn the_same_wires_say_the_same() {
    let run = |seed| run_seed(seed, STEPS, Workload::WIRE, false).map_err(|failure| failure.what);
    assert_eq!(run(77), run(77));
    assert_ne!(run(77), run(78));
}
