//! Publishing many messages in one request, as one burst.
//!
//! Invariants
//! - A batch that is wrong anywhere publishes nothing; what a queue refuses or nobody takes is told
//!   message by message.
//! - The answer comes when all that was taken is safe.

use axum::Json;
use axum::body::Body as Content;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use ferry_auth::Whence;
use ferry_broker::{Burst, Published};
use ferry_core::arguments::Arguments;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body;
use super::incoming::{Incoming, To};
use super::notice::confirmed;
use super::publish::Sender;
use crate::api::ferry::extract::{At, Params, check_json, from_json};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::properties::{PropertiesJson, payload_bytes};
use crate::api::ferry::{Context, bounds};
use crate::auth::LoggedIn;

/// Most messages of one batch.
const MESSAGES_MAX: usize = 10_000;

/// How a batch is published.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api::ferry) struct BatchQuery {
    /// Whether it is an error if no queue takes a message.
    mandatory: bool,
}

/// A message of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::ferry) struct BatchMessage {
    /// The routing key, empty if nothing is said.
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    pub(super) properties: PropertiesJson,
    pub(super) payload: String,
    /// How that is written: `string` (if nothing is said) or `base64`.
    pub(super) payload_encoding: Option<String>,
}

/// Messages to be published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "messages": [
    { "routing_key": "paid", "payload": "first", "properties": { "message_id": "m-1" } },
    { "routing_key": "paid", "payload": "AAEC", "payload_encoding": "base64" } ] }))]
pub(in crate::api::ferry) struct BatchBody {
    /// At most 10,000.
    pub(super) messages: Vec<BatchMessage>,
}

/// What became of one message.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct BatchResult {
    /// Whether a queue took it.
    routed: bool,
    /// Why it was not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// What became of the messages, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct BatchAnswer {
    results: Vec<BatchResult>,
}

/// Publishes many messages at once, and answers when they are safe.
#[utoipa::path(post, path = "/api/ferry/publish-batch/{vhost}/{exchange}", tag = "data plane",
    params(("vhost" = String, Path), ("exchange" = String, Path), BatchQuery),
    request_body = BatchBody,
    responses((status = 201, body = BatchAnswer), (status = 404), (status = 409),
        (status = 429, description = "Publishers are held, or a rate is reached: Retry-After")))]
pub(in crate::api::ferry) async fn batch(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    whence: Option<axum::Extension<Whence>>,
    At((vhost, exchange)): At<(String, String)>,
    Params(query): Params<BatchQuery>,
    head: HeaderMap,
    content: Content,
) -> Result<(StatusCode, Json<BatchAnswer>), Problem> {
    let whence = whence.map(|whence| whence.0);
    let mut sender = Sender::new(&shared, &user, whence, (&vhost, &exchange))?;
    check_json(head.get(CONTENT_TYPE).map(|value| value.as_bytes()))?;
    let bytes_max = shared.data.message_bytes_max;
    let read = body::read(&shared, content, bytes_max + bounds::BATCH_BYTES_MORE).await?;
    sender.rate.check(&shared.broker)?;
    let messages = from_json::<BatchBody>(&read.bytes)?.messages;
    if messages.len() > MESSAGES_MAX {
        let reason = format!("a batch has at most {MESSAGES_MAX} messages");
        return Err(Problem::bad(reason));
    }
    let mut incoming = Vec::with_capacity(messages.len());
    for (number, message) in messages.into_iter().enumerate() {
        let named = |problem: Problem| problem.at(&format!("messages[{number}]"));
        let encoding = message.payload_encoding.as_deref();
        let bytes = payload_bytes(message.payload, encoding).map_err(named)?;
        let to = To {
            exchange: &sender.exchange,
            routing_key: &message.routing_key,
        };
        let properties = message.properties.typed(&Arguments::new()).map_err(named)?;
        let one = Incoming::new(&shared, &user, to, properties, bytes).map_err(named)?;
        sender.rate.check_way(&shared.broker, &one.way())?;
        incoming.push(one);
    }
    let (mut results, ticket) = {
        let mut burst = Burst::new();
        let mut results = Vec::with_capacity(incoming.len());
        for (number, one) in incoming.iter().enumerate() {
            let staged = sender.stage(&shared, &mut burst, one, number as u64);
            let published = staged.map_err(|problem| problem.at(&format!("messages[{number}]")))?;
            let routed = published == Published::Routed;
            let error = (query.mandatory && !routed).then_some("unroutable");
            results.push(BatchResult { routed, error });
        }
        let ticket = burst.submit(&shared.broker);
        shared.broker.after_act();
        (results, ticket)
    };
    drop((incoming, read));
    for number in confirmed(&shared.broker, ticket).await?.refused {
        if let Some(result) = results.get_mut(number as usize) {
            result.error = Some("refused");
        }
    }
    Ok((StatusCode::CREATED, Json(BatchAnswer { results })))
}
