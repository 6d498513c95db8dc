//! Typed arguments as JSON, the way RabbitMQ shows them.
//!
//! Invariants
//! - Of two arguments with one name the first counts, as everywhere.
//! - How deep arguments nest has been bounded by whoever read them.

use ferry_core::arguments::{Arguments, Value, decimal};
use serde_json::{Map, Value as Json};

/// Arguments as an object.
pub fn arguments_as_json(arguments: &Arguments) -> Json {
    let mut map = Map::new();
    for (name, argument) in arguments.iter() {
        map.entry(name).or_insert_with(|| json(argument));
    }
    Json::Object(map)
}

fn json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::I8(value) => Json::from(*value),
        Value::U8(value) => Json::from(*value),
        Value::I16(value) => Json::from(*value),
        Value::U16(value) => Json::from(*value),
        Value::I32(value) => Json::from(*value),
        Value::U32(value) => Json::from(*value),
        Value::I64(value) => Json::from(*value),
        Value::U64(value) | Value::Timestamp(value) => Json::from(*value),
        Value::F32(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::Decimal { scale, value } => Json::from(decimal(*scale, *value)),
        Value::Str(bytes) | Value::Bytes(bytes) => Json::from(String::from_utf8_lossy(bytes)),
        Value::Array(values) => Json::Array(values.iter().map(json).collect()),
        Value::Table(table) => arguments_as_json(table),
        Value::Void => Json::Null,
    }
}
