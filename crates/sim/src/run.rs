//! One seed from its beginning to its end.
//!
//! Invariants
//! - A failure carries everything that is needed to see it again.

use crate::check;
use crate::life::live;
use crate::scenes;
use crate::sessions::Sessions;
use crate::trace::Trace;
use crate::wire::Wires;
use crate::workload::Workload;
use crate::world::World;

/// What came of a seed that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Stands for everything that happened.
    pub hash: u64,
    /// Messages that were published.
    pub published: u64,
    /// Times that the node was started again.
    pub restarts: u64,
}

/// What came of a seed that did not.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The workload.
    pub workload: &'static str,
    /// The step that failed.
    pub step: u64,
    /// Steps that were asked for.
    pub steps: u64,
    /// What must not be.
    pub what: String,
    /// The last lines of the trace.
    pub tail: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure {
            seed,
            workload,
            step,
            steps,
            what,
            tail,
        } = self;
        write!(
            formatter,
            "{tail}seed {seed} failed at step {step} ({workload}): {what}\nsee it again: cargo \
             run --profile quick -p sim -- --seed {seed} --steps {steps} --workload {workload}"
        )
    }
}

/// Runs a seed.
pub fn run_seed(
    seed: u64,
    steps: u64,
    workload: Workload,
    verbose: bool,
) -> Result<Outcome, Failure> {
    if workload.is_of_sessions() {
        return live::<Sessions>(seed, steps, workload, verbose);
    }
    if workload.is_of_wires() {
        return live::<Wires>(seed, steps, workload, verbose);
    }
    if workload.is_scene() {
        return scenes::run_seed(seed, steps, workload, verbose);
    }
    let fail = |step: u64, what: String, trace: Option<&Trace>| Failure {
        seed,
        workload: workload.name,
        step,
        steps,
        what,
        tail: trace.map(Trace::tail).unwrap_or_default(),
    };
    let mut world = World::new(seed, workload, verbose).map_err(|error| fail(0, error.0, None))?;
    for _ in 0..steps {
        if let Err(error) = world.step() {
            return Err(fail(world.model.step, error.0, Some(&world.trace)));
        }
    }
    if let Err(error) = check::end(&mut world) {
        return Err(fail(world.model.step, error.0, Some(&world.trace)));
    }
    world.trace_disk();
    Ok(Outcome {
        hash: world.trace.hash(),
        published: world.model.sent.len() as u64,
        restarts: world.restarts,
    })
}
