//! Delays that publishers ask for: `x-delay`, milliseconds from now, and `x-deliver-at`, in Unix
//! milliseconds.
//!
//! A header of another type, or a negative one, delays nothing, as with RabbitMQ's plug-in; unlike
//! there a text or a fraction is not read as a number. A delay that is over leaves its mark: a
//! positive `x-delay` is stored negated, so that a message that is published again as it was
//! delivered is not delayed again.
//!
//! Invariants
//! - What is ignored is counted, and logged once per connection.
//! - No time is further away than [`DELAY_MS_MAX`].
//!
//! Not here: direct replies, which have no queue to wait in and are not delayed.

use std::sync::atomic::Ordering;

use amqp091::{RawValue, Value};
use ferry_broker::Metrics;
use ferry_core::Millis;
use ferry_core::limits::DELAY_MS_MAX;

use super::channel::Common;
use super::errors::{Refusal, precondition_failed};
use super::headers::Noticed;

/// Milliseconds from when the message is published.
pub(crate) const DELAY: &str = "x-delay";
/// Milliseconds since 1970; counts more than [`DELAY`].
pub(crate) const DELIVER_AT: &str = "x-deliver-at";

/// What a publish asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Delay {
    /// When its queues may hand it out; none for at once.
    pub(crate) deliver_at: Option<Millis>,
    /// What `x-delay` is stored as, where that is something else.
    pub(crate) negated: Option<Value>,
}

impl Delay {
    /// Reads the headers that were found; `ignored` hears of each that means nothing.
    pub(crate) fn of(
        found: &Noticed<'_>,
        now: Millis,
        mut ignored: impl FnMut(&'static str),
    ) -> Result<Delay, Refusal> {
        if found.delay.is_none() && found.deliver_at.is_none() {
            return Ok(Delay::default());
        }
        let wait_ms = number(DELAY, found.delay, &mut ignored);
        let at = number(DELIVER_AT, found.deliver_at, &mut ignored);
        if let Some(wait_ms) = wait_ms.filter(|wait_ms| *wait_ms > DELAY_MS_MAX) {
            return Err(precondition_failed(format!(
                "invalid header '{DELAY}': {wait_ms} is not in 0..{DELAY_MS_MAX}"
            )));
        }
        if let Some(at) = at.filter(|at| at.saturating_sub(now) > DELAY_MS_MAX) {
            return Err(precondition_failed(format!(
                "invalid header '{DELIVER_AT}': {at} is more than {DELAY_MS_MAX} milliseconds \
                 from now"
            )));
        }
        let deliver_at = at.or(wait_ms.map(|wait_ms| now.saturating_add(wait_ms)));
        let waits = wait_ms.is_some_and(|wait_ms| wait_ms > 0);
        Ok(Delay {
            deliver_at: deliver_at.filter(|at| *at > now),
            negated: found.delay.filter(|_| waits).and_then(negated),
        })
    }
}

/// The number in a header that has one.
fn number(
    name: &'static str,
    value: Option<RawValue<'_>>,
    ignored: &mut impl FnMut(&'static str),
) -> Option<u64> {
    let number = value?
        .as_i64()
        .and_then(|number| u64::try_from(number).ok());
    if number.is_none() {
        ignored(name);
    }
    number
}

/// A positive integer negated, in its own type or the next larger one that has a sign.
fn negated(value: RawValue<'_>) -> Option<Value> {
    Some(match value {
        RawValue::I8(value) => Value::I8(-value),
        RawValue::U8(value) => Value::I16(-i16::from(value)),
        RawValue::I16(value) => Value::I16(-value),
        RawValue::U16(value) => Value::I32(-i32::from(value)),
        RawValue::I32(value) => Value::I32(-value),
        RawValue::U32(value) => Value::I64(-i64::from(value)),
        RawValue::I64(value) => Value::I64(-value),
        _ => return None,
    })
}

impl Common {
    /// A delay has no effect.
    pub(crate) fn delay_ignored(&self, header: &'static str) {
        Metrics::add(&self.broker.metrics().messages_delay_ignored, 1);
        if self.delay_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let unit = match header {
            DELIVER_AT => "milliseconds since 1970",
            _ => "milliseconds",
        };
        tracing::warn!(
            vhost = self.vhost.name(),
            user = self.user.name,
            "header {header} is ignored: send it as an integer of at least 0, in {unit}; further \
             ones of this connection are only counted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn read(
        delay: Option<RawValue<'_>>,
        deliver_at: Option<RawValue<'_>>,
    ) -> (Result<Delay, Refusal>, Vec<&'static str>) {
        let found = Noticed {
            delay,
            deliver_at,
            ..Noticed::default()
        };
        let mut ignored = Vec::new();
        let delay = Delay::of(&found, NOW, |header| ignored.push(header));
        (delay, ignored)
    }

    #[test]
    fn a_delay_of_any_integer_type_is_taken_and_stored_negated() {
        for (value, wait_ms, negated) in [
            (RawValue::I8(5), 5, Value::I8(-5)),
            (RawValue::U8(255), 255, Value::I16(-255)),
            (RawValue::I16(500), 500, Value::I16(-500)),
            (RawValue::U16(65_535), 65_535, Value::I32(-65_535)),
            (RawValue::I32(60_000), 60_000, Value::I32(-60_000)),
            (
                RawValue::U32(u32::MAX),
                u64::from(u32::MAX),
                Value::I64(-i64::from(u32::MAX)),
            ),
            (RawValue::I64(1 << 40), 1 << 40, Value::I64(-(1 << 40))),
        ] {
            let (delay, ignored) = read(Some(value), None);
            let expected = Delay {
                deliver_at: Some(NOW + wait_ms),
                negated: Some(negated),
            };
            assert_eq!((delay.unwrap(), ignored), (expected, vec![]), "{value:?}");
        }
    }

    #[test]
    fn a_time_counts_more_than_a_wait() {
        let at = |at: u64| RawValue::I64(at as i64);
        let minus_five = || Some(Value::I32(-5));
        for (delay, deliver_at, expected, negated) in [
            (None, Some(at(NOW + 9)), Some(NOW + 9), None),
            (None, Some(at(NOW)), None, None),
            (None, Some(at(0)), None, None),
            (Some(RawValue::I32(0)), None, None, None),
            (
                Some(RawValue::I32(5)),
                Some(at(NOW + 9)),
                Some(NOW + 9),
                minus_five(),
            ),
            (Some(RawValue::I32(5)), Some(at(1)), None, minus_five()),
        ] {
            let (delay, ignored) = read(delay, deliver_at);
            let delay = delay.unwrap();
            assert_eq!((delay.deliver_at, delay.negated), (expected, negated));
            assert_eq!(ignored, [""; 0]);
        }
    }

    #[test]
    fn what_is_no_time_delays_nothing_and_is_told() {
        for value in [
            RawValue::LongStr(b"5000"),
            RawValue::F64(5000.0),
            RawValue::Decimal { scale: 0, value: 5 },
            RawValue::Timestamp(NOW / 1000 + 60),
            RawValue::Bool(true),
            RawValue::Void,
            RawValue::I8(-1),
            RawValue::I64(i64::MIN),
        ] {
            let (delay, ignored) = read(Some(value), Some(value));
            assert_eq!(delay.unwrap(), Delay::default(), "{value:?}");
            assert_eq!(ignored, [DELAY, DELIVER_AT]);
        }
        let (delay, ignored) = read(Some(RawValue::I32(5)), Some(RawValue::Void));
        assert_eq!(delay.unwrap().deliver_at, Some(NOW + 5));
        assert_eq!(ignored, [DELIVER_AT]);
    }

    #[test]
    fn a_time_too_far_away_is_refused_by_name() {
        let max = DELAY_MS_MAX as i64;
        let latest = NOW as i64 + max;
        for (delay, deliver_at, refused) in [
            (Some(max), None, None),
            (Some(max + 1), None, Some(DELAY)),
            (Some(i64::MAX), None, Some(DELAY)),
            (None, Some(latest), None),
            (None, Some(latest + 1), Some(DELIVER_AT)),
            (Some(i64::MAX), Some(5), Some(DELAY)),
        ] {
            let (delay, _) = read(delay.map(RawValue::I64), deliver_at.map(RawValue::I64));
            let text = delay.err().map(|refusal| refusal.text());
            match (refused, text) {
                (None, None) => {}
                (Some(name), Some(text)) => {
                    assert!(text.starts_with("PRECONDITION_FAILED"), "{text}");
                    assert!(text.contains(&format!("'{name}'")), "{text}");
                    assert!(text.contains("1099511627776"), "{text}");
                }
                (refused, text) => panic!("{refused:?}, not {text:?}"),
            }
        }
    }
}
