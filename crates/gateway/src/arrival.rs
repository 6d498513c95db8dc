//! From an accepted socket to the first byte of a protocol: whom a proxy speaks for, TLS, and the
//! request for a WebSocket.
//!
//! Invariants
//! - Each step has its time; a socket that does not get through it was told nothing.
//! - A guest of this machine is one by the socket's own address and by the one that a proxy tells.

use std::net::SocketAddr;
use std::sync::Arc;

use ferry_auth::{Whence, tls_info};
use ferry_broker::TlsInfo;
use rustls::ServerConnection;
use tokio::net::TcpStream;

use crate::connection::Entrance;
use crate::sealed::Sealed;
use crate::shared::Shared;
use crate::websocket::{self, Entered};

/// Who has come, and how.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Where it comes from: what the proxy says, if one speaks for it.
    pub(crate) peer: SocketAddr,
    /// Whether it comes from this machine.
    pub(crate) loopback: bool,
    /// What its TLS is.
    pub(crate) tls: Option<Arc<TlsInfo>>,
    /// Whether it was asked for a certificate, and may log in with it.
    pub(crate) external: bool,
    /// The user whom its certificate names.
    pub(crate) certified: Option<String>,
}

/// A socket that is ready for its protocol.
pub(crate) struct Arrived {
    pub(crate) stream: TcpStream,
    pub(crate) sealed: Option<Box<Sealed>>,
    pub(crate) entered: Option<Box<Entered>>,
    pub(crate) arrival: Arrival,
}

impl Arrived {
    /// A plain socket from nobody in particular.
    pub(crate) fn plainly(stream: TcpStream, Whence { peer, loopback }: Whence) -> Arrived {
        Arrived {
            stream,
            sealed: None,
            entered: None,
            arrival: Arrival {
                peer,
                loopback,
                tls: None,
                external: false,
                certified: None,
            },
        }
    }

    /// A socket whose TLS is established.
    pub(crate) fn sealed(
        shared: &Shared,
        stream: TcpStream,
        whence: Whence,
        connection: ServerConnection,
    ) -> Arrived {
        let mut arrived = Arrived::plainly(stream, whence);
        let server = shared.config.tls.as_ref();
        let certificate = server.and_then(|server| server.client_certificate(&connection));
        arrived.arrival.tls = Some(Arc::new(tls_info(&connection, certificate.as_ref())));
        if let Some(server) = server {
            let from = server.settings().login_from;
            arrived.arrival.external = server.asks_clients();
            arrived.arrival.certified = certificate.and_then(|one| one.user(from));
        }
        arrived.sealed = Some(Box::new(Sealed::new(connection)));
        arrived
    }

    /// It comes by a WebSocket.
    pub(crate) fn enter(&mut self, entered: Entered) {
        entered.heed_origin(&mut self.arrival);
        self.entered = Some(Box::new(entered));
    }
}

/// Does what is to be done before the first byte of a protocol.
pub(crate) async fn arrive(
    shared: &Shared,
    mut stream: TcpStream,
    peer: SocketAddr,
    Entrance { protocol, tls }: Entrance,
) -> Result<Arrived, String> {
    let proxies = &shared.config.proxies;
    let whence = match protocol {
        Some(_) => proxies.of_socket(&mut stream, peer).await,
        None => proxies.of_http_socket(&mut stream, peer).await,
    };
    let mut whence = whence.map_err(|error| error.to_string())?;
    let mut entered = None;
    let mut arrived = match &shared.config.tls {
        Some(server) if tls => {
            let accepted = server.accept(stream).await;
            let mut accepted = accepted.map_err(|error| format!("TLS: {error}"))?;
            if protocol.is_none() {
                entered = Some(websocket::enter(shared, &mut accepted, &mut whence).await?);
            }
            let (stream, connection) = accepted.into_inner();
            Arrived::sealed(shared, stream, whence, connection)
        }
        None if tls => return Err("there is no certificate for TLS".to_owned()),
        _ => {
            if protocol.is_none() {
                entered = Some(websocket::enter(shared, &mut stream, &mut whence).await?);
            }
            Arrived::plainly(stream, whence)
        }
    };
    if let Some(entered) = entered {
        arrived.enter(entered);
    }
    Ok(arrived)
}
