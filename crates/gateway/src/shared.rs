//! What all connections of a gateway share: the broker, the configuration, and a list of links.
//!
//! Invariants
//! - Every connection is in the list from its accept to its end, so a notice reaches all of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ferry_auth::{Backends, Proxies, ServerTls};
use ferry_broker::{AccessWaiter, BlockReason, Broker, PressureWaiter, RateWaiter};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::link::{AnyLink, event};
use crate::mqtt::{MqttConfig, Registry};
use crate::worker::after_work;

/// How a gateway listens, and what it lets clients do.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Addresses to listen on for AMQP.
    pub amqp: Vec<SocketAddr>,
    /// Addresses to listen on for AMQP over TLS.
    pub amqps: Vec<SocketAddr>,
    /// Certificates for TLS.
    pub tls: Option<Arc<ServerTls>>,
    /// Who is believed whom it speaks for.
    pub proxies: Proxies,
    /// Who decides about log-ins; the broker alone if nobody is named.
    pub backends: Option<Backends>,
    /// Largest frame that is offered, in bytes; at least 4096.
    pub frame_bytes_max: u32,
    /// Most channels per connection that are offered; 0 for no limit.
    pub channel_max: u16,
    /// Seconds between heartbeats that are proposed; 0 for none.
    pub heartbeat_s: u16,
    /// Largest body of a message, in bytes.
    pub message_bytes_max: u64,
    /// Bytes that may wait for one client's socket before its consumers are held.
    pub outbox_bytes_max: usize,
    /// MQTT.
    pub mqtt: MqttConfig,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            amqp: Vec::new(),
            amqps: Vec::new(),
            tls: None,
            proxies: Proxies::default(),
            backends: None,
            frame_bytes_max: 131_072,
            channel_max: 2047,
            heartbeat_s: 60,
            message_bytes_max: 16 << 20,
            outbox_bytes_max: 512 << 10,
            mqtt: MqttConfig::default(),
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// The configuration.
    pub(crate) config: GatewayConfig,
    /// Who decides about log-ins.
    pub(crate) backends: Backends,
    /// What all connections of MQTT share.
    pub(crate) mqtt: Registry,
    links: Mutex<HashMap<u64, Weak<dyn AnyLink>, crate::hashing::HashState>>,
    next: std::sync::atomic::AtomicU64,
    stopping: AtomicBool,
    failed: AtomicBool,
}

impl Shared {
    /// Nothing is connected yet.
    pub(crate) fn new(broker: Arc<Broker>, mut config: GatewayConfig) -> Shared {
        let backends = config.backends.take();
        Shared {
            backends: backends.unwrap_or_else(|| Backends::internal(Arc::clone(&broker))),
            broker,
            config,
            mqtt: Registry::default(),
            links: Mutex::default(),
            next: std::sync::atomic::AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// Has connections told of what the broker says to all of them.
    pub(crate) fn watch(self: &Arc<Shared>) {
        let waiter: Weak<Shared> = Arc::downgrade(self);
        self.broker
            .memory()
            .subscribe(waiter.clone() as Weak<dyn PressureWaiter>);
        self.broker
            .watch_rates(waiter.clone() as Weak<dyn RateWaiter>);
        self.broker
            .watch_access(waiter.clone() as Weak<dyn AccessWaiter>);
        self.broker.set_after_work(Box::new(move || {
            after_work();
            if let Some(shared) = waiter.upgrade() {
                shared.look_for_failure();
            }
        }));
    }

    /// Puts a connection into the list.
    pub(crate) fn register(&self, link: &Arc<dyn AnyLink>) -> u64 {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.links.lock().insert(key, Arc::downgrade(link));
        key
    }

    /// Takes a connection out of the list.
    pub(crate) fn unregister(&self, key: u64) {
        self.links.lock().remove(&key);
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.links.lock().len()
    }

    /// Wakes every connection for these events.
    pub(crate) fn notify_all(&self, events: u32) {
        let links: Vec<_> = self
            .links
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        links.iter().for_each(|link| link.notify(events));
    }

    /// Whether the gateway is going down.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The gateway is going down from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.notify_all(event::SHUTDOWN);
    }

    /// Tells every connection once when the log has failed.
    pub(crate) fn look_for_failure(&self) {
        if self.broker.failed().is_some() && !self.failed.swap(true, Ordering::SeqCst) {
            self.notify_all(event::FAILED);
        }
    }
}

impl AccessWaiter for Shared {
    fn access_changed(&self) {
        self.notify_all(event::ACCESS);
    }
}

impl RateWaiter for Shared {
    fn rates_changed(&self) {
        self.notify_all(event::RATES);
    }
}

impl PressureWaiter for Shared {
    fn pressure(&self, _blocked: Option<BlockReason>) {
        self.notify_all(event::PRESSURE);
    }
}
