//! Publishing one message.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{
    Basics, Burst, ConfirmTag, Promise, Properties, PropertyError, PublishError, Published,
    Publisher, Ticket, TicketWaiter, User, Vhost,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::{Draft, FORMAT_AMQP091};
use serde_json::json;
use tokio::sync::Notify;

use super::super::{ApiError, Context, Shared, Shown, exchanges, kept, values, vhosts};
use super::require;
use crate::auth::LoggedIn;

/// The only publish of a burst.
const CONFIRM: ConfirmTag = ConfirmTag { channel: 0, tag: 1 };

/// Headers that the doors of protocols act on.
const MEANT_FOR_DOORS: [&str; 6] = [
    "CC",
    "BCC",
    "x-delay",
    "x-deliver-at",
    "x-gather-count",
    "x-gather-timeout",
];

pub(super) async fn publish(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Bytes,
) -> Shown {
    let broker = Arc::clone(&shared.broker);
    let staged = tokio::task::spawn_blocking(move || -> Result<_, ApiError> {
        let vhost = vhosts::find(&shared, &vhost).map_err(|_| ApiError::NoSuchVhost)?;
        stage(&shared, &user, vhost, &exchange, &values::body(&body)?)
    });
    let (published, ticket) = staged.await.map_err(|_| ApiError::Internal)??;
    if published == Published::Unroutable {
        return Ok(Json(json!({ "routed": false })));
    }
    let promise = match ticket {
        Some(ticket) => resolved(&ticket).await,
        None => Promise::Now,
    };
    kept(&broker, promise).await;
    Ok(Json(json!({ "routed": true })))
}

type Staged = (Published, Option<Arc<Ticket>>);

fn stage(
    shared: &Shared,
    user: &User,
    vhost: Arc<Vhost>,
    exchange: &str,
    body: &Arguments,
) -> Result<Staged, ApiError> {
    require(
        body,
        &["routing_key", "properties", "payload", "payload_encoding"],
    )?;
    let broker = &shared.broker;
    let exchange = exchanges::plain_name(exchange);
    if broker.memory().blocked().is_some() {
        let body = json!({ "error": "held", "reason": "publishers are held by an alarm" });
        return Err(ApiError::Unhealthy(body));
    }
    let payload = payload(body)?;
    let format = broker.format(FORMAT_AMQP091).ok_or(ApiError::Internal)?;
    let properties = match body.get("properties") {
        Some(Value::Table(fields)) => properties_of(fields)?,
        Some(Value::Array(none)) if none.is_empty() => Properties::default(),
        _ => return Err(bad("properties is no object")),
    };
    check_user(user, &properties)?;
    check_headers(&properties)?;
    let block = format
        .compose(&properties)
        .map_err(|error| invalid(&error))?;
    let Basics {
        persistent,
        priority,
        ttl_ms,
        ..
    } = format.basics(&block).ok_or(ApiError::Internal)?;
    let draft = Draft {
        format: FORMAT_AMQP091,
        persistent,
        dead_lettered: false,
        priority,
        ttl_ms,
        published_ms: broker.now(),
        deliver_at: None,
        id: None,
        exchange: exchange.as_bytes(),
        routing_key: text_of(body, "routing_key")?,
        properties: &block,
        body: &payload,
    };
    let mut burst = Burst::new();
    let mut publisher = Publisher::new(vhost);
    let keys = [draft.routing_key];
    let published = burst.publish_unseen(broker, &mut publisher, &draft, &keys, Some(CONFIRM));
    let published = published.map_err(|error| refuse(&error))?;
    Ok((published, burst.submit(broker)))
}

fn bad(why: &str) -> ApiError {
    ApiError::BadRequest(why.to_owned())
}

fn text_of<'a>(body: &'a Arguments, name: &str) -> Result<&'a [u8], ApiError> {
    match body.get(name) {
        Some(Value::Str(text)) => Ok(text),
        _ => Err(ApiError::BadRequest(format!("{name}_not_string"))),
    }
}

fn payload(body: &Arguments) -> Result<Vec<u8>, ApiError> {
    let text = text_of(body, "payload")?;
    match body.get("payload_encoding").and_then(Value::as_str) {
        Some("string") => Ok(text.to_vec()),
        Some("base64") => BASE64_STANDARD.decode(text).map_err(|_| {
            let text = String::from_utf8_lossy(text);
            ApiError::BadRequestWith(json!(["not_base64", text]))
        }),
        other => Err(ApiError::BadRequestWith(json!([
            "unsupported_encoding",
            other.unwrap_or("none")
        ]))),
    }
}

/// Fields by the names of RabbitMQ, refused in its words. Other fields are passed over, as there.
fn properties_of(fields: &Arguments) -> Result<Properties, ApiError> {
    let text = |name| text_field(fields, name);
    Ok(Properties {
        content_type: text("content_type")?,
        content_encoding: text("content_encoding")?,
        headers: match present(fields, "headers") {
            None => None,
            Some(Value::Table(headers)) => Some(headers.clone()),
            Some(_) => return Err(bad("headers is no object")),
        },
        delivery_mode: number_field(fields, "delivery_mode")?,
        priority: number_field(fields, "priority")?,
        correlation_id: text("correlation_id")?,
        reply_to: text("reply_to")?,
        expiration: text("expiration")?,
        message_id: text("message_id")?,
        timestamp: number_field(fields, "timestamp")?,
        kind: text("type")?,
        user_id: text("user_id")?,
        app_id: text("app_id")?,
        cluster_id: text("cluster_id")?,
    })
}

fn present<'a>(fields: &'a Arguments, name: &str) -> Option<&'a Value> {
    let value = fields.get(name);
    value.filter(|value| !matches!(value, Value::Void))
}

fn text_field(fields: &Arguments, name: &str) -> Result<Option<String>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(ApiError::BadRequestWith(json!(["not_string", name]))),
        },
    }
}

fn number_field<N: TryFrom<i128>>(fields: &Arguments, name: &str) -> Result<Option<N>, ApiError> {
    let Some(value) = present(fields, name) else {
        return Ok(None);
    };
    let number = value.as_integer().and_then(|number| number.try_into().ok());
    let refused = || ApiError::BadRequestWith(json!(["not_int", name]));
    number.map(Some).ok_or_else(refused)
}

fn check_user(user: &User, properties: &Properties) -> Result<(), ApiError> {
    match &properties.user_id {
        Some(named) if *named != user.name => Err(ApiError::BadRequest(format!(
            "406 PRECONDITION_FAILED - user_id property set to '{named}' but authenticated user \
             was '{}'",
            user.name
        ))),
        _ => Ok(()),
    }
}

/// What a door would do by these headers is not done here: better refused than passed over.
fn check_headers(properties: &Properties) -> Result<(), ApiError> {
    let Some(headers) = &properties.headers else {
        return Ok(());
    };
    let found = MEANT_FOR_DOORS
        .iter()
        .find(|name| headers.get(name).is_some());
    match found {
        None => Ok(()),
        Some(name) => Err(ApiError::BadRequest(format!(
            "the header '{name}' has its effect over a protocol only"
        ))),
    }
}

/// What the protocol would close the channel for.
fn invalid(error: &PropertyError) -> ApiError {
    ApiError::BadRequest(format!("406 PRECONDITION_FAILED - {error}"))
}

fn refuse(error: &PublishError) -> ApiError {
    let code = match error {
        PublishError::ExchangeNotFound(_) => "404 NOT_FOUND",
        PublishError::ExchangeInternal { .. } | PublishError::AccessRefused(_) => {
            "403 ACCESS_REFUSED"
        }
        PublishError::RuleBroken(_) => "406 PRECONDITION_FAILED",
    };
    ApiError::BadRequest(format!("{code} - {error}"))
}

/// Wakes the request that waits for the partitions.
struct Resolved(Notify);

impl TicketWaiter for Resolved {
    fn ticket_resolved(&self) {
        self.0.notify_one();
    }
}

/// What the confirm waits for, once every queue has the message.
async fn resolved(ticket: &Arc<Ticket>) -> Promise {
    let waiter = Arc::new(Resolved(Notify::new()));
    if ticket.on_resolved(waiter.clone()) {
        waiter.0.notified().await;
    }
    match ticket.resolved() {
        Some(promise) => promise,
        // The log has failed: nothing is confirmed any more, and the request runs into its time.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_or_refused_in_the_words_of_rabbitmq() {
        let field = |name: &str, value: Value| [(name, value)].into_iter().collect::<Arguments>();
        let text = |text: &str| Value::Str(text.as_bytes().to_vec());
        for (name, value, expected) in [
            ("content_type", Value::I64(5), "not_string"),
            ("type", Value::Bool(true), "not_string"),
            ("delivery_mode", text("2"), "not_int"),
            ("priority", Value::I64(300), "not_int"),
            ("timestamp", Value::I64(-1), "not_int"),
        ] {
            match properties_of(&field(name, value)) {
                Err(ApiError::BadRequestWith(reason)) => {
                    assert_eq!(reason, json!([expected, name]))
                }
                _ => panic!("{name} was not refused by name"),
            }
        }
        assert!(properties_of(&field("headers", text("x"))).is_err());
        let kind = Properties {
            kind: Some("t".to_owned()),
            ..Properties::default()
        };
        let priority = Properties {
            priority: Some(255),
            ..Properties::default()
        };
        for (name, value, expected) in [
            ("type", text("t"), kind),
            ("priority", Value::I64(255), priority),
            ("type", Value::Void, Properties::default()),
            ("unknown", text("x"), Properties::default()),
        ] {
            assert_eq!(
                properties_of(&field(name, value)).ok(),
                Some(expected),
                "{name}"
            );
        }
    }
}
