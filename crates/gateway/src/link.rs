//! The link: what other threads may touch of a connection.
//!
//! Partitions put deliveries into its outbox, the log thread releases its confirms, and whichever
//! thread did so writes to the socket at the end of its burst.
//!
//! Invariants
//! - One lock covers outbox, lanes and debts; the broker is never called while it is held.
//! - `level` is the outbox's length at the last change, so that a partition can ask for room
//!   without the lock; several partitions may overshoot the limit by one message each. What was
//!   admitted counts until it is in the outbox.
//! - No lost wake-up: who is refused room marks the link starved and looks again; who makes room
//!   looks at the mark afterwards.
//! - The socket is shut down when the connection ends, however long deliveries keep the link.
//!
//! Not here: when the task wakes (`waking`), what the bytes mean (`amqp091`), reading
//! (`connection`).

mod probe;
mod sealing;
mod waking;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Instant;

use ferry_broker::{
    Broker, DurableWaiter, Lease, MessageStats, Metrics, Promise, QueueHandle, Ticket, TicketWaiter,
};
use parking_lot::{Mutex, MutexGuard};
use probe::Front;
use rustix::net::Shutdown;
use tokio::net::tcp::OwnedWriteHalf;

use crate::amqp091::confirm::{Debts, HeldReply, Payment, Pledge, Wait};
use crate::amqp091::lane::{LaneId, Lanes};
use crate::outbox::{Outbox, Written};
use crate::sealed::Sealed;
use crate::worker;

/// Rounds of writing that one flush makes before it leaves the rest to the connection's task.
const FLUSH_ROUNDS_MAX: u32 = 8;

/// What the connection's task is woken for.
pub(crate) mod event {
    /// The socket is full: wait until it is writable, or go on flushing.
    pub(crate) const WRITE: u32 = 1;
    /// There is room in the outbox again: resume starved consumers.
    pub(crate) const RESUME: u32 = 2;
    /// Publishers are held, or let go.
    pub(crate) const PRESSURE: u32 = 4;
    /// The broker is going down.
    pub(crate) const SHUTDOWN: u32 = 8;
    /// Queues have dropped consumers, or deliveries came for closed channels.
    pub(crate) const LEFTOVERS: u32 = 16;
    /// The socket is broken.
    pub(crate) const BROKEN: u32 = 32;
    /// The log has failed.
    pub(crate) const FAILED: u32 = 64;
    /// Rates have changed.
    pub(crate) const RATES: u32 = 128;
    /// A consumer waits for its turn: the timer is to be set.
    pub(crate) const PACED: u32 = 256;
    /// A log-in was decided.
    pub(crate) const LOGIN: u32 = 512;
    /// Rights were taken, or users or virtual hosts deleted.
    pub(crate) const ACCESS: u32 = 1024;
    /// An operator wants it closed.
    pub(crate) const CLOSE: u32 = 2048;
}

/// What waits for the connection's task.
#[derive(Default)]
pub(crate) struct Leftovers {
    /// Leases that were handed to a channel that is closed: to be given back.
    pub(crate) leases: Vec<(Arc<QueueHandle>, Lease)>,
    /// Consumers that their queue has dropped.
    pub(crate) cancelled: Vec<(LaneId, Box<[u8]>)>,
}

/// What the link's lock covers.
#[derive(Default)]
pub(crate) struct LinkState {
    /// Bytes for the socket.
    pub(crate) outbox: Outbox,
    /// The channels' lanes.
    pub(crate) lanes: Lanes<Arc<QueueHandle>, Lease>,
    /// What waits for the disk.
    pub(crate) debts: Debts<Arc<Ticket>>,
    /// What waits for the task.
    pub(crate) leftovers: Leftovers,
    /// What closed channels have counted.
    closed: MessageStats,
    /// Whether some thread has the link in its list.
    touched: bool,
    /// Whether the task waits for the last bytes to leave, whoever writes them.
    draining: bool,
    /// Bytes behind a full socket that the broker's account of memory knows of.
    accounted_bytes: usize,
}

/// What other threads may touch of a connection.
pub(crate) struct Link {
    me: Weak<Link>,
    broker: Arc<Broker>,
    writer: OwnedWriteHalf,
    /// What seals the bytes on their way; none on a plain socket.
    sealed: Option<Box<Sealed>>,
    state: Mutex<LinkState>,
    level: AtomicUsize,
    /// Bytes of deliveries that were admitted and are not in the outbox yet.
    reserved: AtomicUsize,
    starved: AtomicBool,
    events: AtomicU32,
    waker: Mutex<Option<Waker>>,
    sent_bytes: AtomicU64,
    outbox_bytes_max: usize,
    /// What listings show of the connection.
    pub(crate) front: Front,
}

impl Pledge for Arc<Ticket> {
    fn resolved(&self) -> Option<Promise> {
        Ticket::resolved(self)
    }

    fn rejected(&self) -> Vec<(u16, u64)> {
        Ticket::rejected(self)
            .into_iter()
            .map(|tag| (tag.channel, tag.tag))
            .collect()
    }
}

impl Link {
    /// A link over the write half of a socket.
    pub(crate) fn new(
        broker: Arc<Broker>,
        writer: OwnedWriteHalf,
        sealed: Option<Box<Sealed>>,
        outbox_bytes_max: usize,
    ) -> Arc<Link> {
        Arc::new_cyclic(|me| Link {
            me: me.clone(),
            broker,
            writer,
            sealed,
            state: Mutex::default(),
            level: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            events: AtomicU32::new(0),
            waker: Mutex::new(None),
            sent_bytes: AtomicU64::new(0),
            outbox_bytes_max,
            front: Front::default(),
        })
    }

    fn arc(&self) -> Arc<Link> {
        self.me
            .upgrade()
            .expect("the link is borrowed, so it is there")
    }

    /// The state, to be changed by `change`; what it puts into the outbox is flushed at the end
    /// of the thread's burst.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut LinkState) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.settle_level(&mut state);
        result
    }

    fn settle_level(&self, state: &mut MutexGuard<'_, LinkState>) {
        let level = state.outbox.len();
        if level == 0 {
            return;
        }
        self.level.store(level, Ordering::SeqCst);
        if state.touched {
            return;
        }
        if worker::flushes() {
            state.touched = true;
            worker::touch(self.arc());
        } else {
            self.notify(event::WRITE);
        }
    }

    /// Bytes that wait for the socket.
    pub(crate) fn level(&self) -> usize {
        self.level.load(Ordering::Relaxed)
    }

    /// All bytes that the socket has taken so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Reserves room for a delivery until `unreserve`; a refusal sets `mark`.
    ///
    /// A step of a partition admits many deliveries before it carries out the first: without the
    /// reservation a whole backlog would find the same room.
    pub(crate) fn reserve(&self, bytes: usize, mark: &AtomicBool) -> bool {
        let has_room = || {
            let waiting = self.level.load(Ordering::SeqCst) + self.reserved.load(Ordering::SeqCst);
            waiting < self.outbox_bytes_max
        };
        if !has_room() {
            mark.store(true, Ordering::SeqCst);
            self.starved.store(true, Ordering::SeqCst);
            if !has_room() {
                return false;
            }
        }
        self.reserved.fetch_add(bytes, Ordering::SeqCst);
        true
    }

    /// Ends a reservation: its delivery is in the outbox, or will not come.
    pub(crate) fn unreserve(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.reserved.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "only what was reserved is given back");
        // With bytes in the outbox, its flush looks after the starved.
        if self.level.load(Ordering::SeqCst) == 0
            && self.starved.load(Ordering::SeqCst)
            && self.starved.swap(false, Ordering::SeqCst)
        {
            self.notify(event::RESUME);
        }
    }

    /// Writes the outbox to the socket as far as it goes. Never waits.
    pub(crate) fn flush(&self) {
        let mut state = self.state.lock();
        state.touched = false;
        for _ in 0..FLUSH_ROUNDS_MAX {
            let Some(mut hand) = state.outbox.begin_write() else {
                if state.outbox.is_blocked() {
                    let level = state.outbox.len();
                    self.account(&mut state, level);
                }
                return;
            };
            drop(state);
            let mut sent = 0;
            let written = self.write(&mut hand, &mut sent);
            self.sent_bytes.fetch_add(sent as u64, Ordering::Relaxed);
            self.broker.edges().sent(sent as u64);
            self.front.sent();
            state = self.state.lock();
            state.outbox.end_write(hand, written);
            let level = state.outbox.len();
            self.level.store(level, Ordering::SeqCst);
            if written != Written::All || level == 0 {
                self.account(&mut state, level);
            }
            let starved = level < self.outbox_bytes_max / 2
                && self.starved.load(Ordering::SeqCst)
                && self.starved.swap(false, Ordering::SeqCst);
            let more = match written {
                Written::Full => event::WRITE,
                Written::Broken => event::BROKEN,
                Written::All => 0,
            };
            let drained = level == 0 && state.draining;
            let mut events = more | if starved { event::RESUME } else { 0 };
            events |= if drained { event::WRITE } else { 0 };
            if events != 0 {
                self.notify(events);
            }
            if more != 0 || level == 0 {
                return;
            }
        }
        drop(state);
        self.notify(event::WRITE);
    }

    /// Tells the broker's account of memory how much waits behind a full socket.
    fn account(&self, state: &mut LinkState, waiting_bytes: usize) {
        let before = std::mem::replace(&mut state.accounted_bytes, waiting_bytes);
        if before != waiting_bytes {
            self.broker
                .memory()
                .account(waiting_bytes as i64 - before as i64);
        }
    }

    /// Sends a reply on a channel once `promise` is kept, after all that the channel owes.
    pub(crate) fn reply(&self, lane: LaneId, promise: Promise, fill: impl FnOnce(&mut Vec<u8>)) {
        let kept = self.broker.kept(promise);
        if self.with(|state| state.reply(lane, promise, kept, fill)) {
            self.pay();
        }
    }

    /// Owes confirms once a burst is applied and durable.
    pub(crate) fn owe_confirms(
        &self,
        ticket: Arc<Ticket>,
        ranges: Vec<crate::amqp091::confirm::ConfirmRange>,
        read_at: Option<Instant>,
    ) {
        self.with(|state| state.debts.owe_confirms(ticket, ranges, read_at));
        self.pay();
    }

    /// Pays what can be paid, and arranges to be called for the rest.
    pub(crate) fn pay(&self) {
        loop {
            let (wait, opened) = self.with(|state| state.pay(&self.broker));
            if opened {
                self.notify(event::RESUME);
            }
            match wait {
                Wait::Nothing => return,
                Wait::Kept(promise) => {
                    self.broker.when_kept(promise, self.arc());
                    return;
                }
                Wait::Resolved(ticket) => {
                    // A ticket of a failed log is never resolved: the wait stays armed for good.
                    if ticket.on_resolved(self.arc()) || ticket.resolved().is_none() {
                        return;
                    }
                    self.with(|state| state.debts.disarm());
                }
            }
        }
    }

    /// Ends the link: nothing is written any more, whoever still holds it.
    pub(crate) fn close(&self) {
        self.with(|state| {
            state.outbox.close();
            state.debts.clear();
            self.account(state, 0);
        });
        self.level.store(0, Ordering::SeqCst);
        self.broker.memory_given_back();
        if let Err(error) = rustix::net::shutdown(self.writer.as_ref(), Shutdown::Both) {
            tracing::trace!(%error, "the socket was shut down before");
        }
    }
}

impl LinkState {
    /// Writes or holds a reply; whether it is held.
    pub(crate) fn reply(
        &mut self,
        lane: LaneId,
        promise: Promise,
        kept: bool,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let Some(found) = self.lanes.get(lane) else {
            return false;
        };
        if kept && !found.gate.holds_replies() {
            fill(self.outbox.buffer());
            return false;
        }
        let mut bytes = Vec::new();
        fill(&mut bytes);
        found.hold_reply();
        self.debts.owe_reply(promise, HeldReply { lane, bytes });
        true
    }

    /// Pays debts into the outbox; also whether a lane has no held reply any more.
    fn pay(&mut self, broker: &Broker) -> (Wait<Arc<Ticket>>, bool) {
        let LinkState {
            outbox,
            lanes,
            debts,
            ..
        } = self;
        let (mut opened, mut confirmed) = (false, 0);
        let mut now = None;
        let wait = debts.pay(
            |promise| broker.kept(promise),
            |payment| match payment {
                Payment::Ack {
                    lane,
                    channel,
                    tag,
                    multiple,
                    count,
                } => {
                    if let Some(lane) = lanes.get(lane) {
                        confirmed += count;
                        lane.stats.confirmed(tag, count);
                        crate::amqp091::write_ack(outbox.buffer(), channel, tag, multiple);
                    }
                }
                Payment::Nack {
                    lane,
                    channel,
                    tag,
                    multiple,
                } => {
                    if let Some(lane) = lanes.get(lane) {
                        lane.stats.confirmed(tag, 0);
                        crate::amqp091::write_nack(outbox.buffer(), channel, tag, multiple);
                    }
                }
                Payment::Answered { read_at, publishes } => {
                    let now = *now.get_or_insert_with(Instant::now);
                    broker.edges().confirmed(now - read_at, publishes);
                }
                // A closed channel's replies, its last word among them, still go out in order.
                Payment::Reply(reply) => {
                    outbox.buffer().extend_from_slice(&reply.bytes);
                    if let Some(lane) = lanes.get(reply.lane) {
                        opened |= lane.release_reply();
                    }
                }
            },
        );
        Metrics::add(&broker.metrics().messages_confirmed, confirmed);
        (wait, opened)
    }
}

impl DurableWaiter for Link {
    fn kept(&self) {
        self.with(|state| state.debts.disarm());
        self.pay();
    }
}

impl TicketWaiter for Link {
    fn ticket_resolved(&self) {
        self.with(|state| state.debts.disarm());
        self.pay();
    }
}
