//! What every answer may look at: the broker, and what the binary told about this node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ferry_auth::Backends;
use ferry_broker::{Broker, QueueHandle, Vhost};
use tokio::sync::watch;

use crate::api::ferry::audit::Audit;
use crate::api::ferry::data::DataPlane;
use crate::api::ferry::node::{AlarmTimes, AlarmWatch};
use crate::health::DeepChecks;
use crate::kept::{KeptSums, QueueLists, Sums};
use crate::sampler::Sampler;
use crate::websocket::WebSockets;

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
    /// Largest body of a message, in bytes.
    pub message_bytes_max: u64,
}

pub(crate) struct Shared {
    pub broker: Arc<Broker>,
    pub node: Node,
    /// Who decides about log-ins.
    pub backends: Backends,
    /// Who takes sockets that become WebSockets.
    pub websockets: Option<Arc<dyn WebSockets>>,
    pub started: Instant,
    pub audit: Audit,
    pub data: DataPlane,
    pub alarm_times: Arc<AlarmTimes>,
    _alarm_watch: Arc<AlarmWatch>,
    ready: watch::Sender<bool>,
    pub sampler: Sampler,
    queues: QueueLists,
    sums: KeptSums,
    /// What the last deep check of the node's health found.
    pub checked: DeepChecks,
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
    pub fn new(broker: Arc<Broker>, node: Node, backends: Backends) -> Shared {
        let (alarm_times, alarm_watch) = AlarmWatch::start(&broker);
        Shared {
            broker,
            data: DataPlane::new(node.message_bytes_max),
            node,
            backends,
            websockets: None,
            started: Instant::now(),
            audit: Audit::default(),
            alarm_times,
            _alarm_watch: alarm_watch,
            ready: watch::Sender::new(true),
            sampler: Sampler::default(),
            queues: QueueLists::default(),
            sums: KeptSums::default(),
            checked: DeepChecks::default(),
        }
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// Whether clients should be sent here.
    pub fn ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until the node stops.
    pub async fn stopping(&self) {
        let mut ready = self.ready.subscribe();
        // It ends with an error when nobody is left to tell: the node has stopped.
        let _stopped = ready.wait_for(|ready| !ready).await;
    }

    /// Channels that have published and are open.
    pub fn publishers(&self) -> u64 {
        let metrics = self.broker.metrics();
        let closed = metrics.publishers_closed.load(Ordering::Relaxed);
        metrics
            .publishers_opened
            .load(Ordering::Relaxed)
            .saturating_sub(closed)
    }

    pub fn totals(&self) -> Totals {
        self.sums().totals
    }

    /// The queues of a virtual host, in order of their names.
    pub fn queues_of(&self, vhost: &Vhost) -> Arc<[Arc<QueueHandle>]> {
        self.queues.of(&self.broker, vhost)
    }

    /// The same in any order, and sooner.
    pub fn all_queues_of(&self, vhost: &Vhost) -> Arc<[Arc<QueueHandle>]> {
        self.queues.in_any_order(&self.broker, vhost)
    }

    /// What virtual hosts have counted and hold.
    pub fn sums(&self) -> Arc<Sums> {
        self.sums.get(self)
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
