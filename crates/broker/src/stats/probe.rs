//! A probe: what a door tells of a connection of its own when it is asked.
//!
//! Invariants
//! - To ask costs the connection a short lock; who is not asked pays nothing.

use std::sync::Arc;

use ferry_core::arguments::Arguments;

use super::MessageStats;
use crate::QueueHandle;

/// What a connection has received and sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub received_bytes: u64,
    /// Reads that brought something.
    pub reads: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Writes that took something.
    pub writes: u64,
    /// Bytes that wait for the socket now.
    pub waiting_bytes: u64,
}

/// What is known of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its number.
    pub number: u16,
    /// Prefetch limit of its consumers to come; 0 for none.
    pub prefetch: u32,
    /// Prefetch limit over all of its consumers; 0 for none.
    pub global_prefetch: u32,
    /// Its consumers.
    pub consumers: u32,
    /// Deliveries that it has not settled.
    pub unacknowledged: u64,
    /// Publishes that are not confirmed yet.
    pub unconfirmed: u64,
    /// Publishes of the open transaction.
    pub uncommitted: u64,
    /// Settlements of the open transaction.
    pub acks_uncommitted: u64,
    /// Whether its publishes are confirmed.
    pub confirms: bool,
    /// Whether it is transactional.
    pub transactional: bool,
    /// What it has counted.
    pub stats: MessageStats,
}

/// What is known of a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerInfo {
    /// The queue it consumes from.
    pub queue: Arc<QueueHandle>,
    /// Its name on its channel.
    pub tag: String,
    /// Number of its channel.
    pub channel: u16,
    /// Whether its deliveries need no settling.
    pub no_ack: bool,
    /// Whether nobody else may consume.
    pub exclusive: bool,
    /// Most unsettled messages; 0 for no limit.
    pub prefetch: u32,
    /// Everything else that it asked for.
    pub arguments: Arguments,
}

/// Tells of one connection.
pub trait Probe: Send + Sync {
    /// What went through its socket.
    fn traffic(&self) -> Traffic;

    /// What it does: `running`, or what holds it, in RabbitMQ's words.
    fn state(&self) -> &'static str;

    /// Its channels, in order of their numbers.
    fn channels(&self) -> Vec<ChannelInfo>;

    /// How many channels it has.
    fn channel_count(&self) -> usize;

    /// Its consumers.
    fn consumers(&self) -> Vec<ConsumerInfo>;

    /// What all its channels have counted, those that are closed included.
    fn totals(&self) -> MessageStats;

    /// Closes it; its client is told why.
    fn close(&self, reason: &str);
}
