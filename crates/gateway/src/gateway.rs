//! The gateway as a whole: started, asked, and shut down.
//!
//! Invariants
//! - Whoever does broker work on a thread of its own flushes what that work put into outboxes: the
//!   broker calls back for it.
//! - After `shutdown` nothing is accepted and every client was told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferry_broker::{Broker, Formats};
use ferry_core::message::{FORMAT_AMQP091, FORMAT_MQTT};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::amqp091::Amqp091Format;
use crate::connection::{Entrance, Protocol};
use crate::listener;
use crate::mqtt::MqttFormat;
use crate::shared::{GatewayConfig, Shared};
use crate::websocket::WebSockets;

/// How long clients have to say goodbye.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the last connections are looked for.
const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

/// The formats of messages that these doors bring, to be given to the broker when it is opened.
pub fn formats() -> Formats {
    let mut formats = Formats::default();
    formats.add(FORMAT_AMQP091, Arc::new(Amqp091Format));
    formats.add(FORMAT_MQTT, Arc::new(MqttFormat));
    formats
}

/// What is spoken at one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// AMQP 0-9-1.
    Amqp,
    /// AMQP 0-9-1 over TLS.
    Amqps,
    /// MQTT.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// WebSocket.
    WebSocket,
    /// WebSocket over TLS.
    WebSockets,
}

impl Door {
    /// Its name in listings, as in RabbitMQ.
    pub fn name(self) -> &'static str {
        match self {
            Door::Amqp => "amqp",
            Door::Amqps => "amqp/ssl",
            Door::Mqtt => "mqtt",
            Door::Mqtts => "mqtt/ssl",
            Door::WebSocket => "http/web-mqtt",
            Door::WebSockets => "https/web-mqtt",
        }
    }

    /// The same in full.
    pub fn title(self) -> &'static str {
        match self {
            Door::Amqp => "AMQP 0-9-1",
            Door::Amqps => "AMQP 0-9-1 over TLS",
            Door::Mqtt => "MQTT",
            Door::Mqtts => "MQTT over TLS",
            Door::WebSocket => "WebSocket",
            Door::WebSockets => "WebSocket over TLS",
        }
    }

    fn entrance(self) -> Entrance {
        let (protocol, tls) = match self {
            Door::Amqp => (Some(Protocol::Amqp091), false),
            Door::Amqps => (Some(Protocol::Amqp091), true),
            Door::Mqtt => (Some(Protocol::Mqtt), false),
            Door::Mqtts => (Some(Protocol::Mqtt), true),
            Door::WebSocket => (None, false),
            Door::WebSockets => (None, true),
        };
        Entrance { protocol, tls }
    }
}

/// All doors of a node.
pub struct Gateway {
    shared: Arc<Shared>,
    doors: Vec<(Door, SocketAddr)>,
    listeners: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Binds every address and starts to accept. Called within a tokio runtime.
    ///
    /// # Errors
    /// An address that can not be bound, or TLS without a certificate; then nothing is listening.
    pub fn start(broker: Arc<Broker>, mut config: GatewayConfig) -> io::Result<Gateway> {
        config.frame_bytes_max = config.frame_bytes_max.max(amqp091::frame::FRAME_BYTES_MIN);
        let bound = bind(&config)?;
        let doors = bound
            .iter()
            .map(|(door, socket)| Ok((*door, socket.local_addr()?)))
            .collect::<io::Result<_>>()?;
        let shared = Arc::new(Shared::new(Arc::clone(&broker), config));
        shared.watch();
        let accept = |(door, socket): (Door, TcpListener)| {
            let accepting = listener::accept(socket, door.entrance(), Arc::clone(&shared));
            tokio::spawn(accepting)
        };
        let listeners = bound.into_iter().map(accept).collect();
        Ok(Gateway {
            shared,
            doors,
            listeners,
        })
    }

    /// What is listened on, with the ports that were given for port 0.
    pub fn doors(&self) -> &[(Door, SocketAddr)] {
        &self.doors
    }

    /// The way in for WebSockets that a listener for HTTP has accepted.
    pub fn websockets(&self) -> WebSockets {
        WebSockets::new(Arc::clone(&self.shared))
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
        self.shared.mqtt.wills.publish_all();
    }
}

fn bind(config: &GatewayConfig) -> io::Result<Vec<(Door, TcpListener)>> {
    let doors = [
        (Door::Amqp, &config.amqp),
        (Door::Amqps, &config.amqps),
        (Door::Mqtt, &config.mqtt.addresses),
        (Door::Mqtts, &config.mqtt.tls_addresses),
        (Door::WebSocket, &config.mqtt.websocket),
        (Door::WebSockets, &config.mqtt.websockets),
    ];
    let addresses = doors
        .into_iter()
        .flat_map(|(door, addresses)| addresses.iter().map(move |address| (door, *address)));
    let mut bound = Vec::new();
    for (door, address) in addresses {
        if door.entrance().tls && config.tls.is_none() {
            return Err(io::Error::other("there is no certificate for TLS"));
        }
        let in_words = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("{address} for {}: {error}", door.title()),
            )
        };
        bound.push((door, listener::bind(address).map_err(in_words)?));
    }
    Ok(bound)
}
