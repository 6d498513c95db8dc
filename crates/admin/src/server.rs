//! The listener: accepting, the limits of a connection and of a request, and the end.
//!
//! Invariants
//! - At most `CONNECTIONS_MAX` connections are served; more wait in the system's queue.
//! - A head that is not complete in `HEAD_TIME_MAX` ends its connection, so does an idle one.
//! - What comes before the first request, a proxy's header and TLS, has its time, too.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ferry_auth::{Backends, Proxies, ServerTls, Whence};
use ferry_broker::Broker;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::routes;
use crate::sampler::Sampler;
use crate::shared::{Listener, Node, Shared};
use crate::websocket::WebSockets;

const CONNECTIONS_MAX: usize = 4096;
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_COUNT_MAX: usize = 100;
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long answers that are under way may take once the end was asked for.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(2);
/// Pause after the system could not accept, for example because it is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the HTTP doors of a node are, and who decides there.
#[derive(Debug, Clone, Default)]
pub struct AdminConfig {
    /// Address to listen on.
    pub http: Option<SocketAddr>,
    /// Address to listen on with TLS.
    pub https: Option<SocketAddr>,
    /// Certificates for that.
    pub tls: Option<Arc<ServerTls>>,
    /// Who is believed whom it speaks for.
    pub proxies: Proxies,
    /// Who decides about log-ins; the broker alone if nobody is named.
    pub backends: Option<Backends>,
    /// Who takes sockets that become WebSockets; nobody, and there are none.
    pub websockets: Option<Arc<dyn WebSockets>>,
}

/// What the listener for metrics is called in listings, as in RabbitMQ.
pub const METRICS_PROTOCOL: &str = "http/prometheus";

/// Where to listen, how, and what that is called in listings.
struct Place {
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    protocol: &'static str,
}

/// The HTTP doors of a node.
pub struct Admin {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: Vec<JoinHandle<()>>,
    connections: Arc<Semaphore>,
}

impl Admin {
    /// Listens on `address`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's, when the address can not be listened on.
    pub async fn start(broker: Arc<Broker>, node: Node, address: SocketAddr) -> io::Result<Admin> {
        let config = AdminConfig {
            http: Some(address),
            ..AdminConfig::default()
        };
        Admin::open(broker, node, config).await
    }

    /// Listens where the configuration says. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's, when an address can not be listened on; TLS without a certificate.
    pub async fn open(
        broker: Arc<Broker>,
        node: Node,
        mut config: AdminConfig,
    ) -> io::Result<Admin> {
        let place = |address, tls, protocol| Place {
            address,
            tls,
            protocol,
        };
        let mut places = Vec::new();
        places.extend(config.http.map(|address| place(address, None, "http")));
        if let Some(address) = config.https {
            let missing = || io::Error::other("there is no certificate for TLS");
            let tls = config.tls.take().ok_or_else(missing)?;
            places.push(place(address, Some(tls), "https"));
        }
        broker.identify_cluster().map_err(io::Error::other)?;
        Admin::listen(broker, node, config, places, routes::router).await
    }

    /// Listens on `address` for those who ask for metrics and health, and serves nothing else.
    ///
    /// # Errors
    /// As [`Admin::start`].
    pub async fn start_metrics(
        broker: Arc<Broker>,
        node: Node,
        address: SocketAddr,
    ) -> io::Result<Admin> {
        let place = Place {
            address,
            tls: None,
            protocol: METRICS_PROTOCOL,
        };
        let config = AdminConfig::default();
        Admin::listen(broker, node, config, vec![place], routes::metrics_router).await
    }

    async fn listen(
        broker: Arc<Broker>,
        mut node: Node,
        config: AdminConfig,
        places: Vec<Place>,
        router: fn(Arc<Shared>) -> Router,
    ) -> io::Result<Admin> {
        let samples = places
            .iter()
            .any(|place| place.protocol != METRICS_PROTOCOL);
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for Place {
            address,
            tls,
            protocol,
        } in places
        {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            node.listeners.push(Listener { protocol, address });
            addresses.push(address);
            listeners.push((listener, tls));
        }
        let backends = config.backends;
        let backends = backends.unwrap_or_else(|| Backends::internal(Arc::clone(&broker)));
        let mut shared = Shared::new(broker, node, backends);
        shared.websockets = config.websockets;
        let shared = Arc::new(shared);
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        if samples {
            tokio::spawn(Sampler::run(Arc::clone(&shared), stopped.clone()));
        }
        let router = router(Arc::clone(&shared));
        let accept = |(listener, tls)| {
            let acceptor = Acceptor {
                listener,
                door: Door {
                    router: router.clone(),
                    stopped: stopped.clone(),
                    tls,
                    proxies: config.proxies.clone(),
                },
                connections: Arc::clone(&connections),
            };
            tokio::spawn(acceptor.run())
        };
        let accepting = listeners.into_iter().map(accept).collect();
        Ok(Admin {
            addresses,
            shared,
            stop,
            accepting,
            connections,
        })
    }

    /// The addresses that it listens on, the plain one first, with the ports that the system chose.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first of them.
    ///
    /// # Panics
    /// When it listens on none.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Tells load balancers whether to send clients here; true from the start.
    pub fn set_ready(&self, ready: bool) {
        self.shared.set_ready(ready);
    }

    /// Stops listening, and lets answers end that are under way.
    pub async fn shutdown(self) {
        self.shared.set_ready(false);
        self.stop.send_replace(true);
        for accepting in self.accepting {
            if accepting.await.is_err() {
                tracing::error!("the HTTP listener ended in a panic");
            }
        }
        let all = self.connections.acquire_many(CONNECTIONS_MAX as u32);
        if tokio::time::timeout(SHUTDOWN_TIME_MAX, all).await.is_err() {
            tracing::warn!("HTTP connections were cut at shutdown");
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    door: Door,
    connections: Arc<Semaphore>,
}

/// What each connection of a listener gets.
#[derive(Clone)]
struct Door {
    router: Router,
    stopped: watch::Receiver<bool>,
    tls: Option<Arc<ServerTls>>,
    proxies: Proxies,
}

impl Acceptor {
    async fn run(self) {
        let mut stopped = self.door.stopped.clone();
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
                    tokio::spawn(arrive(self.door.clone(), stream, peer, permit));
                }
                Err(error) => {
                    tracing::warn!("HTTP: can not accept: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Does what comes before the first request.
async fn arrive(door: Door, mut stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
    let whence = match door.proxies.of_http_socket(&mut stream, peer).await {
        Ok(whence) => whence,
        Err(error) => return tracing::debug!(%peer, "HTTP: {error}"),
    };
    let Some(tls) = &door.tls else {
        return serve(stream, whence, door, permit).await;
    };
    match tls.accept(stream).await {
        Ok(stream) => serve(stream, whence, door, permit).await,
        Err(error) => tracing::debug!(%peer, "HTTPS: {error}"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection_from: Whence,
    door: Door,
    permit: OwnedSemaphorePermit,
) {
    let Door {
        router,
        mut stopped,
        proxies,
        ..
    } = door;
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let whence = proxies.forwarded(connection_from, request.headers());
        request.extensions_mut().insert(whence);
        if let Some(plain) = routes::without_last_slash(request.uri()) {
            *request.uri_mut() = plain;
        }
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_COUNT_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
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
        tracing::debug!(peer = %connection_from.peer, "HTTP: {error}");
    }
    drop(permit);
}
