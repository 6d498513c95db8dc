//! A node with a gateway on a disk in memory, and a client that speaks frames over a real socket.

#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod client;
mod headers;
pub mod mqtt;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ferry_broker::{Broker, Clock, Options, SyncPolicy, Threads};
use ferry_gateway::{Gateway, GatewayConfig};
use ferry_log::testing::FaultyDisk;

pub use client::{Client, Got, Message};
pub use headers::{SETTLE, headers, is_early, settle_frames};
pub use requests::publish_frames;

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64
    }
}

/// A running node.
pub struct Node {
    pub broker: Arc<Broker>,
    pub address: SocketAddr,
    pub disk: FaultyDisk,
    pub gateway: Option<Gateway>,
    pub runtime: tokio::runtime::Runtime,
    threads: Option<Threads>,
}

impl Node {
    pub fn start() -> Node {
        Node::with(GatewayConfig::default(), 1 << 30)
    }

    pub fn with(config: GatewayConfig, memory_high_bytes: u64) -> Node {
        Node::on(FaultyDisk::new(1), config, memory_high_bytes)
    }

    /// The same over what is on a disk.
    pub fn on(disk: FaultyDisk, config: GatewayConfig, memory_high_bytes: u64) -> Node {
        let broker = Broker::open(Options {
            disk: Arc::new(disk.clone()),
            log: ferry_log::Options::default(),
            clock: Arc::new(WallClock),
            formats: ferry_gateway::formats(),
            sync: SyncPolicy::Sync,
            memory_high_bytes,
            disk_free_bytes_min: 0,
        })
        .unwrap();
        let threads = Threads::start(&broker).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let amqp = vec!["127.0.0.1:0".parse().unwrap()];
        let gateway = {
            let _inside = runtime.enter();
            Gateway::start(Arc::clone(&broker), GatewayConfig { amqp, ..config }).unwrap()
        };
        let address = gateway.doors()[0].1;
        Node {
            broker,
            address,
            disk,
            gateway: Some(gateway),
            runtime,
            threads: Some(threads),
        }
    }

    pub fn connect(&self) -> Client {
        let mut client = Client::raw(self.address);
        client.log_in(&["connection.blocked", "consumer_cancel_notify"]);
        client
    }

    /// A client with channel 1 open.
    pub fn channel(&self) -> Client {
        let mut client = self.connect();
        client.open_channel(1);
        client
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            self.runtime.block_on(gateway.shutdown());
        }
        if let Some(threads) = self.threads.take() {
            let _ = threads.stop();
        }
    }
}
