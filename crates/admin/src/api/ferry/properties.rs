//! Properties and payloads as JSON, in RabbitMQ's names.
//!
//! Invariants
//! - A payload is text if its bytes are UTF-8, else base64: it says which, and both read back.
//! - A preview is cut between characters, never within one.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{MessageFormat, Properties};
use ferry_core::arguments::{Arguments, Value as Argument};
use ferry_core::message::FORMAT_AMQP091;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::problem::Problem;
use super::{Shared, values};

/// The properties of a message, each if its publisher gave it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "content_type": "application/json", "delivery_mode": 2,
    "message_id": "m-1", "headers": { "tenant": "acme", "attempt": 3 } }))]
pub(in crate::api) struct PropertiesJson {
    /// The type of its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How its body is encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// 2 for a message that outlives the broker, which is the default here; else 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<u8>,
    /// Higher goes first, in a queue that has priorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// What request a reply belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Where replies go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Time to live: milliseconds, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// The publisher's name for the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The publisher's kind of message.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Who published it: the user who does, or nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Kept from older versions of AMQP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Names and values of the publisher's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub headers: Option<Map<String, Value>>,
}

/// The format of the messages that are made here.
pub(super) fn own_format(shared: &Shared) -> Result<&Arc<dyn MessageFormat>, Problem> {
    let format = shared.broker.format(FORMAT_AMQP091);
    format.ok_or_else(|| Problem::internal("this node knows no format to publish in"))
}

impl From<Properties> for PropertiesJson {
    fn from(known: Properties) -> PropertiesJson {
        let headers = known.headers.map(|headers| match values::object(&headers) {
            Value::Object(headers) => headers,
            _ => Map::new(),
        });
        PropertiesJson {
            content_type: known.content_type,
            content_encoding: known.content_encoding,
            delivery_mode: known.delivery_mode,
            priority: known.priority,
            correlation_id: known.correlation_id,
            reply_to: known.reply_to,
            expiration: known.expiration,
            message_id: known.message_id,
            timestamp: known.timestamp,
            kind: known.kind,
            user_id: known.user_id,
            app_id: known.app_id,
            cluster_id: known.cluster_id,
            headers,
        }
    }
}

impl PropertiesJson {
    /// The same as the broker has them. A header that is as it was `before` keeps its type.
    pub(in crate::api::ferry) fn typed(self, before: &Arguments) -> Result<Properties, Problem> {
        let headers = match self.headers {
            None => None,
            Some(headers) => Some(typed_headers(headers, before)?),
        };
        Ok(Properties {
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            headers,
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: self.correlation_id,
            reply_to: self.reply_to,
            expiration: self.expiration,
            message_id: self.message_id,
            timestamp: self.timestamp,
            kind: self.kind,
            user_id: self.user_id,
            app_id: self.app_id,
            cluster_id: self.cluster_id,
        })
    }
}

fn typed_headers(headers: Map<String, Value>, before: &Arguments) -> Result<Arguments, Problem> {
    let shown = values::object(before);
    let typed = headers.into_iter().map(|(name, value)| {
        let kept = before
            .get(&name)
            .filter(|_| shown.get(&name) == Some(&value));
        let value = match kept {
            Some(kept) => Some(kept.clone()),
            None => values::argument(value).map(with_sign),
        };
        let deep = || Problem::bad(format!("header '{name}' nests too deep"));
        Ok((name.clone(), value.ok_or_else(deep)?))
    });
    let typed: Result<Vec<(String, Argument)>, Problem> = typed.collect();
    Ok(typed?.into_iter().collect())
}

/// AMQP 0-9-1 has no number that large: it goes as a float, as in JavaScript.
fn with_sign(value: Argument) -> Argument {
    match value {
        Argument::U64(large) => Argument::F64(large as f64),
        value => value,
    }
}

/// A payload in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Payload {
    /// The body, or its beginning.
    pub payload: String,
    /// How that is written: `string` or `base64`.
    pub payload_encoding: &'static str,
    /// Length of the whole body, in bytes.
    pub payload_bytes: usize,
    /// Whether it is longer than what is shown.
    pub truncated: bool,
}

impl Payload {
    /// Shows the first bytes of a body of that length.
    pub fn show(shown: &[u8], payload_bytes: usize) -> Payload {
        let truncated = shown.len() < payload_bytes;
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // The cut went through a character.
            Err(error) if truncated && error.error_len().is_none() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let (payload, payload_encoding) = match text {
            Some(text) => (text.to_owned(), "string"),
            None => (BASE64_STANDARD.encode(shown), "base64"),
        };
        Payload {
            payload,
            payload_encoding,
            payload_bytes,
            truncated,
        }
    }
}

/// The bytes of a payload that came in JSON.
pub(super) fn payload_bytes(text: String, encoding: Option<&str>) -> Result<Vec<u8>, Problem> {
    match encoding {
        None | Some("string") => Ok(text.into_bytes()),
        Some("base64") => {
            let decoded = BASE64_STANDARD.decode(text.as_bytes());
            decoded.map_err(|error| Problem::bad(format!("payload is no base64: {error}")))
        }
        Some(other) => Err(Problem::bad(format!(
            "payload_encoding is string or base64, not '{other}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_text_where_it_can_be() {
        for (body, shown, expected) in [
            (&b"abc"[..], 3, ("abc", "string", false)),
            (b"", 0, ("", "string", false)),
            ("aé".as_bytes(), 2, ("a", "string", true)),
            ("aé".as_bytes(), 3, ("aé", "string", false)),
            (b"a\xffb", 3, ("Yf9i", "base64", false)),
            (b"a\xffb", 2, ("Yf8=", "base64", true)),
            (b"a\xc3", 2, ("YcM=", "base64", false)),
        ] {
            let payload = Payload::show(&body[..shown], body.len());
            let found = (
                &*payload.payload,
                payload.payload_encoding,
                payload.truncated,
            );
            assert_eq!(
                (found, payload.payload_bytes),
                (expected, body.len()),
                "{body:?}"
            );
        }
    }

    #[test]
    fn payloads_read_back_or_are_refused() {
        for (text, encoding, expected) in [
            ("abc", None, Some(&b"abc"[..])),
            ("é", Some("string"), Some("é".as_bytes())),
            ("Yf9i", Some("base64"), Some(b"a\xffb")),
            ("Yf9", Some("base64"), None),
            ("%", Some("base64"), None),
            ("abc", Some("hex"), None),
        ] {
            let found = payload_bytes(text.to_owned(), encoding).ok();
            assert_eq!(found.as_deref(), expected, "{text} {encoding:?}");
        }
    }

    #[test]
    fn headers_keep_their_types_where_they_are_not_changed() {
        let before = Arguments::from_iter([
            ("at", Argument::Timestamp(7)),
            ("n", Argument::I8(3)),
            ("t", Argument::from("x")),
        ]);
        let headers = json!({ "at": 7, "n": 4, "new": [true, null], "big": u64::MAX });
        let Value::Object(headers) = headers else {
            panic!("an object");
        };
        let properties = PropertiesJson {
            headers: Some(headers),
            ..PropertiesJson::default()
        };
        let typed = properties.typed(&before).unwrap().headers.unwrap();
        assert_eq!(typed.get("at"), Some(&Argument::Timestamp(7)));
        assert_eq!(typed.get("n"), Some(&Argument::I64(4)));
        let list = Argument::Array(vec![Argument::Bool(true), Argument::Void]);
        assert_eq!(typed.get("new"), Some(&list));
        assert_eq!(typed.get("big"), Some(&Argument::F64(u64::MAX as f64)));
        assert_eq!(typed.get("t"), None);
    }

    #[test]
    fn what_is_no_property_is_named() {
        let error = serde_json::from_str::<PropertiesJson>(r#"{"persistent":true}"#);
        assert!(error.unwrap_err().to_string().contains("persistent"));
    }
}
