//! Properties of messages in JSON, in the names of AMQP.
//!
//! Invariants
//! - A message outlives the broker unless it says otherwise.
//! - Headers that ask the broker for something that is not offered here are refused.

use ferry_broker::{Properties, arguments_as_json};
use ferry_core::arguments::{Arguments, Value as Argument};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::Problem;

/// How deep headers may nest.
const DEPTH_MAX: usize = 32;

/// What a message is published with to outlive the broker.
const PERSISTENT: u8 = 2;

/// Headers that AMQP has a meaning for and that is not offered here.
const NOT_OFFERED: [&str; 6] = [
    "CC",
    "BCC",
    "x-delay",
    "x-deliver-at",
    "x-gather-count",
    "x-gather-timeout",
];

macro_rules! properties {
    ($($name:ident: $type:ty),* $(,)?) => {
        /// The properties of a message, each if its publisher gave it.
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct PropertiesJson {
            $(#[serde(skip_serializing_if = "Option::is_none")]
            pub(super) $name: Option<$type>,)*
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            pub(super) kind: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(super) headers: Option<Map<String, Value>>,
        }

        impl From<Properties> for PropertiesJson {
            fn from(known: Properties) -> PropertiesJson {
                let headers = known.headers.map(|headers| arguments_as_json(&headers));
                PropertiesJson {
                    $($name: known.$name,)*
                    kind: known.kind,
                    headers: match headers {
                        Some(Value::Object(headers)) => Some(headers),
                        _ => None,
                    },
                }
            }
        }

        impl PropertiesJson {
            fn with_headers(self, headers: Option<Arguments>) -> Properties {
                Properties {
                    $($name: self.$name,)*
                    kind: self.kind,
                    headers,
                }
            }
        }
    };
}

properties! {
    content_type: String,
    content_encoding: String,
    delivery_mode: u8,
    priority: u8,
    correlation_id: String,
    reply_to: String,
    expiration: String,
    message_id: String,
    timestamp: u64,
    user_id: String,
    app_id: String,
    cluster_id: String,
}

impl PropertiesJson {
    /// The same as the broker has them, for what `user` publishes.
    pub(super) fn typed(mut self, user: &str) -> Result<Properties, Problem> {
        if self.user_id.as_ref().is_some_and(|id| id != user) {
            let text = format!("user_id is the user who publishes, '{user}', or is left out");
            return Err(Problem::bad(text));
        }
        let mode = self.delivery_mode.get_or_insert(PERSISTENT);
        if !(1..=PERSISTENT).contains(mode) {
            return Err(Problem::bad("delivery_mode is 1 or 2"));
        }
        let headers = match self.headers.take() {
            None => None,
            Some(headers) => Some(typed_headers(headers)?),
        };
        Ok(self.with_headers(headers))
    }
}

fn typed_headers(headers: Map<String, Value>) -> Result<Arguments, Problem> {
    if let Some(name) = NOT_OFFERED.iter().find(|name| headers.contains_key(**name)) {
        return Err(Problem::bad(format!("header '{name}' is not offered here")));
    }
    let typed = headers.into_iter().map(|(name, value)| {
        let value = argument(value, DEPTH_MAX);
        let value = value.ok_or_else(|| Problem::bad(format!("header '{name}' nests too deep")))?;
        Ok((name, value))
    });
    let typed: Result<Vec<_>, Problem> = typed.collect();
    Ok(typed?.into_iter().collect())
}

/// None if it nests deeper than that.
fn argument(value: Value, depth_max: usize) -> Option<Argument> {
    let depth_max = depth_max.checked_sub(1)?;
    Some(match value {
        Value::Null => Argument::Void,
        Value::Bool(value) => Argument::Bool(value),
        // AMQP 0-9-1 has no larger integer: the rest goes as a float, as in JavaScript.
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Argument::I64(integer),
            None => Argument::F64(number.as_f64()?),
        },
        Value::String(text) => Argument::Str(text.into_bytes()),
        Value::Array(values) => {
            let values = values.into_iter().map(|value| argument(value, depth_max));
            Argument::Array(values.collect::<Option<_>>()?)
        }
        Value::Object(map) => {
            let pairs = map.into_iter();
            let pairs = pairs.map(|(name, value)| Some((name, argument(value, depth_max)?)));
            Argument::Table(pairs.collect::<Option<Vec<_>>>()?.into_iter().collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Properties, Problem> {
        let read: PropertiesJson = serde_json::from_value(value).unwrap();
        read.typed("me")
    }

    #[test]
    fn properties_read_back_as_they_were_given() {
        let given = json!({
            "content_type": "text/plain", "delivery_mode": 1, "type": "t", "user_id": "me",
            "headers": { "n": -1, "big": 1.8e19, "list": [true, null], "table": { "a": "b" } },
        });
        let typed = read(given.clone()).unwrap();
        assert_eq!(typed.kind.as_deref(), Some("t"));
        let shown = serde_json::to_value(PropertiesJson::from(typed)).unwrap();
        assert_eq!(shown, given);
        assert_eq!(read(json!({})).unwrap().delivery_mode, Some(2));
    }

    #[test]
    fn what_can_not_be_published_so_is_named() {
        let deep = (0..40).fold(json!(1), |value, _| json!([value]));
        for (value, part) in [
            (json!({ "user_id": "you" }), "user_id"),
            (json!({ "delivery_mode": 3 }), "delivery_mode"),
            (json!({ "headers": { "CC": ["a"] } }), "'CC'"),
            (json!({ "headers": { "x-delay": 5 } }), "'x-delay'"),
            (json!({ "headers": { "deep": deep } }), "'deep'"),
        ] {
            let problem = read(value).unwrap_err();
            assert!(problem.text.contains(part), "{}", problem.text);
        }
    }
}
