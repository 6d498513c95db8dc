//! The listener: accepting, the limits of a connection and of a request, and the end.
//!
//! Invariants
//! - At most `CONNECTIONS_MAX` connections are served; more wait in the system's queue.
//! - A head that is not complete in `HEAD_TIME_MAX` ends its connection, so does an idle one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ferry_broker::Broker;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::auth::Peer;
use crate::routes;
use crate::shared::{Listener, Node, Shared};

const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_COUNT_MAX: usize = 100;
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long answers that are under way may take once the end was asked for.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(2);
/// Pause after the system could not accept, for example because it is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HTTP door of a node.
pub struct Admin {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    connections: Arc<Semaphore>,
}

impl Admin {
    /// Listens on `address`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's, when the address can not be listened on.
    pub async fn start(
        broker: Arc<Broker>,
        mut node: Node,
        address: SocketAddr,
    ) -> io::Result<Admin> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        node.listeners.push(Listener {
            protocol: "http",
            address,
        });
        let shared = Arc::new(Shared::new(broker, node));
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let acceptor = Acceptor {
            listener,
            router: routes::router(Arc::clone(&shared)),
            stopped,
            connections: Arc::clone(&connections),
        };
        let accepting = tokio::spawn(acceptor.run());
        Ok(Admin {
            address,
            shared,
            stop,
            accepting,
            connections,
        })
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Tells load balancers whether to send clients here; true from the start.
    pub fn set_ready(&self, ready: bool) {
        self.shared.set_ready(ready);
    }

    /// Stops listening, and lets answers end that are under way.
    pub async fn shutdown(self) {
        self.shared.set_ready(false);
        self.stop.send_replace(true);
        if self.accepting.await.is_err() {
            tracing::error!("the HTTP listener ended in a panic");
        }
        let all = self.connections.acquire_many(CONNECTIONS_MAX as u32);
        if tokio::time::timeout(SHUTDOWN_TIME_MAX, all).await.is_err() {
            tracing::warn!("HTTP connections were cut at shutdown");
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    router: Router,
    stopped: watch::Receiver<bool>,
    connections: Arc<Semaphore>,
}

impl Acceptor {
    async fn run(self) {
        let mut stopped = self.stopped.clone();
        let stop = stopped.wait_for(|stopped| *stopped);
        tokio::pin!(stop);
        loop {
            let next = async {
                let permit = Arc::clone(&self.connections).acquire_owned().await;
                let permit = permit.expect("nobody closes the semaphore");
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                _ = &mut stop => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (router, stopped) = (self.router.clone(), self.stopped.clone());
                    tokio::spawn(serve(stream, peer, router, stopped, permit));
                }
                Err(error) => {
                    tracing::warn!("HTTP: can not accept: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_COUNT_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let stop = async { stopped.wait_for(|stopped| *stopped).await.is_ok() };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "HTTP: {error}");
    }
    drop(permit);
}
