//! Carrying out what a queue asked for.
//!
//! Invariants
//! - Effects of one command are carried out in order, before the next command.
//! - A body that can not be read back is reported with its queue and place and handed to nobody;
//!   its message stays leased, so that it is neither lost nor delivered wrongly.

use std::sync::Arc;

use ferry_core::message::Message;
use ferry_core::queue::{BodyRef, ConsumerId, Effect, LeaseId, Outgoing, Reading};
use ferry_log::{Position, ReadError, Reader};

use super::context::StateContext;
use super::counting::{count_delivery, count_get, count_reading, note_reading, note_wait};
use super::state::{QueueSlot, State};
use super::trail::note_delivery;
use super::{After, QueuePlace};
use crate::dead_letter::Departure;
use crate::{ConnectionId, Delivery, Lease, Metrics, QueueHandle};

/// Dead letters that wait with their bodies in memory; those of others are read when it is their
/// turn.
const BODIES_AT_ONCE_MAX: usize = 256;

impl State {
    pub(super) fn carry_out(&mut self, cx: &StateContext<'_>, key: usize, staged: &[u8]) {
        let mut effects = std::mem::take(&mut self.effects);
        // In place: an effect is large, and most are deliveries.
        let mut rest = effects.as_slice();
        while let Some((effect, after)) = rest.split_first() {
            rest = after;
            match effect {
                Effect::Deliver(consumer, outgoing) => {
                    self.deliver(cx, key, staged, *consumer, outgoing);
                }
                Effect::Read(first) => {
                    let readings = readings_of(first.offset, after);
                    rest = &after[readings.len()..];
                    self.hand_to_readers(cx, key, staged, first, readings);
                }
                Effect::Passed { body, step } => self.pass(cx, key, staged, body, *step),
                Effect::DeadLetter {
                    lease,
                    body,
                    reason,
                } => {
                    let queue = Arc::clone(&self.queues[key].handle);
                    let departure = Departure::new(queue, *lease, *reason);
                    self.dead_letter(cx, staged, departure, body);
                }
            }
        }
        effects.clear();
        self.effects = effects;
    }

    /// Hands a message of a stream to everybody who reads there; its body is read once.
    fn hand_to_readers(
        &mut self,
        cx: &StateContext<'_>,
        key: usize,
        staged: &[u8],
        first: &Reading,
        others: &[Effect],
    ) {
        let State {
            queues,
            targets,
            reader,
            tally,
            ..
        } = self;
        let slot = &mut queues[key];
        let result = with_body(reader, staged, &first.body, |message| {
            let mut hand_to = |reading: &Reading| {
                if let Some(target) = targets.get(&reading.consumer) {
                    count_reading(tally, reading.lease.is_some());
                    note_reading(cx, slot, &message);
                    slot.handle.tally().deliver.add(1);
                    let how = (false, reading.lease.is_none());
                    note_delivery(cx, slot, Some(target), &message, how);
                    target.outlet.deliver(read_by(slot, message, reading));
                }
            };
            hand_to(first);
            others.iter().filter_map(reading).for_each(hand_to);
        });
        let Err(error) = result else {
            return;
        };
        damaged(cx, &slot.handle, &error);
        let mut forgo = |reading: &Reading| {
            slot.queue.pass_over(reading.lease);
            if let Some(target) = targets.get(&reading.consumer) {
                target.outlet.forgo(reading.admitted_bytes);
            }
        };
        forgo(first);
        others.iter().filter_map(reading).for_each(forgo);
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
            tally,
            waited,
            times,
            ..
        } = self;
        let slot = &queues[key];
        let Some(target) = targets.get(&consumer) else {
            return self.handed_over(cx, key, outgoing);
        };
        let result = with_body(reader, staged, &outgoing.body, |message| {
            count_delivery(tally.of(slot.handle.kind), slot, outgoing);
            note_wait(cx, slot, (waited, times), &message);
            note_delivery(cx, slot, Some(target), &message, how(outgoing));
            target.outlet.deliver(delivery(slot, message, outgoing));
        });
        if let Err(error) = result {
            target.outlet.forgo(outgoing.admitted_bytes);
            return damaged(cx, &slot.handle, &error);
        }
        self.handed_over(cx, key, outgoing);
    }

    /// Lets a message go that nobody will settle, now that its body was read.
    fn handed_over(&mut self, cx: &StateContext<'_>, key: usize, outgoing: &Outgoing) {
        let Some(unread) = outgoing.unread else {
            return;
        };
        let account = (&mut self.facts, &mut self.released, &mut self.memory);
        let slot = &mut self.queues[key];
        slot.queue.handed_over(unread, account);
        self.index_bytes += slot.handle.show(&slot.queue.counts(), cx.now);
    }

    /// The tag of a consumer that is here.
    pub fn consumer_tag(&self, id: ConsumerId) -> Option<&str> {
        self.targets.get(&id).map(|target| target.tag.as_str())
    }

    /// The connection of a consumer that is here.
    pub fn consumer_connection(&self, id: ConsumerId) -> ConnectionId {
        let target = self.targets.get(&id);
        target.map_or(ConnectionId::NOBODY, |target| target.outlet.connection())
    }

    /// The stored form of a leased message; none if nobody has that lease.
    pub fn leased_body(
        &mut self,
        cx: &StateContext<'_>,
        place: QueuePlace,
        lease: LeaseId,
    ) -> Option<Result<Vec<u8>, ReadError>> {
        let body = BodyRef::from(&self.queue(place)?.leased(lease)?.body);
        let key = self.find(place)?;
        let State { queues, reader, .. } = self;
        let mut message = Vec::new();
        let whole = with_body(reader, &[], &body, |found| {
            message.extend_from_slice(found.bytes());
        });
        let whole = whole.inspect_err(|error| damaged(cx, &queues[key].handle, error));
        Some(whole.map(|()| message))
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
            let key = self.find(place)?;
            let State {
                queues,
                reader,
                tally,
                waited,
                times,
                ..
            } = self;
            let slot = &queues[key];
            let counts = tally.of(slot.handle.kind);
            let Some(outgoing) = outgoing else {
                counts.got_nothing += 1;
                slot.handle.tally().get_empty.add(1);
                return Some(false);
            };
            let result = with_body(reader, &[], &outgoing.body, |message| {
                count_get(counts, slot, &outgoing);
                note_wait(cx, slot, (waited, times), &message);
                note_delivery(cx, slot, None, &message, how(&outgoing));
                deliver(delivery(slot, message, &outgoing));
            });
            match result {
                Ok(()) => {
                    self.handed_over(cx, key, &outgoing);
                    return Some(true);
                }
                Err(error) => damaged(cx, &slot.handle, &error),
            }
        }
    }
}

/// The effects at the front that hand the message of that offset to other readers.
fn readings_of(offset: u64, effects: &[Effect]) -> &[Effect] {
    let same = |effect: &Effect| reading(effect).is_some_and(|next| next.offset == offset);
    let count = effects.iter().take_while(|effect| same(effect)).count();
    &effects[..count]
}

fn reading(effect: &Effect) -> Option<&Reading> {
    match effect {
        Effect::Read(reading) => Some(reading),
        _ => None,
    }
}

/// Whether it is a redelivery, and whether it needs no settling.
fn how(outgoing: &Outgoing) -> (bool, bool) {
    (outgoing.redelivered, outgoing.lease.is_none())
}

fn delivery<'a>(slot: &'a QueueSlot, message: Message<'a>, outgoing: &Outgoing) -> Delivery<'a> {
    Delivery {
        message,
        lease: outgoing.lease.map(|id: LeaseId| Lease(id)),
        queue: Some(&slot.handle),
        redelivered: outgoing.redelivered,
        offset: None,
        delivery_count: outgoing.returns,
        tag: outgoing.tag,
        stamp_count: outgoing.returns > 0,
        ready_left: slot.queue.ready_count(),
        admitted_bytes: outgoing.admitted_bytes,
    }
}

fn read_by<'a>(slot: &'a QueueSlot, message: Message<'a>, reading: &Reading) -> Delivery<'a> {
    Delivery {
        message,
        lease: reading.lease.map(Lease),
        queue: Some(&slot.handle),
        redelivered: false,
        offset: Some(reading.offset),
        delivery_count: 0,
        tag: None,
        stamp_count: false,
        ready_left: 0,
        admitted_bytes: reading.admitted_bytes,
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
        "a message can not be read back and is held: {error}"
    );
}
