//! Who has which message, and for how long: looked at, given more time, taken back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ferry_broker::{Browse, MessageRef, Outcome};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::Walk;
use super::show::LeasedShown;
use crate::api::ferry::extract::{At, Body, Params};
use crate::api::ferry::paths::Paths;
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, access, acting, blocking};
use crate::auth::LoggedIn;

/// Most leases of one answer.
const LIMIT_MAX: usize = 500;
const LIMIT_DEFAULT: usize = 100;

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .get("/queues/{vhost}/{queue}/leases", list)
        .post("/queues/{vhost}/{queue}/leases/{ref}/extend", extend)
        .post("/queues/{vhost}/{queue}/leases/{ref}/end", end)
}

/// What to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api::ferry) struct LeaseQuery {
    /// Go on where the page before has ended: its `next`.
    cursor: Option<String>,
    /// Most leases to return, 100 if nothing is said, at most 500.
    limit: Option<usize>,
}

/// Some leases.
#[derive(Serialize, ToSchema)]
pub(in crate::api::ferry) struct LeasePage {
    items: Vec<LeasedShown>,
    /// Where to go on; null if nothing is behind.
    next: Option<String>,
}

/// Who has messages of a queue.
#[utoipa::path(get, path = "/api/ferry/queues/{vhost}/{queue}/leases", tag = "messages",
    params(("vhost" = String, Path), ("queue" = String, Path), LeaseQuery),
    responses((status = 200, body = LeasePage)))]
pub(in crate::api::ferry) async fn list(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Params(query): Params<LeaseQuery>,
) -> Result<Json<LeasePage>, Problem> {
    let browse = Browse {
        limit: query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX),
        body_bytes_max: 0,
        ..Browse::default()
    };
    let mut walk = Walk::new(Some("leased"), query.cursor.as_deref(), browse)?;
    let queue = access::queue_to_see(&shared, &user, (&vhost, &queue))?;
    blocking(shared, move |shared| {
        let page = shared.broker.browse(&queue, &walk.browse)?;
        let shown = page.messages.iter();
        let items = shown
            .filter_map(|one| LeasedShown::new(shared, one))
            .collect();
        let next = walk.go_on(page.next).then(|| walk.cursor()).flatten();
        Ok(Json(LeasePage { items, next }))
    })
    .await
}

/// How much time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ms": 60000 }))]
pub(in crate::api::ferry) struct ExtendBody {
    /// From now, in milliseconds; null for as much as the queue gives.
    ms: Option<u64>,
}

/// Gives who has a message more time.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/leases/{ref}/extend",
    tag = "messages", request_body = ExtendBody,
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn extend(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): At<(String, String, String)>,
    Body(body): Body<ExtendBody>,
) -> Result<StatusCode, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let name: MessageRef = name.parse()?;
    blocking(shared, move |shared| {
        let broker = &shared.broker;
        broker.extend_leased(&queue, &name, body.ms, &user.name)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What becomes of the message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api::ferry) enum Ending {
    /// It goes back to its place; a try that counts.
    Requeue,
    /// It is rejected: dead-lettered, or dropped where there is nowhere to go.
    DeadLetter,
    /// It is done.
    Accept,
}

/// How a lease ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "outcome": "requeue" }))]
pub(in crate::api::ferry) struct EndBody {
    outcome: Ending,
}

/// Takes a message back from who has it; a settle of that one will be too late.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/leases/{ref}/end",
    tag = "messages", request_body = EndBody,
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 204), (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn end(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): At<(String, String, String)>,
    Body(body): Body<EndBody>,
) -> Result<StatusCode, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let name: MessageRef = name.parse()?;
    let outcome = match body.outcome {
        Ending::Requeue => Outcome::Requeue,
        Ending::DeadLetter => Outcome::Reject,
        Ending::Accept => Outcome::Accept,
    };
    acting(shared, move |shared| {
        let broker = &shared.broker;
        let promise = broker.end_leased(&queue, &name, outcome, &user.name)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}
