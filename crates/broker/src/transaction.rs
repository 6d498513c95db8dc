//! Publishes and settles that become visible together: one record of facts over all partitions.
//!
//! Invariants
//! - The record is in the log before any queue hears of the transaction, so a crash leaves all
//!   of it or nothing.
//! - No checkpoint is taken between the record and its last part being applied.

use ferry_core::facts::{Entered, Facts, Mark};
use ferry_core::message::NOT_LOGGED;
use ferry_core::queue::{LeaseId, Outcome};
use ferry_log::{Batch as LogBatch, LogError, Need};

use crate::definitions::{KIND_TRANSACTION, STREAM_BROKER};
use crate::durability::Durability;
use crate::partition::{Command, QueuePlace};
use crate::{Broker, Burst, Metrics, Promise};

/// Why a transaction was not committed whole.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It could not be written down; none of it will be seen.
    #[error("the transaction can not be stored: {0}")]
    Log(#[from] LogError),
    /// A full queue refused a part of it; the rest is seen.
    #[error("partial tx completion")]
    Partial,
}

impl Broker {
    /// Makes all of a burst visible at once. The promise says when it is durable.
    pub fn commit(&self, burst: &mut Burst) -> Result<Promise, CommitError> {
        let _no_checkpoint = self.transactions.read();
        Metrics::add(&self.metrics.messages_published, burst.published);
        let logged = burst.log_bodies(self);
        let promise = logged.and_then(|()| self.record(burst));
        let refused = promise.is_ok() && self.apply_recorded(burst);
        burst.clear();
        self.run_afters();
        self.review_pressure();
        let promise = promise?;
        if refused {
            Err(CommitError::Partial)
        } else {
            Ok(promise)
        }
    }

    /// Writes the facts of a transaction and marks its commands as written.
    fn record(&self, burst: &mut Burst) -> Result<Promise, LogError> {
        let mut facts = Facts::default();
        let now = self.now();
        for number in &burst.touched {
            let commands = &mut burst.parts[usize::from(*number)];
            let settles = accepted(commands);
            if !settles.is_empty() {
                facts.gone.extend(self.durable_leases(*number, &settles));
            }
            for command in commands {
                if let Command::Enqueue {
                    queue, incoming, ..
                } = command
                    && incoming.position != NOT_LOGGED
                    && let Some(options) = self.options_of(*number, *queue)
                {
                    incoming.recorded = true;
                    facts.entered.push(Entered {
                        queue: queue.id,
                        position: incoming.position,
                        size: incoming.size,
                        priority: options.level(incoming.priority),
                        expires_at: options.expires_at(incoming.ttl_ms, now),
                    });
                }
            }
        }
        if facts.is_empty() {
            return Ok(Promise::Now);
        }
        let mut bytes = Vec::new();
        facts.encode(&mut bytes);
        let mut batch = LogBatch::new();
        batch.push(KIND_TRANSACTION, STREAM_BROKER, &[&bytes]);
        let appended = self.durability.append(&batch, Need::Sync)?;
        Ok(Durability::promise(&appended, Need::Sync))
    }

    /// True if a queue refused something.
    fn apply_recorded(&self, burst: &mut Burst) -> bool {
        let cx = self.context();
        let mut refused = false;
        let Burst {
            staged,
            parts,
            touched,
            ..
        } = burst;
        for number in touched.iter() {
            let commands = &mut parts[usize::from(*number)];
            refused |= self.partitions[usize::from(*number)].call(&cx, |state| {
                state.step(&cx, staged, commands.drain(..), None) > 0
            });
        }
        refused
    }

    fn durable_leases(&self, number: u16, settles: &[(QueuePlace, LeaseId)]) -> Vec<Mark> {
        let cx = self.context();
        self.partitions[usize::from(number)].call(&cx, |state| {
            let mark = |(queue, lease): &(QueuePlace, LeaseId)| state.durable_lease(*queue, *lease);
            settles.iter().filter_map(mark).collect()
        })
    }

    fn options_of(&self, number: u16, queue: QueuePlace) -> Option<ferry_core::queue::Options> {
        let cx = self.context();
        self.partitions[usize::from(number)].call(&cx, |state| state.options_of(queue))
    }
}

fn accepted(commands: &[Command]) -> Vec<(QueuePlace, LeaseId)> {
    let accepted = |command: &Command| match command {
        Command::Settle {
            queue,
            lease,
            outcome: Outcome::Accept,
        } => Some((*queue, *lease)),
        _ => None,
    };
    commands.iter().filter_map(accepted).collect()
}

impl crate::partition::State {
    fn durable_lease(&self, queue: QueuePlace, lease: LeaseId) -> Option<Mark> {
        let entry = self
            .queue(queue)?
            .leased(lease)
            .filter(|entry| entry.durable)?;
        Some(Mark {
            queue: queue.id,
            position: entry.position()?,
            size: entry.size,
        })
    }

    fn options_of(&self, queue: QueuePlace) -> Option<ferry_core::queue::Options> {
        self.queue(queue).map(|queue| queue.options().clone())
    }
}
