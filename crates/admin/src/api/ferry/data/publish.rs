//! Publishing one message: the body of the request is its body.
//!
//! Invariants
//! - 201 means: what the message's queues promise is kept; with `durable` it survives a power cut
//!   as far as they say.
//! - Of a message that is refused nothing is kept.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ferry_auth::Whence;
use ferry_broker::{Burst, Origin, Published, Publisher, User};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::incoming::{Incoming, To};
use super::notice::confirmed;
use super::rates::Rate;
use super::{body, headers};
use crate::api::ferry::extract::{At, Params};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, Shared, access};
use crate::auth::LoggedIn;

/// How a message is published.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api::ferry) struct PublishQuery {
    /// The routing key, empty if nothing is said.
    pub(super) routing_key: String,
    /// Whether it is an error if no queue takes it.
    pub(super) mandatory: bool,
}

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::ferry) struct PublishAnswer {
    /// Whether a queue took it.
    routed: bool,
    /// Whether it is on the disk.
    durable: bool,
}

/// Who publishes where.
pub(super) struct Sender {
    pub exchange: String,
    pub publisher: Publisher,
    pub rate: Arc<Rate>,
}

impl Sender {
    /// Refuses who may not publish there, or not now.
    pub fn new(
        shared: &Shared,
        user: &Arc<User>,
        whence: Option<Whence>,
        (vhost, exchange): (&str, &str),
    ) -> Result<Sender, Problem> {
        let vhost = access::vhost(shared, user, vhost)?;
        let exchange = access::exchange_of(exchange).to_owned();
        access::check_write(user, vhost.name(), &exchange)?;
        if !exchange.is_empty() {
            vhost.exchange(&exchange)?;
        }
        let rate = shared
            .data
            .rates
            .of(&shared.broker, &user.name, vhost.name());
        rate.check(&shared.broker)?;
        let address = whence.map(|whence| whence.peer.to_string());
        let origin = Origin {
            user: user.name.clone(),
            address: address.unwrap_or_default(),
        };
        let publisher = Publisher::new(vhost)
            .by(Arc::clone(user))
            .with_origin(Arc::new(origin));
        Ok(Sender {
            exchange,
            publisher,
            rate,
        })
    }

    /// Stages a message, and counts it for the rates.
    pub fn stage(
        &mut self,
        shared: &Shared,
        burst: &mut Burst,
        incoming: &Incoming,
        number: u64,
    ) -> Result<Published, Problem> {
        let broker = &shared.broker;
        let published = incoming.stage(broker, burst, &mut self.publisher, number)?;
        let (bytes, hold) = (incoming.body_bytes(), burst.take_hold());
        self.rate.charge(bytes, &incoming.way(), hold, broker.now());
        Ok(published)
    }
}

/// A queue refused a message.
pub(super) fn refused_by_queue() -> Problem {
    Problem::conflict(
        "refused",
        "a queue is full and refuses what is published to it",
    )
}

/// No queue took a message that had to be taken.
pub(super) fn unroutable() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unroutable",
        "no queue takes the message",
    )
}

/// Publishes the body of the request, and answers when it is safe. Properties are headers of the
/// request; the exchange `amq.default` leads to the queue that the routing key names.
#[utoipa::path(post, path = "/api/ferry/publish/{vhost}/{exchange}", tag = "data plane",
    params(("vhost" = String, Path), ("exchange" = String, Path), PublishQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = PublishAnswer),
        (status = 404, description = "No such exchange, or nobody takes a mandatory message"),
        (status = 409, description = "A queue or a rule of the exchange refuses it"),
        (status = 429, description = "Publishers are held, or a rate is reached: Retry-After")))]
pub(in crate::api::ferry) async fn publish(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    whence: Option<axum::Extension<Whence>>,
    At((vhost, exchange)): At<(String, String)>,
    Params(query): Params<PublishQuery>,
    head: HeaderMap,
    content: Body,
) -> Result<(StatusCode, Json<PublishAnswer>), Problem> {
    let whence = whence.map(|whence| whence.0);
    let mut sender = Sender::new(&shared, &user, whence, (&vhost, &exchange))?;
    let properties = headers::read(&head)?;
    let mut read = body::read(&shared, content, shared.data.message_bytes_max).await?;
    // The disk or memory may have become short while it came.
    sender.rate.check(&shared.broker)?;
    let to = To {
        exchange: &sender.exchange,
        routing_key: &query.routing_key,
    };
    let bytes = std::mem::take(&mut read.bytes);
    let incoming = Incoming::new(&shared, &user, to, properties, bytes)?;
    sender.rate.check_way(&shared.broker, &incoming.way())?;
    let (routed, ticket) = {
        let mut burst = Burst::new();
        let published = sender.stage(&shared, &mut burst, &incoming, 1)?;
        let routed = published == Published::Routed;
        if query.mandatory && !routed {
            return Err(unroutable());
        }
        let ticket = burst.submit(&shared.broker);
        shared.broker.after_act();
        (routed, ticket)
    };
    drop((incoming, read));
    let confirmed = confirmed(&shared.broker, ticket).await?;
    if !confirmed.refused.is_empty() {
        return Err(refused_by_queue());
    }
    let durable = routed && confirmed.logged;
    Ok((StatusCode::CREATED, Json(PublishAnswer { routed, durable })))
}
