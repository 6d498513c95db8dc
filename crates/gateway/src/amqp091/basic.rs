//! Consumers, gets and settlements.
//!
//! Invariants
//! - An unknown delivery tag closes the channel and settles nothing.
//! - In a transaction settlements are only noted; the commit makes them.
//! - `no_local` is taken and has no effect, as in RabbitMQ.
//! - `consume-ok` is written before the consumer's first delivery, because the broker calls for it
//!   under the partition's lock.

use std::sync::Arc;

use amqp091::method::basic;
use amqp091::{Method, ShortStr};
use ferry_broker::{Choice, ConsumeError, ConsumerSpec, Outcome, Promise, QueueHandle, Right};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::filter::Filter;

use super::arguments;
use super::channel::{Channel, Common, Consumer};
use super::deliver::ConsumerOutlet;
use super::errors::{
    Refusal, access_refused, not_allowed, not_found, not_implemented, precondition_failed,
};
use super::reply_to::REPLY_TO;
use super::streams;
use super::tally::ConsumerNote;
use super::turn::Turn;
use super::tx::Noted;

const PRIORITY: &str = "x-priority";
const FILTER: &str = "x-filter";

impl Channel {
    /// `basic.ack`, `basic.nack`, `basic.reject`
    pub(crate) fn settle(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        let lane_id = self.lane;
        let mut tx = self.tx.as_deref_mut();
        let (known, credit) = common.link.with(|state| {
            let Some(lane) = state.wire.lanes.get(lane_id) else {
                return (true, false);
            };
            let mut many = Vec::new();
            let (one, known) = if multiple {
                let known = lane
                    .unacked
                    .take_upto(tag, |tag, entry| many.push((tag, entry)));
                (None, known)
            } else {
                let one = lane.unacked.take(tag).map(|entry| (tag, entry));
                let known = one.is_some();
                (one, known)
            };
            let mut settled = 0;
            for (tag, entry) in one.into_iter().chain(many) {
                settled += 1;
                match &mut tx {
                    Some(tx) => tx.settled.push(Noted {
                        tag,
                        unsettled: entry,
                        outcome,
                        late: None,
                    }),
                    None => {
                        let queue = lane.settled(entry.slot);
                        turn.staging().settle(&queue, entry.lease, outcome);
                    }
                }
            }
            match &tx {
                Some(tx) => lane.stats.acks_uncommitted = tx.settled.len() as u64,
                None if outcome == Outcome::Accept => lane.stats.counts.ack += settled,
                None => {}
            }
            (known, lane.take_credit_starved())
        });
        if credit {
            common.link.notify(crate::link::event::RESUME);
        }
        if known {
            return Ok(());
        }
        Err(precondition_failed(format!("unknown delivery tag {tag}")))
    }

    /// `basic.get`
    pub(crate) fn get(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &basic::Get<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let name = self.queue_name(method.queue)?;
        common.check_queue(Right::Read, &name)?;
        let queue = common.vhost.queue(&name, common.connection)?;
        let slot = common.link.with(|state| {
            let lane = state.wire.lanes.get(self.lane)?;
            if !method.no_ack && lane.holds_too_much() {
                return Some(Err(too_many_unacked(lane.unacked.len())));
            }
            Some(Ok(
                lane.slot_for_get(&queue, |known| Arc::ptr_eq(known, &queue))
            ))
        });
        let Some(slot) = slot.transpose()? else {
            return Ok(());
        };
        let address = self.address(common);
        let found = common.broker.get(&queue, method.no_ack, &mut |delivery| {
            address.answer_get(&delivery, slot);
        });
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                lane.close_slot(slot);
            }
        });
        match found {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.with_stats(common, |stats| stats.counts.get_empty += 1);
                let reply = basic::GetEmpty {
                    cluster_id: ShortStr::EMPTY,
                };
                self.reply(common, Promise::Now, Method::BasicGetEmpty(reply));
                Ok(())
            }
            Err(error) => Err(refuse(&error)),
        }
    }

    /// `basic.consume`
    pub(crate) fn consume(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &basic::Consume<'_>,
    ) -> Result<(), Refusal> {
        if self.knows_consumer(method.consumer_tag.as_bytes()) {
            let tag = method.consumer_tag.as_str_lossy();
            return Err(not_allowed(format!(
                "attempt to reuse consumer tag '{tag}'"
            )));
        }
        if method.queue.as_bytes() == REPLY_TO.as_bytes() {
            if method.arguments.get(FILTER.as_bytes()).is_some() {
                return Err(precondition_failed("replies cannot be filtered"));
            }
            return self.consume_replies(common, turn, method);
        }
        turn.submit(common);
        let name = self.queue_name(method.queue)?;
        common.check_queue(Right::Read, &name)?;
        let queue = common.vhost.queue(&name, common.connection)?;
        let arguments = arguments::read(method.arguments)?;
        let offset = streams::offset_of(&arguments, &queue, common.broker.now())?;
        let priority = priority_of(&arguments, &queue)?;
        let filter = filter_of(&arguments, &queue)?;
        let tag = tag_for(common, method.consumer_tag);
        let Some(slot) = self.open_slot(common, &queue) else {
            return Ok(());
        };
        let address = self.address(common);
        let notify_cancel = common.notify_cancel;
        let outlet = Arc::new(ConsumerOutlet::new(
            address,
            &tag,
            slot,
            method.no_ack,
            notify_cancel,
        ));
        let spec = ConsumerSpec {
            tag: String::from_utf8_lossy(&tag).into_owned(),
            no_ack: method.no_ack,
            exclusive: method.exclusive,
            priority,
            prefetch: self.prefetch,
            choice: Choice { filter, offset },
            outlet: outlet.clone(),
        };
        let mut started = || {
            if !method.no_wait {
                self.reply_unpaid(common, &tag);
            }
        };
        match common.broker.consume(&queue, spec, &mut started) {
            Ok(handle) => {
                self.describe(common, slot, method, &tag, arguments);
                self.consumers.insert(tag, Consumer { handle, outlet });
                Ok(())
            }
            Err(error) => {
                self.close_slot(common, slot);
                Err(refuse(&error))
            }
        }
    }

    /// Writes `consume-ok`, or adds it to what the channel owes. Called under a partition's lock.
    fn reply_unpaid(&self, common: &Common, tag: &[u8]) {
        common.link.with(|state| {
            state.reply(self.lane, Promise::Now, true, |out| {
                let reply = basic::ConsumeOk {
                    consumer_tag: ShortStr::clipped(tag),
                };
                Method::BasicConsumeOk(reply).write_frame(out, self.number);
            })
        });
    }

    /// Notes for listings who consumes by a slot.
    fn describe(
        &self,
        common: &Common,
        slot: u32,
        method: &basic::Consume<'_>,
        tag: &[u8],
        arguments: Arguments,
    ) {
        let note = ConsumerNote {
            tag: String::from_utf8_lossy(tag).into_owned(),
            no_ack: method.no_ack,
            exclusive: method.exclusive,
            prefetch: self.prefetch,
            arguments,
        };
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                lane.describe(slot, note);
            }
        });
    }

    /// A slot of the lane for a consumer; none once the channel is closed.
    fn open_slot(&self, common: &Common, queue: &Arc<QueueHandle>) -> Option<u32> {
        common.link.with(|state| {
            let lane = state.wire.lanes.get(self.lane)?;
            Some(lane.open_slot(Arc::clone(queue)))
        })
    }

    fn close_slot(&self, common: &Common, slot: u32) {
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                lane.close_slot(slot);
            }
        });
    }

    fn knows_consumer(&self, tag: &[u8]) -> bool {
        let reply = self
            .reply_consumer
            .as_ref()
            .is_some_and(|consumer| *consumer.tag == *tag);
        !tag.is_empty() && (reply || self.consumers.contains_key(tag))
    }

    /// `basic.cancel`
    pub(crate) fn cancel(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &basic::Cancel<'_>,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let tag = method.consumer_tag.as_bytes();
        if self
            .reply_consumer
            .as_ref()
            .is_some_and(|consumer| *consumer.tag == *tag)
        {
            self.close_replies(common);
        } else if let Some(consumer) = self.consumers.remove(tag) {
            common.broker.cancel(&consumer.handle);
            self.close_slot(common, consumer.outlet.slot());
        }
        if !method.no_wait {
            let reply = basic::CancelOk {
                consumer_tag: method.consumer_tag,
            };
            self.reply(common, Promise::Now, Method::BasicCancelOk(reply));
        }
        Ok(())
    }

    /// A queue has dropped this consumer.
    pub(crate) fn consumer_dropped(&mut self, common: &Common, tag: &[u8]) {
        if let Some(consumer) = self.consumers.remove(tag) {
            consumer.outlet.tell_cancelled();
            self.close_slot(common, consumer.outlet.slot());
        }
    }

    /// `basic.qos`
    pub(crate) fn qos(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: &basic::Qos,
    ) -> Result<(), Refusal> {
        if method.prefetch_size != 0 {
            return Err(not_implemented(format!(
                "prefetch_size!=0 ({})",
                method.prefetch_size
            )));
        }
        turn.submit(common);
        let count = u32::from(method.prefetch_count);
        let global = if method.global { count } else { 0 };
        if !method.global {
            self.prefetch = count;
        }
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                lane.set_global_limit(global);
                lane.stats.prefetch = self.prefetch;
            }
        });
        self.reply(common, Promise::Now, Method::BasicQosOk(basic::QosOk {}));
        common.resume_credit(self.lane);
        Ok(())
    }

    /// `basic.recover`
    pub(crate) fn recover(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        requeue: bool,
        answer: bool,
    ) -> Result<(), Refusal> {
        if !requeue {
            return Err(not_implemented("requeue=false"));
        }
        let answer = answer.then_some(Method::BasicRecoverOk(basic::RecoverOk {}));
        self.give_back_unacked(common, turn, answer);
        common.resume_credit(self.lane);
        Ok(())
    }
}

fn refuse(error: &ConsumeError) -> Refusal {
    match error {
        ConsumeError::Gone { .. } => not_found(error.to_string()),
        ConsumeError::ExclusiveUse { .. } => access_refused(error.to_string()),
        ConsumeError::NoPrefetch { .. } | ConsumeError::NoRoom(_) => {
            precondition_failed(error.to_string())
        }
        ConsumeError::NotForStreams { .. } => not_implemented(error.to_string()),
    }
}

fn too_many_unacked(held: usize) -> Refusal {
    precondition_failed(format!(
        "this channel holds {held} unacked messages and memory is short: settle some before the \
         next get"
    ))
}

/// The client's consumer tag, or one of ours.
pub(super) fn tag_for(common: &Common, wanted: ShortStr<'_>) -> Box<[u8]> {
    match wanted.is_empty() {
        true => common.broker.made_up_name("amq.ctag-").into_bytes().into(),
        false => wanted.as_bytes().into(),
    }
}

/// The filter that a consumer asks for.
fn filter_of(arguments: &Arguments, queue: &QueueHandle) -> Result<Option<Filter>, Refusal> {
    let Some(value) = arguments.get(FILTER) else {
        return Ok(None);
    };
    let text = match value {
        Value::Str(bytes) => std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()),
        other => Err(format!("expected text, got {}", other.type_name())),
    };
    let filter = text.and_then(|text| Filter::compile(text).map_err(|error| error.to_string()));
    filter.map_err(|why| streams::invalid(queue, FILTER, &why))
}

/// The priority that a consumer asks for.
fn priority_of(arguments: &Arguments, queue: &QueueHandle) -> Result<i32, Refusal> {
    match arguments.get(PRIORITY) {
        None => Ok(0),
        Some(value) => match value.as_integer() {
            Some(priority) => Ok(priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32),
            None => {
                let why = format!("\"expected integer, got {}\"", value.type_name());
                Err(streams::invalid(queue, PRIORITY, &why))
            }
        },
    }
}
