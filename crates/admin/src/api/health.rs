//! Health checks at the paths that RabbitMQ's operators and load balancers know.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ferry_broker::BlockReason;
use serde_json::{Value, json};

use super::{Answer, ApiError, Context, LoggedIn, Shared, Shown, State, gather};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health/checks/alarms", get(alarms))
        .route("/health/checks/local-alarms", get(alarms))
        .route("/health/checks/virtual-hosts", get(virtual_hosts))
        .route("/health/checks/node-is-quorum-critical", get(virtual_hosts))
        .route("/health/checks/port-listener/{port}", get(port_listener))
        .route(
            "/health/checks/protocol-listener/{protocol}",
            get(protocol_listener),
        )
        .route("/healthchecks/node", get(alarms))
        .route("/healthchecks/node/{node}", get(node))
}

async fn alarms(_: LoggedIn, State(shared): Context) -> Shown {
    gather(shared, check_alarms).await
}

async fn node(_: LoggedIn, State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| match name == shared.node.name {
        true => check_alarms(shared),
        false => Err(ApiError::NotFound),
    })
    .await
}

/// On one node both fail only with the log, which all virtual hosts and all quorum queues share.
async fn virtual_hosts(_: LoggedIn, State(shared): Context) -> Shown {
    gather(shared, |shared| check_log(shared).map(|()| ok())).await
}

async fn port_listener(_: LoggedIn, State(shared): Context, Path(port): Path<String>) -> Shown {
    gather(shared, move |shared| {
        let wrong = || ApiError::BadRequest(format!("`{port}` is not a port"));
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let ports: Vec<u16> = shared
            .node
            .listeners
            .iter()
            .map(|listener| listener.address.port())
            .collect();
        match ports.contains(&port) {
            true => Ok(json!({ "status": "ok", "port": port })),
            false => failed(json!({
                "reason": "No active listener", "missing": port, "ports": ports,
            })),
        }
    })
    .await
}

async fn protocol_listener(
    _: LoggedIn,
    State(shared): Context,
    Path(protocol): Path<String>,
) -> Shown {
    gather(shared, move |shared| {
        let protocols: Vec<&str> = shared
            .node
            .listeners
            .iter()
            .map(|listener| listener.protocol)
            .collect();
        // Operators write it either way.
        let wanted = match protocol.as_str() {
            "amqp091" | "amqp0-9-1" | "amqp0.9.1" => "amqp",
            other => other,
        };
        match protocols.contains(&wanted) {
            true => Ok(json!({ "status": "ok", "protocol": protocol })),
            false => failed(json!({
                "reason": "No active listener", "missing": protocol, "protocols": protocols,
            })),
        }
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
