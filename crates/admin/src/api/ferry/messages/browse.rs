//! Looking: messages page by page, one message, how many wait for a time.
//!
//! Invariants
//! - Looking changes nothing.
//! - A request looks for `SEARCH_TIME_MAX` at most, then it answers with what it has and says
//!   where to go on.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use ferry_broker::{Browse, MessageRef};
use ferry_core::Millis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::{Walk, selecting};
use super::show::MessageShown;
use crate::api::ferry::extract::{At, Params};
use crate::api::ferry::paths::Paths;
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, access, blocking};
use crate::auth::LoggedIn;

/// Most messages of one answer.
const LIMIT_MAX: usize = 500;
const LIMIT_DEFAULT: usize = 50;

/// How much of a payload is shown in a list if nothing is said, in bytes, and at most.
const PREVIEW_BYTES_DEFAULT: usize = 256;
const PREVIEW_BYTES_MAX: usize = 64 << 10;

/// How long one request looks for messages that fit.
const SEARCH_TIME_MAX: Duration = Duration::from_millis(900);

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .get("/queues/{vhost}/{queue}/messages", list)
        .get("/queues/{vhost}/{queue}/messages/{ref}", one)
        .get("/queues/{vhost}/{queue}/schedule/count", count)
}

selecting! {
    /// What to list.
    #[derive(Debug, Default, Deserialize, IntoParams)]
    #[serde(deny_unknown_fields, default)]
    #[into_params(parameter_in = Query)]
    struct ListQuery {
        /// `ready` (if nothing is said), `delayed`, `leased`, `stuck` or `all`.
        state: Option<String>,
        /// Go on where the page before has ended: its `next`.
        cursor: Option<String>,
        /// Most messages to return, 50 if nothing is said, at most 500.
        limit: Option<usize>,
        /// How much of each payload, 256 if nothing is said, at most 65,536.
        payload_bytes: Option<usize>,
    }
}

/// Some messages.
#[derive(Serialize, ToSchema)]
pub(in crate::api::ferry) struct MessagePage {
    items: Vec<MessageShown>,
    /// Where to go on; null if nothing is behind. A page may be empty and yet have a next.
    next: Option<String>,
    /// Messages that were looked at.
    scanned: u64,
    /// Messages that could not be read back.
    unreadable: u64,
    /// Whether that was all.
    complete: bool,
}

/// Messages of a queue as they are, page by page; nothing is changed by looking.
#[utoipa::path(get, path = "/api/ferry/queues/{vhost}/{queue}/messages", tag = "messages",
    params(("vhost" = String, Path), ("queue" = String, Path), ListQuery),
    responses((status = 200, body = MessagePage)))]
pub(in crate::api::ferry) async fn list(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Params(query): Params<ListQuery>,
) -> Result<Json<MessagePage>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad(format!("limit is from 1 to {LIMIT_MAX}")));
    }
    let preview = query.payload_bytes.unwrap_or(PREVIEW_BYTES_DEFAULT);
    let browse = Browse {
        limit,
        body_bytes_max: preview.min(PREVIEW_BYTES_MAX),
        filter: query.conditions().filter()?,
        ..Browse::default()
    };
    let mut walk = Walk::new(query.state.as_deref(), query.cursor.as_deref(), browse)?;
    let queue = access::queue_to_see(&shared, &user, (&vhost, &queue))?;
    blocking(shared, move |shared| {
        let began = Instant::now();
        let mut found = MessagePage {
            items: Vec::new(),
            next: None,
            scanned: 0,
            unreadable: 0,
            complete: false,
        };
        loop {
            walk.browse.limit = limit - found.items.len();
            let page = shared.broker.browse(&queue, &walk.browse)?;
            found.scanned += page.looked_at;
            found.unreadable += page.unreadable;
            let listed = page.messages.into_iter();
            found
                .items
                .extend(listed.map(|one| MessageShown::new(shared, one)));
            if !walk.go_on(page.next) {
                found.complete = true;
                return Ok(Json(found));
            }
            if found.items.len() >= limit || began.elapsed() >= SEARCH_TIME_MAX {
                found.next = walk.cursor();
                return Ok(Json(found));
            }
        }
    })
    .await
}

/// One message, with its whole payload.
#[utoipa::path(get, path = "/api/ferry/queues/{vhost}/{queue}/messages/{ref}", tag = "messages",
    params(("vhost" = String, Path), ("queue" = String, Path), ("ref" = String, Path)),
    responses((status = 200, body = MessageShown), (status = 404)))]
pub(in crate::api::ferry) async fn one(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue, name)): At<(String, String, String)>,
) -> Result<Json<MessageShown>, Problem> {
    let queue = access::queue_to_see(&shared, &user, (&vhost, &queue))?;
    let name: MessageRef = name.parse()?;
    blocking(shared, move |shared| {
        let listed = shared.broker.look_at(&queue, &name, usize::MAX)?;
        Ok(Json(MessageShown::new(shared, listed)))
    })
    .await
}

/// A range of times.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api::ferry) struct TimeRange {
    /// In milliseconds since the Unix epoch.
    from: Option<Millis>,
    /// That time is part of the range.
    to: Option<Millis>,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
pub(in crate::api::ferry) struct Count {
    count: u64,
}

/// How many messages wait for a time in a range.
#[utoipa::path(get, path = "/api/ferry/queues/{vhost}/{queue}/schedule/count", tag = "messages",
    params(("vhost" = String, Path), ("queue" = String, Path), TimeRange),
    responses((status = 200, body = Count)))]
pub(in crate::api::ferry) async fn count(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Params(range): Params<TimeRange>,
) -> Result<Json<Count>, Problem> {
    let queue = access::queue_to_see(&shared, &user, (&vhost, &queue))?;
    blocking(shared, move |shared| {
        let (from, to) = (range.from.unwrap_or(0), range.to.unwrap_or(Millis::MAX));
        let count = shared.broker.count_delayed(&queue, from, to)?;
        Ok(Json(Count { count }))
    })
    .await
}
