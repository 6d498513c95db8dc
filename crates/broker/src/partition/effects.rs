//! Carrying out what a queue asked for.
//!
//! Invariants
//! - Effects of one command are carried out in order, before the next command.
//! - A body that can not be read back is reported with its queue and place and handed to nobody;
//!   its message stays leased, so that it is neither lost nor delivered wrongly.

use std::sync::Arc;

use ferry_core::message::Message;
use ferry_core::queue::{BodyRef, ConsumerId, Effect, LeaseId, Outgoing};
use ferry_log::{Position, ReadError, Reader};

use super::state::{QueueSlot, State, StateContext};
use super::{After, QueuePlace};
use crate::dead_letter::Departure;
use crate::{Delivery, Lease, Metrics, QueueHandle};

/// Dead letters that wait with their bodies in memory; those of others are read when it is their
/// turn.
const BODIES_AT_ONCE_MAX: usize = 256;

impl State {
    pub(super) fn carry_out(&mut self, cx: &StateContext<'_>, key: usize, staged: &[u8]) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver(consumer, outgoing) => {
                    self.deliver(cx, key, staged, consumer, &outgoing);
                }
                Effect::DeadLetter {
                    lease,
                    body,
                    reason,
                } => {
                    let queue = Arc::clone(&self.queues[key].handle);
                    let departure = Departure::new(queue, lease, reason);
                    self.dead_letter(cx, staged, departure, &body);
                }
            }
        }
        self.effects = effects;
    }

    fn dead_letter(
        &mut self,
        cx: &StateContext<'_>,
        staged: &[u8],
        departure: Departure,
        body: &BodyRef,
    ) {
        let mut message = None;
        if departure.lease.is_none() || cx.afters.lock().len() < BODIES_AT_ONCE_MAX {
            let copy = |found: Message<'_>| message = Some(found.bytes().to_vec());
            if let Err(error) = with_body(&mut self.reader, staged, body, copy) {
                return damaged(cx, &departure.queue, &error);
            }
        }
        let letter = After::DeadLetter { departure, message };
        cx.afters.lock().push(letter);
    }

    fn deliver(
        &mut self,
        cx: &StateContext<'_>,
        key: usize,
        staged: &[u8],
        consumer: ConsumerId,
        outgoing: &Outgoing,
    ) {
        let State {
            queues,
            targets,
            reader,
            ..
        } = self;
        let slot = &queues[key];
        let Some(target) = targets.get(&consumer) else {
            return;
        };
        let result = with_body(reader, staged, &outgoing.body, |message| {
            count(cx.metrics, outgoing);
            target.outlet.deliver(delivery(slot, message, outgoing));
        });
        if let Err(error) = result {
            target.outlet.forgo(outgoing.admitted_bytes);
            damaged(cx, &slot.handle, &error);
        }
    }

    /// The tag of a consumer that is here.
    pub fn consumer_tag(&self, id: ConsumerId) -> Option<&str> {
        self.targets.get(&id).map(|target| target.tag.as_str())
    }

    /// The stored form of a leased message.
    pub fn leased_body(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        lease: LeaseId,
    ) -> Option<Vec<u8>> {
        let body = BodyRef::from(&self.queue(place)?.leased(lease)?.body);
        let key = self.find(place)?;
        let State { queues, reader, .. } = self;
        let mut message = Vec::new();
        let whole = with_body(reader, &[], &body, |found| {
            message.extend_from_slice(found.bytes());
        });
        match whole {
            Ok(()) => Some(message),
            Err(error) => {
                damaged(cx, &queues[key].handle, &error);
                None
            }
        }
    }

    /// Takes one message and hands it to `deliver`.
    pub fn get(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        no_ack: bool,
        deliver: &mut dyn FnMut(Delivery<'_>),
    ) -> Option<bool> {
        loop {
            let outgoing =
                self.with_queue(cx, place, &[], |queue, context| queue.get(no_ack, context))?;
            let Some(outgoing) = outgoing else {
                return Some(false);
            };
            let key = self.find(place)?;
            let State { queues, reader, .. } = self;
            let slot = &queues[key];
            let result = with_body(reader, &[], &outgoing.body, |message| {
                count(cx.metrics, &outgoing);
                deliver(delivery(slot, message, &outgoing));
            });
            match result {
                Ok(()) => return Some(true),
                Err(error) => damaged(cx, &slot.handle, &error),
            }
        }
    }
}

fn count(metrics: &Metrics, outgoing: &Outgoing) {
    let counter = match outgoing.lease {
        Some(_) => &metrics.messages_delivered,
        None => &metrics.messages_delivered_auto_ack,
    };
    Metrics::add(counter, 1);
    if outgoing.redelivered {
        Metrics::add(&metrics.messages_redelivered, 1);
    }
}

fn delivery<'a>(slot: &'a QueueSlot, message: Message<'a>, outgoing: &Outgoing) -> Delivery<'a> {
    Delivery {
        message,
        lease: outgoing.lease.map(|id: LeaseId| Lease(id)),
        queue: Some(&slot.handle),
        redelivered: outgoing.redelivered,
        delivery_count: outgoing.returns,
        stamp_count: outgoing.returns > 0,
        ready_left: slot.queue.ready_count(),
        admitted_bytes: outgoing.admitted_bytes,
    }
}

/// Hands the stored form of a body to `each`.
pub(crate) fn with_body(
    reader: &mut Reader,
    staged: &[u8],
    body: &BodyRef,
    each: impl FnOnce(Message<'_>),
) -> Result<(), ReadError> {
    match body {
        BodyRef::Staged { offset, len } => {
            let bytes = &staged[*offset as usize..(*offset + *len) as usize];
            each(Message::parse(bytes).expect("what was staged is a message"));
        }
        BodyRef::Memory(bytes) => {
            each(Message::parse(bytes).expect("what a queue keeps is a message"));
        }
        BodyRef::Log(position) => {
            let record = reader.read(Position(*position))?;
            match Message::parse(record.payload) {
                Ok(message) => each(message),
                Err(_) => {
                    return Err(ReadError::Damaged {
                        position: Position(*position),
                    });
                }
            }
        }
    }
    Ok(())
}

fn damaged(cx: &StateContext<'_>, queue: &QueueHandle, error: &ReadError) {
    Metrics::add(&cx.metrics.messages_damaged, 1);
    tracing::error!(
        queue = queue.name(),
        vhost = queue.vhost(),
        "a message can not be read back and is held: {error}; run `ferrymq repair`"
    );
}
