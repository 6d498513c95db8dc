//! A will: what a client has left to be published when it is lost.
//!
//! Invariants
//! - It is published as its client, with the rights that its user has then.
//! - Its bytes count in the broker's account of memory as long as it is kept.
//! - Who publishes it holds no socket: a will may wait long after its connection.
//!
//! Not here: when it is published (`end`, `wills`).

use std::sync::Arc;

use ferry_broker::{
    AccessRefused, Broker, Burst, ConnectionId, Origin, Publisher, Resource, Right, User, Vhost,
};
use mqtt::{Properties, PropertyId, Version, topic, write_properties};

use super::common::{Common, TOPIC_EXCHANGE};
use super::publish::{By, Post, Scratch, post};

/// What a client has left to be published.
pub(crate) struct Will {
    /// Its topic.
    pub(crate) topic: Box<str>,
    qos: u8,
    retain: bool,
    properties: Box<[u8]>,
    payload: Box<[u8]>,
    /// Seconds from the end of the connection.
    pub(crate) delay_s: u32,
    /// Whose memory it takes, once it is kept.
    kept_by: Option<Arc<Broker>>,
}

impl Will {
    /// A will as a CONNECT brings it.
    pub(crate) fn of(will: &mqtt::Will<'_>) -> Will {
        let mut properties = Vec::with_capacity(will.properties.as_bytes().len());
        write_properties(&mut properties, |writer| {
            writer.copy(will.properties, &[PropertyId::WillDelayInterval]);
        });
        Will {
            topic: will.topic.into(),
            qos: will.qos.bits(),
            retain: will.retain,
            properties: properties.into(),
            payload: will.payload.into(),
            delay_s: will.properties.will_delay().unwrap_or(0),
            kept_by: None,
        }
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Will>() + self.topic.len() + self.properties.len() + self.payload.len()
    }

    /// From now on it counts in the account of memory.
    pub(crate) fn keep(&mut self, broker: &Arc<Broker>) {
        if self.kept_by.is_none() {
            broker.memory().account(self.bytes() as i64);
            self.kept_by = Some(Arc::clone(broker));
        }
    }

    /// Refuses a will that its user could not publish now.
    pub(crate) fn check(&self, user: &User, vhost: &str) -> Result<(), AccessRefused> {
        let mut key = Vec::with_capacity(self.topic.len());
        topic::to_key(self.topic.as_bytes(), &mut key);
        user.check(vhost, Right::Write, Resource::Exchange, TOPIC_EXCHANGE)?;
        user.check_topic(vhost, Right::Write, TOPIC_EXCHANGE, &key)
    }
}

impl Drop for Will {
    fn drop(&mut self) {
        if let Some(broker) = &self.kept_by {
            broker.memory().account(-(self.bytes() as i64));
        }
    }
}

/// Who has left a will.
pub(crate) struct Author {
    broker: Arc<Broker>,
    vhost: Arc<Vhost>,
    user: Arc<User>,
    origin: Arc<Origin>,
    connection: ConnectionId,
    version: Version,
    digest: u64,
}

impl Author {
    /// The client of a connection.
    pub(crate) fn of(common: &Common) -> Author {
        Author {
            broker: Arc::clone(&common.broker),
            vhost: Arc::clone(&common.vhost),
            user: Arc::clone(&common.user),
            origin: Arc::clone(&common.origin),
            connection: common.connection,
            version: common.version,
            digest: common.digest,
        }
    }

    /// Publishes a will, in a burst that has nothing else.
    pub(crate) fn publish(&self, will: &Will, burst: &mut Burst) {
        let publisher = Publisher::of(Arc::clone(&self.vhost), self.connection);
        let mut publisher = publisher
            .by(Arc::clone(&self.user))
            .with_origin(Arc::clone(&self.origin));
        let by = By {
            broker: &self.broker,
            vhost: &self.vhost,
            version: self.version,
            digest: self.digest,
        };
        let message = Post {
            topic: will.topic.as_bytes(),
            qos: will.qos,
            retain: will.retain,
            properties: Properties::from_checked(&will.properties),
            payload: &will.payload,
        };
        let (mut scratch, now) = (Scratch::default(), self.broker.now());
        let published = post(by, &mut publisher, &mut scratch, burst, &message, now, None);
        // Nobody is there to be held for the sake of a queue.
        burst.take_hold();
        burst.submit(&self.broker);
        if let Err(error) = published {
            let (user, vhost) = (&self.user.name, self.vhost.name());
            let reason = error.to_string();
            tracing::warn!(?user, vhost, topic = ?will.topic, reason, "a will was not published");
        }
    }
}

#[cfg(test)]
impl Author {
    /// Somebody in the first virtual host.
    pub(crate) fn somebody(broker: &Arc<Broker>) -> Author {
        let user = broker.login_verified("guest", true);
        Author {
            vhost: broker.vhost("/").expect("it is always there"),
            user: user.expect("it is there at first"),
            origin: Arc::new(Origin {
                user: "guest".to_owned(),
                address: String::new(),
            }),
            broker: Arc::clone(broker),
            connection: ConnectionId::NOBODY,
            version: Version::V5,
            digest: 0,
        }
    }
}
