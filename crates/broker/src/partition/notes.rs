//! Notes of queues and tags of messages, as steps of a partition.
//!
//! Invariants
//! - What a step promises covers the notes and tags of durable queues that it has set.
//! - What a transaction has written of them is not written again.

use ferry_core::queue::{Context, LeaseId, Queue, Settled, SyncPolicy};

use super::QueuePlace;
use super::context::StateContext;
use super::state::State;

/// A number that a queue is to remember, or to forget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetNote {
    pub key: u32,
    pub on: bool,
    /// A transaction has written it.
    pub recorded: bool,
}

/// A number that a leased message is to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetTag {
    pub lease: LeaseId,
    pub number: u32,
    /// A transaction has written it.
    pub recorded: bool,
}

/// When what is written of a queue has to be safe; none if nothing is written of it.
fn kept_by(queue: &Queue) -> Option<SyncPolicy> {
    let options = queue.options();
    options.durable.then_some(options.sync)
}

impl State {
    /// Has a queue remember a number, or forget it.
    pub(crate) fn set_note(&mut self, cx: &StateContext<'_>, place: QueuePlace, note: SetNote) {
        let set = |queue: &mut Queue, context: &mut Context<'_>| {
            queue.set_note(note.key, note.on, note.recorded, context);
            kept_by(queue)
        };
        let kept = self.with_queue(cx, place, &[], set).flatten();
        self.promise_kept(kept.filter(|_| !note.recorded));
    }

    /// Has a leased message keep a number.
    pub(super) fn set_tag(&mut self, cx: &StateContext<'_>, place: QueuePlace, tag: SetTag) {
        let set = |queue: &mut Queue, context: &mut Context<'_>| {
            let tagged = queue.tag(tag.lease, tag.number, tag.recorded, context);
            kept_by(queue).filter(|_| tagged == Settled::Done)
        };
        let kept = self.with_queue(cx, place, &[], set).flatten();
        self.promise_kept(kept.filter(|_| !tag.recorded));
    }
}
