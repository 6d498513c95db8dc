//! A connection's TLS: plain bytes for the session, sealed ones for the socket.
//!
//! ```text
//! socket --sealed--> thread's buffer --> TLS --plain--> the session's read buffer
//! outbox --plain--> TLS (in the writer's hand) --sealed--> socket, or the outbox's front
//! ```
//!
//! Invariants
//! - The lock here is a leaf: nothing else is locked while it is held.
//! - Sealed bytes are made by the outbox's writer alone, so they leave in the order of their
//!   numbers. What the TLS itself has to say is urged on the outbox, and made by its writer, too.
//! - No plain byte stays here between two reads, and no sealed one between two writes.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use rustls::ServerConnection;
use tokio::io::ReadBuf;

use crate::socket::ReadHalf;

/// Most that is read from a socket at once, in bytes.
const SEALED_BYTES_MAX: usize = 128 << 10;
/// More than what TLS may hold back of a record that is not complete, in bytes.
const RECORD_BYTES_MAX: usize = 20 << 10;
/// How much is sealed at a time, in bytes.
const SEAL_BYTES: usize = 256 << 10;

thread_local! {
    static SEALED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection's TLS.
pub(crate) struct Sealed {
    tls: Mutex<ServerConnection>,
}

impl Sealed {
    /// Over a handshake that is done.
    pub(crate) fn new(mut tls: ServerConnection) -> Sealed {
        // What is sealed at once is bounded by who asks for it.
        tls.set_buffer_limit(None);
        Sealed {
            tls: Mutex::new(tls),
        }
    }

    /// Seals bytes, and whatever else is to be said, behind `out`.
    pub(crate) fn seal(&self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut tls = self.tls.lock();
        for part in plain.chunks(SEAL_BYTES) {
            tls.writer().write_all(part)?;
            while tls.wants_write() {
                tls.write_tls(out)?;
            }
        }
        while tls.wants_write() {
            tls.write_tls(out)?;
        }
        Ok(())
    }

    /// The last word, to be sealed by the next [`Sealed::seal`].
    pub(crate) fn say_goodbye(&self) {
        self.tls.lock().send_close_notify();
    }

    /// Reads the socket until there are plain bytes in `out`, which had room for a lot; none when
    /// the peer has ended it. Also whether the TLS has something to say: the outbox is to be urged.
    pub(crate) fn poll_read(
        &self,
        socket: &mut ReadHalf,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<(bool, io::Result<()>)> {
        let mut tls = self.tls.lock();
        let mut urges = false;
        // What came together with the end of the handshake, or with that of the connection.
        match take_plain(&mut tls, out) {
            Ok(false) => {}
            ended => return Poll::Ready((urges, ended.map(|_| ()))),
        }
        while out.filled().is_empty() {
            let read = SEALED.with_borrow_mut(|buffer| {
                buffer.resize(SEALED_BYTES_MAX, 0);
                let room = out.remaining().saturating_sub(RECORD_BYTES_MAX);
                let mut sealed = ReadBuf::new(&mut buffer[..room.min(SEALED_BYTES_MAX)]);
                ready!(socket.poll_read(cx, &mut sealed))?;
                Poll::Ready(open(&mut tls, sealed.filled(), out))
            });
            let opened = match read {
                Poll::Pending if urges => {
                    return Poll::Ready((urges, Err(io::ErrorKind::WouldBlock.into())));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(opened) => opened,
            };
            urges |= tls.wants_write();
            match opened {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Poll::Ready((urges, Err(error))),
            }
        }
        Poll::Ready((urges, Ok(())))
    }
}

/// Opens what came; false when the peer has ended it.
fn open(tls: &mut ServerConnection, mut sealed: &[u8], out: &mut ReadBuf<'_>) -> io::Result<bool> {
    if sealed.is_empty() {
        return Ok(false);
    }
    while !sealed.is_empty() {
        if tls.read_tls(&mut sealed)? == 0 {
            return Ok(false);
        }
        let opened = tls.process_new_packets();
        opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if take_plain(tls, out)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes what was opened; whether the peer has said that nothing more comes.
fn take_plain(tls: &mut ServerConnection, out: &mut ReadBuf<'_>) -> io::Result<bool> {
    while out.remaining() > 0 {
        match tls.reader().read(out.initialize_unfilled()) {
            Ok(0) => return Ok(true),
            Ok(count) => out.advance(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
