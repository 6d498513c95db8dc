//! Listening: accepts sockets and gives each a task.
//!
//! Invariants
//! - An error of one accept never ends the listener: out of descriptors it pauses, and the
//!   connections that are there live on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::connection::{self, Entrance};
use crate::shared::Shared;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long to leave the listener alone after an error that is not the peer's.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Binds an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts for ever.
pub(crate) async fn accept(listener: TcpListener, entrance: Entrance, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connection::serve(&shared, stream, peer, entrance);
            }
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!("can not accept a connection: {error}; it is tried again");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
