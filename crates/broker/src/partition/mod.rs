//! A partition: the queues that one thread at a time may change.
//!
//! Whoever brings a batch and finds the partition free does the work, its own and what gathered
//! meanwhile; whoever finds it taken leaves the batch in the inbox and goes on. The holder looks
//! into the inbox once more after it has let go, so nothing is stranded.
//!
//! Invariants
//! - `state` is locked while a batch is applied, and batches are applied in the order of the
//!   inbox; a batch that is applied directly comes after all that the inbox held.
//! - Nobody holds two partitions, and nothing that is called under the lock takes the lock of a
//!   definition or another partition: such work is left as [`After`] and done later.
//!
//! Not here: what a command does to a queue (`ferry-core`), how results leave (`effects`).

mod changed;
mod consumers;
mod context;
mod counting;
mod deadlines;
mod effects;
mod inbox;
mod lens;
mod notes;
mod state;
mod trail;

/// What the inbox is made of; a model checker puts its own in their place (`tests/loom_inbox.rs`).
mod primitives {
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering};

    pub(super) use parking_lot::Mutex;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::Millis;
use ferry_core::queue::{ConsumerSlot, Incoming, LeaseId, Outcome};
use ferry_core::routing::QueueId;
use parking_lot::Mutex;

use crate::dead_letter::Departure;
use crate::gather::Answer;
use crate::measure::MessageTimes;
use crate::{ConfirmTag, Lease, QueueHandle, Retained, Ticket};
pub(crate) use context::{StateContext, Surroundings};
pub(crate) use effects::with_body;
pub(crate) use inbox::Inbox;
pub(crate) use notes::{SetNote, SetTag};
pub(crate) use state::{State, Target, release_all};

/// Where a queue is within its partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePlace {
    pub slot: u32,
    pub id: QueueId,
}

/// Something that changes one queue.
#[derive(Debug)]
pub(crate) enum Command {
    Enqueue {
        queue: QueuePlace,
        incoming: Incoming,
        confirm: Option<ConfirmTag>,
    },
    Settle {
        queue: QueuePlace,
        lease: LeaseId,
        outcome: Outcome,
        /// A transaction has written it.
        recorded: bool,
    },
    /// Whoever holds these goes: they come back.
    GiveBack {
        queue: QueuePlace,
        leases: Vec<Lease>,
    },
    /// The queue remembers a number, or forgets it.
    Note { queue: QueuePlace, note: SetNote },
    /// A message keeps a number.
    Tag { queue: QueuePlace, tag: SetTag },
    Resume {
        queue: QueuePlace,
        consumer: ConsumerSlot,
    },
    /// A dead letter has arrived, or has nowhere to go.
    Departed { queue: QueuePlace, lease: LeaseId },
}

/// Commands with the bytes they point into.
pub(crate) struct Batch {
    pub staged: Arc<[u8]>,
    pub commands: Vec<Command>,
    pub ticket: Option<Arc<Ticket>>,
}

/// Work that must wait until no partition is held.
pub(crate) enum After {
    DeadLetter {
        departure: Departure,
        /// Its stored form, if it was read already.
        message: Option<Vec<u8>>,
    },
    /// It is known now which queues refused a dead letter.
    Arrived { departure: Departure },
    /// A queue may take dead letters again that it refused.
    Room { queue: QueueId },
    /// A gathering has ended.
    Gathered(Box<Answer>),
    /// The queue has not been used for its time.
    Expired { queue: Arc<QueueHandle> },
    /// Retained messages were replaced.
    Retained(Arc<Retained>),
}

/// One partition.
pub(crate) struct Partition {
    inbox: Inbox<Batch>,
    state: Mutex<State>,
    times: Arc<MessageTimes>,
    /// When `tick` is due; `Millis::MAX` for never.
    deadline: AtomicU64,
}

/// Batches that one thread applies for others before it hands the rest over.
const BATCHES_IN_A_ROW_MAX: usize = 64;

impl Partition {
    pub fn new(state: State) -> Partition {
        Partition {
            inbox: Inbox::default(),
            times: Arc::clone(&state.times),
            state: Mutex::new(state),
            deadline: AtomicU64::new(Millis::MAX),
        }
    }

    /// How long its messages took.
    pub fn times(&self) -> &MessageTimes {
        &self.times
    }

    /// When something is overdue here.
    pub fn deadline(&self) -> Millis {
        self.deadline.load(Ordering::Relaxed)
    }

    /// Applies commands here and now if the partition is free. False if it is not: the caller
    /// then gives them as a batch to `submit`.
    pub fn try_apply(
        &self,
        around: &Surroundings<'_>,
        staged: &[u8],
        commands: &mut Vec<Command>,
        ticket: Option<&Arc<Ticket>>,
    ) -> bool {
        let Some(mut state) = self.state.try_lock() else {
            return false;
        };
        let cx = self.taken(around, &mut state);
        state.step(&cx, staged, commands.drain(..), ticket);
        self.let_go(around, state);
        self.drain(around);
        true
    }

    /// Leaves a batch, and applies it if the partition is free.
    pub fn submit(&self, around: &Surroundings<'_>, batch: Batch) {
        self.inbox.push(batch);
        self.drain(around);
    }

    /// Applies what is in the inbox as long as the partition is free.
    pub fn drain(&self, around: &Surroundings<'_>) {
        let mut done = 0;
        while !self.inbox.is_empty() {
            if done >= BATCHES_IN_A_ROW_MAX {
                around.signals.hand_over();
                return;
            }
            let Some(mut state) = self.state.try_lock() else {
                return;
            };
            let cx = StateContext::new(around);
            for batch in self.inbox.take() {
                done += 1;
                state.apply_batch(&cx, batch);
            }
            self.let_go(around, state);
        }
    }

    /// Runs `call` on the state, after all that the inbox holds. Waits for the partition: the
    /// caller must not hold another one, nor anything that is taken under its lock.
    pub fn call<R>(
        &self,
        around: &Surroundings<'_>,
        call: impl FnOnce(&mut State, &StateContext<'_>) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let cx = self.taken(around, &mut state);
        let result = call(&mut state, &cx);
        state.finish(&cx, None, &mut Vec::new());
        self.let_go(around, state);
        self.drain(around);
        result
    }

    /// Lets what is overdue happen.
    pub fn tick(&self, around: &Surroundings<'_>) {
        self.call(around, State::tick);
    }

    /// Somebody has taken the partition and goes on after what the inbox held.
    fn taken<'a>(&self, around: &'a Surroundings<'a>, state: &mut State) -> StateContext<'a> {
        let cx = StateContext::new(around);
        for batch in self.inbox.take() {
            state.apply_batch(&cx, batch);
        }
        cx
    }

    fn let_go(&self, around: &Surroundings<'_>, state: parking_lot::MutexGuard<'_, State>) {
        let deadline = state.deadline();
        if self.deadline.swap(deadline, Ordering::Relaxed) > deadline {
            around.signals.deadline_moved(deadline);
        }
        drop(state);
    }
}
