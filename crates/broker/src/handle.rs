//! What everybody outside a partition holds of a queue: its name, its place, its counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ferry_core::arguments::Arguments;
use ferry_core::queue::{Counts, Options, QueueKind, SyncPolicy};
use ferry_core::routing::QueueId;

use crate::ConnectionId;
use crate::partition::QueuePlace;

/// A queue, seen from outside.
#[derive(Debug)]
pub struct QueueHandle {
    pub(crate) id: QueueId,
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) partition: u16,
    pub(crate) slot: AtomicU32,
    /// As declared; an exclusive queue is declared durable and yet goes with its connection.
    pub(crate) declared_durable: bool,
    /// Whether it is kept over a restart.
    pub(crate) kept: bool,
    pub(crate) sync: SyncPolicy,
    pub(crate) kind: QueueKind,
    pub(crate) auto_delete: bool,
    /// The connection that has it for itself.
    pub(crate) owner: Option<ConnectionId>,
    pub(crate) arguments: Arguments,
    pub(crate) options: Arc<Options>,
    pub(crate) had_consumer: AtomicBool,
    ready: AtomicU64,
    ready_bytes: AtomicU64,
    unsettled: AtomicU64,
    consumers: AtomicU32,
}

/// What makes a handle.
pub(crate) struct HandleSpec {
    pub id: QueueId,
    pub name: Arc<str>,
    pub vhost: Arc<str>,
    pub partition: u16,
    pub declared_durable: bool,
    pub auto_delete: bool,
    pub owner: Option<ConnectionId>,
    pub arguments: Arguments,
    pub options: Arc<Options>,
}

impl QueueHandle {
    pub(crate) fn new(spec: HandleSpec) -> QueueHandle {
        QueueHandle {
            id: spec.id,
            name: spec.name,
            vhost: spec.vhost,
            partition: spec.partition,
            slot: AtomicU32::new(u32::MAX),
            declared_durable: spec.declared_durable,
            kept: spec.options.durable,
            sync: spec.options.sync,
            kind: spec.options.kind,
            auto_delete: spec.auto_delete,
            owner: spec.owner,
            arguments: spec.arguments,
            options: spec.options,
            had_consumer: AtomicBool::new(false),
            ready: AtomicU64::new(0),
            ready_bytes: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
            consumers: AtomicU32::new(0),
        }
    }

    /// Its identity.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The virtual host it is in.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// Whether it was declared durable.
    pub fn durable(&self) -> bool {
        self.declared_durable
    }

    /// Whether it goes with its last consumer.
    pub fn auto_delete(&self) -> bool {
        self.auto_delete
    }

    /// Whether one connection has it for itself.
    pub fn exclusive(&self) -> bool {
        self.owner.is_some()
    }

    /// The arguments that it was declared with.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// What it was declared to do.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Messages that wait.
    pub fn ready(&self) -> u64 {
        self.ready.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies that wait.
    pub fn ready_bytes(&self) -> u64 {
        self.ready_bytes.load(Ordering::Relaxed)
    }

    /// Messages that were delivered and not settled.
    pub fn unsettled(&self) -> u64 {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Its consumers.
    pub fn consumers(&self) -> u32 {
        self.consumers.load(Ordering::Relaxed)
    }

    pub(crate) fn show(&self, counts: &Counts) {
        self.ready.store(counts.ready, Ordering::Relaxed);
        self.ready_bytes
            .store(counts.ready_bytes, Ordering::Relaxed);
        self.unsettled.store(counts.unsettled, Ordering::Relaxed);
        self.consumers.store(counts.consumers, Ordering::Relaxed);
    }

    pub(crate) fn place(&self) -> QueuePlace {
        QueuePlace {
            slot: self.slot.load(Ordering::Acquire),
            id: self.id,
        }
    }
}
