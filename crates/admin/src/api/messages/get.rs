//! Getting messages.

use axum::body::Bytes;
use axum::extract::{Path, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{Broker, Burst, ConnectionId, Delivery, ErrorKind, Lease, Outcome, Properties};
use ferry_core::arguments::{Arguments, Value};
use serde_json::{Value as Json, json};

use super::super::declare::REFUSED;
use super::super::ferry::properties::PropertiesJson;
use super::super::{ApiError, Context, Shown, gather, values, vhosts};
use super::require;

/// Most messages of one answer.
const COUNT_MAX: i128 = 10_000;

/// Bytes of bodies after which no further message is taken.
const BODIES_BYTES_MAX: usize = 16 << 20;

/// What a request asks for.
struct Wanted {
    count: usize,
    /// What happens to what was got; none if it is gone by that.
    after: Option<Outcome>,
    encode_all: bool,
    truncate: usize,
}

impl Wanted {
    fn of(body: &Arguments) -> Result<Wanted, ApiError> {
        require(body, &["count", "ackmode", "encoding"])?;
        let after = match body.get("ackmode").and_then(Value::as_str) {
            Some("ack_requeue_true" | "reject_requeue_true") => Some(Outcome::Requeue),
            Some("reject_requeue_false") => Some(Outcome::Reject),
            Some("ack_requeue_false") => None,
            _ => return Err(bad("Unsupported ackmode.")),
        };
        let encode_all = match body.get("encoding").and_then(Value::as_str) {
            Some("auto") => false,
            Some("base64") => true,
            _ => return Err(bad("Unsupported encoding. Please use auto or base64.")),
        };
        let count = number(body, "count")?.unwrap_or(0);
        if !(0..=COUNT_MAX).contains(&count) {
            return Err(bad(&format!("count is from 0 to {COUNT_MAX}")));
        }
        let truncate = number(body, "truncate")?;
        Ok(Wanted {
            count: count as usize,
            after,
            encode_all,
            truncate: truncate.map_or(usize::MAX, |bytes| bytes.max(0) as usize),
        })
    }
}

fn bad(why: &str) -> ApiError {
    ApiError::BadRequest(why.to_owned())
}

/// A number, as the value it is or as text.
fn number(body: &Arguments, name: &str) -> Result<Option<i128>, ApiError> {
    let Some(value) = body.get(name).filter(|value| !matches!(value, Value::Void)) else {
        return Ok(None);
    };
    let text = || value.as_str().and_then(|text| text.parse().ok());
    match value.as_integer().or_else(text) {
        Some(number) => Ok(Some(number)),
        None => {
            let shown = value.as_str().unwrap_or(value.type_name());
            Err(ApiError::BadRequestWith(json!(["not_integer", shown])))
        }
    }
}

pub(super) async fn get(
    State(shared): Context,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let wanted = Wanted::of(&values::body(&body)?)?;
        let queue = vhost.queue(&name, ConnectionId::NOBODY);
        let queue = queue.map_err(|error| match error.kind() {
            ErrorKind::NotFound => ApiError::Missing(format!("NOT_FOUND - {error}")),
            ErrorKind::AccessRefused => REFUSED,
            _ => error.into(),
        })?;
        let broker = &shared.broker;
        let (mut shown, mut leases, mut bytes) = (Vec::new(), Vec::<Lease>::new(), 0);
        let mut failure = None;
        while shown.len() < wanted.count && bytes < BODIES_BYTES_MAX {
            let taken = broker.get(&queue, wanted.after.is_none(), &mut |delivery| {
                bytes += delivery.message.body().len();
                leases.extend(delivery.lease);
                shown.push(show(broker, &delivery, &wanted));
            });
            match taken {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failure = Some(ApiError::BadRequest(error.to_string()));
                    break;
                }
            }
        }
        if let Some(outcome) = wanted.after {
            let mut burst = Burst::new();
            for lease in leases {
                burst.settle(&queue, lease, outcome);
            }
            burst.submit(broker);
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Json::Array(shown)),
        }
    })
    .await
}

fn show(broker: &Broker, delivery: &Delivery<'_>, wanted: &Wanted) -> Json {
    let message = &delivery.message;
    let properties = broker.format(message.format());
    let properties = properties.map(|format| format.describe(message.properties()));
    let body = message.body();
    let shown = &body[..body.len().min(wanted.truncate)];
    let text = std::str::from_utf8(shown).ok();
    let (payload, encoding) = match text.filter(|_| !wanted.encode_all) {
        Some(text) => (text.to_owned(), "string"),
        None => (BASE64_STANDARD.encode(shown), "base64"),
    };
    json!({
        "payload_bytes": body.len(),
        "redelivered": delivery.redelivered,
        "exchange": values::text(message.exchange()),
        "routing_key": values::text(message.routing_key()),
        "message_count": delivery.ready_left,
        "properties": match properties {
            // As RabbitMQ writes an object without anything in it.
            None => json!([]),
            Some(properties) if properties == Properties::default() => json!([]),
            Some(properties) => json!(PropertiesJson::from(properties)),
        },
        "payload": payload,
        "payload_encoding": encoding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_checked() {
        let body = |count: Value, mode: &str, encoding: &str| {
            let mut body = Arguments::from_iter([("ackmode", mode), ("encoding", encoding)]);
            body.push("count", count);
            Wanted::of(&body)
                .map(|wanted| (wanted.count, wanted.after))
                .ok()
        };
        let text = |text: &str| Value::Str(text.as_bytes().to_vec());
        let (keep, auto) = ("ack_requeue_true", "auto");
        for (count, mode, encoding, expected) in [
            (Value::I64(5), keep, auto, Some((5, Some(Outcome::Requeue)))),
            (text("2"), "ack_requeue_false", "base64", Some((2, None))),
            (
                Value::I64(0),
                "reject_requeue_false",
                auto,
                Some((0, Some(Outcome::Reject))),
            ),
            (Value::I64(-1), keep, auto, None),
            (Value::I64(10_001), keep, auto, None),
            (text("x"), keep, auto, None),
            (Value::Bool(true), keep, auto, None),
            (Value::I64(1), "keep", auto, None),
            (Value::I64(1), keep, "hex", None),
        ] {
            assert_eq!(body(count.clone(), mode, encoding), expected, "{count:?}");
        }
        assert!(Wanted::of(&Arguments::new()).is_err());
    }
}
