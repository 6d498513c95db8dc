//! Replays of many messages: started, listed, cancelled.
//!
//! A job goes over what was ready in its queue when it started and replays what was asked for, a
//! few messages at a time, from the background thread's tick.
//!
//! Invariants
//! - A job sees no message that came after its start, so one that replays to its own queue ends.
//! - A job that is not due costs nothing; there is at most one turn of a job at a time.
//! - What a job has moved stays moved; the job itself does not survive a restart. It may be
//!   started again then: what was moved is not there any more.
//! - Jobs that run and jobs that are remembered are bounded.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU32;
use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::queue::{Queue, Spot};
use parking_lot::Mutex;

use super::pace::Pace;
use crate::inspect::audit;
use crate::{Broker, Filter, MayWrite, MessageRef, MoveTo, OperateError, QueueHandle};

/// Jobs that may run at the same time.
const RUNNING_MAX: usize = 16;

/// Jobs that have ended and are still shown.
const ENDED_MAX: usize = 64;

/// Messages that may be named for one job.
const REFS_MAX: usize = 10_000;

/// Names a job until the broker is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

impl Display for JobId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which messages a job replays.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// All that are ready.
    All,
    /// These, at most 10,000.
    Refs(Vec<MessageRef>),
    /// Those that are ready and like this.
    Filter(Box<Filter>),
}

/// What a job is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplaySpec {
    /// Which messages.
    pub selection: Selection,
    /// Where they go.
    pub to: MoveTo,
    /// Messages a second; none for as fast as may be.
    pub rate: Option<NonZeroU32>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It goes on.
    Running,
    /// It has gone over everything.
    Done,
    /// Somebody ended it.
    Cancelled,
    /// It could not go on.
    Failed(String),
}

/// What a job has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages that were looked at.
    pub looked_at: u64,
    /// Messages that were replayed.
    pub done: u64,
    /// Messages that were not meant, or had left meanwhile, or that somebody had.
    pub skipped: u64,
    /// Those of them that were not meant.
    pub unmeant: u64,
    /// Messages that could not be replayed and are where they were.
    pub failed: u64,
    /// Why the first of those could not.
    pub first_error: Option<String>,
}

/// A job as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayJob {
    /// Its name.
    pub id: JobId,
    /// The queue that it takes messages from.
    pub queue: String,
    /// The virtual host of the queue.
    pub vhost: String,
    /// Where they go.
    pub to: MoveTo,
    /// Messages a second.
    pub rate: Option<NonZeroU32>,
    /// Who started it.
    pub actor: String,
    /// When.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// How far it is.
    pub state: JobState,
    /// What it has done.
    pub progress: Progress,
}

/// What does not change of a job.
pub(super) struct Task {
    pub queue: Arc<QueueHandle>,
    pub spec: ReplaySpec,
    /// Messages that the queue had at the start have a `seq` below.
    pub below: u64,
    pub actor: String,
    pub may_write: MayWrite,
    started_at: Millis,
}

/// How far a job has come in what it goes over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cursor {
    /// Behind this place of the queue.
    Behind(Option<Spot>),
    /// At this one of the named messages.
    Named(usize),
}

struct Job {
    task: Arc<Task>,
    cursor: Cursor,
    pace: Pace,
    state: JobState,
    progress: Progress,
    ended_at: Option<Millis>,
    /// When its next turn is; `Millis::MAX` while it has one, and when it has ended.
    next_at: Millis,
}

/// A turn of a job.
pub(super) struct Turn {
    pub task: Arc<Task>,
    pub cursor: Cursor,
    /// Messages that may be replayed in it.
    pub allowed: u64,
    pub progress: Progress,
    /// The end of the job, if it is that.
    pub ended: Option<JobState>,
    /// Nothing is to be done before.
    pub held_until: Millis,
    /// Messages that were tried to be replayed in it.
    pub sent: u64,
}

#[derive(Default)]
struct Jobs {
    last: u64,
    jobs: BTreeMap<JobId, Job>,
}

/// All jobs.
#[derive(Default)]
pub(crate) struct Replays(Mutex<Jobs>);

impl Jobs {
    fn running(&self) -> usize {
        let running = |job: &&Job| job.state == JobState::Running;
        self.jobs.values().filter(running).count()
    }

    fn forget_oldest(&mut self) {
        while self.jobs.len() - self.running() > ENDED_MAX {
            let oldest = self.jobs.iter().find(|(_, job)| job.ended_at.is_some());
            let Some(id) = oldest.map(|(id, _)| *id) else {
                return;
            };
            self.jobs.remove(&id);
        }
    }
}

impl Job {
    fn end(&mut self, state: JobState, now: Millis) {
        (self.state, self.ended_at, self.next_at) = (state, Some(now), Millis::MAX);
        let Progress { done, failed, .. } = self.progress;
        let act = match &self.state {
            JobState::Done => "replayed by a job",
            JobState::Cancelled => "replayed by a job that was cancelled",
            _ => "replayed by a job that failed",
        };
        audit(&self.task.actor, &self.task.queue, act, done);
        if failed > 0 {
            let act = "left where they were by a job";
            audit(&self.task.actor, &self.task.queue, act, failed);
        }
    }

    fn show(&self, id: JobId) -> ReplayJob {
        let Task {
            queue,
            spec,
            actor,
            started_at,
            ..
        } = &*self.task;
        ReplayJob {
            id,
            queue: queue.name().to_owned(),
            vhost: queue.vhost().to_owned(),
            to: spec.to.clone(),
            rate: spec.rate,
            actor: actor.clone(),
            started_at: *started_at,
            ended_at: self.ended_at,
            state: self.state.clone(),
            progress: self.progress.clone(),
        }
    }
}

impl Replays {
    /// When a job has its next turn.
    pub fn next_turn(&self) -> Millis {
        let jobs = self.0.lock();
        let times = jobs.jobs.values().map(|job| job.next_at);
        times.min().unwrap_or(Millis::MAX)
    }

    /// The jobs that have a turn.
    pub(super) fn due(&self, now: Millis) -> Vec<JobId> {
        let jobs = self.0.lock();
        let due = jobs.jobs.iter().filter(|(_, job)| job.next_at <= now);
        due.map(|(id, _)| *id).collect()
    }

    /// Begins a turn, of at most `max` messages.
    pub(super) fn begin(&self, id: JobId, now: Millis, max: u64) -> Option<Turn> {
        let mut jobs = self.0.lock();
        let job = jobs.jobs.get_mut(&id).filter(|job| job.next_at <= now)?;
        job.next_at = Millis::MAX;
        Some(Turn {
            task: Arc::clone(&job.task),
            cursor: job.cursor,
            allowed: job.pace.due(now, max),
            progress: Progress::default(),
            ended: None,
            held_until: 0,
            sent: 0,
        })
    }

    /// Ends a turn.
    pub(super) fn end(&self, id: JobId, turn: Turn, now: Millis) {
        let mut jobs = self.0.lock();
        let Some(job) = jobs.jobs.get_mut(&id) else {
            return;
        };
        job.cursor = turn.cursor;
        job.pace.sent(turn.sent);
        job.progress.add(turn.progress);
        if job.state != JobState::Running {
            return;
        }
        match turn.ended {
            Some(state) => {
                job.end(state, now);
                jobs.forget_oldest();
            }
            None if turn.sent < turn.allowed => job.next_at = turn.held_until,
            None => job.next_at = job.pace.next_at().max(turn.held_until),
        }
    }
}

impl Progress {
    fn add(&mut self, more: Progress) {
        self.looked_at += more.looked_at;
        self.done += more.done;
        self.skipped += more.skipped;
        self.unmeant += more.unmeant;
        self.failed += more.failed;
        if self.first_error.is_none() {
            self.first_error = more.first_error;
        }
    }
}

impl Broker {
    /// Starts to replay many messages of a queue. The job ends with the broker.
    pub fn start_replay(
        &self,
        queue: &Arc<QueueHandle>,
        spec: ReplaySpec,
        actor: &str,
    ) -> Result<JobId, OperateError> {
        self.start_replay_where(queue, spec, actor, super::everywhere())
    }

    /// The same for who may not write everywhere: what would go elsewhere is left where it is.
    pub fn start_replay_where(
        &self,
        queue: &Arc<QueueHandle>,
        spec: ReplaySpec,
        actor: &str,
        may_write: MayWrite,
    ) -> Result<JobId, OperateError> {
        if matches!(&spec.selection, Selection::Refs(refs) if refs.len() > REFS_MAX) {
            let range = format!("at most {REFS_MAX}");
            return Err(OperateError::out_of_range("the number of messages", range));
        }
        queue.check_taking()?;
        self.check_target(queue, &spec.to)?;
        let below = self
            .with_state(queue, |state, _| {
                state.queue(queue.place()).map(Queue::next_seq)
            })
            .ok_or_else(|| OperateError::no_queue(queue))?;
        let mut jobs = self.replays.0.lock();
        if jobs.running() >= RUNNING_MAX {
            let (what, max) = ("replay jobs", RUNNING_MAX);
            return Err(OperateError::TooMany { what, max });
        }
        jobs.last += 1;
        let id = JobId(jobs.last);
        let cursor = match spec.selection {
            Selection::Refs(_) => Cursor::Named(0),
            Selection::All | Selection::Filter(_) => Cursor::Behind(None),
        };
        let now = self.now();
        let pace = Pace::new(spec.rate, now);
        let task = Task {
            queue: Arc::clone(queue),
            spec,
            below,
            actor: actor.to_owned(),
            may_write,
            started_at: now,
        };
        let job = Job {
            task: Arc::new(task),
            cursor,
            pace,
            state: JobState::Running,
            progress: Progress::default(),
            ended_at: None,
            next_at: now,
        };
        jobs.jobs.insert(id, job);
        drop(jobs);
        audit(actor, queue, "handed to a replay job", queue.ready());
        self.signals.deadline_moved(now);
        Ok(id)
    }

    /// Whether there is anything to replay to.
    fn check_target(&self, queue: &QueueHandle, to: &MoveTo) -> Result<(), OperateError> {
        let vhost = self.vhost_of(queue)?;
        let there = match to {
            MoveTo::Origin => true,
            MoveTo::Exchange { name, .. } => name.is_empty() || vhost.exchange(name).is_ok(),
            MoveTo::Queue(name) => vhost.any_queue(name).is_some(),
        };
        let vhost = queue.vhost().to_owned();
        match to {
            _ if there => Ok(()),
            MoveTo::Exchange { name, .. } => {
                let name = name.clone();
                Err(OperateError::NoSuchExchange { name, vhost })
            }
            MoveTo::Queue(name) => {
                let name = name.clone();
                Err(OperateError::NoSuchQueue { name, vhost })
            }
            MoveTo::Origin => Ok(()),
        }
    }

    /// The jobs that run and the last ones that have ended, the oldest first.
    pub fn replay_jobs(&self) -> Vec<ReplayJob> {
        let jobs = self.replays.0.lock();
        jobs.jobs.iter().map(|(id, job)| job.show(*id)).collect()
    }

    /// Ends a job; one that has ended stays as it is. What it has replayed stays replayed.
    pub fn cancel_replay(&self, id: JobId, actor: &str) -> Result<(), OperateError> {
        let mut jobs = self.replays.0.lock();
        let job = jobs.jobs.get_mut(&id).ok_or(OperateError::NoSuchJob)?;
        if job.state == JobState::Running {
            tracing::info!(actor, job = id.0, "a replay job was cancelled");
            job.end(JobState::Cancelled, self.now());
            jobs.forget_oldest();
        }
        Ok(())
    }
}
