//! Requests for a WebSocket: answered and served by somebody else, who is given the socket.
//!
//! Invariants
//! - Who was let in leaves HTTP for good: the connection counts no more among those of this door.
//! - Whom a proxy speaks for, and whether it is of this machine, is told with the socket.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, http};
use ferry_auth::Whence;
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::routes::not_found;
use crate::shared::Shared;

/// Where a WebSocket may be asked for.
const PATHS: [&str; 6] = ["/mqtt", "/ws", "/ws/", "/ws/mqtt", "/ws/amqp", "/ws/json"];

/// Who takes sockets that become WebSockets.
pub trait WebSockets: fmt::Debug + Send + Sync {
    /// The answer to a request for one: 101 lets it in, another has its reason as its body.
    fn answer(&self, request: &http::Request<()>) -> http::Response<String>;

    /// Takes the socket of a request that was answered with 101.
    fn take(&self, request: http::Request<()>, upgraded: Upgraded);
}

/// A socket that has left HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket.
    pub stream: TcpStream,
    /// Its TLS, if it has any.
    pub tls: Option<ServerConnection>,
    /// What came behind the request.
    pub early: Vec<u8>,
    /// Where it comes from: what a proxy says, if one speaks for it.
    pub whence: Whence,
}

/// The paths, for a door that lets WebSockets in.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    PATHS.into_iter().fold(Router::new(), |routes, path| {
        routes.route(path, get(upgrade))
    })
}

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(whence): Extension<Whence>,
    mut request: Request,
) -> Response {
    let Some(websockets) = shared.websockets.clone() else {
        return not_found().await;
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let request = request.map(|_| ());
    let answer = websockets.answer(&request);
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        tokio::spawn(async move {
            let upgraded = match upgraded.await {
                Ok(upgraded) => upgraded,
                Err(error) => return tracing::debug!(peer = %whence.peer, "WebSocket: {error}"),
            };
            match Upgraded::of(upgraded, whence) {
                Some(upgraded) => websockets.take(request, upgraded),
                None => tracing::error!("a socket is not what HTTP was served on"),
            }
        });
    }
    answer.map(Body::from).into_response()
}

impl Upgraded {
    fn of(upgraded: hyper::upgrade::Upgraded, whence: Whence) -> Option<Self> {
        let (stream, tls, early) = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(Parts { io, read_buf, .. }) => (io.into_inner(), None, read_buf),
            Err(upgraded) => {
                let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
                let (stream, tls) = parts.io.into_inner().into_inner();
                (stream, Some(tls), parts.read_buf)
            }
        };
        Some(Upgraded {
            stream,
            tls,
            early: early.to_vec(),
            whence,
        })
    }
}
