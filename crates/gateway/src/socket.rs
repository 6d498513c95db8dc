//! The two halves of a connection's socket: of TCP, or, in tests, of memory.
//!
//! Invariants
//! - Which of the two it is, is known when a program is built without tests' sockets: there is one
//!   kind then, and nothing to choose.
//!
//! Not here: what is read and written (`connection`, `link`), TLS and WebSocket in between.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
#[cfg(feature = "testing")]
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[cfg(feature = "testing")]
use crate::testing::Memory;

/// Where a connection's bytes come from.
pub(crate) enum ReadHalf {
    Tcp(OwnedReadHalf),
    #[cfg(feature = "testing")]
    Memory(Arc<Memory>),
}

/// Where its bytes go.
pub(crate) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    #[cfg(feature = "testing")]
    Memory(Arc<Memory>),
}

impl ReadHalf {
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            ReadHalf::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            #[cfg(feature = "testing")]
            ReadHalf::Memory(memory) => memory.poll_read(cx, buffer),
        }
    }
}

impl WriteHalf {
    /// Writes what the socket takes at once.
    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            WriteHalf::Tcp(tcp) => tcp.try_write(bytes),
            #[cfg(feature = "testing")]
            WriteHalf::Memory(memory) => memory.try_write(bytes),
        }
    }

    /// Ready when it takes something, or never will.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            WriteHalf::Tcp(tcp) => tcp.as_ref().poll_write_ready(cx),
            #[cfg(feature = "testing")]
            WriteHalf::Memory(memory) => memory.poll_write_ready(cx),
        }
    }

    /// The address that the client has connected to.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            WriteHalf::Tcp(tcp) => tcp.local_addr().ok(),
            #[cfg(feature = "testing")]
            WriteHalf::Memory(_) => None,
        }
    }

    /// Ends both ways.
    pub(crate) fn shut_down(&self) {
        match self {
            WriteHalf::Tcp(tcp) => {
                if let Err(error) = rustix::net::shutdown(tcp.as_ref(), Shutdown::Both) {
                    tracing::trace!(%error, "the socket was shut down before");
                }
            }
            #[cfg(feature = "testing")]
            WriteHalf::Memory(memory) => memory.shut_down(),
        }
    }
}
