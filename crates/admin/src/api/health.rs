//! Health checks at the paths that RabbitMQ's operators and load balancers know.
//!
//! Invariants
//! - 200 means that it was looked at and is as it should be; everything else is 503 with a reason.

mod alive;
mod certificates;
mod listeners;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ferry_broker::BlockReason;
use serde_json::{Value, json};

use super::{Answer, ApiError, Context, Shared, Shown, State, gather, vhosts};

pub(super) fn routes() -> Router<Arc<Shared>> {
    let checks = Router::new()
        .route("/alarms", get(alarms))
        .route("/local-alarms", get(alarms))
        .route("/virtual-hosts", get(virtual_hosts))
        .route("/node-is-quorum-critical", get(alone))
        .route("/node-is-mirror-sync-critical", get(alone))
        .route(
            "/quorum-queues-without-elected-leaders/all-vhosts",
            get(leaders),
        )
        .route(
            "/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}",
            get(leaders),
        )
        .route(
            "/quorum-queues-without-elected-leaders/vhost/{vhost}",
            get(leaders_of_vhost),
        )
        .route(
            "/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}",
            get(leaders_of_pattern),
        )
        .route("/metadata-store/initialized", get(virtual_hosts))
        .route("/metadata-store/initialized/with-data", get(virtual_hosts))
        .route("/is-in-service", get(in_service))
        .route("/ready-to-serve-clients", get(in_service))
        .route("/below-node-connection-limit", get(connections))
        .route(
            "/certificate-expiration/{within}/{unit}",
            get(certificates::expiration),
        )
        .route("/port-listener/{port}", get(listeners::port))
        .route("/protocol-listener/{protocol}", get(listeners::protocol));
    Router::new()
        .nest("/health/checks", checks)
        .route("/healthchecks/node", get(alarms))
        .route("/healthchecks/node/{node}", get(node))
        .route("/aliveness-test/{vhost}", get(alive::test))
}

async fn alarms(State(shared): Context) -> Shown {
    gather(shared, check_alarms).await
}

async fn node(State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| match name == shared.node.name {
        true => check_alarms(shared),
        false => Err(ApiError::NotFound),
    })
    .await
}

/// Virtual hosts and what is known of them fail only with the log, which all of them share.
async fn virtual_hosts(State(shared): Context) -> Shown {
    gather(shared, |shared| check_log(shared).map(|()| ok())).await
}

/// Nothing waits for this node: it is alone.
async fn alone(State(shared): Context) -> Shown {
    gather(shared, |shared| {
        check_log(shared)?;
        Ok(json!({ "status": "ok", "reason": "single node cluster" }))
    })
    .await
}

/// Every queue has its only copy here, which leads as long as the log takes what it says.
async fn leaders(State(shared): Context) -> Shown {
    gather(shared, |shared| check_log(shared).map(|()| ok())).await
}

async fn leaders_of_vhost(State(shared): Context, Path(vhost): Path<String>) -> Shown {
    check_vhost(shared, vhost).await
}

async fn leaders_of_pattern(
    State(shared): Context,
    Path((vhost, _)): Path<(String, String)>,
) -> Shown {
    check_vhost(shared, vhost).await
}

async fn check_vhost(shared: Arc<Shared>, vhost: String) -> Shown {
    gather(shared, move |shared| {
        vhosts::find(shared, &vhost)?;
        check_log(shared).map(|()| ok())
    })
    .await
}

async fn in_service(State(shared): Context) -> Shown {
    gather(shared, |shared| {
        check_log(shared)?;
        match shared.ready() {
            true => Ok(ok()),
            false => failed(json!({ "reason": "this node is not in service" })),
        }
    })
    .await
}

/// The node itself has no limit: virtual hosts and users have.
async fn connections(State(shared): Context) -> Shown {
    gather(shared, |shared| {
        Ok(json!({
            "status": "ok",
            "connections": shared.broker.connection_count(),
            "limit": "infinity",
        }))
    })
    .await
}

fn ok() -> Value {
    json!({ "status": "ok" })
}

fn failed<T>(mut body: Value) -> Result<T, ApiError> {
    body["status"] = json!("failed");
    Err(ApiError::Unhealthy(body))
}

fn check_log(shared: &Shared) -> Result<(), ApiError> {
    match shared.broker.failed() {
        None => Ok(()),
        Some(cause) => failed(json!({ "reason": cause })),
    }
}

fn check_alarms(shared: &Shared) -> Answer {
    check_log(shared)?;
    let resource = match shared.broker.memory().blocked() {
        None => return Ok(ok()),
        Some(BlockReason::Memory) => "memory",
        Some(BlockReason::Disk) => "disk",
    };
    failed(json!({
        "reason": "There are alarms in effect in the cluster",
        "alarms": [{ "node": shared.node.name, "resource": resource }],
    }))
}
