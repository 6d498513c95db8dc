//! The bodies of requests as typed arguments, and arguments as JSON.

pub(super) use ferry_broker::arguments_as_json as object;
use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::Value;

use super::ApiError;

/// How deep the body of a request may nest.
const BODY_DEPTH_MAX: usize = 32;

/// Bytes that are text most of the time.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The body of a request that changes something: an object, or nothing at all.
pub(super) fn body(bytes: &[u8]) -> Result<Arguments, ApiError> {
    let refused = |why: &str| ApiError::BadRequest(why.to_owned());
    if bytes.is_empty() {
        return Ok(Arguments::new());
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(bytes) else {
        return Err(refused("not_json"));
    };
    match argument(Value::Object(object)) {
        Some(Argument::Table(table)) => Ok(table),
        _ => Err(refused("the body nests too deep")),
    }
}

/// A value as an argument; none if it nests too deep.
pub(super) fn argument(value: Value) -> Option<Argument> {
    argument_within(value, BODY_DEPTH_MAX)
}

/// None if it nests deeper than that.
fn argument_within(value: Value, depth_max: usize) -> Option<Argument> {
    let depth_max = depth_max.checked_sub(1)?;
    Some(match value {
        Value::Null => Argument::Void,
        Value::Bool(value) => Argument::Bool(value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Argument::I64(integer),
            (None, Some(integer)) => Argument::U64(integer),
            (None, None) => Argument::F64(number.as_f64()?),
        },
        Value::String(text) => Argument::Str(text.into_bytes()),
        Value::Array(values) => {
            let values = values
                .into_iter()
                .map(|value| argument_within(value, depth_max));
            Argument::Array(values.collect::<Option<_>>()?)
        }
        Value::Object(map) => {
            let pairs = map
                .into_iter()
                .map(|(name, value)| Some((name, argument_within(value, depth_max)?)));
            Argument::Table(pairs.collect::<Option<Vec<_>>>()?.into_iter().collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_is_shown() {
        let mut arguments = Arguments::new();
        arguments.push("max", 5u8);
        arguments.push("max", 6u8);
        arguments.push("name", "text");
        arguments.push("raw", Argument::Bytes(vec![0xff]));
        arguments.push(
            "price",
            Argument::Decimal {
                scale: 2,
                value: 150,
            },
        );
        arguments.push("none", Argument::Void);
        arguments.push("list", vec![Argument::Bool(true), Argument::F64(0.5)]);
        arguments.push(
            "table",
            Arguments::from_iter([("at", Argument::Timestamp(7))]),
        );
        let expected = json!({
            "max": 5, "name": "text", "raw": "\u{fffd}", "price": 1.5, "none": null,
            "list": [true, 0.5], "table": { "at": 7 },
        });
        assert_eq!(object(&arguments), expected);
    }

    #[test]
    fn a_body_is_an_object_of_bounded_depth() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for (text, expected) in [
            ("", Some(json!({}))),
            ("{", None),
            ("[]", None),
            ("5", None),
            ("{} x", None),
            (
                "{\"n\":18446744073709551615}",
                Some(json!({ "n": u64::MAX })),
            ),
            (
                "{\"a\":-1,\"b\":[true,null,1.5],\"c\":{\"d\":\"é\"}}",
                Some(json!({ "a": -1, "b": [true, null, 1.5], "c": { "d": "é" } })),
            ),
            (&nested(40), None),
            (&nested(10_000), None),
        ] {
            let found = body(text.as_bytes()).ok().map(|table| object(&table));
            assert_eq!(found, expected, "{text:.40}");
        }
        assert!(body(nested(31).as_bytes()).is_ok());
        assert!(body(b"{\"a\":\"\xff\"}").is_err());
    }
}
