//! A life from a seed: a beginning, so many steps, each an operation of the workload, and an end.
//!
//! Not here: the life of the world of queues, whose steps are its own (`run`).

use ferry_log::testing::Random;

use crate::run::{Failure, Outcome};
use crate::trace::Trace;
use crate::workload::{Operation, Workload};
use crate::{Checked, Violation};

/// A world that a seed makes.
pub(crate) trait Life: Sized {
    /// The world before anything has happened.
    fn new(seed: u64, verbose: bool) -> Checked<Self>;

    /// What comes before the first step.
    fn begin(&mut self) -> Checked {
        Ok(())
    }

    /// What the steps are drawn from.
    fn random(&mut self) -> &mut Random;

    fn operate(&mut self, operation: Operation) -> Checked;

    /// What follows each operation.
    fn end_step(&mut self) -> Checked;

    /// What comes after the last step.
    fn end(&mut self) -> Checked;

    fn trace(&mut self) -> &mut Trace;

    /// Messages that were published.
    fn published(&self) -> u64;

    /// Times that the node was started again.
    fn restarts(&self) -> u64;
}

/// Lives a seed.
pub(crate) fn live<L: Life>(
    seed: u64,
    steps: u64,
    workload: Workload,
    verbose: bool,
) -> Result<Outcome, Failure> {
    let fail = |step: u64, error: Violation, tail: String| Failure {
        seed,
        workload: workload.name,
        step,
        steps,
        what: error.0,
        tail,
    };
    let mut life = L::new(seed, verbose).map_err(|error| fail(0, error, String::new()))?;
    let begun = life.begin();
    begun.map_err(|error| fail(0, error, life.trace().tail()))?;
    for step in 1..=steps {
        let operation = workload.draw(life.random());
        life.trace().line(format!("step {step} {operation:?}"));
        let done = life.operate(operation).and_then(|()| life.end_step());
        done.map_err(|error| fail(step, error, life.trace().tail()))?;
    }
    let ended = life.end();
    ended.map_err(|error| fail(steps, error, life.trace().tail()))?;
    Ok(Outcome {
        hash: life.trace().hash(),
        published: life.published(),
        restarts: life.restarts(),
    })
}
