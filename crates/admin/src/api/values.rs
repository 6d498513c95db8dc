//! Typed arguments as JSON, the way RabbitMQ shows them.

use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::{Map, Value, json};

/// Arguments as an object; of two with one name the first counts, as in the broker.
pub(super) fn object(arguments: &Arguments) -> Value {
    let mut map = Map::new();
    for (name, argument) in arguments.iter() {
        map.entry(name).or_insert_with(|| value(argument));
    }
    Value::Object(map)
}

/// Bytes that are text most of the time.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn value(argument: &Argument) -> Value {
    match argument {
        Argument::Bool(value) => json!(value),
        Argument::I8(value) => json!(value),
        Argument::U8(value) => json!(value),
        Argument::I16(value) => json!(value),
        Argument::U16(value) => json!(value),
        Argument::I32(value) => json!(value),
        Argument::U32(value) => json!(value),
        Argument::I64(value) => json!(value),
        Argument::U64(value) | Argument::Timestamp(value) => json!(value),
        Argument::F32(value) => json!(value),
        Argument::F64(value) => json!(value),
        Argument::Decimal { scale, value } => {
            json!(f64::from(*value) / 10f64.powi(i32::from(*scale)))
        }
        Argument::Str(bytes) | Argument::Bytes(bytes) => json!(text(bytes)),
        Argument::Array(values) => Value::Array(values.iter().map(value).collect()),
        Argument::Table(table) => object(table),
        Argument::Void => Value::Null,
    }
}

#[cfg(test)]
mod tests {
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
}
