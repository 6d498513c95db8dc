//! From a socket to the first frame: the request is read and answered here, or was by a listener
//! for HTTP.
//!
//! Invariants
//! - A request has its time and its size; who is refused is told why, and closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferry_auth::Whence;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::write_response;
use tungstenite::http::header::{self, HeaderValue};
use tungstenite::http::{Request, Response, StatusCode, Version};

#[cfg(feature = "testing")]
use super::request::Origin;
use super::request::{Accepted, answer};
use super::{Content, Deframer, Framed};
use crate::arrival::{Arrival, Arrived};
use crate::connection::{self, Protocol};
use crate::shared::Shared;

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// How long it may take to come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Room in a text for all but the body of a message, in bytes.
const AROUND_BODY_BYTES: u64 = 64 << 10;

/// A socket that frames come from.
pub(crate) struct Entered {
    pub(crate) protocol: Protocol,
    pub(crate) framed: Box<Framed>,
    pub(crate) deframer: Box<Deframer>,
    accepted: Accepted,
}

impl Entered {
    fn new(shared: &Shared, accepted: Accepted, early: Vec<u8>) -> Entered {
        let content = match accepted.protocol {
            // A byte of a body may take two in a text.
            Protocol::Json => Content::Texts {
                bytes_max: 2 * shared.config.message_bytes_max + AROUND_BODY_BYTES,
            },
            Protocol::Amqp091 | Protocol::Mqtt => Content::Stream,
        };
        Entered {
            protocol: accepted.protocol,
            framed: Box::new(Framed::new(content)),
            deframer: Box::new(Deframer::new(content, early)),
            accepted,
        }
    }

    /// For a page of this machine whose request was granted.
    #[cfg(feature = "testing")]
    pub(crate) fn granted(shared: &Shared, protocol: Protocol) -> Entered {
        let origin = Origin {
            is_local: true,
            is_own: true,
        };
        Entered::new(shared, Accepted { protocol, origin }, Vec::new())
    }

    /// Takes from who came by a page of elsewhere what the page has without asking.
    pub(crate) fn heed_origin(&self, arrival: &mut Arrival) {
        arrival.loopback &= self.accepted.origin.is_local;
        if !self.accepted.origin.is_own {
            arrival.external = false;
            arrival.certified = None;
        }
    }
}

/// Reads a request from a socket, plain or not, and answers it; `whence` becomes the request's.
pub(crate) async fn enter(
    shared: &Shared,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    whence: &mut Whence,
) -> Result<Entered, String> {
    let entered = tokio::time::timeout(REQUEST_TIMEOUT, async {
        let (request, early) = read_request(stream).await?;
        *whence = shared.config.proxies.forwarded(*whence, request.headers());
        let (accepted, response) = answer(&request);
        write_answer(stream, &response).await?;
        let text = response.body().trim_end();
        let accepted = accepted.ok_or_else(|| io::Error::other(text.to_owned()))?;
        Ok(Entered::new(shared, accepted, early))
    });
    match entered.await {
        Ok(entered) => entered.map_err(|error: io::Error| format!("WebSocket: {error}")),
        Err(_) => Err("WebSocket: no request in time".to_owned()),
    }
}

/// The request, and what came behind it.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Request<()>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1 << 10);
    loop {
        if let Some((used, request)) = Request::try_parse(&bytes).map_err(io::Error::other)? {
            return Ok((request, bytes.split_off(used)));
        }
        if bytes.len() >= REQUEST_BYTES_MAX {
            return Err(io::Error::other("the request is too long"));
        }
        let room = (REQUEST_BYTES_MAX - bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn write_answer(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &Response<String>,
) -> io::Result<()> {
    let mut head = response.clone().map(|_| ());
    *head.version_mut() = Version::HTTP_11;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let length = HeaderValue::from(response.body().len());
        head.headers_mut().insert(header::CONTENT_LENGTH, length);
        let close = HeaderValue::from_static("close");
        head.headers_mut().append(header::CONNECTION, close);
    }
    let mut bytes = Vec::new();
    write_response(&mut bytes, &head).map_err(io::Error::other)?;
    bytes.extend_from_slice(response.body().as_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// A socket of a listener for HTTP that has become one for WebSocket.
pub struct Guest {
    /// The socket.
    pub stream: TcpStream,
    /// Its TLS, if it has any.
    pub tls: Option<ServerConnection>,
    /// What came behind the request.
    pub early: Vec<u8>,
    /// Where it comes from: what a proxy says, if one speaks for it.
    pub whence: Whence,
}

/// The way in for sockets that a listener for HTTP has accepted.
#[derive(Clone)]
pub struct WebSockets {
    shared: Arc<Shared>,
}

impl WebSockets {
    pub(crate) fn new(shared: Arc<Shared>) -> WebSockets {
        WebSockets { shared }
    }

    /// The answer to a request for a WebSocket; a refusal has its reason in words.
    pub fn answer(&self, request: &Request<()>) -> Response<String> {
        answer(request).1
    }

    /// Serves a socket to its end whose request was answered with 101, in a task of its own.
    /// Within a tokio runtime.
    pub fn serve(&self, request: &Request<()>, guest: Guest) {
        let peer = guest.whence.peer;
        let (Some(accepted), _) = answer(request) else {
            tracing::debug!(%peer, "a WebSocket that was refused is not served");
            return;
        };
        if let Err(error) = guest.stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "no TCP_NODELAY");
        }
        let mut arrived = match guest.tls {
            None => Arrived::plainly(guest.stream, guest.whence),
            Some(tls) => Arrived::sealed(&self.shared, guest.stream, guest.whence, tls),
        };
        arrived.enter(Entered::new(&self.shared, accepted, guest.early));
        connection::speak_as(&self.shared, arrived, accepted.protocol);
    }
}
