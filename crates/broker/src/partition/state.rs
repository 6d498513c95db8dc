//! The state of a partition and the one step that changes it.
//!
//! Invariants
//! - One step appends at most one record of facts; what its confirms promise is the end of that.
//! - A queue's counts are shown outside before the step ends (`changed`).
//! - A command for a queue that is gone does nothing but give back what it brought.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::Millis;
use ferry_core::facts::{Change, Facts, Mark};
use ferry_core::message::NOT_LOGGED;
use ferry_core::queue::{
    ConsumerId, Context, Counts, Effect, Enqueued, Gate, Outcome, Queue, SyncPolicy,
};
use ferry_core::routing::QueueId;
use ferry_log::{Batch as LogBatch, Log, Need, Position, Reader, ReleaseBatch};
use hashbrown::HashMap;

use super::context::StateContext;
use super::lens::BodyLens;
use super::{Batch, Command, QueuePlace};
use crate::definitions::{KIND_FACTS, live_bytes};
use crate::durability::Durability;
use crate::measure::{MessageTimes, Run, Tally};
use crate::{ConfirmTag, Metrics, Outlet, Promise, QueueHandle, Ticket};

/// Bytes of a step's record whose space is kept for the next.
const RECORD_BYTES_KEPT: usize = 1 << 20;
/// Releases of a step whose space is kept for the next.
const RELEASED_KEPT: usize = 1 << 14;

/// Where the deliveries of a consumer go.
pub(crate) struct Target {
    pub outlet: Arc<dyn Outlet>,
    pub tag: String,
}

pub(super) type Targets = HashMap<ConsumerId, Target, foldhash::fast::FixedState>;

pub(super) struct OpenGate<'a>(pub &'a Targets);

impl Gate for OpenGate<'_> {
    fn admit(&self, consumer: ConsumerId, bytes: usize) -> bool {
        self.0
            .get(&consumer)
            .is_some_and(|target| target.outlet.admit(bytes))
    }
}

pub(super) struct QueueSlot {
    pub queue: Queue,
    pub handle: Arc<QueueHandle>,
    /// Its place in `deadlines`, if it has one.
    pub deadline: Option<Millis>,
    /// Whether it stands in `changed`.
    pub has_changed: bool,
}

/// All that one thread at a time may change.
pub(crate) struct State {
    number: u16,
    log: Arc<Log>,
    /// Each on its own: a slab that grows copies what is in it.
    pub(super) queues: slab::Slab<Box<QueueSlot>>,
    pub(super) targets: Targets,
    pub(super) next_consumer: u64,
    pub(super) reader: Reader,
    pub(super) effects: Vec<Effect>,
    pub(super) facts: Facts,
    pub(super) released: Vec<Mark>,
    pub(super) memory: i64,
    /// Bytes that are kept beside bodies from now on, not accounted yet.
    pub(super) index_bytes: i64,
    pub(super) tally: Tally,
    pub(super) waited: Run,
    pub(super) leased: Run,
    pub(super) times: Arc<MessageTimes>,
    record: Vec<u8>,
    batch: LogBatch,
    release: ReleaseBatch,
    pub(super) deadlines: BTreeSet<(Millis, u32)>,
    /// Queues that this step has changed.
    pub(super) changed: Vec<u32>,
    need: Need,
    /// The step must be written even if it has no facts: what it promises is that something
    /// before it is safe.
    covers_all: bool,
}

impl State {
    pub fn new(number: u16, log: Arc<Log>) -> State {
        State {
            number,
            reader: Reader::new(Arc::clone(&log)),
            log,
            queues: slab::Slab::new(),
            targets: Targets::default(),
            next_consumer: 1,
            effects: Vec::new(),
            facts: Facts::default(),
            released: Vec::new(),
            memory: 0,
            index_bytes: 0,
            tally: Tally::default(),
            waited: Run::default(),
            leased: Run::default(),
            times: Arc::default(),
            record: Vec::new(),
            batch: LogBatch::new(),
            release: ReleaseBatch::default(),
            deadlines: BTreeSet::new(),
            changed: Vec::new(),
            need: Need::Lazy,
            covers_all: false,
        }
    }

    /// Takes a queue in and tells its handle where it is.
    pub fn add_queue(&mut self, queue: Queue, handle: &Arc<QueueHandle>, now: Millis) {
        self.index_bytes += handle.show(&queue.counts(), now);
        let slot = QueueSlot {
            queue,
            handle: Arc::clone(handle),
            deadline: None,
            has_changed: false,
        };
        let place = self.queues.insert(Box::new(slot)) as u32;
        handle.slot.store(place, Ordering::Release);
        self.plan(place);
    }

    /// Lets a queue go with all its messages, which are the caller's to let go of
    /// (`Broker::dissolve`); its consumers are told.
    pub fn remove_queue(&mut self, cx: &StateContext<'_>, place: QueuePlace) -> Option<Queue> {
        let key = self.find(place)?;
        let slot = *self.queues.remove(key);
        if let Some(at) = slot.deadline {
            self.deadlines.remove(&(at, place.slot));
        }
        let consumers: Vec<ConsumerId> = slot.queue.consumers().collect();
        for id in consumers {
            if let Some(target) = self.targets.remove(&id) {
                target.outlet.cancelled();
            }
        }
        let none = Counts {
            id: place.id,
            ..Counts::default()
        };
        self.index_bytes += slot.handle.show(&none, cx.now);
        slot.handle.arrivals.tell();
        Some(slot.queue)
    }

    pub fn next_consumer_id(&mut self) -> ConsumerId {
        self.next_consumer += 1;
        ConsumerId(self.next_consumer)
    }

    pub fn add_target(&mut self, id: ConsumerId, target: Target) {
        self.targets.insert(id, target);
    }

    pub fn remove_target(&mut self, id: ConsumerId) {
        self.targets.remove(&id);
    }

    pub(super) fn find(&self, place: QueuePlace) -> Option<usize> {
        let key = place.slot as usize;
        self.queues
            .get(key)
            .filter(|slot| slot.queue.id() == place.id)
            .map(|_| key)
    }

    /// Runs `command` on a queue and carries out what comes of it.
    pub fn with_queue<R>(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        staged: &[u8],
        command: impl FnOnce(&mut Queue, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut copied = None;
        self.with_queue_copying(cx, place, staged, &mut copied, command)
    }

    fn with_queue_copying<R>(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        staged: &[u8],
        copied: &mut Option<(u32, Arc<[u8]>)>,
        command: impl FnOnce(&mut Queue, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let key = self.find(place)?;
        let State {
            queues,
            targets,
            effects,
            facts,
            released,
            memory,
            reader,
            changed,
            ..
        } = self;
        let slot = &mut queues[key];
        if !std::mem::replace(&mut slot.has_changed, true) {
            changed.push(place.slot);
        }
        let gate = OpenGate(targets);
        let lens = BodyLens::new(reader, cx);
        let mut context = Context {
            now: cx.now,
            staged,
            gate: &gate,
            lens: &lens,
            effects,
            facts,
            released,
            memory,
            copied,
        };
        let result = command(&mut slot.queue, &mut context);
        if !self.effects.is_empty() {
            self.carry_out(cx, key, staged);
        }
        Some(result)
    }

    pub fn apply_batch(&mut self, cx: &StateContext<'_>, batch: Batch) {
        self.step(
            cx,
            &batch.staged,
            batch.commands.into_iter(),
            batch.ticket.as_ref(),
        );
    }

    /// Applies commands in order, writes down what they changed, and resolves the ticket's part.
    pub fn step(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        commands: impl Iterator<Item = Command>,
        ticket: Option<&Arc<Ticket>>,
    ) {
        let mut rejected = Vec::new();
        self.apply_all(cx, staged, commands, &mut rejected);
        self.finish(cx, ticket, &mut rejected);
    }

    /// Applies commands in order. Says how many publishes were refused; `rejected` gets the tags
    /// of those that have one.
    pub fn apply_all(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        commands: impl Iterator<Item = Command>,
        rejected: &mut Vec<ConfirmTag>,
    ) -> usize {
        let mut copied = None;
        let apply = |command| !self.apply(cx, staged, &mut copied, command, rejected);
        commands.map(apply).filter(|refused| *refused).count()
    }

    /// False if a publish was refused.
    fn apply(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        copied: &mut Option<(u32, Arc<[u8]>)>,
        command: Command,
        rejected: &mut Vec<ConfirmTag>,
    ) -> bool {
        match command {
            Command::Enqueue {
                queue,
                incoming,
                confirm,
            } => {
                let enqueue = |queue: &mut Queue, context: &mut Context<'_>| {
                    let enqueued = queue.enqueue(&incoming, context);
                    queue.note_arrival(&incoming, enqueued, context);
                    (enqueued, queue.options().sync)
                };
                match self.with_queue_copying(cx, queue, staged, copied, enqueue) {
                    Some((Enqueued::Taken, sync)) => {
                        self.count_arrival(queue, incoming.position != NOT_LOGGED);
                        if incoming.position != NOT_LOGGED {
                            self.need = self.need.max(need_of(sync));
                        }
                    }
                    Some((Enqueued::Duplicate, sync)) => {
                        self.need = self.need.max(need_of(sync));
                        self.covers_all = true;
                        Metrics::add(&cx.metrics.messages_duplicate, 1);
                    }
                    Some((Enqueued::Rejected, _)) => {
                        Metrics::add(&cx.metrics.messages_rejected, 1);
                        rejected.extend(confirm);
                        return false;
                    }
                    None => self.give_back(queue.id, &incoming),
                }
            }
            Command::Settle {
                queue,
                lease,
                outcome,
                recorded,
            } => {
                self.settle_as(cx, queue, lease, outcome, recorded);
            }
            Command::GiveBack { queue, leases } => {
                for lease in leases {
                    self.settle_as(cx, queue, lease.0, Outcome::Requeue, false);
                }
            }
            Command::Note { queue, note } => self.set_note(cx, queue, note),
            Command::Tag { queue, tag } => self.set_tag(cx, queue, tag),
            Command::Departed { queue, lease } => {
                self.with_queue(cx, queue, &[], |queue, context| {
                    queue.departed(lease, context)
                });
            }
            Command::Resume { queue, consumer } => {
                self.with_queue(cx, queue, &[], |queue, context| {
                    queue.resume(consumer, context)
                });
            }
        }
        true
    }

    /// What this step writes of a queue has to be safe as the queue says, if it is at all.
    pub(super) fn promise_kept(&mut self, sync: Option<SyncPolicy>) {
        self.need = self.need.max(sync.map_or(Need::Lazy, need_of));
    }

    /// Adds a change to what this step writes down.
    pub fn note(&mut self, change: Change) {
        self.facts.changes.push(change);
    }

    /// Lets go what a message brought that nobody keeps.
    pub fn give_back(&mut self, queue: QueueId, incoming: &ferry_core::queue::Incoming) {
        if incoming.position != NOT_LOGGED {
            let mark = Mark {
                queue,
                position: incoming.position,
                size: incoming.size,
            };
            self.released.push(mark);
        }
    }

    /// Writes down the facts of a step and settles the accounts.
    pub fn finish(
        &mut self,
        cx: &StateContext<'_>,
        ticket: Option<&Arc<Ticket>>,
        rejected: &mut Vec<ConfirmTag>,
    ) {
        self.show_changed(cx);
        let promise = self.write_facts(cx);
        release_all(&mut self.released, &mut self.release, &cx.durability.log);
        cx.tallies.take(&mut self.tally);
        self.waited.end(&self.times.waited);
        self.leased.end(&self.times.leased);
        if self.memory != 0 {
            cx.pressure.account(self.memory);
            self.memory = 0;
        }
        if self.index_bytes != 0 {
            cx.pressure.account_index(self.index_bytes);
            self.index_bytes = 0;
        }
        if let Some(ticket) = ticket {
            ticket.part_done(promise, rejected);
        }
    }

    /// None if the log has failed: nothing of this step may be confirmed.
    fn write_facts(&mut self, cx: &StateContext<'_>) -> Option<Promise> {
        let need = std::mem::replace(&mut self.need, Need::Lazy);
        let covers_all = std::mem::take(&mut self.covers_all);
        if self.facts.is_empty() && !covers_all {
            return cx
                .durability
                .log
                .failure()
                .is_none()
                .then_some(Promise::Now);
        }
        self.facts.encode(&mut self.record);
        self.facts.clear();
        self.batch.push(KIND_FACTS, self.number, &[&self.record]);
        self.record.clear();
        self.record.shrink_to(RECORD_BYTES_KEPT);
        let appended = cx.durability.append(&self.batch, need);
        self.batch.clear();
        let appended = appended.ok()?;
        Some(Durability::promise(&appended, need))
    }

    /// The durable part of every queue, for a checkpoint.
    pub fn images(&self, mut each: impl FnMut(QueueId, &Queue)) {
        for (_, slot) in self.queues.iter().filter(|(_, slot)| slot.handle.kept) {
            each(slot.queue.id(), &slot.queue);
        }
    }

    /// Drops messages of a queue; also whether that has to be written and synced.
    pub fn purge(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        purge: impl FnOnce(&mut Queue, &mut Context<'_>) -> u64,
    ) -> (u64, bool) {
        let purged = self.with_queue(cx, place, &[], purge);
        let written = !self.facts.gone.is_empty();
        if written {
            self.need = Need::Sync;
        }
        (purged.unwrap_or(0), written)
    }

    /// Lends the reader out while a queue is changed.
    pub fn take_reader(&mut self) -> Reader {
        std::mem::replace(&mut self.reader, Reader::new(self.log.clone()))
    }

    /// Takes the reader back.
    pub fn give_reader(&mut self, reader: Reader) {
        self.reader = reader;
    }

    /// A queue that is here.
    pub fn queue(&self, place: QueuePlace) -> Option<&Queue> {
        self.find(place).map(|key| &self.queues[key].queue)
    }

    /// Every queue, to be changed one by one.
    pub fn places(&self) -> Vec<QueuePlace> {
        let all = self.queues.iter();
        all.map(|(slot, queue)| QueuePlace {
            slot: slot as u32,
            id: queue.queue.id(),
        })
        .collect()
    }
}

/// Bodies in the log that nobody needs any more are not counted there from now on.
pub(crate) fn release_all(released: &mut Vec<Mark>, batch: &mut ReleaseBatch, log: &Log) {
    for mark in released.drain(..) {
        batch.add(Position(mark.position), live_bytes(mark.size), 1);
    }
    released.shrink_to(RELEASED_KEPT);
    log.release(batch);
}

pub(crate) fn need_of(sync: SyncPolicy) -> Need {
    match sync {
        SyncPolicy::Sync => Need::Sync,
        SyncPolicy::Written => Need::Write,
        SyncPolicy::Memory => Need::Lazy,
    }
}
