//! Listeners, connections, outboxes and one adapter per protocol.
//!
//! ```text
//! listener --socket--> arrival (PROXY header, TLS handshake)
//!                         |
//!                      connection (task: reads into the thread's buffer, through sealed with TLS)
//!                         | bytes
//!                      amqp091 (session, channels) --burst--> ferry-broker
//!                                                                | deliveries, confirms
//!              socket <--bytes-- link (outbox, lanes, debts) <---'
//! ```
//!
//! Invariants
//! - The unit of work is what one socket read brings: it is parsed, submitted and flushed at once.
//! - The broker is never called while a link's lock is held; the broker calls into links under a
//!   partition's lock.
//! - An idle connection holds no buffer, but for the few KiB that TLS keeps.
//! - A peer can make its own connection end, nothing else.
//!
//! Not here: routing, queues, storage (`ferry-broker`), wire formats (`amqp091`).

#![forbid(unsafe_code)]

mod amqp091;
mod arrival;
mod connection;
#[cfg(test)]
mod for_tests;
#[cfg(feature = "testing")]
pub mod fuzzing;
mod gateway;
mod hashing;
mod held;
mod json;
mod link;
mod listener;
mod login;
mod map;
mod mqtt;
mod outbox;
mod pacing;
mod sealed;
mod session;
mod shared;
mod socket;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
mod turn;
mod websocket;
mod worker;

pub use self::amqp091::Amqp091Format;
pub use self::mqtt::{
    MQTT_PACKET_BYTES_MAX, MqttClient, MqttConfig, MqttFormat, MqttLogin, MqttLoginError,
    MqttProof, MqttVhosts, mqtt_login,
};
pub use gateway::{Door, Gateway, formats};
pub use shared::GatewayConfig;
pub use websocket::{Guest, WebSockets};
