//! Runs seeds of the simulation; the exit code is 1 if one fails.
//!
//! Invariants
//! - A failure, a panic included, ends with the command that shows it again, however many threads
//!   run.

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// One kind of life; the seed chooses if none is named.
    #[arg(long)]
    workload: Option<String>,
    /// Runs each seed twice and compares.
    #[arg(long)]
    twice: bool,
    /// Goes on after a failure, and counts them.
    #[arg(long)]
    keep_going: bool,
    /// Threads that run seeds, each by itself.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
}

thread_local! {
    /// The seed that runs on this thread, for a panic.
    static RUNNING: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The seeds that are to be run, and what came of those that were.
struct Round<'a> {
    arguments: &'a Arguments,
    named: Option<Workload>,
    first: u64,
    count: u64,
    alone: bool,
    start: Instant,
    taken: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    published: AtomicU64,
    restarts: AtomicU64,
}

impl Round<'_> {
    fn run_one(&self, seed: u64) -> Result<Outcome, Failure> {
        let steps = self.arguments.steps;
        let workload = self.named.unwrap_or_else(|| Workload::of_seed(seed));
        let name = workload.name;
        RUNNING.set(format!("--seed {seed} --steps {steps} --workload {name}"));
        let fail = |what: String| Failure {
            seed,
            workload: name,
            step: 0,
            steps,
            what,
            tail: String::new(),
        };
        let run = |verbose| run_seed(seed, steps, workload, verbose);
        let first = std::panic::catch_unwind(|| run(self.alone));
        let first = first.unwrap_or_else(|_| Err(fail("a panic".to_owned())))?;
        if !self.arguments.twice {
            return Ok(first);
        }
        let second = run(false)?;
        match first == second {
            true => Ok(first),
            false => Err(fail(format!("two runs differ: {first:?} and {second:?}"))),
        }
    }

    /// Takes seeds until there are none left.
    fn run(&self) {
        loop {
            let place = self.taken.fetch_add(1, Ordering::Relaxed);
            let stopped = self.failed.load(Ordering::Relaxed) > 0 && !self.arguments.keep_going;
            if place >= self.count || stopped {
                return;
            }
            match self.run_one(self.first + place) {
                Ok(outcome) => {
                    self.published
                        .fetch_add(outcome.published, Ordering::Relaxed);
                    self.restarts.fetch_add(outcome.restarts, Ordering::Relaxed);
                }
                Err(failure) => {
                    println!("{failure}");
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(PROGRESS_SEEDS) || done == self.count {
                self.report(done);
            }
        }
    }

    fn report(&self, done: u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (failed, published) = (of(&self.failed), of(&self.published));
        let (restarts, seconds) = (of(&self.restarts), self.start.elapsed().as_secs_f64());
        println!(
            "{done} seeds, {failed} failed, {published} messages, {restarts} restarts, \
             {seconds:.1} s"
        );
    }
}

fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let running = RUNNING.with_borrow(String::clone);
        println!("{panic}");
        println!("see it again: cargo run --profile quick -p sim -- {running}");
        if cfg!(panic = "abort") {
            std::process::exit(1);
        }
    }));
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    report_panics();
    let named = match arguments.workload.as_deref().map(Workload::named) {
        Some(None) => {
            let names = Workload::ALL.map(|workload| workload.name);
            println!("there is no such workload; there are {}", names.join(", "));
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
    let round = Round {
        arguments: &arguments,
        named,
        first,
        count,
        alone: alone.is_some(),
        start: Instant::now(),
        taken: AtomicU64::new(0),
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        published: AtomicU64::new(0),
        restarts: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| round.run());
        }
    });
    match round.failed.into_inner() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
