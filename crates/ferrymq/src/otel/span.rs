//! A hop as a span, in OTLP's JSON.
//!
//! Invariants
//! - A span's parent is the span that published the message, as its `traceparent` says; a hop has
//!   no length, so it ends when it begins.

use std::hash::{BuildHasher, RandomState};

use serde_json::{Value, json};

use super::Noted;

/// Kinds of spans, as OTLP numbers them.
const KIND_INTERNAL: u8 = 1;
const KIND_PRODUCER: u8 = 4;
const KIND_CONSUMER: u8 = 5;

/// Makes spans; their ids are random enough not to meet.
#[derive(Default)]
pub(super) struct Spans {
    key: RandomState,
    made: u64,
}

impl Spans {
    /// The body of an export.
    pub fn export(&mut self, batch: &[Noted]) -> String {
        let spans: Vec<Value> = batch.iter().map(|noted| self.span(noted)).collect();
        let service = [attribute("service.name", &json!("ferrymq"))];
        json!({ "resourceSpans": [{
            "resource": { "attributes": service },
            "scopeSpans": [{ "scope": { "name": "ferrymq.passport" }, "spans": spans }],
        }] })
        .to_string()
    }

    fn span(&mut self, noted: &Noted) -> Value {
        let Noted { trace, id, hop } = noted;
        self.made += 1;
        let span_id = self.key.hash_one(self.made).max(1).to_be_bytes();
        let (what, details) = match json!(hop.event) {
            Value::Object(event) => event.into_iter().next().unwrap_or_default(),
            what => (what.as_str().unwrap_or_default().to_owned(), Value::Null),
        };
        let id = String::from_utf8_lossy(id);
        let mut attributes = vec![
            attribute("messaging.system", &json!("ferrymq")),
            attribute("messaging.message.id", &json!(id)),
        ];
        if let Some(queue) = &hop.queue {
            attributes.push(attribute("messaging.destination.name", &json!(queue)));
        }
        if let Value::Object(details) = details {
            let known = details.iter().filter(|(_, value)| !value.is_null());
            attributes
                .extend(known.map(|(name, value)| attribute(&format!("ferrymq.{name}"), value)));
        }
        let kind = match what.as_str() {
            "published" => KIND_PRODUCER,
            "delivered" => KIND_CONSUMER,
            _ => KIND_INTERNAL,
        };
        let nanoseconds = (u128::from(hop.at) * 1_000_000).to_string();
        json!({
            "traceId": hex(&trace.trace_id),
            "spanId": hex(&span_id),
            "parentSpanId": hex(&trace.parent_id),
            "name": match &hop.queue {
                Some(queue) => format!("{queue} {what}"),
                None => what,
            },
            "kind": kind,
            "startTimeUnixNano": nanoseconds,
            "endTimeUnixNano": nanoseconds,
            "attributes": attributes,
        })
    }
}

fn attribute(name: &str, value: &Value) -> Value {
    json!({ "key": name, "value": any_value(value) })
}

/// A value in OTLP's own types; 64-bit integers are text there.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Number(value) => json!({ "intValue": value.to_string() }),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::String(value) => json!({ "stringValue": value }),
        other => json!({ "stringValue": other.to_string() }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
