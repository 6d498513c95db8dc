//! Settling leases and giving them more time, many in one request.
//!
//! Invariants
//! - Each is answered for itself; one that is too late says why and changes nothing.
//! - Who settles again in the same way is told again that it is settled: an answer may be lost.
//! - The answer comes when what was settled outlives a loss of power.

use axum::Json;
use axum::extract::State;
use ferry_broker::{Lease, Outcome as BrokerOutcome, QueueHandle, Settled};
use ferry_core::Millis;
use ferry_core::limits::DELAY_MS_MAX;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::lease::check_lease_ms;
use super::token::BadToken;
use crate::api::ferry::extract::{At, Body};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, Shared, access, kept};
use crate::auth::LoggedIn;

/// Most leases of one request.
const LEASES_MAX: usize = 1000;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api::ferry) enum Outcome {
    /// It is done.
    Accept,
    /// It goes back to its place; a try that counts.
    Requeue,
    /// It is dead-lettered, or dropped where there is nowhere to go.
    Reject,
    /// It goes back later; a try that counts.
    Delay,
}

/// How one lease is settled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::ferry) struct Settlement {
    /// The token of the lease.
    lease: String,
    outcome: Outcome,
    /// With `delay`: after so many milliseconds; null for as long as the queue says.
    delay_ms: Option<u64>,
}

/// How leases are settled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "leases": [{ "lease": "AAECAw", "outcome": "accept" },
    { "lease": "AAECBA", "outcome": "delay", "delay_ms": 5000 }] }))]
pub(in crate::api::ferry) struct SettleBody {
    /// At most 1,000.
    leases: Vec<Settlement>,
}

/// Why a lease can not be settled or extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api::ferry) enum Why {
    /// Its time was over, or an operator ended it: somebody else may have the message.
    Ended,
    /// It was settled before, otherwise.
    Settled,
    /// The node was started again: the message is back in its queue.
    Restarted,
    /// It was not given out here, or is of another queue.
    Unknown,
}

impl From<BadToken> for Why {
    fn from(bad: BadToken) -> Why {
        match bad {
            BadToken::Restarted => Why::Restarted,
            BadToken::Unknown => Why::Unknown,
        }
    }
}

/// What became of one lease.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct SettleResult {
    lease: String,
    /// Whether it was settled so, now or before.
    settled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

/// What became of leases, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct SettleAnswer {
    results: Vec<SettleResult>,
}

fn check_count(count: usize) -> Result<(), Problem> {
    match count {
        0..=LEASES_MAX => Ok(()),
        _ => Err(Problem::bad(format!("at most {LEASES_MAX} leases at once"))),
    }
}

impl Settlement {
    fn outcome(&self) -> Result<BrokerOutcome, Problem> {
        match (self.outcome, self.delay_ms) {
            (Outcome::Delay, Some(delay_ms)) if delay_ms > DELAY_MS_MAX => {
                Err(Problem::bad(format!("delay_ms is at most {DELAY_MS_MAX}")))
            }
            (Outcome::Delay, delay_ms) => Ok(BrokerOutcome::Delay(delay_ms)),
            (_, Some(_)) => Err(Problem::bad("delay_ms goes with the outcome delay only")),
            (Outcome::Accept, None) => Ok(BrokerOutcome::Accept),
            (Outcome::Requeue, None) => Ok(BrokerOutcome::Requeue),
            (Outcome::Reject, None) => Ok(BrokerOutcome::Reject),
        }
    }

    /// Settles it; says why not.
    fn settle(
        &self,
        shared: &Shared,
        queue: &QueueHandle,
        outcome: BrokerOutcome,
    ) -> Result<(), Why> {
        let (broker, plane) = (&shared.broker, &shared.data);
        let lease = plane.signer.lease(broker, queue, &self.lease)?;
        match broker.settle_now(queue, lease, outcome) {
            Settled::Done => {
                plane.settlements.add(queue, lease, self.outcome);
                Ok(())
            }
            Settled::Late => match plane.settlements.find(queue, lease) {
                Some(before) if before == self.outcome => Ok(()),
                Some(_) => Err(Why::Settled),
                None => Err(Why::Ended),
            },
        }
    }
}

/// Settles leases.
#[utoipa::path(post, path = "/api/ferry/settle/{vhost}/{queue}", tag = "data plane",
    params(("vhost" = String, Path), ("queue" = String, Path)), request_body = SettleBody,
    responses((status = 200, body = SettleAnswer), (status = 404)))]
pub(in crate::api::ferry) async fn settle(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Body(body): Body<SettleBody>,
) -> Result<Json<SettleAnswer>, Problem> {
    check_count(body.leases.len())?;
    let outcomes: Result<Vec<_>, _> = body.leases.iter().map(Settlement::outcome).collect();
    let outcomes = outcomes?;
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let settled = body.leases.into_iter().zip(outcomes);
    let results: Vec<_> = settled
        .map(|(settlement, outcome)| {
            let why = settlement.settle(&shared, &queue, outcome).err();
            SettleResult {
                lease: settlement.lease,
                settled: why.is_none(),
                why,
            }
        })
        .collect();
    if results.iter().any(|result| result.settled) {
        shared.broker.after_act();
        let promise = shared.broker.promise_so_far()?;
        kept(&shared.broker, promise).await;
    }
    Ok(Json(SettleAnswer { results }))
}

/// Which leases get more time, and how much.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "leases": ["AAECAw"], "lease_ms": 60000 }))]
pub(in crate::api::ferry) struct ExtendBody {
    /// Their tokens, at most 1,000.
    leases: Vec<String>,
    /// From now, 1 to 43,200,000; null for as long as the queue says.
    lease_ms: Option<u64>,
}

/// What became of one lease.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct ExtendResult {
    lease: String,
    /// When it ends by itself now.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

/// What became of leases, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct ExtendAnswer {
    results: Vec<ExtendResult>,
}

fn extend_one(
    shared: &Shared,
    queue: &QueueHandle,
    token: &str,
    lease_ms: Option<u64>,
) -> Result<Lease, Why> {
    let (broker, plane) = (&shared.broker, &shared.data);
    let lease = plane.signer.lease(broker, queue, token)?;
    match broker.extend_lease(queue, lease, lease_ms) {
        Settled::Done => Ok(lease),
        Settled::Late => Err(match plane.settlements.find(queue, lease) {
            Some(_) => Why::Settled,
            None => Why::Ended,
        }),
    }
}

/// Gives leases more time.
#[utoipa::path(post, path = "/api/ferry/extend/{vhost}/{queue}", tag = "data plane",
    params(("vhost" = String, Path), ("queue" = String, Path)), request_body = ExtendBody,
    responses((status = 200, body = ExtendAnswer), (status = 404)))]
pub(in crate::api::ferry) async fn extend(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Body(body): Body<ExtendBody>,
) -> Result<Json<ExtendAnswer>, Problem> {
    check_count(body.leases.len())?;
    check_lease_ms(body.lease_ms)?;
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    if body.lease_ms.is_none() && queue.options().lease_timeout_ms.is_none() {
        return Err(Problem::bad(
            "lease_ms is missing: the queue has no lease time of its own",
        ));
    }
    let extended = body.leases.into_iter().map(|token| {
        let extended = extend_one(&shared, &queue, &token, body.lease_ms);
        ExtendResult {
            until: extended
                .ok()
                .and_then(|lease| shared.broker.lease_until(&queue, lease)),
            why: extended.err(),
            lease: token,
        }
    });
    let results = extended.collect();
    Ok(Json(ExtendAnswer { results }))
}
