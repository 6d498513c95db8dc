//! What must hold for whatever an operator sets, and for any record of a definition. For the fuzz
//! targets and the test over their corpora; not a part of the product.

use serde_json::Value as Json;

use ferry_core::arguments::Value;

use crate::definitions::Definition;
pub use crate::policies::fuzzing::{check_policy, check_schema};

/// A definition that is read is the same after a second trip.
pub fn check_definition(bytes: &[u8]) {
    let Ok(read) = postcard::from_bytes::<Definition>(bytes) else {
        return;
    };
    let written = postcard::to_stdvec(&read).expect("memory takes it");
    assert!(written.len() <= bytes.len());
    let again: Definition = postcard::from_bytes(&written).expect("we wrote it");
    assert_eq!(postcard::to_stdvec(&again), Ok(written));
}

/// JSON as a request brings it.
pub(crate) fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Void,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::I64(value),
            (None, Some(value)) => Value::U64(value),
            (None, None) => Value::F64(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::Str(text.into_bytes()),
        Json::Array(values) => Value::Array(values.into_iter().map(value).collect()),
        Json::Object(map) => {
            let pairs = map.into_iter().map(|(name, json)| (name, value(json)));
            Value::Table(pairs.collect())
        }
    }
}
