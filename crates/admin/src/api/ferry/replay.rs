//! Replays: many messages of a queue sent to where they came from, at a rate.
//!
//! Invariants
//! - A job is seen and stopped by who may read its queue.
//! - A message goes only to exchanges that who started the job may write to; the others stay where
//!   they are and are counted as failed.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ferry_broker::{JobId, JobState, MoveTo, ReplayJob, ReplaySpec, Selection, User};
use ferry_core::Millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{At, Body};
use super::messages::query::Conditions;
use super::paths::Paths;
use super::problem::Problem;
use super::{Context, Shared, access, blocking};
use crate::api::values::text;
use crate::auth::LoggedIn;

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .post("/queues/{vhost}/{queue}/replay", start)
        .get("/replays", list)
        .get("/replays/{job}", one)
        .delete("/replays/{job}", stop)
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Target {
    /// `origin`: dead letters, to where they were first published to.
    Word(String),
    /// An exchange, with the routing key that a message has if no other one is given.
    Exchange(ExchangeTarget),
    /// A queue of the same virtual host.
    Queue(QueueTarget),
}

/// To an exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeTarget {
    exchange: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key: Option<String>,
}

/// To a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueTarget {
    queue: String,
}

impl Target {
    fn place(self) -> Result<MoveTo, Problem> {
        Ok(match self {
            Target::Word(word) if word == "origin" => MoveTo::Origin,
            Target::Word(word) => {
                let reason = format!("to is origin, an exchange or a queue, not '{word}'");
                return Err(Problem::bad(reason));
            }
            Target::Exchange(ExchangeTarget {
                exchange,
                routing_key,
            }) => MoveTo::Exchange {
                name: access::exchange_of(&exchange).to_owned(),
                routing_key: routing_key.map(String::into_bytes),
            },
            Target::Queue(QueueTarget { queue }) => MoveTo::Queue(queue),
        })
    }

    fn show(place: &MoveTo) -> Target {
        match place {
            MoveTo::Origin => Target::Word("origin".to_owned()),
            MoveTo::Exchange { name, routing_key } => Target::Exchange(ExchangeTarget {
                exchange: name.clone(),
                routing_key: routing_key.as_deref().map(text),
            }),
            MoveTo::Queue(queue) => Target::Queue(QueueTarget {
                queue: queue.clone(),
            }),
        }
    }
}

/// Which messages are replayed, where they go, and how fast: those that are named, or those that
/// are ready and satisfy all conditions; without any of these all that are ready.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "reason": "rejected", "to": "origin", "rate": 500 }))]
pub(super) struct ReplayBody {
    /// Names of messages, at most 10,000.
    refs: Option<Vec<String>>,
    /// `ready` or `all`, which is the same here: only what is ready is replayed.
    state: Option<String>,
    /// Where they go, `origin` if nothing is said.
    to: Option<Target>,
    /// Messages a second; null for as fast as may be.
    rate: Option<u32>,
    /// A condition on properties and headers, in the SQL subset of JMS selectors.
    filter: Option<String>,
    /// The publisher's name for the message.
    id: Option<String>,
    /// Text that stands somewhere in the body.
    text: Option<String>,
    /// Why it died, the last time: `rejected`, `expired`, `maxlen`, `delivery_limit` or
    /// `unroutable`.
    reason: Option<String>,
    /// Taken by the broker at that time or later, in milliseconds since the Unix epoch.
    from: Option<Millis>,
    /// Taken by the broker at that time or earlier; `to` says where messages go.
    until: Option<Millis>,
}

impl ReplayBody {
    fn conditions(&self) -> Conditions {
        Conditions {
            filter: self.filter.clone(),
            id: self.id.clone(),
            text: self.text.clone(),
            reason: self.reason.clone(),
            from: self.from,
            to: self.until,
        }
    }
}

/// A job that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Started {
    /// Its number, until the node is started again.
    job: u64,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobShown {
    /// Its number.
    job: u64,
    vhost: String,
    queue: String,
    to: Target,
    /// `running`, `done`, `stopped` or `failed`.
    state: &'static str,
    /// Messages that were looked at.
    scanned: u64,
    /// Messages that were meant, as far as it has come.
    matched: u64,
    /// Messages that have gone where they go.
    replayed: u64,
    /// Messages that had left meanwhile, or that somebody had.
    skipped: u64,
    /// Messages that could not be replayed and are where they were.
    failed: u64,
    /// Why the first of those could not, or why the job has failed.
    error: Option<String>,
    /// Who started it.
    user: String,
    started_at: Millis,
    ended_at: Option<Millis>,
    /// Messages a second; null for as fast as may be.
    rate: Option<u32>,
}

impl From<ReplayJob> for JobShown {
    fn from(job: ReplayJob) -> JobShown {
        let (state, failure) = match job.state {
            JobState::Running => ("running", None),
            JobState::Done => ("done", None),
            JobState::Cancelled => ("stopped", None),
            JobState::Failed(why) => ("failed", Some(why)),
        };
        JobShown {
            job: job.id.0,
            to: Target::show(&job.to),
            vhost: job.vhost,
            queue: job.queue,
            state,
            scanned: job.progress.looked_at,
            matched: job.progress.looked_at.saturating_sub(job.progress.unmeant),
            replayed: job.progress.done,
            skipped: job.progress.skipped.saturating_sub(job.progress.unmeant),
            failed: job.progress.failed,
            error: failure.or(job.progress.first_error),
            user: job.actor,
            started_at: job.started_at,
            ended_at: job.ended_at,
            rate: job.rate.map(NonZeroU32::get),
        }
    }
}

/// Starts to replay messages of a queue; each is replayed once, however often that is asked for.
#[utoipa::path(post, path = "/api/ferry/queues/{vhost}/{queue}/replay", tag = "replays",
    request_body = ReplayBody, params(("vhost" = String, Path), ("queue" = String, Path)),
    responses((status = 202, body = Started), (status = 404), (status = 409)))]
pub(super) async fn start(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Body(body): Body<ReplayBody>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let conditions = body.conditions();
    if !matches!(body.state.as_deref(), None | Some("ready" | "all")) {
        return Err(Problem::bad(
            "state is ready or all: only what is ready is replayed",
        ));
    }
    let selection = match &body.refs {
        Some(_) if !conditions.is_empty() => {
            return Err(Problem::bad("refs goes without conditions"));
        }
        Some(names) => {
            let names = names.iter().map(|name| Ok(name.parse()?));
            Selection::Refs(names.collect::<Result<_, Problem>>()?)
        }
        None if conditions.is_empty() => Selection::All,
        None => Selection::Filter(Box::new(conditions.filter()?)),
    };
    let rate = match body.rate {
        None => None,
        Some(rate) => {
            let stands = || Problem::bad("rate is from 1; null is for as fast as may be");
            Some(NonZeroU32::new(rate).ok_or_else(stands)?)
        }
    };
    let spec = ReplaySpec {
        selection,
        to: body.to.map_or(Ok(MoveTo::Origin), Target::place)?,
        rate,
    };
    match &spec.to {
        MoveTo::Origin => {}
        MoveTo::Exchange { name, .. } => access::check_write(&user, &vhost, name)?,
        MoveTo::Queue(_) => access::check_write(&user, &vhost, "")?,
    }
    let may_write = match spec.to {
        MoveTo::Origin => access::may_write(&user, &vhost),
        // It was asked above: a message keeps the name of its exchange in another queue.
        _ => std::sync::Arc::new(|_: &str| true),
    };
    blocking(shared, move |shared| {
        let broker = &shared.broker;
        let job = broker.start_replay_where(&queue, spec, &user.name, may_write)?;
        Ok((StatusCode::ACCEPTED, Json(Started { job: job.0 })))
    })
    .await
}

/// The jobs of queues that the user may read.
fn visible(shared: &Shared, user: &User) -> impl Iterator<Item = ReplayJob> {
    let jobs = shared.broker.replay_jobs().into_iter();
    jobs.filter(|job| access::may_read(user, &job.vhost, &job.queue))
}

fn find(shared: &Shared, user: &User, job: u64) -> Result<ReplayJob, Problem> {
    let found = visible(shared, user).find(|known| known.id == JobId(job));
    found.ok_or_else(|| Problem::not_found("there is no such job"))
}

/// Replays that are under way, and the last ones that have ended, the oldest first.
#[utoipa::path(get, path = "/api/ferry/replays", tag = "replays",
    responses((status = 200, body = Vec<JobShown>)))]
pub(super) async fn list(LoggedIn(user): LoggedIn, State(shared): Context) -> Json<Vec<JobShown>> {
    Json(visible(&shared, &user).map(JobShown::from).collect())
}

/// How far a replay is.
#[utoipa::path(get, path = "/api/ferry/replays/{job}", tag = "replays",
    params(("job" = u64, Path)), responses((status = 200, body = JobShown), (status = 404)))]
pub(super) async fn one(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At(job): At<u64>,
) -> Result<Json<JobShown>, Problem> {
    Ok(Json(find(&shared, &user, job)?.into()))
}

/// Stops a replay; what it has replayed stays replayed.
#[utoipa::path(delete, path = "/api/ferry/replays/{job}", tag = "replays",
    params(("job" = u64, Path)), responses((status = 204), (status = 404)))]
pub(super) async fn stop(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At(job): At<u64>,
) -> Result<StatusCode, Problem> {
    let job = find(&shared, &user, job)?;
    shared.broker.cancel_replay(job.id, &user.name)?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_is_read_and_shown_the_same() {
        let exchange = |name: &str, key: Option<&str>| MoveTo::Exchange {
            name: name.to_owned(),
            routing_key: key.map(|key| key.as_bytes().to_vec()),
        };
        for (written, place) in [
            (json!("origin"), Some(MoveTo::Origin)),
            (json!({ "queue": "q" }), Some(MoveTo::Queue("q".to_owned()))),
            (json!({ "exchange": "e" }), Some(exchange("e", None))),
            (
                json!({ "exchange": "e", "routing_key": "k" }),
                Some(exchange("e", Some("k"))),
            ),
            (json!("nowhere"), None),
            (json!({ "exchange": "e", "queue": "q" }), None),
            (json!({ "topic": "t" }), None),
            (json!(5), None),
        ] {
            let target = serde_json::from_value::<Target>(written.clone()).ok();
            let found = target.and_then(|target| target.place().ok());
            assert_eq!(found, place, "{written}");
            if let Some(place) = &place {
                assert_eq!(json!(Target::show(place)), written);
            }
        }
    }
}
