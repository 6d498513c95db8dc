//! All that one socket read brought, handed to the partitions at once.
//!
//! Invariants
//! - Nothing of a burst is visible before `submit`; then its commands reach each partition in
//!   the order in which they were added.
//! - A body that must be durable is in the log before any queue hears of it, once, however many
//!   queues it goes to.
//! - A burst is empty again after `submit`, and keeps its space.

use std::sync::Arc;

use ferry_core::message::{Draft, Message, NOT_LOGGED};
use ferry_core::queue::{Incoming, Outcome};
use ferry_log::{Batch as LogBatch, LogError, Need, Position};

use crate::definitions::{KIND_BODY, STREAM_BODIES, live_bytes};
use crate::gather::{GATHER_PREFIX, Gathering};
use crate::guard::Guarded;
use crate::notes::Pledged;
use crate::partition::{Batch, Command};
use crate::passport::Noted;
use crate::stats::Flow;
use crate::{
    Broker, ConfirmTag, Delivery, Hold, Lease, Metrics, Outlet, Published, QueueHandle, Ticket,
};

/// Staged bytes whose space is kept for the next burst.
const STAGED_BYTES_KEPT: usize = 2 << 20;

/// Commands of a partition whose space is kept, too.
const COMMANDS_KEPT: usize = 1 << 14;

struct DirectReply {
    outlet: Arc<dyn Outlet>,
    offset: usize,
    len: usize,
}

/// A burst in the making.
#[derive(Default)]
pub struct Burst {
    pub(crate) staged: Vec<u8>,
    /// Commands by partition.
    pub(crate) parts: Vec<Vec<Command>>,
    /// Partitions that have commands, in the order of their first.
    pub(crate) touched: Vec<u16>,
    pub(crate) bodies: LogBatch,
    pub(crate) body_refs: u64,
    pub(crate) body_bytes: u64,
    direct: Vec<DirectReply>,
    pub(crate) confirms: bool,
    pub(crate) published: u64,
    /// Of those, how many ask for a confirm.
    pub(crate) confirm_asked: u64,
    /// Queues that they were routed to.
    pub(crate) routed: u64,
    /// Publishes whose id is to be added when the burst is submitted.
    pub(crate) guarded: Vec<Guarded>,
    /// Where commands are noted that a guarded publish makes.
    pub(crate) tracked: Option<Vec<(u16, u32)>>,
    /// A publish was left out because its id is known: what it promises is the one before it.
    pub(crate) left_out: bool,
    /// A queue wants to know the id of a message.
    pub(crate) identified: bool,
    /// What is told of its publishes.
    pub(crate) noted: Vec<Noted>,
    pub(crate) gatherings: Vec<Gathering>,
    /// A ticket is wanted whether anything asks for a confirm or not.
    pub(crate) wants_ticket: bool,
    /// It is written as one record.
    pub(crate) atomic: bool,
    /// Notes that go with a publish.
    pub(crate) pledged: Vec<Pledged>,
    /// What the publisher has to wait for.
    hold: Option<Hold>,
    /// What is to be counted at its exchanges.
    pub(crate) flow: Flow,
}

impl Burst {
    /// An empty burst.
    pub fn new() -> Burst {
        Burst::default()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.direct.is_empty() && !self.has_ticket() && !self.left_out
    }

    /// Whether ids are to be added, or were found known.
    pub(crate) fn is_guarded(&self) -> bool {
        self.left_out || !self.guarded.is_empty()
    }

    /// Whether `submit` gives a ticket.
    pub(crate) fn has_ticket(&self) -> bool {
        self.confirms || self.wants_ticket
    }

    /// What the publisher has to wait for before its next publish, on account of a queue's rate.
    pub fn take_hold(&mut self) -> Option<Hold> {
        match self.hold {
            None => None,
            Some(_) => self.hold.take(),
        }
    }

    /// Counts a publish for the rates of its queues.
    pub(crate) fn charge(&mut self, draft: &Draft<'_>, queues: &[Arc<QueueHandle>]) {
        let bytes = draft.body.len() as u64;
        for queue in queues.iter().filter(|queue| queue.is_metered()) {
            let hold = queue.charge_publish(bytes, draft.published_ms);
            self.hold = Hold::longer(self.hold.take(), hold);
        }
    }

    /// Bytes of messages that were added.
    pub fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// About what they take in memory, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.staged.capacity() + self.routed as usize * size_of::<Command>()
    }

    /// Forgets everything, as a rolled-back transaction does.
    pub fn clear(&mut self) {
        self.staged.clear();
        self.staged.shrink_to(STAGED_BYTES_KEPT);
        for partition in self.touched.drain(..) {
            let commands = &mut self.parts[usize::from(partition)];
            commands.clear();
            commands.shrink_to(COMMANDS_KEPT);
        }
        self.bodies.clear();
        (self.body_refs, self.body_bytes) = (0, 0);
        (self.published, self.confirm_asked, self.routed) = (0, 0, 0);
        self.direct.clear();
        self.guarded.clear();
        self.noted.clear();
        self.gatherings.clear();
        self.pledged.clear();
        self.flow.clear();
        (self.confirms, self.left_out, self.identified) = (false, false, false);
        (self.wants_ticket, self.atomic) = (false, false);
    }

    pub(crate) fn stage(
        &mut self,
        draft: &Draft<'_>,
        queues: &[Arc<QueueHandle>],
        confirm: impl Fn(usize) -> Option<ConfirmTag>,
    ) {
        let offset = self.staged.len();
        draft.encode(&mut self.staged);
        let len = self.staged.len() - offset;
        let size = draft.body.len() as u32;
        // One more than the place in the batch, so that it is never `NOT_LOGGED`.
        let mut logged = NOT_LOGGED;
        let special = draft.deliver_at.is_some() || draft.id.is_some();
        for (place, queue) in queues.iter().enumerate() {
            let durable = queue.keeps(draft.persistent);
            if durable {
                if logged == NOT_LOGGED {
                    let bytes = &self.staged[offset..];
                    let place = self.bodies.push(KIND_BODY, STREAM_BODIES, &[bytes]);
                    logged = u64::from(place) + 1;
                }
                self.body_refs += 1;
                self.body_bytes += live_bytes(size);
            }
            let incoming = Incoming {
                offset: offset as u32,
                len: len as u32,
                position: if durable { logged } else { NOT_LOGGED },
                size,
                priority: draft.priority,
                ttl_ms: draft.ttl_ms,
                recorded: false,
                special,
            };
            let command = Command::Enqueue {
                queue: queue.place(),
                incoming,
                confirm: confirm(place),
            };
            let place = self.add(queue.partition, command);
            if let Some(tracked) = &mut self.tracked {
                tracked.push((queue.partition, place));
            }
        }
    }

    /// Stages a message for one queue, past all exchanges.
    pub fn enqueue(&mut self, queue: &Arc<QueueHandle>, draft: &Draft<'_>) {
        self.stage(draft, std::slice::from_ref(queue), |_| None);
    }

    /// Ends a lease.
    pub fn settle(&mut self, queue: &QueueHandle, lease: Lease, outcome: Outcome) {
        let command = Command::Settle {
            queue: queue.place(),
            lease: lease.0,
            outcome,
            recorded: false,
        };
        self.add(queue.partition, command);
    }

    /// Gives back all that somebody held of a queue: a word for each, however many they are.
    pub fn give_back(&mut self, queue: &QueueHandle, leases: Vec<Lease>) {
        let command = Command::GiveBack {
            queue: queue.place(),
            leases,
        };
        self.add(queue.partition, command);
    }

    /// Adds a command; says where it stands among its partition's.
    pub(crate) fn add(&mut self, partition: u16, command: Command) -> u32 {
        let index = usize::from(partition);
        if self.parts.len() <= index {
            self.parts.resize_with(index + 1, Vec::new);
        }
        if self.parts[index].is_empty() {
            self.touched.push(partition);
        }
        self.parts[index].push(command);
        self.parts[index].len() as u32 - 1
    }

    /// Counts as unroutable for who asked for a return, delivered or not, as in RabbitMQ; but for
    /// what is gathered.
    pub(crate) fn reply_directly(&mut self, broker: &Broker, draft: &Draft<'_>) -> Published {
        let gathers = draft.routing_key.starts_with(GATHER_PREFIX.as_bytes());
        let Some(outlet) = broker.direct_replies.find(draft.routing_key) else {
            Metrics::add(&broker.metrics.gather_replies_late, u64::from(gathers));
            return Published::Unroutable;
        };
        let offset = self.staged.len();
        draft.encode(&mut self.staged);
        let len = self.staged.len() - offset;
        self.direct.push(DirectReply {
            outlet,
            offset,
            len,
        });
        match gathers {
            true => Published::Routed,
            false => Published::Unroutable,
        }
    }

    /// Whether one of these commands brings a body that outlives the broker.
    pub(crate) fn is_logged(&self, commands: &[(u16, u32)]) -> bool {
        commands.iter().any(|(partition, place)| {
            let command = &self.parts[usize::from(*partition)][*place as usize];
            matches!(command, Command::Enqueue { incoming, .. } if incoming.position != NOT_LOGGED)
        })
    }

    /// Appends the bodies and tells every command where its body is.
    pub(crate) fn log_bodies(&mut self, broker: &Broker) -> Result<(), LogError> {
        if self.bodies.is_empty() {
            return Ok(());
        }
        let appended = broker.durability.log.append(&self.bodies, Need::Lazy)?;
        broker
            .durability
            .log
            .retain(appended.base, self.body_bytes, self.body_refs);
        let base: Position = appended.base;
        for partition in &self.touched {
            for command in &mut self.parts[usize::from(*partition)] {
                if let Command::Enqueue { incoming, .. } = command
                    && incoming.position != NOT_LOGGED
                {
                    incoming.position = base.plus((incoming.position - 1) as u32).0;
                }
            }
        }
        Ok(())
    }

    /// Hands everything to the partitions, which apply it here and now where they are free. The
    /// ticket tells what became of it; none if no publish asked for a confirm and nobody wants one.
    /// Its promise covers publishes, notes and tags; settles only where one of these, for the same
    /// partition, or the whole burst being atomic makes it.
    pub fn submit(&mut self, broker: &Broker) -> Option<Arc<Ticket>> {
        self.count(broker);
        self.flow.settle();
        self.tell(broker);
        self.begin_gatherings(broker);
        let ticket = match self.is_guarded() || self.atomic {
            true => broker.submit_whole(self),
            false => self.submit_plain(broker),
        };
        self.reply();
        self.clear();
        broker.after_call();
        ticket
    }

    /// Counts what it publishes.
    pub(crate) fn count(&self, broker: &Broker) {
        let metrics = &broker.metrics;
        Metrics::add(&metrics.messages_published, self.published);
        Metrics::add(&metrics.messages_confirm_asked, self.confirm_asked);
        Metrics::add(&metrics.messages_routed, self.routed);
        broker.edges.burst(self.published);
    }

    /// Sends the direct replies.
    pub(crate) fn reply(&self) {
        for direct in &self.direct {
            let bytes = &self.staged[direct.offset..direct.offset + direct.len];
            let message = Message::parse(bytes).expect("what was staged is a message");
            direct.outlet.deliver(Delivery {
                message,
                lease: None,
                queue: None,
                redelivered: false,
                offset: None,
                delivery_count: 0,
                tag: None,
                stamp_count: false,
                ready_left: 0,
                admitted_bytes: 0,
            });
        }
    }

    fn submit_plain(&mut self, broker: &Broker) -> Option<Arc<Ticket>> {
        if let Err(error) = self.log_bodies(broker) {
            tracing::error!("publishes are not stored and will not be confirmed: {error}");
            return self.has_ticket().then(|| Ticket::new(1));
        }
        let ticket = self.has_ticket().then(|| Ticket::new(self.touched.len()));
        self.apply(broker, ticket.as_ref());
        ticket
    }

    fn apply(&mut self, broker: &Broker, ticket: Option<&Arc<Ticket>>) {
        let around = broker.surroundings();
        let mut shared: Option<Arc<[u8]>> = None;
        for number in &self.touched {
            let commands = &mut self.parts[usize::from(*number)];
            let partition = &broker.partitions[usize::from(*number)];
            if partition.try_apply(&around, &self.staged, commands, ticket) {
                continue;
            }
            let staged = shared.get_or_insert_with(|| Arc::from(self.staged.as_slice()));
            let batch = Batch {
                staged: Arc::clone(staged),
                commands: std::mem::take(commands),
                ticket: ticket.cloned(),
            };
            partition.submit(&around, batch);
        }
    }
}
