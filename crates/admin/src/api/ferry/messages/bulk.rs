//! Acts on many messages at once: those that are named, or those that are like something.
//!
//! Invariants
//! - A request acts for `ACT_TIME_MAX` at most and says whether that was all; the same request
//!   goes on.
//! - Who means all of a queue says so, by a state: an empty selection is refused.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ferry_broker::{Acted, Browse, MessageRef, MoveTo, OperateError, Promise, QueueHandle};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::query::{Walk, selecting};
use crate::api::ferry::extract::{At, Body};
use crate::api::ferry::paths::Paths;
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, Shared, access, acting};
use crate::auth::LoggedIn;

/// Messages that may be named at once.
const REFS_MAX: usize = 10_000;

/// Messages that are looked up at once.
const PAGE_MESSAGES: usize = 500;

/// How long one request acts.
const ACT_TIME_MAX: Duration = Duration::from_secs(20);

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .post("/queues/{vhost}/{queue}/messages/delete", drop_many)
        .post("/queues/{vhost}/{queue}/messages/move", move_many)
        .delete("/queues/{vhost}/{queue}/delayed", drop_delayed)
}

selecting! {
    /// Which messages: those that are named, or those that satisfy all conditions.
    #[derive(Debug, Default, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields, default)]
    #[schema(example = json!({ "reason": "expired", "filter": "tenant = 'acme'" }))]
    struct DropBody {
        /// Names of messages, at most 10,000.
        refs: Option<Vec<String>>,
        /// `ready` (if nothing is said), `delayed` or `all`.
        state: Option<String>,
    }
}

selecting! {
    /// Which messages, and where they go.
    #[derive(Debug, Default, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields, default)]
    #[schema(example = json!({ "queue": "parked", "text": "anchor" }))]
    struct MoveManyBody {
        /// Names of messages, at most 10,000.
        refs: Option<Vec<String>>,
        /// `ready` (if nothing is said), `delayed` or `all`.
        state: Option<String>,
        /// Another queue of the same virtual host.
        queue: String,
    }
}

/// What became of them.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct Done {
    /// Messages that were acted on.
    done: u64,
    /// Messages that were not there any more, or that somebody had.
    gone: u64,
    /// Whether that was all: if not, the same request goes on.
    complete: bool,
    /// Why the rest was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The messages that an act is about.
enum Chosen {
    Named(Vec<MessageRef>),
    Like(Box<Walk>),
}

impl Chosen {
    fn new(
        refs: Option<&[String]>,
        state: Option<&str>,
        conditions: &super::query::Conditions,
    ) -> Result<Chosen, Problem> {
        if let Some(names) = refs {
            if !conditions.is_empty() || state.is_some() {
                return Err(Problem::bad("refs goes without conditions"));
            }
            if names.len() > REFS_MAX {
                return Err(Problem::bad(format!("at most {REFS_MAX} refs at once")));
            }
            let names = names.iter().map(|name| Ok(name.parse()?));
            return names.collect::<Result<_, Problem>>().map(Chosen::Named);
        }
        if conditions.is_empty() && state.is_none() {
            return Err(Problem::bad(
                "name messages by refs, a state or a condition",
            ));
        }
        let browse = Browse {
            limit: PAGE_MESSAGES,
            body_bytes_max: 0,
            filter: conditions.filter()?,
            ..Browse::default()
        };
        Ok(Chosen::Like(Box::new(Walk::free(state, browse)?)))
    }

    /// Acts on page after page.
    fn act(
        self,
        shared: &Shared,
        queue: &QueueHandle,
        act: impl Fn(&[MessageRef]) -> Result<Acted, OperateError>,
    ) -> Result<(Json<Done>, Promise), Problem> {
        let began = Instant::now();
        let mut all = Done {
            done: 0,
            gone: 0,
            complete: false,
            error: None,
        };
        let mut promise = Promise::Now;
        let mut add = |acted: Acted, all: &mut Done| {
            all.done += acted.done;
            all.gone += acted.gone;
            promise = promise.max(acted.durable_at);
            all.error = acted.refused.map(|error| error.to_string());
        };
        match self {
            Chosen::Named(names) => {
                add(act(&names)?, &mut all);
                all.complete = all.error.is_none();
            }
            Chosen::Like(mut walk) => {
                while all.error.is_none() && !all.complete && began.elapsed() < ACT_TIME_MAX {
                    let page = shared.broker.browse(queue, &walk.browse)?;
                    let names: Vec<_> = page.messages.iter().map(|found| found.name).collect();
                    add(act(&names)?, &mut all);
                    all.complete = all.error.is_none() && !walk.go_on(page.next);
                }
            }
        }
        Ok((Json(all), promise))
    }
}

/// Drops many messages that are ready or wait for their time.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/messages/delete",
    tag = "messages", request_body = DropBody,
    params(("vhost" = String, Path), ("queue" = String, Path)),
    responses((status = 200, body = Done)))]
pub(in crate::api::ferry) async fn drop_many(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Body(body): Body<DropBody>,
) -> Result<Json<Done>, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let chosen = Chosen::new(
        body.refs.as_deref(),
        body.state.as_deref(),
        &body.conditions(),
    )?;
    acting(shared, move |shared| {
        let act = |names: &[_]| shared.broker.cancel_messages(&queue, names, &user.name);
        chosen.act(shared, &queue, act)
    })
    .await
}

/// Moves many messages that are ready or wait for their time to another queue.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/messages/move",
    tag = "messages", request_body = MoveManyBody,
    params(("vhost" = String, Path), ("queue" = String, Path)),
    responses((status = 200, body = Done)))]
pub(in crate::api::ferry) async fn move_many(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Body(body): Body<MoveManyBody>,
) -> Result<Json<Done>, Problem> {
    if body.queue == queue || body.queue.is_empty() {
        return Err(Problem::bad(
            "queue is another one than the messages are in",
        ));
    }
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    access::check_write(&user, &vhost, "")?;
    let chosen = Chosen::new(
        body.refs.as_deref(),
        body.state.as_deref(),
        &body.conditions(),
    )?;
    acting(shared, move |shared| {
        let to = MoveTo::Queue(body.queue);
        let act = |names: &[_]| shared.broker.move_messages(&queue, names, &to, &user.name);
        chosen.act(shared, &queue, act)
    })
    .await
}

/// Drops all messages that wait for their time.
#[utoipa::path(delete, path = "/api/ferry/queues/{vhost}/{queue}/delayed", tag = "messages",
    params(("vhost" = String, Path), ("queue" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(in crate::api::ferry) async fn drop_delayed(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
) -> Result<StatusCode, Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    acting(shared, move |shared| {
        let (_, promise) = shared.broker.purge_delayed(&queue);
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}
