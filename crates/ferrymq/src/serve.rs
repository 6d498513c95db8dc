//! A node from its start to its end: what is opened in which order, and closed in the other.
//!
//! Invariants
//! - `ready` is written when every listener accepts, and not before.
//! - After the log has failed nothing is closed as if it had worked: the exit code says it.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferry_admin::{Admin, Listener, Node};
use ferry_broker::{Broker, OpenError, Options, Threads};
use ferry_gateway::Gateway;
use ferry_log::{LogError, RealDisk};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::clock::SteadyClock;
use crate::config::{Config, MemoryHigh};
use crate::signals::StopSignals;
use crate::{memory, notify, runtime, size};

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
    #[error("can not start: {0}")]
    System(#[from] io::Error),
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
    start_logging(&config.log);
    match serve(config) {
        Ok(End::Asked) => ExitCode::SUCCESS,
        Ok(End::LogFailed) => ExitCode::from(EXIT_LOG_FAILED),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start_logging(filter: &str) {
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(io::stderr)
        .init();
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
    raise_file_limit();
    let broker = open(&config)?;
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
    let memory_high_bytes = memory_high_bytes(config.memory_high);
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
    broker.set_passport_bytes_max(config.passport_bytes);
    for reason in &broker.recovery().rejected_checkpoints {
        tracing::warn!("a checkpoint could not be used: {reason}");
    }
    Ok(broker)
}

fn memory_high_bytes(high: MemoryHigh) -> u64 {
    let limit = memory::limit_bytes();
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
    if let Some(admin) = &doors.admin {
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
    if let Some(admin) = doors.admin {
        admin.shutdown().await;
    }
    Ok(end)
}

async fn open_doors(config: Config, broker: Arc<Broker>) -> Result<Doors, ServeError> {
    let what = format!("{:?} for AMQP", config.gateway.amqp);
    let gateway = Gateway::start(Arc::clone(&broker), config.gateway)
        .map_err(|error| ServeError::Listen { what, error })?;
    let mut listeners = Vec::new();
    for address in gateway.local_addrs() {
        tracing::info!("AMQP 0-9-1 on {address}");
        listeners.push(Listener {
            protocol: "amqp",
            address: *address,
        });
    }
    if let Some(address) = config.mqtt {
        tracing::warn!("MQTT is not in this version yet: {address} is not opened");
    }
    let admin = match config.http {
        None => None,
        Some(address) => {
            let node = Node {
                name: format!("ferrymq@{}", host_name()),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                data_dir: config.data_dir,
                listeners,
            };
            Some(open_admin(broker, node, address).await?)
        }
    };
    Ok(Doors { gateway, admin })
}

async fn open_admin(
    broker: Arc<Broker>,
    node: Node,
    address: SocketAddr,
) -> Result<Admin, ServeError> {
    let admin = Admin::start(broker, node, address).await.map_err(|error| {
        let what = format!("{address} for HTTP");
        ServeError::Listen { what, error }
    })?;
    tracing::info!("HTTP on {0}, page at http://{0}/", admin.local_addr());
    Ok(admin)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
