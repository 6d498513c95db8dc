//! A world: one broker on one disk with its clients, and the model beside it.
//!
//! Invariants
//! - Whatever the broker did is told to the model before anything else is asked of it.
//! - The broker is ticked at the end of each step, as its background thread would.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_broker::{
    Broker, Clock, ConfirmTag, ConnectionId, ConnectionInfo, ConsumerHandle, Formats, Lease,
    Options, Promise, Publisher, QueueHandle, SyncPolicy, Ticket, Vhost,
};
use ferry_core::queue::QueueKind;
use ferry_log::Position;
use ferry_log::testing::{FaultyDisk, Random};

use crate::clock::VirtualClock;
use crate::format::{FORMAT, SimFormat};
use crate::model::found::{FoundMessage, State};
use crate::model::queue::QueueModel;
use crate::model::routing::Binding;
use crate::model::{self, Change, Model, Seemly, Step};
use crate::outlet::{Event, Events, SimOutlet};
use crate::retained::RetainedModel;
use crate::trace::Trace;
use crate::workload::Workload;
use crate::{Checked, Violation, check, peek, violated};

/// Clients of a world.
pub const CLIENTS: usize = 4;

/// Ticks after which nothing may be overdue.
const TICKS_MAX: usize = 64;

/// The time at which every world begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// A lease that a client holds.
#[derive(Clone)]
pub struct HeldLease {
    /// The queue it came from.
    pub queue: Arc<QueueHandle>,
    /// What settles it.
    pub lease: Lease,
    /// The lease in the model.
    pub number: u64,
}

/// A consumer of a client.
pub struct SimConsumer {
    /// Its number in the model.
    pub number: u64,
    /// How it is cancelled.
    pub handle: ConsumerHandle,
    /// Where its deliveries go.
    pub outlet: Arc<SimOutlet>,
}

/// A connected client.
pub struct Client {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its routes.
    pub publisher: Publisher,
    /// Its consumers.
    pub consumers: Vec<SimConsumer>,
    /// What it holds.
    pub held: Vec<HeldLease>,
    /// What it held once.
    pub stale: Vec<HeldLease>,
}

/// A definition that somebody waits for.
#[derive(Debug, Clone)]
pub enum Defined {
    /// A queue is there.
    Queue(u64),
    /// A queue is gone.
    QueueGone(u64),
    /// A binding is there.
    Binding(Binding),
    /// A binding is gone.
    BindingGone(Binding),
    /// An exchange is there.
    Exchange(String),
    /// An exchange is gone.
    ExchangeGone(String),
    /// A version of the policy holds.
    Policy(u64),
}

/// A reply that somebody waits for.
pub enum Pending {
    /// Confirms of a burst: the ticket, and the places its messages got.
    Confirms(Arc<Ticket>, Vec<(u64, u64, u64)>, BTreeSet<u64>),
    /// The end of a transaction.
    Commit(Promise, Vec<(u64, u64, u64)>),
    /// A definition.
    Definition(Promise, Defined),
}

/// Everything.
pub struct World {
    /// The seed.
    pub seed: u64,
    /// Where all choices come from.
    pub random: Random,
    /// The disk.
    pub disk: FaultyDisk,
    /// The clock.
    pub clock: Arc<VirtualClock>,
    /// The broker in its current life.
    pub broker: Arc<Broker>,
    /// Its virtual host.
    pub vhost: Arc<Vhost>,
    /// What must be true.
    pub model: Model,
    /// The clients.
    pub clients: Vec<Client>,
    /// What the broker did to them.
    pub events: Events,
    /// Replies that are waited for.
    pub pending: Vec<Pending>,
    /// What happened.
    pub trace: Trace,
    /// What happens.
    pub workload: Workload,
    /// A fault was asked for: errors of the disk are to be expected.
    pub fault_armed: bool,
    /// The disk has a limit.
    pub disk_limited: bool,
    /// Size of segments, in bytes.
    pub segment_bytes: u64,
    /// How many lives the broker had.
    pub lives: u64,
    /// Restarts that were asked for.
    pub restarts: u64,
    /// What must be retained.
    pub retained: RetainedModel,
    pub(crate) next_message: u64,
    pub(crate) next_consumer: u64,
    pub(crate) next_transaction: u64,
    pub(crate) next_identity: u64,
    /// Leases of the operator.
    pub(crate) borrowed: Vec<HeldLease>,
    marks: Vec<(Step, Position)>,
}

impl World {
    /// A world at its beginning.
    pub fn new(seed: u64, workload: Workload, verbose: bool) -> Checked<World> {
        let mut random = Random::new(seed ^ 0x5eed);
        let disk = FaultyDisk::new(random.any());
        let clock = Arc::new(VirtualClock::new(BEGINNING_MS));
        let segment_bytes = [8 << 10, 32 << 10, 128 << 10][random.below(3) as usize];
        let broker = open(&disk, clock.clone(), segment_bytes, random.any())
            .map_err(|error| Violation(format!("an empty directory does not open: {error}")))?;
        let vhost = default_vhost(&broker);
        let mut world = World {
            seed,
            random,
            disk,
            clock,
            broker,
            vhost,
            model: Model::default(),
            clients: Vec::new(),
            events: Events::default(),
            pending: Vec::new(),
            trace: Trace::new(verbose),
            workload,
            fault_armed: false,
            disk_limited: false,
            segment_bytes,
            lives: 1,
            restarts: 0,
            retained: RetainedModel::default(),
            next_message: 1,
            next_consumer: 1,
            next_transaction: 1,
            next_identity: 1,
            borrowed: Vec::new(),
            marks: Vec::new(),
        };
        world.begin_life();
        world.model.step = 1;
        world.define_first()?;
        world.end_step()?;
        Ok(world)
    }

    /// Connects clients to a broker that was just opened; everything in it is safe.
    pub fn begin_life(&mut self) {
        self.vhost = default_vhost(&self.broker);
        self.pending.clear();
        self.borrowed.clear();
        self.marks = vec![(0, Position::ZERO)];
        self.clients = (0..CLIENTS).map(|_| self.connect()).collect();
    }

    /// A client that has just connected.
    pub fn connect(&self) -> Client {
        Client {
            connection: self.broker.connection_opened(ConnectionInfo::default()),
            publisher: Publisher::new(Arc::clone(&self.vhost)),
            consumers: Vec::new(),
            held: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// A client by chance.
    pub fn any_client(&mut self) -> usize {
        self.random.below(CLIENTS as u64) as usize
    }

    /// One of `all` by chance.
    pub fn any_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() {
            return None;
        }
        all.get(self.random.below(all.len() as u64) as usize)
            .cloned()
    }

    /// One step: an operation, and everything that must be true after it.
    pub fn step(&mut self) -> Checked {
        self.model.step += 1;
        let operation = self.workload.draw(&mut self.random);
        self.trace
            .line(format!("step {} {operation:?}", self.model.step));
        self.operate(operation)?;
        self.end_step()
    }

    /// What follows each operation.
    pub fn end_step(&mut self) -> Checked {
        if self.broker.failed().is_some() {
            self.after_failure()?;
        }
        self.tick()?;
        self.marks.push((self.model.step, self.broker.log().end()));
        self.poll()?;
        check::step(self)?;
        self.poll_retained();
        self.check_retained()?;
        let safe = self.safe_step(self.broker.log().durable());
        self.model.forget(safe);
        Ok(())
    }

    /// Everything that is overdue happens, as often as the broker asks for it.
    fn tick(&mut self) -> Checked {
        for _ in 0..TICKS_MAX {
            self.broker.tick();
            self.observe(vec![Change::Tick])?;
            if self.broker.next_deadline() > self.clock.now() {
                return Ok(());
            }
        }
        violated!("something is overdue after {TICKS_MAX} ticks")
    }

    /// The last step whose every record is below `position`.
    pub fn safe_step(&self, position: Position) -> Step {
        let below = self.marks.iter().rev().find(|(_, end)| *end <= position);
        below.map_or(0, |(step, _)| *step)
    }

    /// The step in which the record at `position` was written; what was moved seems later.
    pub fn step_of(&self, position: Position) -> Option<Step> {
        let above = self.marks.iter().find(|(_, end)| *end > position);
        above.map(|(step, _)| *step)
    }

    /// Tells the model what was asked for and what came out of it.
    pub fn observe(&mut self, changes: Vec<Change>) -> Checked<model::Result> {
        let events = self.events.take();
        for event in &events {
            self.note(event);
        }
        self.model.now = self.clock.now();
        let seen = self.look()?;
        let mut result = self.model.run(changes, events, seen)?;
        self.narrow()?;
        for granted in result.granted.drain(..) {
            let Some(lease) = granted.seen.lease else {
                continue;
            };
            let queue = granted.seen.queue;
            let held = HeldLease {
                queue,
                lease,
                number: granted.lease,
            };
            self.clients[granted.client].held.push(held);
        }
        Ok(result)
    }

    /// What can be seen of the broker besides what it did to clients.
    fn look(&self) -> Checked<Seemly> {
        let mut seen = Seemly::default();
        for consumer in self.clients.iter().flat_map(|client| &client.consumers) {
            if consumer.outlet.is_starved() {
                seen.starved.insert(consumer.number);
            }
        }
        for queue in self.vhost.queues() {
            seen.queues.insert(queue.id().0);
            if self.may_hide_expired(queue.id().0) {
                let ready = peek::all(&self.broker, &queue)?.into_iter();
                let ready = ready.filter(|found| found.state == State::Ready);
                let named = |found: FoundMessage| Some((found.seen.message?, found.seen.deaths?));
                seen.ready
                    .insert(queue.id().0, ready.filter_map(named).collect());
            }
            if queue.kind() == QueueKind::Stream {
                seen.streams.insert(queue.id().0, queue.ready());
            }
            if queue.dead_letters_pending() > 0 {
                let stuck = peek::stuck(&self.broker, &queue)?;
                seen.stuck.insert(queue.id().0, stuck);
            }
        }
        Ok(seen)
    }

    /// Whether the queue may have let something go that was overdue, from behind its head.
    fn may_hide_expired(&self, queue: u64) -> bool {
        let now = self.clock.now();
        let queue = self.model.queues.get(&queue);
        queue.is_some_and(|queue| queue.is_choosy() && queue.all().any(|i| i.expired(now)))
    }

    /// Waits with a jitter become known by looking at them.
    fn narrow(&mut self) -> Checked {
        let vague = |queue: &QueueModel| queue.delayed.values().any(|w| w.until.0 < w.until.1);
        let queues = self.model.queues.values().filter(|queue| vague(queue));
        let ids: BTreeSet<u64> = queues.map(|queue| queue.id).collect();
        for handle in self.vhost.queues() {
            let id = handle.id().0;
            if !ids.contains(&id) {
                continue;
            }
            let found = peek::delayed(&self.broker, &handle)?;
            if let Some(queue) = self.model.queues.get_mut(&id) {
                queue.narrow(&found)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        let line = match event {
            Event::Delivered(consumer, seen) => {
                let (queue, message) = (seen.queue.name(), seen.message);
                format!(
                    "  {queue} -> consumer {consumer}: {message:?} {}",
                    seen.redelivered
                )
            }
            Event::Got(client, seen) => {
                let (queue, message) = (seen.queue.name(), seen.message);
                format!(
                    "  {queue} -> client {client}: {message:?} {}",
                    seen.redelivered
                )
            }
            Event::Started(consumer) => format!("  consumer {consumer} consumes"),
            Event::Cancelled(consumer) => {
                for client in &mut self.clients {
                    client.consumers.retain(|known| known.number != *consumer);
                }
                format!("  consumer {consumer} is cancelled")
            }
        };
        self.trace.line(line);
    }

    /// Looks at the replies that are waited for.
    pub fn poll(&mut self) -> Checked {
        let pending = std::mem::take(&mut self.pending);
        for pending in pending {
            let promise = match &pending {
                Pending::Confirms(ticket, _, _) => ticket.resolved(),
                Pending::Commit(promise, _) | Pending::Definition(promise, _) => Some(*promise),
            };
            let Some(promise) = promise else {
                return violated!("a ticket is not resolved when all is applied");
            };
            if !self.broker.kept(promise) {
                self.pending.push(pending);
                continue;
            }
            match pending {
                Pending::Confirms(ticket, placed, refused) => {
                    let told: BTreeSet<u64> = ticket.rejected().iter().map(|tag| tag.tag).collect();
                    if told != refused {
                        return violated!("refused were {refused:?}, and told were {told:?}");
                    }
                    self.trace.line(format!("  confirmed {}", placed.len()));
                    self.confirm(placed.iter().filter(|(tag, _, _)| !told.contains(tag)));
                }
                Pending::Commit(_, placed) => self.confirm(placed.iter()),
                Pending::Definition(_, defined) => {
                    self.trace.line(format!("  confirmed {defined:?}"));
                    self.model.confirm_definition(&defined);
                }
            }
        }
        Ok(())
    }

    fn confirm<'a>(&mut self, placed: impl Iterator<Item = &'a (u64, u64, u64)>) {
        for (_, queue, number) in placed {
            self.model.confirm(*queue, *number);
        }
    }

    /// Whether an error of the disk is nothing to wonder at.
    pub fn excuse(&self, what: &str, error: impl std::fmt::Display) -> Checked {
        if self.fault_armed || self.disk_limited {
            return Ok(());
        }
        violated!("{what} without a fault: {error}")
    }

    /// A tag for a confirm.
    pub fn tag(id: u64) -> ConfirmTag {
        ConfirmTag {
            channel: 1,
            tag: id,
        }
    }

    /// Adds everything on the disk to the number that stands for the trace.
    pub fn trace_disk(&mut self) {
        use ferry_log::Disk;
        let mut names = self.disk.list().unwrap_or_default();
        names.sort();
        for name in names {
            let bytes = self.disk.bytes_of(&name).unwrap_or_default();
            self.trace.bytes(name.as_bytes());
            self.trace.bytes(&bytes);
        }
    }
}

fn default_vhost(broker: &Arc<Broker>) -> Arc<Vhost> {
    broker
        .vhost("/")
        .expect("every broker has its first virtual host")
}

/// Opens a broker on `disk`.
pub fn open(
    disk: &FaultyDisk,
    clock: Arc<dyn Clock>,
    segment_bytes: u64,
    entropy: u64,
) -> Result<Arc<Broker>, ferry_broker::OpenError> {
    let mut formats = Formats::default();
    formats.add(FORMAT, Arc::new(SimFormat));
    Broker::open(Options {
        disk: Arc::new(disk.clone()),
        log: ferry_log::Options {
            segment_bytes,
            fill_bytes: [0, 4096][(entropy % 2) as usize],
            checkpoint_growth_bytes: segment_bytes * 2,
            entropy,
        },
        clock,
        formats,
        sync: SyncPolicy::Sync,
        memory_high_bytes: 96 << 10,
        disk_free_bytes_min: 0,
    })
}
