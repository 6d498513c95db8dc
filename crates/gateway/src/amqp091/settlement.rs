//! The exchange `ferry.settle`: settling with more than `basic.ack`, `nack` and `reject` can say.
//!
//! A publish to it settles a delivery of its own channel. It is routed nowhere and stored nowhere;
//! only these headers are looked at, the body is not:
//!
//! | header | type | meaning |
//! |---|---|---|
//! | `delivery-tag` | integer | a delivery of this channel, to a consumer or a get |
//! | `outcome` | text | `accept`, `requeue`, `reject`, `delay` or `extend` |
//! | `delay` | integer, optional | with `delay` and `extend`: milliseconds from now |
//!
//! `delay` without a time takes the queue's retry delay, `extend` its lease time; an extended
//! delivery stays unacked.
//!
//! Invariants
//! - It acts after all that came before it on its channel; in a transaction, at the commit.
//! - What can not be done comes back, mandatory or not: 404 for a tag that is not unacked or whose
//!   lease has ended, 406 for headers that make no sense. Then the confirm comes all the same.
//! - The confirm comes when the settlement is done and appended to the log. As after every ack
//!   nobody waits for the disk: after a crash the message may come again.

use std::sync::Arc;

use amqp091::{RawTable, RawValue, ReplyCode};
use ferry_broker::{Lease, Outcome, QueueHandle, SETTLE_EXCHANGE, Settled};
use ferry_core::limits::DELAY_MS_MAX;

use super::channel::{Channel, Common};
use super::errors::{Refusal, not_found, precondition_failed};
use super::lane::{Lane, Unsettled};
use super::publish::Incoming;
use super::turn::Turn;
use super::tx::{Extension, Noted};

const DELIVERY_TAG: &str = "delivery-tag";
const OUTCOME: &str = "outcome";
const DELAY: &str = "delay";

/// Whether a publish to that exchange settles.
pub(crate) fn settles(exchange: &[u8]) -> bool {
    exchange == SETTLE_EXCHANGE.as_bytes()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Settle(Outcome),
    Extend(Option<u64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    /// As it was sent; one that is negative names no delivery.
    tag: i64,
    action: Action,
}

impl Request {
    /// Reads the headers; a refusal says what comes back.
    fn read(headers: RawTable<'_>) -> Result<Request, Refusal> {
        let tag = match headers.get(DELIVERY_TAG.as_bytes()) {
            None => return Err(bad(DELIVERY_TAG, "an integer is expected, it is missing")),
            Some(value) => integer(DELIVERY_TAG, value)?,
        };
        let delay_ms = headers.get(DELAY.as_bytes()).map(time).transpose()?;
        let outcome = match headers.get(OUTCOME.as_bytes()) {
            Some(RawValue::LongStr(outcome)) => outcome,
            Some(other) => return Err(wrong_type(OUTCOME, "text", other)),
            None => return Err(bad(OUTCOME, "text is expected, it is missing")),
        };
        let action = match outcome {
            b"accept" => Action::Settle(Outcome::Accept),
            b"requeue" => Action::Settle(Outcome::Requeue),
            b"reject" => Action::Settle(Outcome::Reject),
            b"delay" => Action::Settle(Outcome::Delay(delay_ms)),
            b"extend" => Action::Extend(delay_ms),
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(bad(
                    OUTCOME,
                    format!("'{other}' is none of accept, requeue, reject, delay, extend"),
                ));
            }
        };
        let takes_time = matches!(
            action,
            Action::Settle(Outcome::Delay(_)) | Action::Extend(_)
        );
        match delay_ms {
            Some(_) if !takes_time => Err(bad(DELAY, "it goes with outcome delay or extend only")),
            _ => Ok(Request { tag, action }),
        }
    }
}

fn bad(header: &str, why: impl AsRef<str>) -> Refusal {
    precondition_failed(format!("invalid header '{header}': {}", why.as_ref()))
}

fn wrong_type(header: &str, expected: &str, value: RawValue<'_>) -> Refusal {
    let kind = super::arguments::type_name(value);
    bad(header, format!("{expected} is expected, not {kind}"))
}

fn integer(header: &str, value: RawValue<'_>) -> Result<i64, Refusal> {
    value
        .as_i64()
        .ok_or_else(|| wrong_type(header, "an integer", value))
}

fn time(value: RawValue<'_>) -> Result<u64, Refusal> {
    let number = integer(DELAY, value)?;
    let time_ms = u64::try_from(number).ok();
    time_ms
        .filter(|time_ms| *time_ms <= DELAY_MS_MAX)
        .ok_or_else(|| bad(DELAY, format!("{number} is not in 0..{DELAY_MS_MAX}")))
}

fn ended(tag: i64) -> Refusal {
    not_found(format!("the lease of delivery tag {tag} has ended"))
}

impl Channel {
    /// A publish to `ferry.settle`, with its headers.
    pub(crate) fn settle_by_publish(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        incoming: &Incoming<'_>,
        headers: Option<RawTable<'_>>,
    ) -> Result<(), Refusal> {
        let request = Request::read(headers.unwrap_or(RawTable::EMPTY));
        let done = match request {
            Err(why) => Err(why),
            Ok(request) if self.tx.is_some() => self.note_request(common, incoming, &request)?,
            Ok(request) => self.do_request(common, turn, &request),
        };
        if let Err(why) = done {
            self.give_back(common, incoming, why.code, &why.text())?;
        }
        if let Some(confirm) = self.next_confirm() {
            if common.broker.failed().is_some() {
                let text = "the message log has failed";
                return Err(Refusal::new(ReplyCode::InternalError, text));
            }
            turn.staging().confirm_done();
            self.owe_confirm(turn, confirm);
        }
        Ok(())
    }

    /// Does it now. The error says what comes back.
    fn do_request(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        request: &Request,
    ) -> Result<(), Refusal> {
        turn.submit(common);
        let settled = match request.action {
            Action::Settle(outcome) => {
                let (queue, lease) = self.on_lane(common, request.tag, |lane, tag| {
                    let Unsettled { lease, slot } = lane.unacked.take(tag)?;
                    Some((lane.settled(slot), lease))
                })?;
                let settled = common.broker.settle_now(&queue, lease, outcome);
                common.resume_credit(self.lane);
                settled
            }
            Action::Extend(time_ms) => {
                let (queue, lease) = self.peek(common, request.tag)?;
                common.broker.extend_lease(&queue, lease, time_ms)
            }
        };
        match settled {
            Settled::Done => Ok(()),
            Settled::Late => Err(ended(request.tag)),
        }
    }

    /// Leaves it for the commit. The inner error says what comes back then.
    fn note_request(
        &mut self,
        common: &Common,
        incoming: &Incoming<'_>,
        request: &Request,
    ) -> Result<Result<(), Refusal>, Refusal> {
        let why = ended(request.tag);
        let late = self.return_frames(common, incoming, why.code, &why.text());
        if let Some(tx) = &mut self.tx {
            tx.check_room(late.len())?;
        }
        let noted = match request.action {
            Action::Settle(outcome) => self
                .on_lane(common, request.tag, |lane, tag| {
                    Some((tag, lane.unacked.take(tag)?))
                })
                .map(|(tag, unsettled)| {
                    self.note(Noted {
                        tag,
                        unsettled,
                        outcome,
                        late: Some(late),
                    });
                }),
            Action::Extend(time_ms) => self.peek(common, request.tag).map(|(queue, lease)| {
                self.note_extension(Extension {
                    queue,
                    lease,
                    time_ms,
                    late,
                });
            }),
        };
        Ok(noted)
    }

    /// Looks a delivery up in the channel's lane.
    fn on_lane<R>(
        &self,
        common: &Common,
        tag: i64,
        look: impl FnOnce(&mut Lane<Arc<QueueHandle>, Lease>, u64) -> Option<R>,
    ) -> Result<R, Refusal> {
        let number = u64::try_from(tag).ok();
        let found = number.and_then(|number| {
            common
                .link
                .with(|state| look(state.wire.lanes.get(self.lane)?, number))
        });
        found.ok_or_else(|| not_found(format!("unknown delivery tag {tag}")))
    }

    /// The queue and lease of an unacked delivery, which stays.
    fn peek(&self, common: &Common, tag: i64) -> Result<(Arc<QueueHandle>, Lease), Refusal> {
        self.on_lane(common, tag, |lane, tag| {
            let Unsettled { lease, slot } = *lane.unacked.get(tag)?;
            Some((lane.queue_of(slot), lease))
        })
    }
}

#[cfg(test)]
mod tests {
    use amqp091::{ShortStr, Table, Value};

    use super::*;

    fn read(entries: &[(&'static str, Value)]) -> Result<Request, String> {
        let mut table = Table::new();
        for (name, value) in entries {
            table.push(ShortStr::lit(name), value.clone());
        }
        let bytes = table.to_bytes();
        Request::read(RawTable::new(&bytes)).map_err(|refusal| refusal.text())
    }

    fn tag() -> (&'static str, Value) {
        (DELIVERY_TAG, Value::I64(7))
    }

    fn outcome(name: &str) -> (&'static str, Value) {
        (OUTCOME, Value::from(name))
    }

    #[test]
    fn every_outcome_is_understood() {
        let settle = Action::Settle;
        let delay = |time_ms: i64| (DELAY, Value::I64(time_ms));
        for (headers, action) in [
            (vec![tag(), outcome("accept")], settle(Outcome::Accept)),
            (vec![outcome("requeue"), tag()], settle(Outcome::Requeue)),
            (vec![tag(), outcome("reject")], settle(Outcome::Reject)),
            (vec![tag(), outcome("delay")], settle(Outcome::Delay(None))),
            (
                vec![tag(), outcome("delay"), delay(0)],
                settle(Outcome::Delay(Some(0))),
            ),
            (
                vec![tag(), outcome("delay"), delay(1 << 40)],
                settle(Outcome::Delay(Some(1 << 40))),
            ),
            (vec![tag(), outcome("extend")], Action::Extend(None)),
            (
                vec![tag(), outcome("extend"), (DELAY, Value::U8(9))],
                Action::Extend(Some(9)),
            ),
        ] {
            assert_eq!(read(&headers), Ok(Request { tag: 7, action }));
        }
    }

    #[test]
    fn headers_that_make_no_sense_are_refused_by_name() {
        let delay = |value: Value| vec![tag(), outcome("delay"), (DELAY, value)];
        let text = |text: &str| Value::from(text);
        for (headers, name) in [
            (vec![], DELIVERY_TAG),
            (vec![outcome("accept")], DELIVERY_TAG),
            (
                vec![(DELIVERY_TAG, text("7")), outcome("accept")],
                DELIVERY_TAG,
            ),
            (
                vec![(DELIVERY_TAG, Value::F64(7.0)), outcome("accept")],
                DELIVERY_TAG,
            ),
            (vec![tag()], OUTCOME),
            (vec![tag(), outcome("ACCEPT")], OUTCOME),
            (vec![tag(), (OUTCOME, Value::Bool(true))], OUTCOME),
            (delay(text("5")), DELAY),
            (delay(Value::Void), DELAY),
            (delay(Value::I8(-1)), DELAY),
            (delay(Value::I64((1 << 40) + 1)), DELAY),
            (vec![tag(), outcome("accept"), (DELAY, Value::I8(1))], DELAY),
        ] {
            let text = read(&headers).unwrap_err();
            let start = format!("PRECONDITION_FAILED - invalid header '{name}': ");
            assert!(text.starts_with(&start), "{headers:?}: {text}");
        }
    }
}
