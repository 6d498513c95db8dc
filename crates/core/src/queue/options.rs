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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum QueueKind {
    /// A classic queue.
    #[default]
    Classic,
    /// A quorum queue: always durable, counts deliveries.
    Quorum,
    /// A stream: always durable, keeps what was read.
    Stream,
}

/// When a durable message counts as safe, and so when it is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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

    /// What may become of confirmed messages; none if they are on the disk.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            SyncPolicy::Sync => None,
            SyncPolicy::Written => Some(
                "confirms do not wait for the disk: a loss of power may lose confirmed messages",
            ),
            SyncPolicy::Memory => {
                Some("confirms wait for nothing: confirmed messages are lost when the node ends")
            }
        }
    }

    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<SyncPolicy> {
        [SyncPolicy::Sync, SyncPolicy::Written, SyncPolicy::Memory]
            .into_iter()
            .find(|policy| policy.name() == name)
    }
}

/// How a queue keeps the messages of one key in order among several consumers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shards {
    /// Into how many parts the keys are divided.
    pub count: u16,
    /// The header that has the key where a message has none of the usual name.
    pub key_header: Option<String>,
}

/// How long a stream keeps messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Retention {
    /// Age after which they go, in milliseconds; none for never.
    pub max_age_ms: Option<u64>,
    /// Length of the parts that go at once, in bytes of bodies.
    pub segment_bytes: Option<u64>,
}

/// How much may pass in a second; none for any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Rate {
    /// Messages.
    pub messages: Option<u64>,
    /// Bytes of bodies.
    pub bytes: Option<u64>,
}

impl Rate {
    /// Whether there is a bound.
    pub fn is_bound(&self) -> bool {
        self.messages.is_some() || self.bytes.is_some()
    }
}

/// What happens to a dead letter that its target can not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum DeadLetterStrategy {
    /// It is dropped, and so is one without a route.
    AtMostOnce,
    /// It is kept until the target takes it; one without a target or a route is dropped. What a
    /// durable queue does that was told nothing.
    #[default]
    UntilTaken,
    /// It is kept until a target takes it, also one without a target or a route: asked for by
    /// name, `at-least-once`.
    AtLeastOnce,
}

/// When a message that came back is tried again, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Retry {
    /// Tries before it is dead-lettered, at least 1; none for no end.
    pub limit: Option<u32>,
    /// Wait before the second try, in milliseconds; 0 for none.
    pub delay_ms: u64,
    /// What each wait is longer than the one before by, in thousandths.
    pub factor_milli: u32,
    /// Longest wait, in milliseconds; none for no bound but that of times.
    pub max_delay_ms: Option<u64>,
    /// By how much a wait may differ either way, in percent of it, at most 100.
    pub jitter_percent: u8,
}

/// How many message ids are remembered, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deduplication {
    /// Most ids; at least 1.
    pub ids_max: u64,
    /// How long each counts, in milliseconds; none for as long as there is room.
    pub ttl_ms: Option<u64>,
}

/// Where dead letters go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeadLetterTarget {
    /// The exchange; empty for the default one.
    pub exchange: String,
    /// The routing key; none keeps the message's own.
    pub routing_key: Option<String>,
}

/// The options of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Options {
    /// Whether messages may outlive the broker.
    pub durable: bool,
    /// Classic, quorum or stream.
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
    /// When what came back is tried again.
    pub retry: Retry,
    /// How long a delivery may stay unsettled, in milliseconds; none for as long as it takes.
    pub lease_timeout_ms: Option<u64>,
    /// Which messages are the same; none for no de-duplication.
    pub deduplication: Option<Deduplication>,
    /// Where dead letters go; none drops them.
    pub dead_letter: Option<DeadLetterTarget>,
    /// What happens to those that can not get there.
    pub dead_letter_strategy: DeadLetterStrategy,
    /// When a message is safe.
    pub sync: SyncPolicy,
    /// Order per key; none for order of the whole queue.
    pub shards: Option<Shards>,
    /// How long messages are kept, in a stream.
    pub retention: Retention,
    /// How much may be published to it in a second.
    pub publish_rate: Rate,
    /// How much it delivers in a second.
    pub deliver_rate: Rate,
    /// Whether the path of its messages is noted.
    pub passport: bool,
    /// Whether what does not outlive the broker is dropped while nobody consumes.
    pub discards_transient: bool,
}

impl Options {
    /// When a message that becomes ready now expires; 0 for never.
    pub fn expires_at(&self, ttl_ms: Option<u64>, now: Millis) -> Millis {
        let ttl_ms = match (ttl_ms, self.message_ttl_ms) {
            (Some(own), Some(queue)) => own.min(queue),
            (Some(ttl), None) | (None, Some(ttl)) => ttl,
            (None, None) => return 0,
        };
        if self.kind == QueueKind::Stream {
            return 0; // Its messages leave by its retention.
        }
        now.saturating_add(ttl_ms).max(1)
    }

    /// Whether a message that came back so often is not tried again.
    pub fn is_tried_out(&self, returns: u32) -> bool {
        self.delivery_limit.is_some_and(|limit| returns > limit)
            || self.retry.limit.is_some_and(|limit| returns >= limit)
    }

    /// The level of a message in this queue.
    pub fn level(&self, priority: u8) -> u8 {
        priority.min(self.max_priority)
    }
}
