//! Leasing messages, with a long poll: who waits is woken when the queue has something.
//!
//! Invariants
//! - A lease has a deadline, always: who took messages and was not heard of again gives them back.
//! - Nothing is taken for who has gone: it is taken in the same turn in which it is answered.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use ferry_broker::{Broker, QueueHandle, ReadyWaiter};
use ferry_core::Millis;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::notice::Notice;
use super::rates::Rate;
use super::taken::{MessageTaken, Taken};
use crate::api::ferry::extract::{At, Body};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, Shared, access};
use crate::auth::LoggedIn;

/// Most messages of one request.
const MESSAGES_MAX: usize = 100;

/// Bytes of messages after which one request takes no more.
const TAKEN_BYTES_MAX: usize = 16 << 20;

/// Longest wait of a request, in milliseconds.
pub(in crate::api::ferry) const WAIT_MS_MAX: u64 = 60_000;

/// How long a lease lives if nothing is said, neither here nor by the queue, in milliseconds.
const LEASE_MS_DEFAULT: u64 = 30_000;

/// Longest life of a lease, in milliseconds: twelve hours.
pub(super) const LEASE_MS_MAX: u64 = 12 * 3_600_000;

/// What is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "max": 10, "wait_ms": 20000, "lease_ms": 60000 }))]
pub(in crate::api::ferry) struct LeaseBody {
    /// Most messages, 1 to 100.
    max: usize,
    /// How long is waited for the first one, at most 60,000.
    wait_ms: u64,
    /// How long they are leased, 1 to 43,200,000; null for as long as the queue says, or 30,000.
    lease_ms: Option<u64>,
}

impl Default for LeaseBody {
    fn default() -> LeaseBody {
        LeaseBody {
            max: 1,
            wait_ms: 0,
            lease_ms: None,
        }
    }
}

/// Messages that were taken.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct LeaseAnswer {
    /// In the order of leaving; none if nothing was ready in time.
    messages: Vec<MessageTaken>,
}

/// Refuses a time that no lease may have.
pub(super) fn check_lease_ms(lease_ms: Option<u64>) -> Result<(), Problem> {
    match lease_ms {
        Some(lease_ms) if !(1..=LEASE_MS_MAX).contains(&lease_ms) => Err(Problem::bad(format!(
            "lease_ms is from 1 to {LEASE_MS_MAX}"
        ))),
        _ => Ok(()),
    }
}

/// Takes messages, each with a lease: to be settled before its time is over.
#[utoipa::path(post, path = "/api/ferry/lease/{vhost}/{queue}", tag = "data plane",
    params(("vhost" = String, Path), ("queue" = String, Path)), request_body = LeaseBody,
    responses((status = 200, body = LeaseAnswer), (status = 404),
        (status = 409, description = "A stream, or another connection has the queue for itself")))]
pub(in crate::api::ferry) async fn lease(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Body(body): Body<LeaseBody>,
) -> Result<Json<LeaseAnswer>, Problem> {
    if !(1..=MESSAGES_MAX).contains(&body.max) {
        return Err(Problem::bad(format!("max is from 1 to {MESSAGES_MAX}")));
    }
    if body.wait_ms > WAIT_MS_MAX {
        return Err(Problem::bad(format!("wait_ms is at most {WAIT_MS_MAX}")));
    }
    check_lease_ms(body.lease_ms)?;
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let lease_ms = body.lease_ms.or(match queue.options().lease_timeout_ms {
        Some(_) => None,
        None => Some(LEASE_MS_DEFAULT),
    });
    let notice = Arc::new(Notice::default());
    let waiter: Arc<dyn ReadyWaiter> = Arc::clone(&notice) as _;
    let deadline = Instant::now() + Duration::from_millis(body.wait_ms);
    let rate = shared
        .data
        .rates
        .of(&shared.broker, &user.name, queue.vhost());
    loop {
        if let Some(at) = rate.deliveries_resume_at() {
            let held_ms = at.saturating_sub(shared.broker.now()).max(1);
            let resumes = Instant::now() + Duration::from_millis(held_ms);
            tokio::time::sleep_until(resumes.min(deadline)).await;
            if Instant::now() >= deadline {
                return Ok(Json(show(&shared, &queue, &[])));
            }
            continue;
        }
        queue.when_ready(Arc::downgrade(&waiter) as Weak<dyn ReadyWaiter>);
        let taken = take(&shared.broker, &queue, &rate, body.max, lease_ms)?;
        if !taken.is_empty() || Instant::now() >= deadline || !shared.ready() {
            return Ok(Json(show(&shared, &queue, &taken)));
        }
        tokio::select! {
            _ = notice.0.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = shared.stopping() => {}
        }
    }
}

/// Takes what is ready, with a deadline for each.
fn take(
    broker: &Broker,
    queue: &Arc<QueueHandle>,
    rate: &Rate,
    max: usize,
    lease_ms: Option<u64>,
) -> Result<Vec<(Taken, Option<Millis>)>, Problem> {
    let mut all = Vec::new();
    let mut bytes = 0;
    while all.len() < max && bytes < TAKEN_BYTES_MAX {
        let mut taken = None;
        broker.get(queue, false, &mut |delivery| {
            taken = Some(Taken::copy(&delivery))
        })?;
        let Some(taken) = taken else {
            break;
        };
        let mut until = None;
        if let Some(lease) = taken.lease {
            if lease_ms.is_some() {
                broker.extend_lease(queue, lease, lease_ms);
            }
            until = broker.lease_until(queue, lease);
        }
        bytes += taken.bytes();
        rate.charge_delivery(taken.bytes());
        all.push((taken, until));
        if rate.deliveries_resume_at().is_some() {
            break;
        }
    }
    if !all.is_empty() {
        broker.after_act();
    }
    Ok(all)
}

fn show(shared: &Shared, queue: &QueueHandle, taken: &[(Taken, Option<Millis>)]) -> LeaseAnswer {
    let shown = taken.iter();
    let shown = shown.map(|(one, until)| one.show(shared, queue, *until, true));
    LeaseAnswer {
        messages: shown.collect(),
    }
}
