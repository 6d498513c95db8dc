//! The segments that recovered messages are in, and which of these messages have lost their bodies.
//!
//! Invariants
//! - A checkpoint may refer to a segment that is gone: the log, which knows of no message, takes it
//!   for one that was not needed any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_core::facts::Mark;
use ferry_log::{Position, ReadError, Reader};

use crate::Broker;
use crate::definitions::QueueDefinition;

pub(super) struct Segments {
    reader: Reader,
    present: BTreeSet<u32>,
    missing: Option<u32>,
    /// Bodies that the log went past.
    spared: BTreeSet<Position>,
    /// Those of them that the queue at hand has.
    damaged: Vec<Position>,
}

impl Segments {
    pub fn new(broker: &Broker, spared: BTreeSet<Position>) -> Segments {
        Segments {
            reader: Reader::new(Arc::clone(&broker.durability.log)),
            present: BTreeSet::new(),
            missing: None,
            spared,
            damaged: Vec::new(),
        }
    }

    pub fn retain(&mut self, broker: &Broker, mark: Mark) {
        let position = Position(mark.position);
        let number = position.segment();
        if !self.present.contains(&number) {
            if let Err(ReadError::Gone { .. }) = self.reader.read(position) {
                self.missing.get_or_insert(number);
                return;
            }
            self.present.insert(number);
        }
        if self.spared.contains(&position) {
            self.damaged.push(position);
        }
        let bytes = crate::definitions::live_bytes(mark.size);
        broker.durability.log.retain(position, bytes, 1);
    }

    /// Says what was wrong with the messages of the queue that was put together last.
    pub fn report(&mut self, queue: &QueueDefinition) -> Result<(), String> {
        let (name, vhost) = (&*queue.name, &*queue.vhost);
        if let Some(number) = self.missing {
            return Err(format!(
                "segment {number} is missing, and messages of queue '{name}' are in it: put the \
                 file back, or do without them: `ferrymq verify` lists them, `ferrymq repair` sets \
                 them aside"
            ));
        }
        let damaged = std::mem::take(&mut self.damaged);
        if let Some(first) = damaged.iter().min() {
            tracing::error!(
                queue = name,
                vhost,
                messages = damaged.len(),
                segment = first.segment(),
                offset = first.offset(),
                "messages can not be read back and are held, the first at this place; \
                 `ferrymq verify` lists them all"
            );
        }
        Ok(())
    }
}
