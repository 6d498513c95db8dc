//! What the broker lends to who changes a partition.
//!
//! Invariants
//! - Who has taken a partition knows the time as of then, and does all with that one.

use std::ops::Deref;

use ferry_core::Millis;

use super::After;
use crate::background::Signals;
use crate::connections::Connections;
use crate::durability::Durability;
use crate::measure::Tallies;
use crate::passport::Passports;
use crate::{Clock, Formats, Metrics, Pressure};

/// What partitions need of the broker.
pub(crate) struct Surroundings<'a> {
    pub clock: &'a dyn Clock,
    pub durability: &'a Durability,
    pub pressure: &'a Pressure,
    pub metrics: &'a Metrics,
    pub tallies: &'a Tallies,
    pub afters: &'a parking_lot::Mutex<Vec<After>>,
    pub signals: &'a Signals,
    pub formats: &'a Formats,
    pub passports: &'a Passports,
    pub connections: &'a Connections,
}

/// The same for who has taken a partition.
pub(crate) struct StateContext<'a> {
    /// The time as of when the partition was taken, not of when somebody began to wait for it: a
    /// lease that is given late ends late.
    pub now: Millis,
    around: &'a Surroundings<'a>,
}

impl<'a> StateContext<'a> {
    /// From now on, with the partition taken.
    pub(super) fn new(around: &'a Surroundings<'a>) -> StateContext<'a> {
        let now = around.clock.now();
        StateContext { now, around }
    }
}

impl<'a> Deref for StateContext<'a> {
    type Target = Surroundings<'a>;

    fn deref(&self) -> &Surroundings<'a> {
        self.around
    }
}
