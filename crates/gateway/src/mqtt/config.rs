//! How MQTT is listened for, and what its clients may do.
//!
//! Invariants
//! - Every bound is one that the protocol can express; what is out of it is refused where settings
//!   are read, and never met here.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// The largest packet that MQTT can express: a fixed header of 5 bytes and 268,435,455 behind it.
pub const MQTT_PACKET_BYTES_MAX: u32 = 268_435_460;

/// MQTT's listeners, and what its clients may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttConfig {
    /// Addresses to listen on; none for no MQTT over TCP.
    pub addresses: Vec<SocketAddr>,
    /// The same over TLS; the certificate is that of the other doors.
    pub tls_addresses: Vec<SocketAddr>,
    /// Addresses for WebSocket besides the path `/mqtt` on the address for HTTP.
    pub websocket: Vec<SocketAddr>,
    /// The same over TLS.
    pub websockets: Vec<SocketAddr>,
    /// The virtual host of clients that name none.
    pub vhost: String,
    /// The user that clients without a name and a password are; none to refuse them.
    pub anonymous: Option<String>,
    /// Virtual hosts by the port that a client came to.
    pub port_vhosts: Vec<(u16, String)>,
    /// Most deliveries with QoS 1 and 2 that one client has not answered, whatever it offers.
    pub inflight_max: u16,
    /// Most publishes with QoS 1 and 2 of one client that are not answered: its Receive Maximum.
    pub receive_max: u16,
    /// Longest time that a session outlives its connection, in seconds; `u32::MAX` for no limit.
    pub session_expiry_max_s: u32,
    /// Largest packet that is accepted, in bytes.
    pub packet_bytes_max: u32,
    /// Most aliases of topics in each direction; 0 for none.
    pub topic_alias_max: u16,
    /// Longest keep-alive of clients of MQTT 5, in seconds; 0 for no limit.
    pub keep_alive_max_s: u16,
    /// Seconds between what `$SYS` tells; 0 for nothing.
    pub sys_interval_s: u32,
}

impl MqttConfig {
    /// What [`MqttConfig::inflight_max`] can be.
    pub const INFLIGHT: RangeInclusive<u16> = 1..=u16::MAX;
    /// What [`MqttConfig::receive_max`] can be.
    pub const RECEIVE: RangeInclusive<u16> = 1..=u16::MAX;
    /// What [`MqttConfig::packet_bytes_max`] can be: less takes no log-in.
    pub const PACKET_BYTES: RangeInclusive<u32> = 1024..=MQTT_PACKET_BYTES_MAX;

    /// Whether it listens on nothing.
    pub fn is_closed(&self) -> bool {
        let all = [
            &self.addresses,
            &self.tls_addresses,
            &self.websocket,
            &self.websockets,
        ];
        all.into_iter().all(Vec::is_empty)
    }
}

impl Default for MqttConfig {
    /// Listens on nothing.
    fn default() -> MqttConfig {
        MqttConfig {
            addresses: Vec::new(),
            tls_addresses: Vec::new(),
            websocket: Vec::new(),
            websockets: Vec::new(),
            vhost: "/".to_owned(),
            anonymous: None,
            port_vhosts: Vec::new(),
            inflight_max: 1_024,
            receive_max: 1_024,
            session_expiry_max_s: u32::MAX,
            packet_bytes_max: 16 << 20,
            topic_alias_max: 64,
            keep_alive_max_s: 0,
            sys_interval_s: 10,
        }
    }
}
