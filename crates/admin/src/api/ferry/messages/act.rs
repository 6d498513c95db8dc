//! Acts on one message: dropped, moved, given another time, edited and replayed.
//!
//! Invariants
//! - An act is answered when it outlives a loss of power.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ferry_broker::{MessageRef, MoveTo};
use ferry_core::Millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::edit;
use crate::api::ferry::extract::{At, Body};
use crate::api::ferry::paths::Paths;
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, access, acting};
use crate::auth::LoggedIn;

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .delete("/queues/{vhost}/{queue}/messages/{ref}", drop_one)
        .post("/queues/{vhost}/{queue}/messages/{ref}/move", move_one)
        .post("/queues/{vhost}/{queue}/messages/{ref}/edit", edit::edit)
        .post("/queues/{vhost}/{queue}/messages/{ref}/due", due)
}

type Name = At<(String, String, String)>;

/// Drops a message that is ready or waits for its time.
#[utoipa::path(delete, path = "/api/ferry/queues/{vhost}/{queue}/messages/{ref}",
    tag = "messages",
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn drop_one(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): Name,
) -> Result<StatusCode, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let name: MessageRef = name.parse()?;
    acting(shared, move |shared| {
        let promise = shared.broker.cancel_message(&queue, &name, &user.name)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// Where a message is to go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "queue": "orders" }))]
pub(in crate::api::ferry) struct MoveBody {
    /// A queue of the same virtual host.
    queue: String,
}

/// Moves a message that is ready or waits for its time to another queue, as it is.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/messages/{ref}/move",
    tag = "messages", request_body = MoveBody,
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn move_one(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): Name,
    Body(body): Body<MoveBody>,
) -> Result<StatusCode, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    access::check_write(&user, &vhost, "")?;
    let name: MessageRef = name.parse()?;
    acting(shared, move |shared| {
        let to = MoveTo::Queue(body.queue);
        let promise = shared.broker.move_message(&queue, &name, &to, &user.name)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// Another time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "due_at": 0 }))]
pub(in crate::api::ferry) struct DueBody {
    /// When the message becomes ready, in milliseconds since the Unix epoch; 0 for now.
    due_at: Millis,
}

/// A message at its new place.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct Renamed {
    /// Its name from now on.
    #[serde(rename = "ref")]
    name: String,
}

/// Gives a message that waits for its time another time.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/messages/{ref}/due",
    tag = "messages", request_body = DueBody,
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 200, body = Renamed), (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn due(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): Name,
    Body(body): Body<DueBody>,
) -> Result<Json<Renamed>, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let name: MessageRef = name.parse()?;
    acting(shared, move |shared| {
        let broker = &shared.broker;
        let at = body.due_at;
        let (moved, promise) = broker.reschedule_message(&queue, &name, at, &user.name)?;
        let name = moved.to_string();
        Ok((Json(Renamed { name }), promise))
    })
    .await
}
