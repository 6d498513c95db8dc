//! Scenes: small worlds of one feature each, over one stage that crashes, tears and fails for all
//! of them.
//!
//! A scene says what it has done so far, and what of that must be kept. After each step its state
//! is kept with the end of the log. What a crash leaves, and what a copy of the disk has that is
//! cut anywhere, must be one of these states, or lie between two that follow each other; and none
//! before the last that somebody was told is safe.
//!
//! Invariants
//! - A scene hears of nothing but what it asked for and what came out of it.
//! - What an act promised counts from the moment in which the broker says that it is kept, however
//!   far the log says that it is safe.
//!
//! Not here: what many features do together (`world`), clients that remember (`sessions`).

mod expiry;
mod fifo;
mod gather;
mod kinds;
mod maps;
mod once;
mod passports;
mod play;
mod rates;
mod seats;
mod stage;

use std::fmt::Debug;

use ferry_broker::Promise;

pub(crate) use stage::{Node, Post, Stage};

use self::play::Play;
use crate::Checked;
use crate::life::live;
use crate::run::{Failure, Outcome};
use crate::workload::Workload;

/// A feature and what must be true of it.
pub(crate) trait Scene: Sized {
    /// What outlives the node.
    type Kept: Clone + PartialEq + Debug;

    /// Declares what it needs; that is safe before anything else happens.
    fn open(stage: &mut Stage) -> Checked<Self>;

    /// Does one thing, and says what has to be kept before it is certain.
    fn act(&mut self, stage: &mut Stage) -> Checked<Promise>;

    /// After each step: what was due has happened, and all that can be seen is as it must be.
    fn check(&mut self, stage: &mut Stage) -> Checked;

    /// What has to be there after a crash that loses nothing.
    fn kept(&self) -> Self::Kept;

    /// What a node has that was just opened; it is thrown away afterwards.
    fn find(node: &Node<'_>) -> Checked<Self::Kept>;

    /// Whether that may be found when a crash falls between two steps with these states.
    fn is_between(found: &Self::Kept, before: &Self::Kept, after: &Self::Kept) -> bool {
        found == before || found == after
    }

    /// The node is back, with that.
    fn resume(&mut self, stage: &mut Stage, kept: Self::Kept) -> Checked;
}

/// Runs a seed of a scene.
pub(crate) fn run_seed(
    seed: u64,
    steps: u64,
    workload: Workload,
    verbose: bool,
) -> Result<Outcome, Failure> {
    let run = match workload.name {
        "fifo" => live::<Play<fifo::Fifo>>,
        "kinds" => live::<Play<kinds::Kinds>>,
        "passports" => live::<Play<passports::Passports>>,
        "gather" => live::<Play<gather::Gather>>,
        "limits" => live::<Play<seats::Seats>>,
        "rates" => live::<Play<rates::Rates>>,
        "once" => live::<Play<once::Once>>,
        "expiry" => live::<Play<expiry::Expiry>>,
        other => panic!("a workload of scenes has a scene: {other}"),
    };
    run(seed, steps, workload, verbose)
}
