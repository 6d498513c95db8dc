//! One connection in memory, and the turns that it gets.
//!
//! Invariants
//! - A turn is what a runtime gives to a task that was woken, or whose time has come.
//! - The end is the same as on TCP: the last bytes may take their time, and no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use super::memory::Memory;
use crate::arrival::Arrival;
use crate::connection::{Connection, DRAIN_TIMEOUT, Protocol, Step};
use crate::session::Session;
use crate::shared::Shared;
use crate::socket::{ReadHalf, WriteHalf};
use crate::timer::Timer;
use crate::websocket::Entered;
use crate::{amqp091, json, mqtt};

/// Where every client comes from.
const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);

/// Whether the task was woken.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A timer of a task that is looked at from outside.
struct Watch {
    now: Instant,
    due: Option<Instant>,
}

impl Timer for Watch {
    fn now(&self) -> Instant {
        self.now
    }

    fn poll_until(&mut self, at: Instant, _cx: &mut Context<'_>) -> Poll<()> {
        if at <= self.now {
            return Poll::Ready(());
        }
        self.due = Some(at);
        Poll::Pending
    }

    fn rest(&mut self) {
        self.due = None;
    }
}

/// A connection, whatever is spoken on it.
trait Spoken {
    fn poll(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Step>;
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    fn drain(&self);
    fn close_frames(&self) -> bool;
    fn leave(&self);
    fn keeps(&self) -> usize;
}

impl<S: Session> Spoken for Connection<S> {
    fn poll(&mut self, cx: &mut Context<'_>, watch: &mut Watch) -> Poll<Step> {
        Connection::poll(self, cx, watch)
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Connection::poll_drained(self, cx)
    }

    fn drain(&self) {
        Connection::drain(self);
    }

    fn close_frames(&self) -> bool {
        Connection::close_frames(self)
    }

    fn leave(&self) {
        Connection::leave(self);
    }

    fn keeps(&self) -> usize {
        self.kept_bytes()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The last bytes leave, until then at the latest.
    Draining(Instant),
    Over,
}

/// A client's connection to the gateway.
pub struct Conversation {
    connection: Box<dyn Spoken>,
    socket: Arc<Memory>,
    bell: Arc<Bell>,
    waker: Waker,
    due: Option<Instant>,
    stage: Stage,
    /// Whether the last words of a WebSocket were said.
    farewell: bool,
}

impl Conversation {
    pub(super) fn new(
        shared: &Arc<Shared>,
        protocol: Protocol,
        user: Option<&str>,
        entered: Option<Entered>,
        now: Instant,
    ) -> Conversation {
        let entered = entered.map(Box::new);
        let socket = Arc::new(Memory::default());
        let connection: Box<dyn Spoken> = match protocol {
            Protocol::Amqp091 => Box::new(open::<amqp091::Session>(
                shared, &socket, user, entered, now,
            )),
            Protocol::Mqtt => Box::new(open::<mqtt::Session>(shared, &socket, user, entered, now)),
            Protocol::Json => Box::new(open::<json::Session>(shared, &socket, user, entered, now)),
        };
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        Conversation {
            connection,
            socket,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            due: None,
            stage: Stage::Open,
            farewell: false,
        }
    }

    /// The client sends these bytes.
    pub fn send(&self, bytes: &[u8]) {
        self.socket.send(bytes);
    }

    /// The client sends no more; what it has sent is read first.
    pub fn hang_up(&self) {
        self.socket.end();
    }

    /// The connection breaks: what is on its way in either direction is lost.
    pub fn reset(&self) {
        self.socket.break_off(false);
    }

    /// How many bytes may wait for the client before its socket is full; none for any number.
    pub fn set_room(&self, room: Option<usize>) {
        self.socket.set_room(room);
    }

    /// The client reads what has come, at most so many bytes of it.
    #[must_use]
    pub fn take(&self, bytes_max: usize) -> Vec<u8> {
        self.socket.take(bytes_max)
    }

    /// Bytes that wait for the client.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.socket.waiting()
    }

    /// Bytes that the client has sent and that were not worked off yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.socket.unread() + self.connection.keeps()
    }

    /// Whether the connection is closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// When it wants a turn, if nothing wakes it before.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => self.due,
            Stage::Draining(until) => Some(until),
            Stage::Over => None,
        }
    }

    /// Gives it a turn if it was woken, or if its time has come; whether it was so.
    pub fn turn(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|at| at <= now);
        let is_woken = self.bell.0.swap(false, Ordering::SeqCst);
        if self.stage == Stage::Over || !(is_due || is_woken) {
            return false;
        }
        if self.stage == Stage::Open {
            self.go_on(now);
        }
        if let Stage::Draining(until) = self.stage {
            let cx = &mut Context::from_waker(&self.waker);
            let mut is_drained = self.connection.poll_drained(cx).is_ready();
            if is_drained && !self.farewell {
                self.farewell = true;
                is_drained =
                    !self.connection.close_frames() || self.connection.poll_drained(cx).is_ready();
            }
            if is_drained || until <= now {
                self.connection.leave();
                self.stage = Stage::Over;
            }
        }
        true
    }

    fn go_on(&mut self, now: Instant) {
        let mut watch = Watch { now, due: None };
        let cx = &mut Context::from_waker(&self.waker);
        match self.connection.poll(cx, &mut watch) {
            Poll::Pending => {}
            Poll::Ready(Step::Yield) => self.waker.wake_by_ref(),
            Poll::Ready(Step::Done) => {
                self.connection.drain();
                self.stage = Stage::Draining(now + DRAIN_TIMEOUT);
            }
        }
        self.due = watch.due;
    }
}

fn open<S: Session>(
    shared: &Arc<Shared>,
    socket: &Arc<Memory>,
    user: Option<&str>,
    entered: Option<Box<Entered>>,
    now: Instant,
) -> Connection<S> {
    let halves = (
        ReadHalf::Memory(Arc::clone(socket)),
        WriteHalf::Memory(Arc::clone(socket)),
    );
    let arrival = Arrival {
        peer: SocketAddr::from(PEER),
        loopback: true,
        tls: None,
        external: user.is_some(),
        certified: user.map(str::to_owned),
    };
    Connection::new(shared, halves, None, entered, arrival, now)
}
