//! Retaining: the way of a publish into the store, and what is refused.
//!
//! Invariants
//! - What is retained outlives the broker, whether its publisher asked for it or not, and its
//!   ticket is that of the burst.
//! - The bytes that a publish has staged for its queues, and the body that it has in the log, are
//!   used again where they are the same.
//! - The limits are looked at before anything is staged; messages that are on their way at the
//!   same time may go beyond them by as many as they are.

use std::sync::atomic::Ordering;

use ferry_core::message::{Draft, NOT_LOGGED};
use ferry_core::queue::Incoming;

use super::Retained;
use super::index::SEPARATOR;
use crate::definitions::{KIND_BODY, STREAM_BODIES, live_bytes};
use crate::partition::Command;
use crate::{Broker, Burst, ConfirmTag, ConsumeError, DefinitionError, Vhost};

/// Most levels of a topic that is retained.
pub const RETAINED_LEVELS_MAX: usize = 256;

/// Why a message is not retained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetainError {
    /// As many topics have a message as may have one.
    #[error("as many topics as the limit of {0} have a retained message")]
    TopicsMax(u64),
    /// The messages take as many bytes as they may.
    #[error("retained messages would take more bytes than the limit of {0}")]
    BytesMax(u64),
    /// The topics of all virtual hosts take as much memory as they may.
    #[error("topics with a retained message take as much memory as they may")]
    MemoryMax,
    /// The topic has more levels than it may.
    #[error("a topic with a retained message has at most {RETAINED_LEVELS_MAX} levels")]
    LevelsMax,
    /// The queue for it can not be declared.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Somebody else has the queue for it.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
}

/// Whether a key has more levels than a topic may have.
pub(super) fn is_too_deep(key: &[u8]) -> bool {
    memchr::memchr_iter(SEPARATOR, key).count() >= RETAINED_LEVELS_MAX
}

impl Retained {
    /// Refuses a message that there is no room for.
    fn check_room(&self, broker: &Broker, draft: &Draft<'_>) -> Result<(), RetainError> {
        if is_too_deep(draft.routing_key) {
            return Err(RetainError::LevelsMax);
        }
        let topics_max = broker.retained.topics_max.load(Ordering::Relaxed);
        let bytes_max = broker.retained.bytes_max.load(Ordering::Relaxed);
        let shelf = self.shelf.lock();
        let before = shelf.index.get(draft.routing_key);
        let topics = shelf.index.topics() + u64::from(before.is_none());
        let freed = before.map_or(0, |held| u64::from(held.bytes.get()));
        let bytes = shelf.index.bytes() - freed + draft.encoded_len() as u64;
        if before.is_none() && broker.retained.is_full(broker.memory()) {
            return Err(RetainError::MemoryMax);
        }
        match (topics > topics_max, bytes > bytes_max) {
            (true, _) => Err(RetainError::TopicsMax(topics_max)),
            (_, true) => Err(RetainError::BytesMax(bytes_max)),
            _ => Ok(()),
        }
    }
}

impl Vhost {
    /// Refuses a publish that could not be retained: for who wants to know before it is staged.
    pub fn may_retain(&self, draft: &Draft<'_>) -> Result<(), RetainError> {
        if draft.body.is_empty() {
            return Ok(());
        }
        self.retained().check_room(&self.broker(), draft)?;
        self.retained_queue().map(|_| ())
    }
}

impl Burst {
    /// Stages a message to be the one of its topic, which is its routing key; an empty body takes
    /// away what the topic has. Best right after the publish of the same message, whose staged
    /// bytes it shares.
    pub fn retain(
        &mut self,
        broker: &Broker,
        vhost: &Vhost,
        draft: &Draft<'_>,
        confirm: Option<ConfirmTag>,
    ) -> Result<(), RetainError> {
        let queue = match draft.body.is_empty() {
            false => {
                vhost.retained().check_room(broker, draft)?;
                vhost.retained_queue()?
            }
            true => match vhost.retained().queue() {
                Some(queue) => queue,
                None => return Ok(()),
            },
        };
        self.confirms |= confirm.is_some();
        let size = draft.body.len() as u32;
        let (offset, len) = self.staged_form(draft);
        let mut position = NOT_LOGGED;
        if queue.keeps(true) {
            position = self.logged_form(offset, len);
            self.body_refs += 1;
            self.body_bytes += live_bytes(size);
        }
        // Without the time to live and the time of delivery, which are in the stored form.
        let incoming = Incoming {
            offset: offset as u32,
            len: len as u32,
            position,
            size,
            priority: 0,
            ttl_ms: None,
            recorded: false,
            special: false,
        };
        let command = Command::Enqueue {
            queue: queue.place(),
            incoming,
            confirm,
        };
        self.add(queue.partition, command);
        Ok(())
    }

    /// Where the stored form of a message is, and its length: at the end of what is staged.
    fn staged_form(&mut self, draft: &Draft<'_>) -> (usize, usize) {
        let end = self.staged.len();
        draft.encode(&mut self.staged);
        let len = self.staged.len() - end;
        let (before, last) = self.staged.split_at(end);
        if before.ends_with(last) {
            self.staged.truncate(end);
            return (end - len, len);
        }
        (end, len)
    }

    /// Where the body of that stored form is among those for the log, as a command says it.
    fn logged_form(&mut self, offset: usize, len: usize) -> u64 {
        let logged = |partition: &u16| match self.parts[usize::from(*partition)].last() {
            Some(Command::Enqueue { incoming, .. })
                if incoming.offset as usize == offset && incoming.len as usize == len =>
            {
                Some(incoming.position).filter(|position| *position != NOT_LOGGED)
            }
            _ => None,
        };
        if let Some(position) = self.touched.iter().find_map(logged) {
            return position;
        }
        let bytes = &self.staged[offset..offset + len];
        // As in a publish: one more than the place, so that it is never `NOT_LOGGED`.
        u64::from(self.bodies.push(KIND_BODY, STREAM_BODIES, &[bytes])) + 1
    }
}
