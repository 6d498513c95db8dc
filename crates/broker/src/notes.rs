//! What queues and messages remember for a door: notes and tags, and bursts that are one record.
//!
//! Invariants
//! - Nothing of an atomic burst is seen after a crash, or all of it.
//! - A ticket that was wanted covers the notes and tags of its burst as it covers publishes.
//!
//! A note is set by one at a time: where two bursts set the same note of a queue at the same time,
//! and one of them is atomic, the broker and its log may disagree on who was the last.
//!
//! Not here: what a queue makes of them (`ferry_core::queue`), how a burst is one record
//! (`transaction`).

use ferry_core::limits::NOTE_KEYS;

use crate::partition::{Command, SetNote, SetTag};
use crate::{Broker, Burst, Lease, QueueHandle};

impl Burst {
    /// Has a queue remember a number below [`NOTE_KEYS`], or forget it.
    pub fn note(&mut self, queue: &QueueHandle, key: u32, on: bool) {
        assert!(key < NOTE_KEYS, "a door has its keys below the bound");
        let note = SetNote {
            key,
            on,
            recorded: false,
        };
        let place = queue.place();
        self.add(queue.partition, Command::Note { queue: place, note });
    }

    /// Has a message keep a number as long as it is in its queue: whoever gets it later is told.
    /// Nothing happens if the lease has ended.
    pub fn tag(&mut self, queue: &QueueHandle, lease: Lease, number: u32) {
        let tag = SetTag {
            lease: lease.0,
            number,
            recorded: false,
        };
        let place = queue.place();
        self.add(queue.partition, Command::Tag { queue: place, tag });
    }

    /// `submit` gives a ticket, though nothing may ask for a confirm.
    pub fn want_ticket(&mut self) {
        self.wants_ticket = true;
    }

    /// The ticket of `submit` covers all that was submitted before, though nothing of it is in this
    /// burst: for who answers again what was answered, or should have been.
    pub fn cover(&mut self) {
        self.left_out = true;
        self.wants_ticket = true;
    }

    /// All of the burst is written as one record, before any of it is seen.
    pub fn make_atomic(&mut self) {
        self.atomic = true;
    }
}

impl Broker {
    /// The tags of the messages in a queue, in their order; none if the queue is gone.
    pub fn tags(&self, queue: &QueueHandle) -> Vec<u32> {
        self.on_partition(queue, |state, _| {
            let core = state.queue(queue.place());
            core.map_or_else(Vec::new, |core| core.tags().collect())
        })
    }

    /// The numbers that a queue remembers, in ascending order; none if the queue is gone.
    pub fn notes(&self, queue: &QueueHandle) -> Vec<u32> {
        self.on_partition(queue, |state, _| {
            let core = state.queue(queue.place());
            core.map_or_else(Vec::new, |core| core.notes().collect())
        })
    }
}
