//! The state of a partition and the one step that changes it.
//!
//! Invariants
//! - One step appends at most one record of facts; what its confirms promise is the end of that.
//! - A queue's counts are shown outside before the step ends.
//! - A command for a queue that is gone does nothing but give back what it brought.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::facts::{Facts, Mark};
use ferry_core::message::NOT_LOGGED;
use ferry_core::queue::{ConsumerId, Context, Effect, Enqueued, Gate, Outcome, Queue, SyncPolicy};
use ferry_core::routing::QueueId;
use ferry_log::{Batch as LogBatch, Log, Need, Position, Reader, ReleaseBatch};
use hashbrown::HashMap;

use super::{After, Batch, Command, QueuePlace};
use crate::background::Signals;
use crate::definitions::{KIND_FACTS, live_bytes};
use crate::durability::Durability;
use crate::{ConfirmTag, Metrics, Outlet, Pressure, Promise, QueueHandle, Ticket};

/// What a step needs of the broker.
pub(crate) struct StateContext<'a> {
    pub now: Millis,
    pub durability: &'a Durability,
    pub pressure: &'a Pressure,
    pub metrics: &'a Metrics,
    pub afters: &'a parking_lot::Mutex<Vec<After>>,
    pub signals: &'a Signals,
}

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
}

/// All that one thread at a time may change.
pub(crate) struct State {
    number: u16,
    log: Arc<Log>,
    pub(super) queues: slab::Slab<QueueSlot>,
    pub(super) targets: Targets,
    pub(super) next_consumer: u64,
    pub(super) reader: Reader,
    pub(super) effects: Vec<Effect>,
    pub(super) facts: Facts,
    pub(super) released: Vec<Mark>,
    pub(super) memory: i64,
    record: Vec<u8>,
    batch: LogBatch,
    release: ReleaseBatch,
    deadlines: BTreeSet<(Millis, u32)>,
    need: Need,
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
            record: Vec::new(),
            batch: LogBatch::new(),
            release: ReleaseBatch::default(),
            deadlines: BTreeSet::new(),
            need: Need::Lazy,
        }
    }

    /// Takes a queue in and tells its handle where it is.
    pub fn add_queue(&mut self, queue: Queue, handle: &Arc<QueueHandle>) {
        handle.show(&queue.counts());
        let slot = QueueSlot {
            queue,
            handle: Arc::clone(handle),
            deadline: None,
        };
        let place = self.queues.insert(slot) as u32;
        handle
            .slot
            .store(place, std::sync::atomic::Ordering::Release);
        self.plan(place);
    }

    /// Lets a queue go with all its messages; its consumers are told.
    pub fn remove_queue(&mut self, cx: &StateContext<'_>, place: QueuePlace) -> u64 {
        let Some(key) = self.find(place) else {
            return 0;
        };
        let slot = self.queues.remove(key);
        if let Some(at) = slot.deadline {
            self.deadlines.remove(&(at, place.slot));
        }
        let consumers: Vec<ConsumerId> = slot.queue.consumers().collect();
        for id in consumers {
            if let Some(target) = self.targets.remove(&id) {
                target.outlet.cancelled();
            }
        }
        let mut counts = slot.queue.counts();
        let State {
            targets,
            effects,
            facts,
            released,
            memory,
            ..
        } = self;
        let gate = OpenGate(targets);
        let mut context = Context {
            now: cx.now,
            staged: &[],
            gate: &gate,
            effects,
            facts,
            released,
            memory,
            copied: &mut None,
        };
        let dropped = slot.queue.delete(&mut context);
        (
            counts.ready,
            counts.unsettled,
            counts.ready_bytes,
            counts.consumers,
        ) = (0, 0, 0, 0);
        slot.handle.show(&counts);
        dropped
    }

    pub fn next_consumer_id(&mut self) -> ConsumerId {
        self.next_consumer += 1;
        ConsumerId(self.next_consumer)
    }

    pub fn add_target(&mut self, id: ConsumerId, target: Target) {
        self.targets.insert(id, target);
    }

    /// The tags of a queue's consumers.
    pub fn consumer_tags(&self, place: QueuePlace) -> Vec<String> {
        let ids = self.queue(place).into_iter().flat_map(Queue::consumers);
        ids.filter_map(|id| Some(self.targets.get(&id)?.tag.clone()))
            .collect()
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
            ..
        } = self;
        let slot = &mut queues[key];
        let gate = OpenGate(targets);
        let now = cx.now;
        let mut context = Context {
            now,
            staged,
            gate: &gate,
            effects,
            facts,
            released,
            memory,
            copied,
        };
        let result = command(&mut slot.queue, &mut context);
        slot.handle.show(&slot.queue.counts());
        if !self.effects.is_empty() {
            self.carry_out(cx, key, staged);
        }
        self.plan(place.slot);
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
    /// Says how many publishes were refused.
    pub fn step(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        commands: impl Iterator<Item = Command>,
        ticket: Option<&Arc<Ticket>>,
    ) -> usize {
        let mut rejected = Vec::new();
        let mut refused = 0;
        let mut copied = None;
        for command in commands {
            refused += usize::from(!self.apply(cx, staged, &mut copied, command, &mut rejected));
        }
        self.finish(cx, ticket, &mut rejected);
        refused
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
                    (queue.enqueue(&incoming, context), queue.options().sync)
                };
                match self.with_queue_copying(cx, queue, staged, copied, enqueue) {
                    Some((Enqueued::Taken, sync)) => {
                        if incoming.position != NOT_LOGGED {
                            self.need = self.need.max(need_of(sync));
                        }
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
            } => {
                if outcome == Outcome::Accept {
                    Metrics::add(&cx.metrics.messages_acknowledged, 1);
                }
                self.with_queue(cx, queue, &[], |queue, context| {
                    queue.settle(lease, outcome, context)
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

    fn give_back(&mut self, queue: QueueId, incoming: &ferry_core::queue::Incoming) {
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
        let promise = self.write_facts(cx);
        if !self.released.is_empty() {
            for mark in self.released.drain(..) {
                self.release
                    .add(Position(mark.position), live_bytes(mark.size), 1);
            }
            cx.durability.log.release(&mut self.release);
        }
        if self.memory != 0 {
            cx.pressure.account(self.memory);
            self.memory = 0;
        }
        if let Some(ticket) = ticket {
            ticket.part_done(promise, rejected);
        }
    }

    /// None if the log has failed: nothing of this step may be confirmed.
    fn write_facts(&mut self, cx: &StateContext<'_>) -> Option<Promise> {
        let need = std::mem::replace(&mut self.need, Need::Lazy);
        if self.facts.is_empty() {
            return cx
                .durability
                .log
                .failure()
                .is_none()
                .then_some(Promise::Now);
        }
        self.record.clear();
        self.facts.encode(&mut self.record);
        self.facts.clear();
        self.batch.clear();
        self.batch.push(KIND_FACTS, self.number, &[&self.record]);
        let appended = cx.durability.append(&self.batch, need).ok()?;
        Some(Durability::promise(&appended, need))
    }

    /// The earliest time at which something is overdue.
    pub fn deadline(&self) -> Millis {
        self.deadlines.first().map_or(Millis::MAX, |(at, _)| *at)
    }

    /// Notes when the queue must be looked at next.
    fn plan(&mut self, place: u32) {
        let Some(slot) = self.queues.get_mut(place as usize) else {
            return;
        };
        let expiry = slot.queue.next_expiry();
        let next = match (expiry, slot.queue.unused_until()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if next != slot.deadline {
            if let Some(at) = slot.deadline {
                self.deadlines.remove(&(at, place));
            }
            if let Some(at) = next {
                self.deadlines.insert((at, place));
            }
            slot.deadline = next;
        }
    }

    /// Lets overdue messages expire, and asks for overdue queues to be deleted.
    pub fn tick(&mut self, cx: &StateContext<'_>) {
        while let Some((at, place)) = self
            .deadlines
            .first()
            .copied()
            .filter(|(at, _)| *at <= cx.now)
        {
            self.deadlines.remove(&(at, place));
            let slot = &mut self.queues[place as usize];
            slot.deadline = None;
            let queue = QueuePlace {
                slot: place,
                id: slot.queue.id(),
            };
            if slot
                .queue
                .unused_until()
                .is_some_and(|until| until <= cx.now)
            {
                let queue = Arc::clone(&slot.handle);
                cx.afters.lock().push(After::Expired { queue });
                continue;
            }
            self.with_queue(cx, queue, &[], |queue, context| queue.tick(context));
        }
    }

    /// The durable part of every queue, for a checkpoint.
    pub fn images(&self, mut each: impl FnMut(QueueId, &Queue)) {
        for (_, slot) in self.queues.iter().filter(|(_, slot)| slot.handle.kept) {
            each(slot.queue.id(), &slot.queue);
        }
    }

    /// Drops the ready messages of a queue; also whether that has to be written and synced.
    pub fn purge(&mut self, cx: &StateContext<'_>, place: QueuePlace) -> (u64, bool) {
        let purged = self.with_queue(cx, place, &[], |queue, context| queue.purge(context));
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
        let place = |(slot, queue): (usize, &QueueSlot)| QueuePlace {
            slot: slot as u32,
            id: queue.queue.id(),
        };
        self.queues.iter().map(place).collect()
    }
}

pub(crate) fn need_of(sync: SyncPolicy) -> Need {
    match sync {
        SyncPolicy::Sync => Need::Sync,
        SyncPolicy::Written => Need::Write,
        SyncPolicy::Memory => Need::Lazy,
    }
}
