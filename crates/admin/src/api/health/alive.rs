//! A virtual host that works: a message goes in and comes out.
//!
//! Invariants
//! - The asker needs the rights to do the same as a client.
//! - The queue that is used for this goes by itself when nobody asks any more.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::{
    Broker, Burst, ConnectionId, NoView, Publisher, QueueHandle, QueueSpec, Resource, Right, User,
    Vhost,
};
use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, FORMAT_AMQP091};
use serde_json::{Value, json};

use super::super::{ApiError, Context, Shown, State, gather, vhosts};
use super::{failed, ok};
use crate::auth::LoggedIn;

/// The name that RabbitMQ uses for it.
const QUEUE: &str = "aliveness-test";
/// How long the queue is kept after it was asked for last.
const QUEUE_KEPT_MS: i64 = 300_000;
/// No property in the stored form of AMQP 0-9-1.
const NO_PROPERTIES: &[u8] = &[0, 0];

pub(super) async fn test(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        check_rights(&user, vhost.name())?;
        let queue = queue(&vhost)?;
        match pass(&shared.broker, &vhost, &queue) {
            Ok(()) => Ok(ok()),
            Err(why) => failed(json!({ "reason": why })),
        }
    })
    .await
}

fn check_rights(user: &User, vhost: &str) -> Result<(), ApiError> {
    let all = [
        (Right::Configure, Resource::Queue, QUEUE),
        (Right::Write, Resource::Exchange, ""),
        (Right::Read, Resource::Queue, QUEUE),
    ];
    let has = |(right, kind, name): &(Right, Resource, &str)| user.may(vhost, *right, *kind, name);
    match all.iter().all(has) {
        true => Ok(()),
        false => Err(ApiError::Unauthorised(
            "the test needs the rights to declare, publish to and consume queue 'aliveness-test'",
        )),
    }
}

fn queue(vhost: &Vhost) -> Result<Arc<QueueHandle>, ApiError> {
    if let Ok(queue) = vhost.queue(QUEUE, ConnectionId::NOBODY) {
        return Ok(queue);
    }
    let spec = QueueSpec {
        name: QUEUE.to_owned(),
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::from_iter([("x-expires", QUEUE_KEPT_MS)]),
    };
    Ok(vhost.declare_queue(spec, ConnectionId::NOBODY)?.queue)
}

/// Publishes one message and takes one.
fn pass(broker: &Broker, vhost: &Arc<Vhost>, queue: &Arc<QueueHandle>) -> Result<(), Value> {
    let draft = Draft {
        format: FORMAT_AMQP091,
        persistent: false,
        dead_lettered: false,
        priority: 0,
        ttl_ms: None,
        published_ms: broker.now(),
        deliver_at: None,
        id: None,
        exchange: b"",
        routing_key: QUEUE.as_bytes(),
        properties: NO_PROPERTIES,
        body: b"test_message",
    };
    let mut publisher = Publisher::new(Arc::clone(vhost));
    let mut burst = Burst::new();
    let published = burst.publish(broker, &mut publisher, &draft, &NoView, None);
    published.map_err(|error| json!(error.to_string()))?;
    burst.submit(broker);
    match broker.get(queue, true, &mut |_| {}) {
        Ok(true) => Ok(()),
        Ok(false) => Err(json!("the message that was published did not come out")),
        Err(error) => Err(json!(error.to_string())),
    }
}
