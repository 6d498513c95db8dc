//! Reads of a connection's socket, through TLS and WebSocket to what the session is given.
//!
//! Invariants
//! - A read ends behind what was there already; the session sees both as one piece.
//! - While publishers are held a read brings little.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::Connection;
use crate::link::{Link, Wire};
use crate::session::Session;
use crate::socket::ReadHalf;
use crate::timer::Timer;
use crate::websocket::Deframer;
use crate::worker::{self, Worker};

/// Least room for one read behind an incomplete frame, in bytes.
const READ_BYTES_MIN: usize = 64 << 10;
/// Most that is read at once while publishers are held: each of many may bring what has to wait.
const READ_BYTES_HELD: usize = 16 << 10;

impl<S: Session> Connection<S> {
    /// Reads once and works that off.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        timer: &impl Timer,
    ) -> Poll<Result<(), String>> {
        let received = worker::with_worker(|worker| {
            let mut rest = std::mem::take(&mut self.rest);
            let received = match rest.len() < READ_BYTES_MIN {
                true => self.poll_behind(&mut rest, worker, cx, timer),
                false => self.poll_long(&mut rest, worker, cx, timer),
            };
            self.rest = rest;
            received
        });
        received.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "client unexpectedly closed TCP connection".to_owned(),
            _ => error.to_string(),
        })
    }

    /// Reads behind a copy of what is there already.
    fn poll_behind(
        &mut self,
        rest: &mut Vec<u8>,
        Worker { scratch, burst }: &mut Worker,
        cx: &mut Context<'_>,
        timer: &impl Timer,
    ) -> Poll<io::Result<()>> {
        let kept = rest.len();
        if scratch.len() < kept + READ_BYTES_MIN {
            scratch.resize(kept + READ_BYTES_MIN, 0);
        }
        let fresh = ready!(self.poll_fresh(&mut scratch[kept..], cx))?;
        scratch[..kept].copy_from_slice(rest);
        let bytes = &scratch[..kept + fresh];
        let used = self.session.receive(bytes, fresh, burst, timer.now());
        keep(rest, &bytes[used..]);
        Poll::Ready(Ok(()))
    }

    /// Reads behind a long frame where it is: to copy it for each read would cost its square.
    fn poll_long(
        &mut self,
        rest: &mut Vec<u8>,
        worker: &mut Worker,
        cx: &mut Context<'_>,
        timer: &impl Timer,
    ) -> Poll<io::Result<()>> {
        let kept = rest.len();
        rest.resize(kept + READ_BYTES_MIN, 0);
        let polled = self.poll_fresh(&mut rest[kept..], cx);
        let fresh = match polled {
            Poll::Ready(Ok(fresh)) => fresh,
            _ => 0,
        };
        rest.truncate(kept + fresh);
        ready!(polled)?;
        let used = self
            .session
            .receive(rest, fresh, &mut worker.burst, timer.now());
        if used > 0 {
            *rest = rest.split_off(used);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the socket has; how many bytes, which are never none.
    fn poll_fresh(&mut self, into: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = match self.shared.broker.memory().blocked() {
            Some(_) => into.len().min(READ_BYTES_HELD),
            None => into.len(),
        };
        let mut buffer = ReadBuf::new(&mut into[..room]);
        let deframer = self.deframer.as_deref_mut();
        ready!(poll_read(
            &mut self.read,
            &self.link,
            deframer,
            cx,
            &mut buffer
        ))?;
        match buffer.filled().len() {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            fresh => Poll::Ready(Ok(fresh)),
        }
    }
}

/// Keeps what a session has not used.
pub(super) fn keep(rest: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        *rest = Vec::new();
    } else {
        rest.clear();
        rest.extend_from_slice(bytes);
    }
}

/// Reads the session's bytes, whatever the socket carries.
pub(super) fn poll_read(
    read: &mut ReadHalf,
    link: &Link<impl Wire>,
    deframer: Option<&mut Deframer>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let Some((deframer, framed)) = deframer.zip(link.framed()) else {
        return poll_open(read, link, cx, buffer);
    };
    let mut urges = false;
    let result = deframer.poll_read(framed, buffer, &mut urges, |buffer| {
        poll_open(read, link, cx, buffer)
    });
    if urges {
        link.urge();
    }
    result
}

/// Reads what no TLS seals any more.
fn poll_open(
    read: &mut ReadHalf,
    link: &Link<impl Wire>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let Some(sealed) = link.sealed() else {
        return read.poll_read(cx, buffer);
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
