//! A connection's task: reads its socket into the thread's buffer and works it off on the spot.
//!
//! Invariants
//! - The task owns no read buffer; it keeps only the bytes of a frame that is not complete yet.
//! - Everything that one read brings is worked off, submitted and flushed before the next read.
//! - After a few reads in a row the task steps back, so no client keeps a thread for itself.
//! - A client that does not read what it is sent is not read from either, past a hard bound.
//! - A timer is there only while something is waited for: an idle connection is not woken.

mod read;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ferry_auth::Whence;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use self::read::{keep, poll_read};
use crate::arrival::{self, Arrival, Arrived};
use crate::link::{AnyLink, Link, event};
use crate::sealed::Sealed;
use crate::session::Session;
use crate::shared::Shared;
use crate::socket::{ReadHalf, WriteHalf};
use crate::timer::{Alarm, Timer};
use crate::websocket::{CloseCode, Deframer, Entered};
use crate::worker;
use crate::{amqp091, json, mqtt};

/// Reads in a row before others get their turn.
const READS_IN_A_ROW_MAX: u32 = 8;
/// How long the last bytes may take to leave.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other side may take to say that a WebSocket is closed, too.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// What is spoken on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// AMQP 0-9-1.
    Amqp091,
    /// MQTT.
    Mqtt,
    /// Our own, of texts that are JSON.
    Json,
}

/// What a listener lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entrance {
    /// What is spoken; what the request for a WebSocket says if there is none.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) tls: bool,
}

/// Serves one accepted socket to its end, in a task of its own.
pub(crate) fn serve(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr, entrance: Entrance) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    match entrance.protocol {
        Some(protocol)
            if !entrance.tls && !shared.config.proxies.protocol_from.contains(peer.ip()) =>
        {
            speak_as(shared, Arrived::plainly(stream, Whence::of(peer)), protocol);
        }
        _ => {
            tokio::spawn(serve_arriving(Arc::clone(shared), stream, peer, entrance));
        }
    }
}

/// The same for one that has something before the first byte of its protocol. That has a task of
/// its own, too: what a handshake needs is not for a whole connection's life.
async fn serve_arriving(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
) {
    let arrived = match arrival::arrive(&shared, stream, peer, entrance).await {
        Ok(arrived) => arrived,
        Err(reason) => {
            tracing::info!(%peer, reason, "connection closed before its first byte");
            return;
        }
    };
    let asked = arrived.entered.as_ref().map(|entered| entered.protocol);
    if let Some(protocol) = asked.or(entrance.protocol) {
        speak_as(&shared, arrived, protocol);
    }
}

/// Speaks one of the protocols on a socket that is ready for it, in a task of its own.
pub(crate) fn speak_as(shared: &Arc<Shared>, arrived: Arrived, protocol: Protocol) {
    match protocol {
        Protocol::Amqp091 => speak::<amqp091::Session>(shared, arrived),
        Protocol::Mqtt => speak::<mqtt::Session>(shared, arrived),
        Protocol::Json => speak::<json::Session>(shared, arrived),
    }
}

fn speak<S: Session>(shared: &Arc<Shared>, arrived: Arrived) {
    let Arrived {
        stream,
        sealed,
        entered,
        arrival,
    } = arrived;
    let (read, write) = stream.into_split();
    let halves = (ReadHalf::Tcp(read), WriteHalf::Tcp(write));
    let now = Instant::now();
    let mut connection = Connection::<S>::new(shared, halves, sealed, entered, arrival, now);
    // What is kept here is the size of the task, and thereby of an idle connection.
    tokio::spawn(async move {
        connection.run().await;
        Box::pin(connection.say_goodbye()).await;
        connection.leave();
    });
}

/// One connection.
pub(crate) struct Connection<S: Session> {
    shared: Arc<Shared>,
    /// Its place in the list of links.
    key: u64,
    read: ReadHalf,
    link: Arc<Link<S::Wire>>,
    session: Box<S>,
    /// What opens a WebSocket's frames.
    deframer: Option<Box<Deframer>>,
    /// An incomplete frame.
    rest: Vec<u8>,
}

/// How a turn ended that did not end in waiting.
pub(crate) enum Step {
    /// There is more to do, after others had their turn.
    Yield,
    /// All is said and done, but for what the socket has not taken.
    Done,
}

impl<S: Session> Connection<S> {
    /// A connection on a socket that is ready for its protocol.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        (read, write): (ReadHalf, WriteHalf),
        sealed: Option<Box<Sealed>>,
        entered: Option<Box<Entered>>,
        arrival: Arrival,
        now: Instant,
    ) -> Connection<S> {
        let over = if entered.is_some() {
            " over WebSocket"
        } else {
            ""
        };
        let (framed, deframer) = entered
            .map(|entered| (entered.framed, entered.deframer))
            .unzip();
        let peer = arrival.peer;
        let link = Link::new(
            Arc::clone(&shared.broker),
            write,
            sealed,
            framed,
            shared.config.outbox_bytes_max,
        );
        let known: Arc<dyn AnyLink> = link.clone();
        let key = shared.register(&known);
        if shared.is_stopping() {
            link.notify(event::SHUTDOWN);
        }
        tracing::info!(%peer, "accepting {} connection{over}", S::PROTOCOL);
        let session = S::new(Arc::clone(shared), Arc::clone(&link), arrival, now);
        Connection {
            shared: Arc::clone(shared),
            key,
            read,
            link,
            session: Box::new(session),
            deframer,
            rest: Vec::new(),
        }
    }

    /// Nobody is told of anything any more.
    pub(crate) fn leave(&self) {
        self.link.close();
        self.shared.unregister(self.key);
    }

    async fn run(&mut self) {
        let mut timer = Alarm::default();
        while let Step::Yield = std::future::poll_fn(|cx| self.poll(cx, &mut timer)).await {
            tokio::task::yield_now().await;
        }
    }

    /// The last words: those of the session, of WebSocket and of TLS.
    async fn say_goodbye(&mut self) {
        self.drain();
        self.drained().await;
        if self.close_frames() {
            self.drained().await;
            self.hear_out().await;
        }
        if let Some(sealed) = self.link.sealed()
            && self.link.level() == 0
        {
            sealed.say_goodbye();
            self.link.urge();
            self.drained().await;
        }
    }

    /// The last words of WebSocket, once those of the session have left; whether there are any.
    pub(crate) fn close_frames(&self) -> bool {
        let Some(framed) = self.link.framed().filter(|_| self.link.level() == 0) else {
            return false;
        };
        let code = match self.shared.is_stopping() {
            true => CloseCode::Away,
            false => CloseCode::Normal,
        };
        framed.close(code, "");
        self.link.urge();
        true
    }

    /// Bytes of an incomplete frame.
    #[cfg(feature = "testing")]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.rest.len()
    }

    /// From now on it only waits until the last bytes have left.
    pub(crate) fn drain(&self) {
        self.link.drain();
    }

    async fn drained(&mut self) {
        let drained = std::future::poll_fn(|cx| self.poll_drained(cx));
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::debug!("the client did not read the last bytes");
        }
    }

    /// Reads on until the other side has closed its WebSocket, too: a socket that is closed with
    /// something unread in it takes back what was sent last.
    async fn hear_out(&mut self) {
        let Some(mut deframer) = self.deframer.take() else {
            return;
        };
        let faulty = deframer.is_faulty();
        let over = std::future::poll_fn(|cx| {
            loop {
                let heard = worker::with_worker(|worker| {
                    let mut buffer = ReadBuf::new(&mut worker.scratch);
                    // Behind what is no frame there is none.
                    let opened = (!faulty).then_some(&mut *deframer);
                    ready!(poll_read(
                        &mut self.read,
                        &self.link,
                        opened,
                        cx,
                        &mut buffer
                    ))?;
                    Poll::Ready(io::Result::Ok(buffer.filled().len()))
                });
                if !matches!(ready!(heard), Ok(1..)) {
                    return Poll::Ready(());
                }
            }
        });
        if tokio::time::timeout(FAREWELL_TIMEOUT, over).await.is_err() {
            tracing::debug!("the client did not close its WebSocket");
        }
    }

    /// Does what is to be done; pending when it waits, for whatever wakes the task.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, timer: &mut impl Timer) -> Poll<Step> {
        self.poll_events(cx, timer);
        self.take_rest(timer);
        self.poll_timer(cx, timer);
        for _ in 0..READS_IN_A_ROW_MAX {
            if self.session.is_over() {
                return Poll::Ready(Step::Done);
            }
            if self.is_held_back() {
                // What holds it back, a full socket, a held publish or the log, wakes the task.
                return Poll::Pending;
            }
            ready!(self.poll_hear(cx, timer));
            // What was received may have moved the next tick.
            self.poll_timer(cx, timer);
        }
        Poll::Ready(Step::Yield)
    }

    fn poll_events(&mut self, cx: &mut Context<'_>, timer: &impl Timer) {
        let mut events = self.link.take_events(cx);
        if let Poll::Ready(Err(_)) = self.link.poll_unblock(cx) {
            events |= event::BROKEN;
        }
        if events == 0 {
            return;
        }
        if events & event::WRITE != 0 {
            self.link.flush();
        }
        if events & event::TAKEN != 0 {
            self.hear_farewell(cx, timer);
        }
        let now = timer.now();
        worker::with_worker(|worker| {
            self.session.on_events(events, &mut worker.burst, now);
        });
        if events & event::LOGIN != 0 {
            self.go_on(now);
        }
    }

    /// Works off what has come from a client that another one is to follow, the farewell too. What
    /// goes on and on is not waited for.
    fn hear_farewell(&mut self, cx: &mut Context<'_>, timer: &impl Timer) {
        for _ in 0..READS_IN_A_ROW_MAX {
            if self.session.is_over()
                || !self.session.wants_more()
                || self.poll_hear(cx, timer).is_pending()
            {
                return;
            }
        }
    }

    /// Whether nothing may be read now.
    fn is_held_back(&self) -> bool {
        !self.session.wants_more()
            || self.link.is_full()
            || self.session.publishes() && self.link.log_is_behind()
    }

    /// Reads once and works that off, the end of the socket too.
    fn poll_hear(&mut self, cx: &mut Context<'_>, timer: &impl Timer) -> Poll<()> {
        if let Err(reason) = ready!(self.poll_receive(cx, timer)) {
            worker::with_worker(|worker| self.session.abandon(&reason, &mut worker.burst));
        }
        Poll::Ready(())
    }

    /// Works off what had come before the session waited.
    fn go_on(&mut self, now: Instant) {
        let rest = std::mem::take(&mut self.rest);
        let used =
            worker::with_worker(|worker| self.session.receive(&rest, 0, &mut worker.burst, now));
        keep(&mut self.rest, &rest[used..]);
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, timer: &mut impl Timer) {
        while let Some(at) = self.session.next_tick() {
            if timer.poll_until(at, cx).is_pending() {
                return;
            }
            // A node that stood still for a while does not take that for its clients' silence.
            let is_read = !self.is_held_back();
            if is_read {
                let _ = self.poll_hear(cx, timer);
            }
            if self.session.is_over() {
                return;
            }
            let now = timer.now();
            worker::with_worker(|worker| self.session.tick(now, is_read, &mut worker.burst));
        }
        timer.rest();
    }

    /// Goes on with bytes that came while a log-in was decided.
    fn take_rest(&mut self, timer: &impl Timer) {
        if self.session.takes_rest() && !self.rest.is_empty() {
            self.go_on(timer.now());
        }
    }

    /// Ready when the socket has taken everything, or will not.
    pub(crate) fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let events = self.link.take_events(cx);
        if events & event::BROKEN != 0 {
            return Poll::Ready(());
        }
        self.link.flush();
        match self.link.poll_unblock(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ if self.link.level() == 0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}
