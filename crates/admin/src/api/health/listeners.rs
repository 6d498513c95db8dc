//! Whether somebody listens: on a port, or for a protocol.

use axum::extract::Path;
use serde_json::json;

use super::super::{ApiError, Context, Shown, State, gather};
use super::failed;

/// Names that operators use for a protocol, beside the one of its listener.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("amqp091", "amqp"),
    ("amqp0.9.1", "amqp"),
    ("amqp0-9-1", "amqp"),
    ("amqps", "amqp/ssl"),
    ("mqtts", "mqtt/ssl"),
    ("web-mqtt", "http/web-mqtt"),
];

pub(super) async fn port(State(shared): Context, Path(port): Path<String>) -> Shown {
    gather(shared, move |shared| {
        let wrong = || ApiError::BadRequest("Invalid port".to_owned());
        let port: u64 = port.parse().map_err(|_| wrong())?;
        let listeners = shared.node.listeners.iter();
        let ports: Vec<u64> = listeners
            .map(|listener| u64::from(listener.address.port()))
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

pub(super) async fn protocol(State(shared): Context, Path(asked): Path<String>) -> Shown {
    gather(shared, move |shared| {
        let listeners = shared.node.listeners.iter();
        let protocols: Vec<&str> = listeners.map(|listener| listener.protocol).collect();
        let asked = asked.to_ascii_lowercase();
        let known = OTHER_NAMES.iter().find(|(name, _)| *name == asked);
        let wanted = known.map_or(asked.as_str(), |(_, wanted)| wanted);
        match protocols.contains(&wanted) {
            true => Ok(json!({ "status": "ok", "protocol": wanted })),
            false => failed(json!({
                "reason": "No active listener", "missing": wanted, "protocols": protocols,
            })),
        }
    })
    .await
}
