//! Publishing: from a PUBLISH to the burst.
//!
//! Invariants
//! - A message enters the burst once, however many queues it goes to; one that is to be retained
//!   shares its staged bytes.
//! - A message of QoS 1 or 2 outlives the broker if its queues do.

use std::sync::Arc;

use amqp091::RawTable;
use ferry_broker::{
    Broker, Burst, ConfirmTag, PublishError, Published, Publisher, RetainError, Vhost,
};
use ferry_core::Millis;
use ferry_core::message::{Draft, FORMAT_MQTT};
use mqtt::{Properties, Version, topic};

use super::block::Block;
use super::common::TOPIC_EXCHANGE;
use super::format::View;
use super::sys;

/// Who publishes.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    /// The broker.
    pub(crate) broker: &'a Arc<Broker>,
    /// The virtual host that the client is in.
    pub(crate) vhost: &'a Arc<Vhost>,
    /// The protocol's version.
    pub(crate) version: Version,
    /// The client's id as messages carry it.
    pub(crate) digest: u64,
}

/// A message that somebody publishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post<'a> {
    /// Its topic name, which was checked.
    pub(crate) topic: &'a [u8],
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    /// Whether it is the topic's message from now on.
    pub(crate) retain: bool,
    /// The properties of MQTT 5 that came with it.
    pub(crate) properties: Properties<'a>,
    /// What the application sent.
    pub(crate) payload: &'a [u8],
}

/// Why a message was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// By its exchange, or for want of a right.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// It can not be retained.
    #[error(transparent)]
    Retain(#[from] RetainError),
    /// The topic is the broker's own.
    #[error("topic '{0}' is for the broker alone to publish")]
    System(String),
}

/// Space that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    key: Vec<u8>,
    block: Vec<u8>,
}

/// Stages a message.
pub(crate) fn post(
    by: By<'_>,
    publisher: &mut Publisher,
    scratch: &mut Scratch,
    burst: &mut Burst,
    post: &Post<'_>,
    now: Millis,
    confirm: Option<ConfirmTag>,
) -> Result<Published, PostError> {
    if sys::is_reserved(post.topic) {
        let name = String::from_utf8_lossy(post.topic).into_owned();
        return Err(PostError::System(name));
    }
    let Scratch { key, block } = scratch;
    key.clear();
    block.clear();
    topic::to_key(post.topic, key);
    let stored = Block {
        retain: post.retain,
        is_replay: false,
        qos: post.qos,
        v5: by.version.is_5(),
        publisher: by.digest,
        properties: post.properties,
        headers: RawTable::new(&[]),
    };
    stored.write(block);
    let expiry_s = post.properties.message_expiry();
    let draft = Draft {
        format: FORMAT_MQTT,
        persistent: post.qos > 0,
        dead_lettered: false,
        priority: 0,
        ttl_ms: expiry_s.map(|seconds| u64::from(seconds) * 1000),
        published_ms: now,
        deliver_at: None,
        id: None,
        exchange: TOPIC_EXCHANGE.as_bytes(),
        routing_key: key,
        properties: block,
        body: post.payload,
    };
    let view = View::of(&stored, draft.exchange, draft.routing_key);
    if post.retain {
        by.vhost.may_retain(&draft)?;
    }
    let published = burst.publish(by.broker, publisher, &draft, &view, confirm)?;
    if post.retain {
        burst.retain(by.broker, by.vhost, &draft, confirm)?;
    }
    Ok(published)
}
