//! What every answer may look at: the broker, and what the binary told about this node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ferry_broker::{Broker, QueueHandle};

/// An address that the node accepts connections on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The protocol, as RabbitMQ names it: `amqp`, `http`.
    pub protocol: &'static str,
    /// The address.
    pub address: SocketAddr,
}

/// What the binary knows of this node.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node's name, for example `ferrymq@host`.
    pub name: String,
    /// The version of the product.
    pub version: String,
    /// The directory with all data.
    pub data_dir: PathBuf,
    /// Where it listens, apart from the address of this very door.
    pub listeners: Vec<Listener>,
}

pub(crate) struct Shared {
    pub broker: Arc<Broker>,
    pub node: Node,
    pub started: Instant,
    ready: AtomicBool,
}

/// Counts added up over queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub queues: u64,
    pub consumers: u64,
    pub ready: u64,
    pub ready_bytes: u64,
    pub unsettled: u64,
    pub delayed: u64,
    pub dead_letters_pending: u64,
}

impl Totals {
    pub fn add(&mut self, queue: &QueueHandle) {
        self.queues += 1;
        self.consumers += u64::from(queue.consumers());
        self.ready += queue.ready();
        self.ready_bytes += queue.ready_bytes();
        self.unsettled += queue.unsettled();
        self.delayed += queue.delayed();
        self.dead_letters_pending += queue.dead_letters_pending();
    }
}

impl Shared {
    pub fn new(broker: Arc<Broker>, node: Node) -> Shared {
        Shared {
            broker,
            node,
            started: Instant::now(),
            ready: AtomicBool::new(true),
        }
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether clients should be sent here.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for vhost in self.broker.vhosts() {
            vhost.queues().iter().for_each(|queue| totals.add(queue));
        }
        totals
    }

    /// Channels that are open now.
    pub fn channels(&self) -> u64 {
        let metrics = self.broker.metrics();
        let closed = metrics.channels_closed.load(Ordering::Relaxed);
        metrics
            .channels_opened
            .load(Ordering::Relaxed)
            .saturating_sub(closed)
    }

    /// Bytes that are free where the data is, if the system says so.
    pub fn disk_free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.node.data_dir).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
