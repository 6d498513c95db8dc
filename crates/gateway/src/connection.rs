//! A connection's task: reads its socket into the thread's buffer and works it off on the spot.
//!
//! Invariants
//! - The task owns no read buffer; it keeps only the bytes of a frame that is not complete yet.
//! - Everything that one read brings is worked off, submitted and flushed before the next read.
//! - After a few reads in a row the task steps back, so no client keeps a thread for itself.
//! - A client that does not read what it is sent is not read from either, past a hard bound.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::Sleep;

use crate::amqp091::session::Session;
use crate::arrival::{self, Arrived};
use crate::link::{Link, event};
use crate::shared::Shared;
use crate::worker::{self, Worker};

/// Bytes that may wait for a client's socket before nothing more is read from it.
const OUTBOX_BYTES_HARD_MAX: usize = 16 << 20;
/// Reads in a row before others get their turn.
const READS_IN_A_ROW_MAX: u32 = 8;
/// Least room for one read behind an incomplete frame, in bytes.
const READ_BYTES_MIN: usize = 64 << 10;
/// How long the last bytes may take to leave.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves one accepted socket to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, tls: bool) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let arrived = if tls || shared.config.proxy_from.contains(peer.ip()) {
        // In a box: what a handshake needs is not for a whole connection's life.
        Box::pin(arrival::arrive(&shared, stream, peer, tls)).await
    } else {
        Ok(Arrived::plainly(stream, peer))
    };
    let (stream, sealed, arrival) = match arrived {
        Ok(Arrived {
            stream,
            sealed,
            arrival,
        }) => (stream, sealed, arrival),
        Err(reason) => {
            tracing::info!(%peer, reason, "connection closed before its first byte");
            return;
        }
    };
    let peer = arrival.peer;
    let (read, write) = stream.into_split();
    let link = Link::new(
        Arc::clone(&shared.broker),
        write,
        sealed,
        shared.config.outbox_bytes_max,
    );
    let key = shared.register(&link);
    if shared.is_stopping() {
        link.notify(event::SHUTDOWN);
    }
    tracing::info!(%peer, "accepting AMQP connection");
    let session = Session::new(
        Arc::clone(&shared),
        Arc::clone(&link),
        arrival,
        Instant::now(),
    );
    let mut connection = Connection {
        read,
        link: Arc::clone(&link),
        session: Box::new(session),
        rest: Vec::new(),
    };
    connection.run().await;
    shared.unregister(key);
}

struct Connection {
    read: OwnedReadHalf,
    link: Arc<Link>,
    session: Box<Session>,
    /// An incomplete frame.
    rest: Vec<u8>,
}

enum Step {
    Yield,
    Done,
}

impl Connection {
    async fn run(&mut self) {
        {
            let timer = tokio::time::sleep(Duration::ZERO);
            let mut timer = std::pin::pin!(timer);
            while let Step::Yield = std::future::poll_fn(|cx| self.poll(cx, timer.as_mut())).await {
                tokio::task::yield_now().await;
            }
        }
        self.link.drain();
        self.drained().await;
        if let Some(sealed) = self.link.sealed()
            && self.link.level() == 0
        {
            sealed.say_goodbye();
            self.link.urge();
            self.drained().await;
        }
        self.link.close();
    }

    async fn drained(&mut self) {
        let drained = std::future::poll_fn(|cx| self.poll_drained(cx));
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::debug!("the client did not read the last bytes");
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Step> {
        self.poll_events(cx);
        self.take_rest();
        self.poll_timer(cx, timer.as_mut());
        for _ in 0..READS_IN_A_ROW_MAX {
            if self.session.is_over() {
                return Poll::Ready(Step::Done);
            }
            if !self.session.wants_more() || self.link.level() >= OUTBOX_BYTES_HARD_MAX {
                // What holds it back, a full socket or a held publish, wakes the task.
                return Poll::Pending;
            }
            if self.session.publishes() && self.link.log_is_behind() {
                return Poll::Pending;
            }
            if let Err(reason) = ready!(self.poll_receive(cx)) {
                worker::with_worker(|worker| self.session.abandon(&reason, &mut worker.burst));
            }
            // What was received may have moved the next tick.
            self.poll_timer(cx, timer.as_mut());
        }
        Poll::Ready(Step::Yield)
    }

    fn poll_events(&mut self, cx: &mut Context<'_>) {
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
        worker::with_worker(|worker| {
            self.session
                .on_events(events, &mut worker.burst, Instant::now());
        });
        if events & event::LOGIN != 0 {
            self.go_on();
        }
    }

    /// Works off what had come before the session waited.
    fn go_on(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        let used = worker::with_worker(|worker| {
            self.session
                .receive(&rest, 0, &mut worker.burst, Instant::now())
        });
        self.keep(&rest[used..]);
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) {
        while let Some(at) = self.session.next_tick() {
            let deadline = tokio::time::Instant::from_std(at);
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            worker::with_worker(|worker| self.session.tick(Instant::now(), &mut worker.burst));
            if self.session.is_over() {
                return;
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let received = worker::with_worker(|worker| {
            let Worker { scratch, burst } = worker;
            let kept = self.rest.len();
            if scratch.len() < kept + READ_BYTES_MIN {
                scratch.resize(kept + READ_BYTES_MIN, 0);
            }
            let mut buffer = ReadBuf::new(&mut scratch[kept..]);
            ready!(poll_read(&mut self.read, &self.link, cx, &mut buffer))?;
            let fresh = buffer.filled().len();
            if fresh == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            scratch[..kept].copy_from_slice(&self.rest);
            let bytes = &scratch[..kept + fresh];
            let used = self.session.receive(bytes, fresh, burst, Instant::now());
            self.keep(&bytes[used..]);
            Poll::Ready(io::Result::Ok(()))
        });
        received.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "client unexpectedly closed TCP connection".to_owned(),
            _ => error.to_string(),
        })
    }

    /// Goes on with bytes that came while a log-in was decided.
    fn take_rest(&mut self) {
        if !self.session.takes_rest() || self.rest.is_empty() {
            return;
        }
        let rest = std::mem::take(&mut self.rest);
        let used = worker::with_worker(|worker| {
            self.session
                .receive(&rest, 0, &mut worker.burst, Instant::now())
        });
        self.keep(&rest[used..]);
    }

    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.rest = Vec::new();
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(rest);
        }
    }

    /// Ready when the socket has taken everything, or will not.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

/// Reads plain bytes, whatever the socket carries.
fn poll_read(
    read: &mut OwnedReadHalf,
    link: &Link,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let Some(sealed) = link.sealed() else {
        return Pin::new(read).poll_read(cx, buffer);
    };
    let (urges, result) = ready!(sealed.poll_read(read, cx, buffer));
    if urges {
        link.urge();
    }
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
