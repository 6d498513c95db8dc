//! An edited copy of a message, replayed in its place.
//!
//! Invariants
//! - What is not given stays as it is; properties are given all together, headers among them or
//!   left as they are.
//! - The copy names the message that it comes from, in the header `x-ferry-replay`.

use axum::extract::State;
use axum::http::StatusCode;
use ferry_broker::{Edit, Listed, MessageRef, MoveTo};
use ferry_core::message::FORMAT_AMQP091;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::ferry::extract::{At, Body};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::properties::{PropertiesJson, own_format, payload_bytes};
use crate::api::ferry::{Context, Shared, access, acting};
use crate::auth::LoggedIn;

/// What is to be another.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "payload": "{\"total\": 12}", "routing_key": "paid" }))]
pub(in crate::api::ferry) struct EditBody {
    /// Other properties, all of them; headers stay as they are if none are given.
    properties: Option<PropertiesJson>,
    /// Another body.
    payload: Option<String>,
    /// How that is written: `string` or `base64`.
    payload_encoding: Option<String>,
    /// Where the copy goes; without it a dead letter goes back to where it came from, and another
    /// message to the end of its queue.
    exchange: Option<String>,
    /// Another routing key.
    routing_key: Option<String>,
}

impl EditBody {
    fn edit(self, shared: &Shared, before: &Listed) -> Result<Edit, Problem> {
        let mut edit = Edit {
            routing_key: self.routing_key.map(String::into_bytes),
            ..Edit::default()
        };
        if let Some(payload) = self.payload {
            edit.body = Some(payload_bytes(payload, self.payload_encoding.as_deref())?);
        }
        if let Some(properties) = self.properties {
            match before.format {
                FORMAT_AMQP091 => {
                    let mut properties = properties.typed(&before.headers)?;
                    let kept = || before.headers.clone();
                    edit.headers = Some(properties.headers.take().unwrap_or_else(kept));
                    edit.properties = Some(own_format(shared)?.compose(&properties)?);
                }
                _ => edit.properties = Some(composed(shared, properties, before)?),
            }
        }
        Ok(edit)
    }
}

/// Properties in the format of a message that AMQP has not published; headers among them, since
/// there some say what AMQP has properties for.
fn composed(
    shared: &Shared,
    properties: PropertiesJson,
    before: &Listed,
) -> Result<Vec<u8>, Problem> {
    let format = shared.broker.format(before.format).ok_or_else(|| {
        let reason = "its properties are of a format that is not written here";
        Problem::conflict("unknown_format", reason)
    })?;
    let shown = format.describe(&before.properties).headers;
    let shown = shown.unwrap_or_default();
    let mut properties = properties.typed(&shown)?;
    properties.headers.get_or_insert(shown);
    Ok(format.compose(&properties)?)
}

/// Replays an edited copy of a message in its place.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/messages/{ref}/edit",
    tag = "messages", request_body = EditBody,
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn edit(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): At<(String, String, String)>,
    Body(body): Body<EditBody>,
) -> Result<StatusCode, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let name: MessageRef = name.parse()?;
    acting(shared, move |shared| {
        let broker = &shared.broker;
        let before = broker.look_at(&queue, &name, 0)?;
        let to = match &body.exchange {
            Some(exchange) => MoveTo::Exchange {
                name: access::exchange_of(exchange).to_owned(),
                routing_key: None,
            },
            None if before.headers.contains("x-death") => MoveTo::Origin,
            None => MoveTo::Queue(queue.name().to_owned()),
        };
        let edit = body.edit(shared, &before)?;
        let may_write = access::may_write(&user, &vhost);
        let promise =
            broker.replay_message_where(&queue, &name, &to, Some(&edit), &user.name, &may_write)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}
