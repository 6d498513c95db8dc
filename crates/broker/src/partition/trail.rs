//! Noting the way of messages through the queues of a partition that ask for it.
//!
//! Invariants
//! - A queue without a passport pays one look at its options.
//! - A body that can not be read back is not noted; who needs it reports it.

use ferry_core::message::Message;
use ferry_core::queue::{BodyRef, LeaseId, Step};

use super::context::StateContext;
use super::effects::with_body;
use super::state::{QueueSlot, State, Target};
use crate::{Event, QueueHandle};

impl State {
    /// Notes what a queue tells of a message.
    #[cold]
    pub(super) fn pass(
        &mut self,
        cx: &StateContext<'_>,
        key: usize,
        staged: &[u8],
        body: &BodyRef,
        step: Step,
    ) {
        let State { queues, reader, .. } = self;
        let queue = &queues[key].handle;
        let note = |message: Message<'_>| {
            let (formats, event) = (cx.formats, step.into());
            cx.passports
                .note_message(formats, queue, cx.now, &message, event);
        };
        if let Err(error) = with_body(reader, staged, body, note) {
            tracing::debug!("the way of a message is not noted: {error}");
        }
    }

    /// Notes that an operator drops the message that is held by a lease.
    pub fn note_cancelled(
        &mut self,
        cx: &StateContext<'_>,
        queue: &QueueHandle,
        lease: LeaseId,
        by: &str,
    ) {
        if !queue.has_passport() {
            return;
        }
        if let Some(Ok(stored)) = self.leased_body(cx, queue.place(), lease) {
            let message = Message::parse(&stored).expect("what a queue had is a message");
            let event = Event::Cancelled { by: by.to_owned() };
            cx.passports
                .note_message(cx.formats, queue, cx.now, &message, event);
        }
    }
}

/// Notes that a message is handed to a consumer, or to who asked for one: whether that is a
/// redelivery, and whether it needs no settling.
#[inline]
pub(super) fn note_delivery(
    cx: &StateContext<'_>,
    slot: &QueueSlot,
    target: Option<&Target>,
    message: &Message<'_>,
    (redelivered, auto_ack): (bool, bool),
) {
    if slot.queue.options().passport {
        note_delivered(cx, slot, target, message, (redelivered, auto_ack));
    }
}

#[cold]
fn note_delivered(
    cx: &StateContext<'_>,
    slot: &QueueSlot,
    target: Option<&Target>,
    message: &Message<'_>,
    (redelivered, auto_ack): (bool, bool),
) {
    let connection = target.and_then(|target| {
        let connection = target.outlet.connection();
        cx.connections.user_and_peer(connection)
    });
    let event = Event::Delivered {
        consumer: target.map(|target| target.tag.clone()),
        connection: connection.map(|(_, peer)| peer),
        redelivered,
        auto_ack,
    };
    cx.passports
        .note_message(cx.formats, &slot.handle, cx.now, message, event);
}
