//! What the broker is told of a connection when it is opened.

use std::sync::Arc;

use ferry_broker::{ConnectionInfo, WeakProbe};
use ferry_core::arguments::Arguments;
use mqtt::Version;

use super::connect::Hello;
use super::entering::Site;

/// The protocol, as listings show it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::V3 => "MQTT 3.1",
        Version::V4 => "MQTT 3.1.1",
        Version::V5 => "MQTT 5.0",
    }
}

/// What a listing shows of a client.
pub(crate) struct Listed<'a> {
    /// What it has said of itself.
    pub(crate) hello: &'a Hello,
    /// Its id, be it given or its own.
    pub(crate) client_id: &'a str,
    /// Its user.
    pub(crate) user: &'a str,
    /// Its virtual host.
    pub(crate) vhost: &'a str,
    /// How it has shown who it is.
    pub(crate) mechanism: &'static str,
    /// The keep-alive that holds, in seconds.
    pub(crate) keep_alive_s: u16,
}

impl Listed<'_> {
    /// The same for the broker.
    pub(crate) fn info(&self, site: &Site<'_>) -> ConnectionInfo {
        let named = [("client_id", self.client_id), ("product", "MQTT client")];
        let properties: Arguments = named.into_iter().collect();
        let local = site.link.local_addr();
        ConnectionInfo {
            peer: site.arrival.peer.to_string(),
            tls: site.arrival.tls.clone(),
            local: local.map(|at| at.to_string()).unwrap_or_default(),
            user: self.user.to_owned(),
            vhost: self.vhost.to_owned(),
            protocol: protocol(self.hello.version),
            mechanism: self.mechanism.to_owned(),
            client_properties: Arc::new(properties),
            channel_max: 1,
            frame_bytes_max: site.shared.config.mqtt.packet_bytes_max,
            heartbeat_s: self.keep_alive_s,
            probe: WeakProbe::new(Arc::downgrade(site.link) as _),
            ..ConnectionInfo::default()
        }
    }
}
