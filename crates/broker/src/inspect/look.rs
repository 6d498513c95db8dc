//! Looking at one message by its name, and counting what waits for its time.
//!
//! Invariants
//! - A partition is held for one message, or for one batch of places, at a time.

use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::queue::Spot;
use ferry_log::Reader;

use super::list::Found;
use super::{Listed, MessageRef, Standing};
use crate::partition::State;
use crate::{Broker, ConnectionId, OperateError, QueueHandle};

/// Places that are counted while the partition is held.
const BATCH_ENTRIES: u64 = 4096;

impl Broker {
    /// Looks at one message, with so much of its body, and changes nothing.
    pub fn look_at(
        &self,
        queue: &QueueHandle,
        name: &MessageRef,
        body_bytes_max: usize,
    ) -> Result<Listed, OperateError> {
        let found = self.with_state(queue, |state, _| state.look(self.run, queue, name))?;
        let mut reader = Reader::new(Arc::clone(&self.durability.log));
        self.read_found(&mut reader, queue, &found, |entry, message| {
            self.listed(&found, entry, &message, body_bytes_max)
        })
    }

    /// How many messages wait for a time in that range, both ends included.
    pub fn count_delayed(
        &self,
        queue: &QueueHandle,
        from: Millis,
        to: Millis,
    ) -> Result<u64, OperateError> {
        let mut after = from.checked_sub(1).map(|before| (before, u64::MAX));
        let mut total = 0;
        loop {
            let mut count = 0;
            let mut more = false;
            self.with_state(queue, |state, _| {
                let core = state.queue(queue.place());
                let core = core.ok_or_else(|| OperateError::no_queue(queue))?;
                core.visit_delayed(after, |at, entry| {
                    if at > to {
                        return false;
                    }
                    count += 1;
                    after = Some((at, entry.seq));
                    more = count == BATCH_ENTRIES;
                    !more
                });
                Ok::<(), OperateError>(())
            })?;
            total += count;
            if !more {
                return Ok(total);
            }
        }
    }

    /// The address of the peer of a connection that is here.
    pub fn peer_of(&self, connection: ConnectionId) -> Option<String> {
        let known = self.connections.user_and_peer(connection);
        known.map(|(_, peer)| peer)
    }
}

impl MessageRef {
    /// Where the message came in its queue: later ones have higher numbers. A leased one does not
    /// tell.
    pub fn seq(&self) -> Option<u64> {
        match self.spot {
            Spot::Ready { seq, .. } | Spot::Delayed { seq, .. } => Some(seq),
            Spot::Leased(_) => None,
        }
    }
}

impl State {
    fn look(
        &self,
        run: u32,
        queue: &QueueHandle,
        name: &MessageRef,
    ) -> Result<Found, OperateError> {
        let entry = self.named(run, queue, name)?;
        let standing = match name.spot {
            Spot::Ready { .. } => Standing::Ready,
            Spot::Delayed { at, .. } => Standing::Delayed { until: at },
            Spot::Leased(id) => {
                let core = self.queue(queue.place());
                let info = core.and_then(|core| core.lease_info(id));
                self.standing(info.ok_or(OperateError::NotFound)?)
            }
        };
        Ok(Found {
            name: *name,
            entry,
            standing,
        })
    }
}
