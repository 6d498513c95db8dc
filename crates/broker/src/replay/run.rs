//! The turns of replay jobs.
//!
//! Invariants
//! - A turn is short: it replays, looks at and reads only so much.
//! - While publishers are held, or the log is behind, jobs are held too.

use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::queue::Spot;
use ferry_log::Reader;

use super::jobs::{Cursor, JobId, JobState, Selection, Task, Turn};
use crate::inspect::{Found, list_ready};
use crate::partition::State;
use crate::passport::Act;
use crate::{Broker, Filter, MessageRef, OperateError, QueueHandle, Standing};

/// Messages that are replayed in one turn.
const SENT_MAX: u64 = 64;

/// Messages that are looked at in one turn.
const LOOKED_AT_MAX: u64 = 1024;

/// Bytes of messages that are looked at in one turn.
const READ_BYTES_MAX: usize = 16 << 20;

/// Messages that are listed while the partition is held.
const BATCH_ENTRIES: usize = 64;

/// How far the disk may be behind, in bytes.
const LOG_BACKLOG_BYTES_MAX: u64 = 4 << 20;

/// How long a job waits for the disk or for memory, in milliseconds.
const HELD_MS: u64 = 20;

impl Broker {
    /// Lets every job that is due have its turn.
    pub(crate) fn run_replays(&self) {
        let now = self.now();
        for id in self.replays.due(now) {
            self.run_replay(id, now);
        }
    }

    fn run_replay(&self, id: JobId, now: Millis) {
        let Some(mut turn) = self.replays.begin(id, now, SENT_MAX) else {
            return;
        };
        let behind = self.durability.log.backlog_bytes() > LOG_BACKLOG_BYTES_MAX;
        if behind || self.pressure.blocked().is_some() {
            turn.held_until = now + HELD_MS;
        } else {
            turn.ended = self.take_turn(&mut turn);
        }
        self.replays.end(id, turn, now);
    }

    /// Replays what is allowed. Says how the job ends, if it does.
    fn take_turn(&self, turn: &mut Turn) -> Option<JobState> {
        let task = Arc::clone(&turn.task);
        let mut reader = Reader::new(Arc::clone(&self.durability.log));
        let mut read_bytes = 0;
        while turn.sent < turn.allowed
            && turn.progress.looked_at < LOOKED_AT_MAX
            && read_bytes < READ_BYTES_MAX
        {
            let batch = match self.next_batch(&task, turn.cursor) {
                Ok(batch) => batch,
                Err(error) => return Some(JobState::Failed(error.to_string())),
            };
            for (found, behind) in &batch.found {
                if turn.sent >= turn.allowed || read_bytes >= READ_BYTES_MAX {
                    return None;
                }
                turn.cursor = *behind;
                turn.progress.looked_at += 1;
                let wanted = match (&task.spec.selection, found) {
                    (Selection::Filter(filter), Candidate::Found(found)) => {
                        let at = (&*task.queue, &**found);
                        self.is_wanted(&mut reader, at, filter, &mut read_bytes)
                    }
                    _ => true,
                };
                if !wanted {
                    turn.progress.skipped += 1;
                    turn.progress.unmeant += 1;
                } else if let Err(error) = self.replay_for(&task, found.name(), turn) {
                    return Some(JobState::Failed(error.to_string()));
                }
            }
            turn.cursor = batch.behind.unwrap_or(turn.cursor);
            if batch.end {
                return Some(JobState::Done);
            }
        }
        None
    }

    fn is_wanted(
        &self,
        reader: &mut Reader,
        (queue, found): (&QueueHandle, &Found),
        filter: &Filter,
        read_bytes: &mut usize,
    ) -> bool {
        let matches = self.read_found(reader, queue, found, |_, message| {
            *read_bytes += message.bytes().len();
            filter.matches(self, &Standing::Ready, &message)
        });
        // What can not be read is tried, so that the job tells of it.
        matches.unwrap_or_else(|error| matches!(error, OperateError::Unreadable(_)))
    }

    /// Replays one message and counts it. An error is the end of the job.
    fn replay_for(
        &self,
        task: &Task,
        name: &MessageRef,
        turn: &mut Turn,
    ) -> Result<(), OperateError> {
        let act = Act {
            by: &task.actor,
            what: "replayed",
        };
        match self.replay_once(
            &task.queue,
            name,
            (&task.spec.to, &task.may_write),
            None,
            act,
        ) {
            Ok(_promise) => {
                turn.sent += 1;
                turn.progress.done += 1;
            }
            Err(OperateError::NotFound | OperateError::Leased) => turn.progress.skipped += 1,
            Err(error @ OperateError::Log(_)) => return Err(error),
            Err(error) => {
                turn.sent += 1;
                turn.progress.failed += 1;
                let first = &mut turn.progress.first_error;
                first.get_or_insert_with(|| error.to_string());
            }
        }
        Ok(())
    }

    fn next_batch(&self, task: &Task, cursor: Cursor) -> Result<Batch, OperateError> {
        let after = match (cursor, &task.spec.selection) {
            (Cursor::Named(from), Selection::Refs(names)) => return Ok(Batch::named(names, from)),
            (Cursor::Behind(spot), _) => spot,
            (Cursor::Named(_), _) => None,
        };
        let queue = &*task.queue;
        self.with_state(queue, |state, _| {
            state.replayable(self.run, queue, after, task.below)
        })
    }
}

/// A message that may be replayed.
enum Candidate {
    Found(Box<Found>),
    Named(MessageRef),
}

impl Candidate {
    fn name(&self) -> &MessageRef {
        match self {
            Candidate::Found(found) => &found.name,
            Candidate::Named(name) => name,
        }
    }
}

/// Some messages, each with where to go on behind it.
struct Batch {
    found: Vec<(Candidate, Cursor)>,
    /// Where to go on behind all of them, if not behind the last.
    behind: Option<Cursor>,
    end: bool,
}

impl Batch {
    fn named(names: &[MessageRef], from: usize) -> Batch {
        let some = names.iter().enumerate().skip(from).take(BATCH_ENTRIES);
        let found = some.map(|(at, name)| (Candidate::Named(*name), Cursor::Named(at + 1)));
        Batch {
            found: found.collect(),
            behind: None,
            end: from + BATCH_ENTRIES >= names.len(),
        }
    }
}

impl State {
    /// Ready messages behind a place that were there when the job started.
    fn replayable(
        &self,
        run: u32,
        queue: &QueueHandle,
        after: Option<Spot>,
        below: u64,
    ) -> Result<Batch, OperateError> {
        let core = self
            .queue(queue.place())
            .ok_or_else(|| OperateError::no_queue(queue))?;
        let mut found = Vec::new();
        // All that follows in a level where one came later did so, too.
        let mut later_in = None;
        list_ready(core, after, |spot, entry| {
            if entry.seq >= below {
                later_in = Some(entry.priority);
                return false;
            }
            let one = Found {
                name: MessageRef::new(queue.id, run, spot, entry),
                entry: entry.clone(),
                standing: Standing::Ready,
            };
            let candidate = Candidate::Found(Box::new(one));
            found.push((candidate, Cursor::Behind(Some(spot))));
            found.len() < BATCH_ENTRIES
        });
        let full = found.len() >= BATCH_ENTRIES;
        let next_level = later_in.map(|priority| Spot::Ready {
            priority,
            seq: u64::MAX,
        });
        Ok(Batch {
            end: !full && later_in.is_none_or(|priority| priority == 0),
            found,
            behind: next_level.map(|spot| Cursor::Behind(Some(spot))),
        })
    }
}
