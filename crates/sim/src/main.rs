//! Runs seeds of the simulation; the exit code is 1 if one fails.
//!
//! Invariants
//! - A failure, a panic included, ends with the command that shows it again.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::Parser;
use sim::{Failure, Outcome, Workload, run_seed};

/// Seeds between two lines of progress.
const PROGRESS_SEEDS: u64 = 100;

/// Deterministic simulation of the broker: crashes, faults and clients from a seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// One seed, with everything that happens.
    seed_alone: Option<u64>,
    /// One seed, with everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds; fresh ones unless `--from` says where they start.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long)]
    from: Option<u64>,
    /// Steps of each seed.
    #[arg(long, default_value_t = 300)]
    steps: u64,
    /// mixed, crash, churn, backlog, deep, features, delays, streams, order, sessions or retained;
    /// the seed chooses if none is named.
    #[arg(long)]
    workload: Option<String>,
    /// Runs each seed twice and compares.
    #[arg(long)]
    twice: bool,
    /// Goes on after a failure, and counts them.
    #[arg(long)]
    keep_going: bool,
}

/// The seed that runs, for a panic.
static RUNNING: Mutex<String> = Mutex::new(String::new());

fn one(
    arguments: &Arguments,
    seed: u64,
    workload: Workload,
    verbose: bool,
) -> Result<Outcome, Failure> {
    if let Ok(mut running) = RUNNING.lock() {
        let (steps, name) = (arguments.steps, workload.name);
        *running = format!("--seed {seed} --steps {steps} --workload {name}");
    }
    let run = || run_seed(seed, arguments.steps, workload, verbose);
    let first = std::panic::catch_unwind(run).unwrap_or_else(|_| {
        let (steps, workload, what) = (arguments.steps, workload.name, "a panic".to_owned());
        Err(Failure {
            seed,
            workload,
            step: 0,
            steps,
            what,
            tail: String::new(),
        })
    })?;
    if !arguments.twice {
        return Ok(first);
    }
    let second = run_seed(seed, arguments.steps, workload, false)?;
    if first == second {
        return Ok(first);
    }
    let what = format!("two runs differ: {first:?} and {second:?}");
    let (steps, workload) = (arguments.steps, workload.name);
    Err(Failure {
        seed,
        workload,
        step: 0,
        steps,
        what,
        tail: String::new(),
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    std::panic::set_hook(Box::new(|panic| {
        let running = RUNNING
            .lock()
            .map(|running| running.clone())
            .unwrap_or_default();
        println!("{panic}");
        println!("see it again: cargo run --profile quick -p sim -- {running}");
        if cfg!(panic = "abort") {
            std::process::exit(1);
        }
    }));
    let named = match arguments.workload.as_deref().map(Workload::named) {
        Some(None) => {
            println!("there is no such workload");
            return ExitCode::from(2);
        }
        Some(Some(workload)) => Some(workload),
        None => None,
    };
    let alone = arguments.seed.or(arguments.seed_alone);
    let fresh = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) >> 24;
    let first = alone.or(arguments.from).unwrap_or_else(fresh);
    let count = if alone.is_some() { 1 } else { arguments.seeds };
    println!("seeds {first} to {}", first + count - 1);
    let start = Instant::now();
    let (mut failed, mut published, mut restarts) = (0, 0, 0);
    for seed in first..first + count {
        let workload = named.unwrap_or_else(|| Workload::of_seed(seed));
        match one(&arguments, seed, workload, alone.is_some()) {
            Ok(outcome) => {
                published += outcome.published;
                restarts += outcome.restarts;
            }
            Err(failure) => {
                println!("{failure}");
                failed += 1;
                if !arguments.keep_going {
                    return ExitCode::FAILURE;
                }
            }
        }
        let done = seed - first + 1;
        if done % PROGRESS_SEEDS == 0 || done == count {
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{done} seeds, {failed} failed, {published} messages, {restarts} restarts, \
                 {seconds:.1} s"
            );
        }
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
