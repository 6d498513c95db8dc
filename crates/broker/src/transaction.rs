//! Publishes and settles that become visible together: one record of facts over all partitions.
//!
//! Invariants
//! - The record is in the log before any queue hears of the transaction, so a crash leaves all
//!   of it or nothing.
//! - No checkpoint is taken between the record and its last part being applied.

use ferry_core::Millis;
use ferry_core::facts::Facts;
use ferry_core::queue::{Context, Enqueued, Prepared, Queue};
use ferry_log::{Batch as LogBatch, LogError, Need};

use crate::definitions::{KIND_TRANSACTION, STREAM_BROKER};
use crate::durability::Durability;
use crate::guard::Fresh;
use crate::partition::{Command, State, StateContext};
use crate::{Broker, Burst, ConfirmTag, Metrics, Promise};

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
        burst.count(self);
        burst.tell(self);
        burst.begin_gatherings(self);
        let mut rejected = Vec::new();
        let promise = self.write_and_apply(burst, &mut rejected);
        if promise.is_ok() {
            burst.reply();
        }
        burst.clear();
        self.after_call();
        match promise? {
            (promise, 0) => Ok(promise),
            (_, _refused) => Err(CommitError::Partial),
        }
    }

    /// Writes the facts of a transaction and marks its commands as written. Without facts there
    /// is nothing to write, unless something before must be `covered`. Also says whether the fate
    /// of a message is decided when it is applied.
    pub(crate) fn record(
        &self,
        burst: &mut Burst,
        mut facts: Facts,
        mut covered: bool,
    ) -> Result<(Promise, bool), LogError> {
        let mut undecided = false;
        self.on_each_part(burst, |state, cx, part| {
            let staged = part.staged;
            part.commands.retain_mut(|command| {
                let prepared = state.prepare(cx, staged, command, &mut facts);
                undecided |= prepared == Prepared::Undecided;
                // A duplicate is safe when the message before it is.
                covered |= prepared == Prepared::Duplicate;
                prepared != Prepared::Duplicate
            });
        });
        if facts.is_empty() && !covered {
            return Ok((Promise::Now, undecided));
        }
        let promise = self.write_transaction(&facts, Need::Sync)?;
        Ok((promise, undecided))
    }

    /// Says how many publishes were refused; `rejected` gets the tags of those that have one.
    pub(crate) fn apply_recorded(
        &self,
        burst: &mut Burst,
        fresh: &Fresh,
        rejected: &mut Vec<ConfirmTag>,
    ) -> usize {
        let mut refused = 0;
        let (mut pledged, mut void) = (std::mem::take(&mut burst.pledged), Vec::new());
        self.on_each_part(burst, |state, cx, part| {
            let before = rejected.len();
            refused += state.apply_all(cx, part.staged, part.commands.drain(..), rejected);
            fresh
                .forgotten(&rejected[before..])
                .for_each(|change| state.note(change));
            for one in pledged.extract_if(.., |one| one.is_void(&rejected[before..])) {
                state.note(one.taken_back());
                void.push(one);
            }
        });
        self.take_back(void);
        refused
    }

    /// Runs `step` on every partition that a burst has commands for, one after the other, each
    /// when nobody else has it.
    pub(crate) fn on_each_part(
        &self,
        burst: &mut Burst,
        mut step: impl FnMut(&mut State, &StateContext<'_>, Part<'_>),
    ) {
        let Burst {
            staged,
            parts,
            touched,
            ..
        } = burst;
        for number in touched.iter() {
            let number = usize::from(*number);
            let commands = &mut parts[number];
            self.partitions[number].call(&self.surroundings(), |state, cx| {
                step(state, cx, Part { staged, commands })
            });
        }
    }

    /// Appends facts as one record over all partitions.
    pub(crate) fn write_transaction(&self, facts: &Facts, need: Need) -> Result<Promise, LogError> {
        let mut bytes = Vec::new();
        facts.encode(&mut bytes);
        let mut batch = LogBatch::new();
        batch.push(KIND_TRANSACTION, STREAM_BROKER, &[&bytes]);
        let appended = self.durability.append(&batch, need)?;
        Ok(Durability::promise(&appended, need))
    }
}

/// What a burst has for one partition.
pub(crate) struct Part<'a> {
    /// What the commands point into.
    pub staged: &'a [u8],
    pub commands: &'a mut Vec<Command>,
}

impl State {
    /// Adds the facts of a command that is applied later.
    fn prepare(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        command: &mut Command,
        facts: &mut Facts,
    ) -> Prepared {
        match command {
            Command::Enqueue {
                queue, incoming, ..
            } => {
                let prepare = |core: &mut Queue, context: &mut Context<'_>| {
                    let prepared =
                        core.prepare(incoming, context.staged, context.lens, context.now, facts);
                    if prepared == Prepared::Duplicate {
                        core.note_arrival(incoming, Enqueued::Duplicate, context);
                    }
                    prepared
                };
                let prepared = self.with_queue(cx, *queue, staged, prepare);
                match prepared {
                    Some(Prepared::Duplicate) => {
                        Metrics::add(&cx.metrics.messages_duplicate, 1);
                        self.give_back(queue.id, incoming);
                    }
                    Some(Prepared::Stored | Prepared::Transient) => incoming.recorded = true,
                    Some(Prepared::Undecided) | None => {}
                }
                prepared.unwrap_or(Prepared::Transient)
            }
            Command::Settle { queue, .. }
            | Command::Note { queue, .. }
            | Command::Tag { queue, .. } => {
                if let Some(core) = self.queue(*queue) {
                    record(core, command, cx.now, facts);
                }
                Prepared::Stored
            }
            Command::Resume { .. } | Command::Departed { .. } | Command::GiveBack { .. } => {
                Prepared::Transient
            }
        }
    }
}

/// Adds the facts of a command that changes what a queue has, and marks it as written.
fn record(core: &Queue, command: &mut Command, now: Millis, facts: &mut Facts) {
    let recorded = match command {
        Command::Settle {
            lease,
            outcome,
            recorded,
            ..
        } => {
            core.prepare_settle(*lease, *outcome, now, facts);
            recorded
        }
        Command::Note { note, .. } => {
            core.prepare_note(note.key, note.on, facts);
            &mut note.recorded
        }
        Command::Tag { tag, .. } => {
            core.prepare_tag(tag.lease, tag.number, facts);
            &mut tag.recorded
        }
        Command::Enqueue { .. }
        | Command::GiveBack { .. }
        | Command::Resume { .. }
        | Command::Departed { .. } => return,
    };
    *recorded = true;
}
