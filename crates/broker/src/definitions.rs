//! The records of the log: what each kind means, and definitions as they are written down.
//!
//! Invariants
//! - A definition is written under the lock of its virtual host, so that the order of records is
//!   the order of changes.
//! - Only what outlives the broker is written.

mod image;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ferry_core::arguments::Arguments;
use ferry_core::queue::SyncPolicy;
use ferry_core::routing::{Binding, Exchange, QueueId};
use ferry_log::{Batch, Need};
use serde::{Deserialize, Serialize};

pub(crate) use image::{ImageWriter, read_image};

use crate::access::AccessChange;
use crate::durability::Durability;
use crate::{DefinitionError, LimitName, LimitsOf, Policy, Promise};

/// The body of a message in its stored form.
pub(crate) const KIND_BODY: u8 = 1;
/// The facts of one step of one partition.
pub(crate) const KIND_FACTS: u8 = 2;
/// One definition.
pub(crate) const KIND_DEFINITION: u8 = 3;
/// The facts of a transaction over all its partitions.
pub(crate) const KIND_TRANSACTION: u8 = 4;
/// The broker stopped in order, and everything before is whole.
pub(crate) const KIND_CLEAN_STOP: u8 = 5;
/// The broker started after a clean stop. Not written any more.
pub(crate) const KIND_START: u8 = 6;

/// The stream of definitions; partitions have the streams of their numbers.
pub(crate) const STREAM_DEFINITIONS: u16 = 0xfff0;
/// The stream of bodies.
pub(crate) const STREAM_BODIES: u16 = 0xfff1;
/// The stream of transactions, and of the clean stop.
pub(crate) const STREAM_BROKER: u16 = 0xfff2;

/// What a body record counts for in its segment, by the length of the body alone, so that both
/// ends of its life agree.
pub(crate) fn live_bytes(size: u32) -> u64 {
    u64::from(size) + 96
}

/// A durable queue as it was declared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QueueDefinition {
    pub vhost: Arc<str>,
    pub id: QueueId,
    pub name: Arc<str>,
    pub partition: u16,
    pub auto_delete: bool,
    pub arguments: Arc<Arguments>,
    /// When its messages are safe, whatever the node's default is by now.
    pub sync: SyncPolicy,
}

/// A change of the definitions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Definition {
    Exchange {
        vhost: Arc<str>,
        exchange: Exchange,
        /// Names what it remembers, if it does.
        guard: Option<QueueId>,
    },
    ExchangeDeleted {
        vhost: Arc<str>,
        name: Arc<str>,
    },
    Binding {
        vhost: Arc<str>,
        binding: Binding,
    },
    BindingDeleted {
        vhost: Arc<str>,
        binding: Binding,
    },
    Queue(QueueDefinition),
    QueueDeleted {
        vhost: Arc<str>,
        id: QueueId,
    },
    Policy(Policy),
    PolicyDeleted {
        vhost: Arc<str>,
        name: Arc<str>,
    },
    OperatorPolicy(Policy),
    OperatorPolicyDeleted {
        vhost: Arc<str>,
        name: Arc<str>,
    },
    Limit {
        of: LimitsOf,
        name: LimitName,
        /// None if it was cleared.
        value: Option<i64>,
    },
    Access(AccessChange),
    GlobalParameter {
        name: Arc<str>,
        /// Its value as JSON; none if it was cleared.
        json: Option<String>,
    },
}

impl Definition {
    /// Whether it is about something in a virtual host.
    pub fn is_in(&self, name: &str) -> bool {
        match self {
            Definition::Exchange { vhost, .. }
            | Definition::ExchangeDeleted { vhost, .. }
            | Definition::Binding { vhost, .. }
            | Definition::BindingDeleted { vhost, .. }
            | Definition::QueueDeleted { vhost, .. }
            | Definition::PolicyDeleted { vhost, .. }
            | Definition::OperatorPolicyDeleted { vhost, .. } => **vhost == *name,
            Definition::Queue(queue) => *queue.vhost == *name,
            Definition::Policy(policy) | Definition::OperatorPolicy(policy) => policy.vhost == name,
            Definition::Limit { of, .. } => {
                matches!(of, LimitsOf::Vhost(vhost) if **vhost == *name)
            }
            Definition::Access(_) | Definition::GlobalParameter { .. } => false,
        }
    }

    /// What it takes in a checkpoint, in bytes.
    pub fn image_bytes(&self) -> i64 {
        let bytes = postcard::to_stdvec(self).expect("definitions are plain data");
        bytes.len() as i64
    }

    /// How much longer a checkpoint is with this change, which takes so many bytes: about, for
    /// what takes the place of something counts twice until the next one is written. What a queue
    /// leaves is for who deletes it to say ([`ImageBytes`]).
    pub fn growth(&self, bytes: usize) -> i64 {
        match self {
            Definition::BindingDeleted { .. } => -(bytes as i64),
            Definition::ExchangeDeleted { .. }
            | Definition::QueueDeleted { .. }
            | Definition::PolicyDeleted { .. }
            | Definition::OperatorPolicyDeleted { .. } => 0,
            _ => bytes as i64,
        }
    }
}

/// What a checkpoint of all definitions takes, about, in bytes: it is made in memory.
#[derive(Debug, Default)]
pub(crate) struct ImageBytes(AtomicI64);

impl ImageBytes {
    /// As it was seen.
    pub fn set(&self, bytes: i64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// So much more or, below zero, less.
    pub fn add(&self, growth: i64) {
        self.0.fetch_add(growth, Ordering::Relaxed);
    }

    /// How much it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(0) as u64
    }
}

/// Writes definitions down; the promise is kept when they are durable.
pub(crate) fn write(
    durability: &Durability,
    definitions: &[Definition],
) -> Result<Promise, DefinitionError> {
    if definitions.is_empty() {
        return Ok(Promise::Now);
    }
    let mut batch = Batch::new();
    let mut growth = 0;
    for definition in definitions {
        let bytes = postcard::to_stdvec(definition).map_err(DefinitionError::log)?;
        growth += definition.growth(bytes.len());
        batch.push(KIND_DEFINITION, STREAM_DEFINITIONS, &[&bytes]);
    }
    let appended = durability
        .append(&batch, Need::Sync)
        .map_err(DefinitionError::log)?;
    durability.image_bytes.add(growth);
    Ok(Durability::promise(&appended, Need::Sync))
}

#[cfg(test)]
mod tests {
    use ferry_core::arguments::Value;

    use super::*;

    /// A queue with an argument of that many lists in one another.
    fn queue(depth: usize) -> Definition {
        let nested = (0..depth).fold(Value::Void, |value, _| Value::Array(vec![value]));
        Definition::Queue(QueueDefinition {
            vhost: Arc::from("/"),
            id: QueueId(1),
            name: Arc::from("q"),
            partition: 0,
            auto_delete: false,
            arguments: Arc::new(Arguments::from_iter([("x", nested)])),
            sync: SyncPolicy::default(),
        })
    }

    #[test]
    fn values_that_nest_too_deep_are_neither_written_nor_read() {
        const DEPTH_MAX: usize = 64;
        let deepest = postcard::to_stdvec(&queue(DEPTH_MAX)).expect("as deep as may be");
        let innermost = [15, 1, 17];
        let at = deepest
            .windows(innermost.len())
            .position(|window| window == innermost)
            .expect("a list with nothing in it");
        for deeper in [1, 2, 100_000] {
            let mut bytes = deepest.clone();
            bytes.splice(at..at, [15, 1].repeat(deeper));
            assert!(postcard::from_bytes::<Definition>(&bytes).is_err());
            // What was refused is not counted for the next.
            postcard::from_bytes::<Definition>(&deepest).expect("it was written");
        }
        assert!(postcard::to_stdvec(&queue(DEPTH_MAX + 1)).is_err());
        postcard::to_stdvec(&queue(DEPTH_MAX)).expect("as deep as may be");
    }
}
