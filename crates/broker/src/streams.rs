//! What is different for a stream as seen by its clients.
//!
//! Invariants
//! - What a stream can not do is refused in RabbitMQ's words, not left out silently.
//! - Every message of a stream outlives the broker, however it was published.
//!
//! Not here: what a stream does with messages (`ferry_core::queue`), its arguments (`arguments`).

use ferry_core::queue::{QueueKind, SyncPolicy};

use crate::inspect::OperateError;
use crate::{ConsumeError, ConsumerSpec, DefinitionError, QueueHandle};

/// The name of a kind of queue in RabbitMQ's refusals.
pub(crate) fn type_name(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Classic => "rabbit_classic_queue",
        QueueKind::Quorum => "rabbit_quorum_queue",
        QueueKind::Stream => "rabbit_stream_queue",
    }
}

impl QueueHandle {
    /// Classic, quorum or stream.
    pub fn kind(&self) -> QueueKind {
        self.kind
    }

    /// The same in the words of RabbitMQ's refusals.
    pub fn type_name(&self) -> &'static str {
        type_name(self.kind)
    }

    /// Whether its messages outlive the broker.
    pub(crate) fn keeps(&self, persistent: bool) -> bool {
        let asked = persistent || self.kind == QueueKind::Stream;
        asked && self.kept && self.sync != SyncPolicy::Memory
    }

    fn is_stream(&self) -> bool {
        self.kind == QueueKind::Stream
    }

    /// Refuses a consumer that can not read a stream.
    pub(crate) fn check_reader(&self, spec: &ConsumerSpec) -> Result<(), ConsumeError> {
        match self.is_stream() {
            true if spec.no_ack && spec.prefetch > 0 => {
                Err(self.not_read_so("automatic acknowledgement not supported by stream"))
            }
            true if spec.prefetch == 0 => {
                let (name, vhost) = (self.name().to_owned(), self.vhost().to_owned());
                Err(ConsumeError::NoPrefetch { name, vhost })
            }
            _ => Ok(()),
        }
    }

    /// Refuses to take a single message of a stream.
    pub(crate) fn check_get(&self) -> Result<(), ConsumeError> {
        match self.is_stream() {
            true => Err(self.not_read_so("basic.get not supported by stream queues")),
            false => Ok(()),
        }
    }

    fn not_read_so(&self, what: &'static str) -> ConsumeError {
        let (name, vhost) = (self.name().to_owned(), self.vhost().to_owned());
        ConsumeError::NotForStreams { what, name, vhost }
    }

    /// Refuses to empty a stream.
    pub(crate) fn check_purge(&self) -> Result<(), DefinitionError> {
        match self.is_stream() {
            true => Err(DefinitionError::NotForStreams {
                what: "queue.purge",
                name: self.name().to_owned(),
                vhost: self.vhost().to_owned(),
            }),
            false => Ok(()),
        }
    }

    /// Refuses to take messages out of the middle of a stream.
    pub(crate) fn check_taking(&self) -> Result<(), OperateError> {
        match self.is_stream() {
            true => Err(OperateError::Stream),
            false => Ok(()),
        }
    }
}
