//! Streams in AMQP 0-9-1: where a consumer begins to read, and the offset that it is told.
//!
//! Invariants
//! - What a consumer can not ask of a kind of queue is refused in RabbitMQ's words; where RabbitMQ
//!   fails (an offset of a type that is none), it is refused like any other bad offset.
//! - Every delivery of a stream has its offset among its headers, once.

use amqp091::ShortStr;
use ferry_broker::{QueueHandle, StreamOffset, age_ms};
use ferry_core::Millis;
use ferry_core::arguments::{Arguments, Value};
use ferry_core::queue::QueueKind;

use super::errors::{Refusal, precondition_failed};
use super::headers::with_header;

const OFFSET: &str = "x-stream-offset";

/// Arguments of a consumer that a stream has no use for.
const UNFIT: [&str; 2] = ["x-priority", "x-cancel-on-ha-failover"];

/// The refusal of an argument of a consumer.
pub(super) fn invalid(queue: &QueueHandle, argument: &str, why: &str) -> Refusal {
    let (name, vhost) = (queue.name(), queue.vhost());
    precondition_failed(format!(
        "invalid arg '{argument}' for queue '{name}' in vhost '{vhost}': {why}"
    ))
}

/// The refusal of an argument that does not go with the kind of queue.
fn unfit(queue: &QueueHandle, argument: &str) -> Refusal {
    let (name, vhost) = (queue.name(), queue.vhost());
    precondition_failed(format!(
        "invalid arg '{argument}' for queue '{name}' in vhost '{vhost}' of queue type {}",
        queue.type_name()
    ))
}

/// Where a consumer begins to read.
pub(super) fn offset_of(
    arguments: &Arguments,
    queue: &QueueHandle,
    now: Millis,
) -> Result<StreamOffset, Refusal> {
    let offset = arguments.get(OFFSET);
    if queue.kind() != QueueKind::Stream {
        return match offset {
            Some(_) => Err(unfit(queue, OFFSET)),
            None => Ok(StreamOffset::default()),
        };
    }
    if let Some(argument) = UNFIT.iter().find(|name| arguments.contains(name)) {
        return Err(unfit(queue, argument));
    }
    let Some(value) = offset else {
        return Ok(StreamOffset::default());
    };
    read_offset(value, now).ok_or_else(|| {
        let why = format!("{{invalid_stream_offset_arg,{}}}", term(value));
        invalid(queue, OFFSET, &why)
    })
}

fn read_offset(value: &Value, now: Millis) -> Option<StreamOffset> {
    match value {
        Value::Str(text) | Value::Bytes(text) => match std::str::from_utf8(text).ok()? {
            "first" => Some(StreamOffset::First),
            "last" => Some(StreamOffset::Last),
            "next" => Some(StreamOffset::Next),
            age => {
                let age_ms = age_ms(age)?;
                Some(StreamOffset::Timestamp(now.saturating_sub(age_ms)))
            }
        },
        Value::Timestamp(seconds) => Some(StreamOffset::Timestamp(seconds.saturating_mul(1000))),
        // Before the first is at the first.
        integer => match u64::try_from(integer.as_integer()?) {
            Ok(offset) => Some(StreamOffset::Offset(offset)),
            Err(_negative) => Some(StreamOffset::First),
        },
    }
}

/// A value as RabbitMQ prints it in a refusal.
fn term(value: &Value) -> String {
    let kind = value.type_name();
    match value {
        Value::Str(bytes) | Value::Bytes(bytes) => {
            format!("{{{kind},<<\"{}\">>}}", String::from_utf8_lossy(bytes))
        }
        Value::Bool(value) => format!("{{{kind},{value}}}"),
        _ => kind.to_owned(),
    }
}

/// Properties with the offset of their message among the headers.
pub(super) fn with_offset(properties: &[u8], offset: u64) -> Vec<u8> {
    with_header(
        properties,
        ShortStr::lit(OFFSET),
        amqp091::Value::I64(offset as i64),
    )
}

#[cfg(test)]
mod tests {
    use amqp091::properties::{EMPTY, Properties};

    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    #[test]
    fn an_offset_is_a_word_a_number_a_time_or_an_age() {
        use StreamOffset::{First, Last, Next, Offset, Timestamp};
        for (value, expected) in [
            (Value::from("first"), Some(First)),
            (Value::Bytes(b"last".to_vec()), Some(Last)),
            (Value::from("next"), Some(Next)),
            (Value::from("1h"), Some(Timestamp(NOW - 3_600_000))),
            (
                Value::from("9Y"),
                Some(Timestamp(NOW - 9 * 365 * 86_400_000)),
            ),
            (
                Value::Timestamp(1_600_000_000),
                Some(Timestamp(1_600_000_000_000)),
            ),
            (Value::Timestamp(u64::MAX), Some(Timestamp(u64::MAX))),
            (Value::I32(5), Some(Offset(5))),
            (Value::U8(0), Some(Offset(0))),
            (Value::I64(i64::MAX), Some(Offset(i64::MAX as u64))),
            (Value::I64(-1), Some(First)),
            (Value::from("First"), None),
            (Value::from(""), None),
            (Value::from("0s"), None),
            (Value::from("-1s"), None),
            (Value::from("5"), None),
            (Value::from("99999999999Y"), None),
            (Value::Str(vec![0xff, b's']), None),
            (Value::Bool(true), None),
            (Value::F64(1.0), None),
            (Value::Void, None),
            (Value::Array(vec!["first".into()]), None),
        ] {
            assert_eq!(read_offset(&value, NOW), expected, "{value:?}");
        }
    }

    #[test]
    fn a_bad_offset_is_named_as_rabbitmq_prints_it() {
        for (value, printed) in [
            (Value::from("1x"), "{longstr,<<\"1x\">>}"),
            (Value::Bool(true), "{bool,true}"),
            (Value::Void, "void"),
        ] {
            assert_eq!(term(&value), printed);
        }
    }

    #[test]
    fn the_offset_stands_among_the_headers_once() {
        let properties = with_offset(&with_offset(&EMPTY, 3), 1 << 40);
        let headers = Properties::parse(&properties).unwrap().headers().unwrap();
        let value = headers.get(OFFSET.as_bytes()).unwrap();
        assert_eq!((value.as_i64(), headers.iter().count()), (Some(1 << 40), 1));
    }
}
