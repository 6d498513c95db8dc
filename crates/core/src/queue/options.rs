//! What a queue was declared to do.
//!
//! Invariants
//! - Options are checked when they are made; a queue never meets a contradiction.
//!
//! Not here: how arguments of a protocol become options (`from_arguments` of the broker's
//! definitions), who may declare.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// What happens to a publish when the queue is at its maximum length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Overflow {
    /// The oldest ready message goes, dead-lettered as `maxlen`.
    #[default]
    DropHead,
    /// The publisher gets a nack.
    RejectPublish,
    /// The publisher gets a nack and the message is dead-lettered as `maxlen`.
    RejectPublishDlx,
}

/// Which kind of queue was asked for. On one node both are kept by the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum QueueKind {
    /// A classic queue.
    #[default]
    Classic,
    /// A quorum queue: always durable, counts deliveries.
    Quorum,
}

/// When a durable message counts as safe, and so when it is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SyncPolicy {
    /// Synced to the disk: survives a power cut. The default.
    #[default]
    Sync,
    /// Written to the file: survives a crash of the process, not a power cut.
    Written,
    /// Kept in memory: survives nothing.
    Memory,
}

impl SyncPolicy {
    /// The name in arguments and configuration.
    pub fn name(self) -> &'static str {
        match self {
            SyncPolicy::Sync => "sync",
            SyncPolicy::Written => "written",
            SyncPolicy::Memory => "memory",
        }
    }

    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<SyncPolicy> {
        [SyncPolicy::Sync, SyncPolicy::Written, SyncPolicy::Memory]
            .into_iter()
            .find(|policy| policy.name() == name)
    }
}

/// Where dead letters go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterTarget {
    /// The exchange; empty for the default one.
    pub exchange: String,
    /// The routing key; none keeps the message's own.
    pub routing_key: Option<String>,
}

/// The options of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Options {
    /// Whether messages may outlive the broker.
    pub durable: bool,
    /// Classic or quorum.
    pub kind: QueueKind,
    /// Time to live of every message, in milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// Unused time after which the queue goes, in milliseconds.
    pub expires_ms: Option<u64>,
    /// Most ready messages.
    pub max_length: Option<u64>,
    /// Most bytes of ready bodies.
    pub max_length_bytes: Option<u64>,
    /// What happens beyond that.
    pub overflow: Overflow,
    /// Highest priority, 0 for a queue without levels.
    pub max_priority: u8,
    /// Whether only one consumer at a time is served.
    pub single_active_consumer: bool,
    /// Returns after which a message is dead-lettered.
    pub delivery_limit: Option<u32>,
    /// Where dead letters go; none drops them.
    pub dead_letter: Option<DeadLetterTarget>,
    /// When a message is safe.
    pub sync: SyncPolicy,
}

impl Options {
    /// When a message that becomes ready now expires; 0 for never.
    pub fn expires_at(&self, ttl_ms: Option<u64>, now: Millis) -> Millis {
        let ttl_ms = match (ttl_ms, self.message_ttl_ms) {
            (Some(own), Some(queue)) => own.min(queue),
            (Some(ttl), None) | (None, Some(ttl)) => ttl,
            (None, None) => return 0,
        };
        now.saturating_add(ttl_ms).max(1)
    }

    /// The level of a message in this queue.
    pub fn level(&self, priority: u8) -> u8 {
        priority.min(self.max_priority)
    }
}
