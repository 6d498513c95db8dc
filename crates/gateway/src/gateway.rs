//! The gateway as a whole: started, asked, and shut down.
//!
//! Invariants
//! - Whoever does broker work on a thread of its own flushes what that work put into outboxes: the
//!   broker calls back for it.
//! - After `shutdown` nothing is accepted and every client was told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ferry_broker::{AccessWaiter, Broker, Formats, PressureWaiter, RateWaiter};
use ferry_core::message::FORMAT_AMQP091;
use tokio::task::JoinHandle;

use crate::amqp091::Amqp091Format;
use crate::listener;
use crate::shared::{GatewayConfig, Shared};
use crate::worker::after_work;

/// How long clients have to say goodbye.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the last connections are looked for.
const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

/// The formats of messages that these doors bring, to be given to the broker when it is opened.
pub fn formats() -> Formats {
    let mut formats = Formats::default();
    formats.add(FORMAT_AMQP091, Arc::new(Amqp091Format));
    formats
}

/// All doors of a node.
pub struct Gateway {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    /// How many of them are plain; those with TLS follow.
    plain: usize,
    listeners: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Binds every address and starts to accept. Called within a tokio runtime.
    ///
    /// # Errors
    /// An address that can not be bound, or TLS without a certificate; then nothing is listening.
    pub fn start(broker: Arc<Broker>, mut config: GatewayConfig) -> io::Result<Gateway> {
        config.frame_bytes_max = config.frame_bytes_max.max(amqp091::frame::FRAME_BYTES_MIN);
        if !config.amqps.is_empty() && config.tls.is_none() {
            return Err(io::Error::other("there is no certificate for TLS"));
        }
        let plain = config.amqp.len();
        let bound: Vec<_> = config
            .amqp
            .iter()
            .chain(&config.amqps)
            .map(|address| listener::bind(*address))
            .collect::<Result<_, _>>()?;
        let addresses = bound
            .iter()
            .map(|socket| socket.local_addr())
            .collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared::new(Arc::clone(&broker), config));
        let waiter: Weak<Shared> = Arc::downgrade(&shared);
        broker
            .memory()
            .subscribe(waiter.clone() as Weak<dyn PressureWaiter>);
        broker.watch_rates(waiter.clone() as Weak<dyn RateWaiter>);
        broker.watch_access(waiter.clone() as Weak<dyn AccessWaiter>);
        broker.set_after_work(Box::new(move || {
            after_work();
            if let Some(shared) = waiter.upgrade() {
                shared.look_for_failure();
            }
        }));
        let accept = |(number, socket)| {
            let tls = number >= plain;
            tokio::spawn(listener::accept(socket, tls, Arc::clone(&shared)))
        };
        let listeners = bound.into_iter().enumerate().map(accept).collect();
        Ok(Gateway {
            shared,
            addresses,
            plain,
            listeners,
        })
    }

    /// The addresses that are listened on, with the ports that were given for port 0.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses[..self.plain]
    }

    /// The same of those with TLS.
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.addresses[self.plain..]
    }

    /// How many sockets are connected, logged in or not.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Stops accepting, tells every client to go, and waits a few seconds for them.
    pub async fn shutdown(self) {
        for listener in &self.listeners {
            listener.abort();
        }
        self.shared.stop();
        let gone = async {
            while self.shared.connections() > 0 {
                tokio::time::sleep(SHUTDOWN_POLL).await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, gone).await.is_err() {
            let left = self.shared.connections();
            tracing::warn!(left, "connections did not close in time");
        }
    }
}
