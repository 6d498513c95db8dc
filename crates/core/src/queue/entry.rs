//! One message in a queue: where its body is and what the queue remembers of it.
//!
//! Invariants
//! - An entry takes at most 64 bytes; its body is counted apart.
//! - `durable` entries have a body in the log and a fact that they entered; others have neither
//!   to survive a restart, wherever their body is.

use std::sync::Arc;

use crate::Millis;
use crate::message::Position;

/// Where the body of a queued message is.
#[derive(Debug, Clone)]
pub enum Body {
    /// In the log.
    Log(Position),
    /// In memory, shared by the queues of one partition that hold it.
    Memory(Arc<[u8]>),
}

/// Where the body of a message that leaves a queue is.
#[derive(Debug, Clone)]
pub enum BodyRef {
    /// In the bytes of the batch that is being applied.
    Staged {
        /// Where its stored form starts.
        offset: u32,
        /// Length of its stored form, in bytes.
        len: u32,
    },
    /// In memory.
    Memory(Arc<[u8]>),
    /// In the log.
    Log(Position),
}

impl From<&Body> for BodyRef {
    fn from(body: &Body) -> BodyRef {
        match body {
            Body::Log(position) => BodyRef::Log(*position),
            Body::Memory(bytes) => BodyRef::Memory(Arc::clone(bytes)),
        }
    }
}

/// A message in a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the queue; never used twice.
    pub seq: u64,
    /// Its body.
    pub body: Body,
    /// When it expires; 0 for never.
    pub expires_at: Millis,
    /// Length of its body as published, in bytes.
    pub size: u32,
    /// How often it came back: given back, or its consumer was lost.
    pub returns: u32,
    /// Who gave it back last, as the low half of a consumer's id; 0 for nobody. Another willing
    /// consumer is preferred; not kept over a restart, nor when very much came back at once.
    pub returned_by: u32,
    /// What it must stay in order with, in a queue with shards: a digest of its key; 0 for none.
    pub key: u32,
    /// Its level, at most the queue's highest.
    pub priority: u8,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Whether it outlives the broker.
    pub durable: bool,
}

impl Entry {
    /// A durable message of 128 bytes that nothing has happened to yet.
    #[cfg(test)]
    pub(crate) fn plain(seq: u64, position: Position) -> Entry {
        Entry {
            seq,
            body: Body::Log(position),
            expires_at: 0,
            size: 128,
            returns: 0,
            returned_by: 0,
            key: 0,
            priority: 0,
            redelivered: false,
            durable: true,
        }
    }

    /// The position of its body, if that is in the log.
    pub fn position(&self) -> Option<Position> {
        match self.body {
            Body::Log(position) => Some(position),
            Body::Memory(_) => None,
        }
    }

    /// Bytes of memory that its body takes.
    pub fn memory_bytes(&self) -> usize {
        match &self.body {
            Body::Log(_) => 0,
            Body::Memory(bytes) => bytes.len(),
        }
    }

    /// Whether somebody had it before.
    pub fn was_out(&self) -> bool {
        self.redelivered || self.returns > 0
    }

    /// Its time to live starts at `to` instead of `from`: it counts from when a message is ready.
    pub fn shift_expiry(&mut self, from: Millis, to: Millis) {
        if self.expires_at != 0 {
            let ttl_ms = self.expires_at.saturating_sub(from);
            self.expires_at = to.saturating_add(ttl_ms).max(1);
        }
    }

    /// Whether it is past its time.
    pub fn expired(&self, now: Millis) -> bool {
        self.expires_at != 0 && self.expires_at <= now
    }
}

const _: () = assert!(
    size_of::<Entry>() <= 64,
    "the index budget of a hot message"
);
