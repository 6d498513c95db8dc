//! A node from its start to its end: what is opened in which order, and closed in the other.
//!
//! Invariants
//! - `ready` is written when every listener accepts, and not before.
//! - After the log has failed nothing is closed as if it had worked: the exit code says it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferry_admin::{Admin, AdminConfig, Listener, METRICS_PROTOCOL, Node};
use ferry_auth::{BackendError, Backends, ServerTls, TlsError};
use ferry_broker::{AccessError, Broker, OpenError, Options, Threads};
use ferry_gateway::Gateway;
use ferry_log::{LogError, RealDisk};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::certificates;
use crate::clock::SteadyClock;
use crate::config::{Config, MemoryHigh};
use crate::signals::{Hangups, StopSignals};
use crate::websocket::Passage;
use crate::{logging, memory, notify, runtime, size};

/// Free space on the disk below which publishers are held, in bytes, as in RabbitMQ.
const DISK_FREE_BYTES_MIN: u64 = 50_000_000;

/// What sysexits calls a software error, here: the disk has failed, restart and look.
const EXIT_LOG_FAILED: u8 = 70;

/// For a machine that does not say how much memory it has.
const MEMORY_UNKNOWN_BYTES: u64 = 1 << 30;

/// How long clients have to hear that the log has failed.
const FAILURE_TIME_MAX: Duration = Duration::from_secs(7);

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("the data directory {directory}: {error}")]
    DataDir { directory: String, error: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("can not listen on {what}: {error}")]
    Listen { what: String, error: io::Error },
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("auth_backends: {0}")]
    Backends(#[from] BackendError),
    #[error("can not start: {0}")]
    System(#[from] io::Error),
    #[error("can not make an administrator: {0}")]
    Administrator(AccessError),
    #[error("closing the log: {0}")]
    Close(LogError),
}

impl From<LogError> for ServeError {
    fn from(error: LogError) -> ServeError {
        ServeError::Open(OpenError::Log(error))
    }
}

/// Why a node ended that had started.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Asked,
    LogFailed,
}

/// Runs a node until it is asked to stop.
pub(crate) fn run(config: Config) -> ExitCode {
    logging::start(&config.log, config.log_format);
    match serve(config) {
        Ok(End::Asked) => ExitCode::SUCCESS,
        Ok(End::LogFailed) => ExitCode::from(EXIT_LOG_FAILED),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mut config: Config) -> Result<End, ServeError> {
    let data_dir = |error| {
        let directory = config.data_dir.display().to_string();
        ServeError::DataDir { directory, error }
    };
    config.data_dir = std::path::absolute(&config.data_dir).map_err(data_dir)?;
    tracing::info!(
        data_dir = %config.data_dir.display(),
        workers = config.workers,
        sync = config.sync.name(),
        "FerryMQ {} starts",
        env!("CARGO_PKG_VERSION")
    );
    if let Some(weakness) = config.sync.weakness() {
        tracing::warn!(sync = config.sync.name(), "{weakness}");
    }
    raise_file_limit();
    let broker = open(&config)?;
    make_administrator(&config, &broker)?;
    #[cfg(feature = "otel")]
    if let Some(endpoint) = config.otel_endpoint.take() {
        crate::otel::start(&broker, endpoint)?;
    }
    let (failed, failure) = watch::channel(false);
    broker.set_on_failure(Box::new(move |_| {
        failed.send_replace(true);
    }));
    let threads = Threads::start(&broker)?;
    let runtime = runtime::build(config.workers)?;
    let end = runtime.block_on(live(config, broker, failure));
    if matches!(end, Ok(End::LogFailed)) {
        return end;
    }
    // A node that could not listen has a log to close, too.
    let closed = threads.stop().map_err(ServeError::Close);
    let end = end?;
    closed?;
    tracing::info!("stopped");
    Ok(end)
}

fn open(config: &Config) -> Result<Arc<Broker>, ServeError> {
    let memory_limit_bytes = memory::limit_bytes();
    let memory_high_bytes = memory_high_bytes(config.memory_high, memory_limit_bytes);
    let disk = RealDisk::open(&config.data_dir)?;
    let broker = Broker::open(Options {
        disk: Arc::new(disk),
        log: ferry_log::Options::default(),
        clock: Arc::new(SteadyClock::new()),
        formats: ferry_gateway::formats(),
        sync: config.sync,
        memory_high_bytes,
        disk_free_bytes_min: DISK_FREE_BYTES_MIN,
    })?;
    if let Some(limit_bytes) = memory_limit_bytes {
        broker.watch_memory(limit_bytes, ferry_admin::resident_bytes);
    }
    broker.set_passport_bytes_max(config.passport_bytes);
    for reason in &broker.recovery().rejected_checkpoints {
        tracing::warn!("a checkpoint could not be used: {reason}");
    }
    Ok(broker)
}

/// A new node that can be reached from elsewhere has somebody who may come from there.
fn make_administrator(config: &Config, broker: &Broker) -> Result<(), ServeError> {
    let (mqtt, security) = (&config.gateway.mqtt, &config.security);
    let plain = config.gateway.amqp.iter().chain(&config.http);
    let plain = plain.chain(&mqtt.addresses).chain(&mqtt.websocket);
    let sealed = security.amqps.iter().chain(&security.https);
    let sealed = sealed.chain(&mqtt.tls_addresses).chain(&mqtt.websockets);
    let mut addresses = plain.chain(sealed);
    if addresses.all(|address| address.ip().to_canonical().is_loopback()) {
        return Ok(());
    }
    let made = broker.make_first_administrator();
    if let Some((name, password)) = made.map_err(ServeError::Administrator)? {
        tracing::warn!(
            "first start: user '{name}' is made, an administrator with password '{password}'. \
             It is shown this once; change it or make users of your own"
        );
    }
    Ok(())
}

fn memory_high_bytes(high: MemoryHigh, limit: Option<u64>) -> u64 {
    let known = || limit.unwrap_or(MEMORY_UNKNOWN_BYTES);
    let bytes = match high {
        MemoryHigh::Bytes(bytes) => bytes,
        MemoryHigh::Fraction(fraction) => (known() as f64 * fraction) as u64,
    };
    let of = limit.map_or("an unknown amount".to_owned(), size::show);
    tracing::info!(
        "publishers wait when messages take {} of memory, of {of}",
        size::show(bytes)
    );
    bytes
}

/// Every connection is a file; the usual soft limit is for programs that use `select`.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

/// The doors of a node, once all are open.
struct Doors {
    gateway: Gateway,
    prometheus: Option<Admin>,
    admin: Option<Admin>,
}

async fn live(
    config: Config,
    broker: Arc<Broker>,
    mut failure: watch::Receiver<bool>,
) -> Result<End, ServeError> {
    let mut signals = StopSignals::new()?;
    let doors = open_doors(config, broker).await?;
    {
        let mut out = io::stdout().lock();
        writeln!(out, "ready")?;
        out.flush()?;
    }
    notify::tell("READY=1");
    let end = tokio::select! {
        name = signals.next() => {
            tracing::info!("{name}: stopping");
            End::Asked
        }
        _ = failure.wait_for(|failed| *failed) => End::LogFailed,
    };
    notify::tell("STOPPING=1");
    signals.exit_at_next();
    for admin in doors.prometheus.iter().chain(&doors.admin) {
        admin.set_ready(false);
    }
    if end == End::LogFailed {
        tracing::error!("nothing can be stored any more: clients are told, and the node ends");
        if tokio::time::timeout(FAILURE_TIME_MAX, doors.gateway.shutdown())
            .await
            .is_err()
        {
            tracing::error!("clients did not go in time");
        }
        return Ok(end);
    }
    doors.gateway.shutdown().await;
    for admin in doors.prometheus.into_iter().chain(doors.admin) {
        admin.shutdown().await;
    }
    Ok(end)
}

async fn open_doors(mut config: Config, broker: Arc<Broker>) -> Result<Doors, ServeError> {
    let security = config.security;
    let tls = match security.tls {
        None => None,
        Some(settings) => Some(Arc::new(ServerTls::open(settings)?)),
    };
    if let Some(tls) = &tls {
        tokio::spawn(certificates::watch(Arc::clone(tls), Hangups::new()?));
    }
    let backends = Backends::new(Arc::clone(&broker), security.backends)?;
    config.gateway.amqps = security.amqps;
    config.gateway.tls = tls.clone();
    config.gateway.proxies = security.proxies.clone();
    config.gateway.backends = Some(backends.clone());
    let message_bytes_max = config.gateway.message_bytes_max;
    let gateway = Gateway::start(Arc::clone(&broker), config.gateway).map_err(|error| {
        let what = "a door".to_owned();
        ServeError::Listen { what, error }
    })?;
    let mut listeners = Vec::new();
    for (door, address) in gateway.doors() {
        tracing::info!("{} on {address}", door.title());
        listeners.push(Listener {
            protocol: door.name(),
            address: *address,
        });
    }
    let admin = AdminConfig {
        http: config.http,
        https: security.https,
        tls,
        proxies: security.proxies,
        backends: Some(backends),
        websockets: Some(Arc::new(Passage(gateway.websockets()))),
    };
    let mut node = Node {
        name: format!("ferrymq@{}", host_name()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data_dir: config.data_dir,
        listeners,
        message_bytes_max,
    };
    let prometheus = match config.prometheus {
        None => None,
        Some(address) => Some(open_prometheus(&broker, &mut node, address).await?),
    };
    let admin = match admin.http.or(admin.https) {
        None => None,
        Some(_) => Some(open_admin(broker, node, admin).await?),
    };
    Ok(Doors {
        gateway,
        prometheus,
        admin,
    })
}

/// Also notes the listener in what is told of the node.
async fn open_prometheus(
    broker: &Arc<Broker>,
    node: &mut Node,
    address: SocketAddr,
) -> Result<Admin, ServeError> {
    let opened = Admin::start_metrics(Arc::clone(broker), node.clone(), address).await;
    let admin = opened.map_err(|error| {
        let what = format!("{address} for Prometheus (--prometheus)");
        ServeError::Listen { what, error }
    })?;
    let address = admin.local_addr();
    tracing::info!("metrics on http://{address}/metrics");
    node.listeners.push(Listener {
        protocol: METRICS_PROTOCOL,
        address,
    });
    Ok(admin)
}

async fn open_admin(
    broker: Arc<Broker>,
    node: Node,
    config: AdminConfig,
) -> Result<Admin, ServeError> {
    let addresses = [config.http, config.https];
    let admin = Admin::open(broker, node, config).await.map_err(|error| {
        let addresses: Vec<_> = addresses.into_iter().flatten().collect();
        let what = format!("{addresses:?} for HTTP");
        ServeError::Listen { what, error }
    })?;
    let schemes = ["HTTP", "HTTPS"].into_iter().zip(addresses);
    let opened = schemes.filter(|(_, address)| address.is_some());
    for ((scheme, _), address) in opened.zip(admin.local_addrs()) {
        let lower = scheme.to_lowercase();
        tracing::info!("{scheme} on {address}, page at {lower}://{address}/");
    }
    Ok(admin)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
