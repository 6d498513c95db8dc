//! Certificates of the listeners: whether one of them expires soon.
//!
//! Invariants
//! - What is looked at is what clients get: each listener with TLS is asked for its certificate.

mod ask;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::Path;
use serde_json::json;

use super::super::{ApiError, Context, Shown, State};
use super::{failed, ok};
use crate::shared::Listener;

const DAY: u64 = 86_400;
/// Units with their length in seconds, as RabbitMQ counts them.
const UNITS: [(&str, u64); 4] = [
    ("days", DAY),
    ("weeks", 7 * DAY),
    ("months", 30 * DAY),
    ("years", 365 * DAY),
];

pub(super) async fn expiration(
    State(shared): Context,
    Path((within, unit)): Path<(String, String)>,
) -> Shown {
    let bad = |why: &str| ApiError::BadRequest(why.to_owned());
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, unit_s) = unit.ok_or_else(|| {
        bad("Time unit not recognised. Supported units: days, weeks, months, years.")
    })?;
    let within: u32 = within
        .parse()
        .map_err(|_| bad("Invalid expiration value."))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let until = now.unwrap_or(Duration::ZERO).as_secs() + u64::from(within) * unit_s;
    let mut expired = Vec::new();
    for listener in shared.node.listeners.iter().filter(|one| has_tls(one)) {
        let end = ask::expiry(listener.address).await;
        if !end.as_ref().is_ok_and(|end| *end > until as i64) {
            expired.push(json!({
                "node": shared.node.name,
                "protocol": listener.protocol,
                "interface": listener.address.ip().to_string(),
                "port": listener.address.port(),
                "certificate": end.map_or_else(|why| why, |end| format!("until {end}")),
            }));
        }
    }
    if expired.is_empty() {
        return Ok(Json(ok()));
    }
    failed(json!({ "reason": "Certificates expiring", "expired": expired }))
}

fn has_tls(listener: &Listener) -> bool {
    let protocol = listener.protocol;
    protocol.ends_with("/ssl") || protocol.starts_with("https")
}
