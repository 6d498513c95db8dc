//! The link: what other threads may touch of a connection.
//!
//! Partitions put deliveries into its outbox, the log thread releases its confirms, and whichever
//! thread did so writes to the socket at the end of its burst.
//!
//! Invariants
//! - One lock covers the outbox and the protocol's part; the broker is never called while it is
//!   held.
//! - `level` is the outbox's length at the last change, so that a partition can ask for room
//!   without the lock; several partitions may overshoot the limit by one message each. What was
//!   admitted counts until it is in the outbox.
//! - No lost wake-up: who is refused room marks the link starved and looks again; who makes room
//!   looks at the mark afterwards.
//! - The socket is shut down when the connection ends, however long deliveries keep the link.
//!
//! Not here: when the task wakes (`waking`), what the bytes mean and what is owed to the client
//! (the protocol's [`Wire`]), reading (`connection`).

mod admission;
mod owed;
mod probe;
mod sealing;
mod waking;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use ferry_broker::{Broker, DurableWaiter, TicketWaiter};
use parking_lot::{Mutex, MutexGuard};
use probe::Front;

pub(crate) use self::owed::{Due, Owed, Wait};
pub(crate) use self::wire::{AnyLink, Wire};
use crate::outbox::{Outbox, Written};
use crate::sealed::Sealed;
use crate::socket::WriteHalf;
use crate::websocket::Framed;
use crate::worker;

/// Bytes that may wait for a client's socket before nothing more is read from it.
const OUTBOX_BYTES_HARD_MAX: usize = 16 << 20;
/// Rounds of writing that one flush makes before it leaves the rest to the connection's task.
const FLUSH_ROUNDS_MAX: u32 = 8;
/// While memory is short, what an outbox takes of deliveries is so many times less.
const SHORT_PART: usize = 8;

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
    /// Another connection wants what only one can have: the client id.
    pub(crate) const TAKEN: u32 = 4096;
    /// It is time to tell those who have subscribed to `$SYS`.
    pub(crate) const SYS: u32 = 8192;
}

/// What the link's lock covers.
#[derive(Default)]
pub(crate) struct LinkState<W> {
    /// Bytes for the socket.
    pub(crate) outbox: Outbox,
    /// What the protocol keeps here.
    pub(crate) wire: W,
    /// Whether some thread has the link in its list.
    touched: bool,
    /// Whether the task waits for the last bytes to leave, whoever writes them.
    draining: bool,
    /// Bytes behind a full socket that the broker's account of memory knows of.
    accounted_bytes: usize,
}

/// What other threads may touch of a connection.
pub(crate) struct Link<W> {
    me: Weak<Link<W>>,
    broker: Arc<Broker>,
    writer: WriteHalf,
    /// What seals the bytes on their way; none on a plain socket.
    sealed: Option<Box<Sealed>>,
    /// What puts them into frames before; none but on a WebSocket.
    framed: Option<Box<Framed>>,
    state: Mutex<LinkState<W>>,
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

impl<W: Wire> Link<W> {
    /// A link over the write half of a socket.
    pub(crate) fn new(
        broker: Arc<Broker>,
        writer: WriteHalf,
        sealed: Option<Box<Sealed>>,
        framed: Option<Box<Framed>>,
        outbox_bytes_max: usize,
    ) -> Arc<Link<W>> {
        Arc::new_cyclic(|me| Link {
            me: me.clone(),
            broker,
            writer,
            sealed,
            framed,
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

    fn arc(&self) -> Arc<Link<W>> {
        self.me
            .upgrade()
            .expect("the link is borrowed, so it is there")
    }

    /// The state, to be changed by `change`; what it puts into the outbox is flushed at the end
    /// of the thread's burst.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut LinkState<W>) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.settle_level(&mut state);
        result
    }

    fn settle_level(&self, state: &mut MutexGuard<'_, LinkState<W>>) {
        let level = state.outbox.len();
        if level == 0 {
            return;
        }
        // It grows here, which nobody waits for.
        self.level.store(level, Ordering::Release);
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

    /// The broker that it is a way to.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Bytes that wait for the socket.
    pub(crate) fn level(&self) -> usize {
        self.level.load(Ordering::Relaxed)
    }

    /// Whether so much waits for the socket that nothing more is read from the client.
    pub(crate) fn is_full(&self) -> bool {
        self.level() >= OUTBOX_BYTES_HARD_MAX
    }

    /// Whether a client that was not heard may be there all the same: it is held back, and if that
    /// is as too much waits for its socket, it has `taken` some of that.
    pub(crate) fn excuses_silence(&self, is_read: bool, taken: bool) -> bool {
        !is_read && (taken || !self.is_full())
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
            self.takes(waiting)
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

    /// Whether the outbox takes one more delivery while so much waits. Each of many consumers that
    /// do not read may have it full, so it takes less while memory is short.
    fn takes(&self, waiting_bytes: usize) -> bool {
        // The account, which all threads write to, is looked at only where it matters.
        waiting_bytes < self.outbox_bytes_max / SHORT_PART
            || waiting_bytes < self.outbox_bytes_max && !self.broker.memory().is_short()
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
            self.broker.edges().sent(W::SPOKEN, sent as u64);
            self.front.sent();
            state = self.state.lock();
            state.outbox.end_write(hand, written);
            let level = state.outbox.len();
            self.level.store(level, Ordering::SeqCst);
            if written != Written::All || level == 0 {
                self.account(&mut state, level);
            }
            let starved = self.starved.load(Ordering::SeqCst)
                && self.takes(level * 2)
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
    fn account(&self, state: &mut LinkState<W>, waiting_bytes: usize) {
        let before = std::mem::replace(&mut state.accounted_bytes, waiting_bytes);
        if before != waiting_bytes {
            self.broker
                .memory()
                .account(waiting_bytes as i64 - before as i64);
        }
    }

    /// Pays what can be paid, and arranges to be called for the rest.
    pub(crate) fn pay(&self) {
        loop {
            let (wait, opened) = self.with(|state| state.wire.pay(&mut state.outbox, &self.broker));
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
                    self.with(|state| state.wire.disarm());
                }
            }
        }
    }

    /// Ends the link: nothing is written any more, whoever still holds it.
    pub(crate) fn close(&self) {
        self.with(|state| {
            state.outbox.close();
            state.wire.clear();
            self.account(state, 0);
        });
        self.level.store(0, Ordering::SeqCst);
        self.broker.memory_given_back();
        self.writer.shut_down();
    }
}

impl<W: Wire> DurableWaiter for Link<W> {
    fn kept(&self) {
        self.with(|state| state.wire.disarm());
        self.pay();
    }
}

impl<W: Wire> TicketWaiter for Link<W> {
    fn ticket_resolved(&self) {
        self.with(|state| state.wire.disarm());
        self.pay();
    }
}
