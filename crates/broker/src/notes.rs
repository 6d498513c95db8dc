//! What queues and messages remember for a door: notes and tags, and bursts that are one record.
//!
//! Invariants
//! - Nothing of an atomic burst is seen after a crash, or all of it.
//! - A ticket that was wanted covers the notes and tags of its burst as it covers publishes.
//! - A note that goes with a publish is gone if a queue refuses that: the record that says that the
//!   message is gone says so, too, as it was written down with the note.
//!
//! A note is set by one at a time: where two bursts set the same note of a queue at the same time,
//! and one of them is atomic, the broker and its log may disagree on who was the last.
//!
//! Not here: what a queue makes of them (`ferry_core::queue`), how a burst is one record
//! (`transaction`).

use ferry_core::facts::Change;
use ferry_core::limits::NOTE_KEYS;

use crate::partition::{Command, QueuePlace, SetNote, SetTag};
use crate::{Broker, Burst, ConfirmTag, Lease, QueueHandle};

/// A note that goes with a publish.
pub(crate) struct Pledged {
    with: ConfirmTag,
    partition: u16,
    queue: QueuePlace,
    key: u32,
}

impl Pledged {
    /// Whether its publish is among those that were refused.
    pub(crate) fn is_void(&self, refused: &[ConfirmTag]) -> bool {
        refused.contains(&self.with)
    }

    /// What is to be written of one that is void.
    pub(crate) fn taken_back(&self) -> Change {
        Change::Noted(self.queue.id, self.key, false)
    }
}

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

    /// Has a durable queue remember a number with the publish of that tag, in one record; if that
    /// is refused it does not.
    pub fn note_with(&mut self, queue: &QueueHandle, key: u32, with: ConfirmTag) {
        self.note(queue, key, true);
        self.make_atomic();
        self.pledged.push(Pledged {
            with,
            partition: queue.partition,
            queue: queue.place(),
            key,
        });
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
    /// Has queues forget notes of refused publishes, which is written down already.
    pub(crate) fn take_back(&self, void: Vec<Pledged>) {
        for one in void {
            let note = SetNote {
                key: one.key,
                on: false,
                recorded: true,
            };
            self.partitions[usize::from(one.partition)].call(&self.surroundings(), |state, cx| {
                state.set_note(cx, one.queue, note)
            });
        }
    }

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
