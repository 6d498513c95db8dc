//! Time, commits of the log, and what the broker does by itself when it is asked to.
//!
//! Invariants
//! - An error of the disk is a violation unless a fault was asked for.

use ferry_broker::{Broker, Clock};
use ferry_log::LogError;

use crate::Checked;
use crate::violated;
use crate::world::World;

/// How many rounds of upkeep find no room for a checkpoint, in percent.
const REFUSED_PERCENT: u64 = 25;

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// An hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

impl World {
    /// The log is committed, as its thread would.
    pub(crate) fn commit_log(&mut self) -> Checked {
        let (pending, was_full) = (self.broker.log().pending(), self.broker.log().disk_full());
        match self.broker.commit_log() {
            Ok(()) => {
                let left = self.broker.log().pending();
                let full = self.broker.log().disk_full();
                // A commit that finishes what a full disk held up leaves what came meanwhile.
                if !full && !was_full && left != ferry_log::Pending::None {
                    return violated!("{pending:?} was committed and {left:?} is left");
                }
                if full && !self.disk_limited && !self.fault_armed {
                    return violated!("the disk is full without a limit");
                }
                Ok(())
            }
            Err(error) => self.excuse("a commit failed", error),
        }
    }

    /// Time passes.
    pub(crate) fn time(&mut self) -> Checked {
        let next = self.broker.next_deadline().saturating_sub(self.clock.now());
        let time_ms = match self.random.below(10) {
            0 => self.random.below(60_000),
            1..=3 => self.random.below(3_000),
            // To what is due next, or a millisecond before.
            4..=6 if (1..MINUTE_MS).contains(&next) => next - self.random.below(2),
            _ => self.random.below(300),
        };
        self.trace.line(format!("  {time_ms} ms pass"));
        self.clock.advance(time_ms);
        Ok(())
    }

    /// The clock is set: an hour or a year forward, or an hour back.
    pub(crate) fn jump(&mut self) -> Checked {
        match self.random.below(6) {
            0..=2 => self.clock.advance(HOUR_MS),
            3 => self.clock.advance(365 * 24 * HOUR_MS),
            _ => {
                self.clock.go_back(HOUR_MS);
                (self.model.went_back, self.model.clock_fell) = (true, true);
                let queues = self.model.queues.values_mut();
                queues.for_each(|queue| queue.pace.clock_fell());
            }
        }
        self.trace.line(format!("  it is {}", self.clock.now()));
        Ok(())
    }

    /// Checkpoints, cleaning and spilling, as the background thread does.
    pub(crate) fn upkeep(&mut self) -> Checked {
        let before = self.broker.log().segments().len();
        if let Some(segment) = self.broker.log().cleaning().evacuate {
            self.trace
                .line(format!("  segment {segment} is to be evacuated"));
        }
        let result = self.without_room(Broker::upkeep);
        let after = self.broker.log().segments().len();
        self.trace.line(format!("  segments {before} -> {after}"));
        self.observe(Vec::new())?;
        result.or_else(|error| self.excuse("upkeep failed", error))
    }

    /// Keeps the house in order; now and then there is no room for a checkpoint.
    fn without_room(&mut self, keep: fn(&Broker) -> Result<(), LogError>) -> Result<(), LogError> {
        let refused = self.random.chance(REFUSED_PERCENT);
        self.disk.refuse(refused.then_some("checkpoint"));
        let result = keep(&self.broker);
        self.disk.refuse(None);
        if refused && self.broker.failed().is_none() {
            return Ok(());
        }
        result
    }

    /// A checkpoint out of turn.
    pub(crate) fn checkpoint(&mut self) -> Checked {
        let result = self.without_room(Broker::checkpoint);
        result.or_else(|error| self.excuse("a checkpoint failed", error))
    }

    /// The same; there is room for this one.
    pub(crate) fn checkpoint_with_room(&mut self) -> Checked {
        let result = self.broker.checkpoint();
        result.or_else(|error| self.excuse("a checkpoint failed", error))
    }
}
