//! What the broker is told of a connection when it is opened.

use std::sync::Arc;

use ferry_broker::{ConnectionInfo, User, WeakProbe};

use super::door::Door;
use crate::amqp091::handshake::{Client, Tuned};
use crate::amqp091::wire::Link;

impl Door<'_> {
    pub(super) fn info(
        &self,
        user: &User,
        vhost: &str,
        client: &Client,
        tuned: Tuned,
    ) -> ConnectionInfo {
        let link: &Arc<Link> = self.link;
        let local = link.local_addr();
        ConnectionInfo {
            peer: self.arrival.peer.to_string(),
            tls: self.arrival.tls.clone(),
            local: local.map(|at| at.to_string()).unwrap_or_default(),
            user: user.name.clone(),
            vhost: vhost.to_owned(),
            protocol: "AMQP 0-9-1",
            mechanism: client.mechanism.clone(),
            client_properties: Arc::clone(&client.properties),
            channel_max: tuned.channel_max,
            frame_bytes_max: tuned.frame_bytes_max,
            heartbeat_s: tuned.heartbeat_s,
            probe: WeakProbe::new(Arc::downgrade(link) as _),
            ..ConnectionInfo::default()
        }
    }
}
