//! The gate: who may ask for which path, looked up in one place as RabbitMQ decides it.
//!
//! Every request below `/api` comes through here before its answer is made. Below `/api/ferry` the
//! rights to queues and exchanges are asked for where they are looked up (`ferry/access`).
//!
//! Invariants
//! - A path that is not named needs one of the tags that let people manage.
//! - What is shown of all virtual hosts is that of those that the user may enter, unless the user
//!   is an administrator.
//! - Acts need the rights that they need in AMQP, whoever asks.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ferry_broker::{AccessRefused, Resource, Right, User, Vhost};

use super::error_body;
use super::ferry::data::DATA_PLANE;
use super::ferry::decoded;
use crate::auth::{Known, LoggedIn};
use crate::shared::Shared;

const ADMINISTRATOR: &str = "administrator";
const MONITORING: &str = "monitoring";
const POLICYMAKER: &str = "policymaker";
const MANAGING: [&str; 4] = ["management", POLICYMAKER, MONITORING, ADMINISTRATOR];

/// What a path needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need<'a> {
    Nothing,
    /// To be somebody: the rest is a matter of rights.
    LogIn,
    Managing,
    /// To enter that virtual host.
    Enter(&'a str),
    /// The same, or to see everything of the node.
    Look(&'a str),
    PolicyMaker,
    /// To see and set policies in that virtual host.
    PolicyMakerOf(&'a str),
    Monitoring,
    Administrator,
}

fn need<'a>(method: &Method, path: &[&'a str]) -> Need<'a> {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path {
        ["ferry", "passport", vhost, ..] | ["ferry", "queues", vhost, _, "delayed"] => {
            Need::Enter(vhost)
        }
        ["ferry", "openapi.json"] | ["auth"] => Need::Nothing,
        ["ferry", first, ..] if DATA_PLANE.contains(first) => Need::LogIn,
        ["ferry", "definitions", ..] => Need::Administrator,
        ["ferry", "partitions" | "log" | "audit"] | ["nodes", ..] | ["auth", "attempts", ..] => {
            Need::Monitoring
        }
        ["parameters", _, vhost, ..] => Need::PolicyMakerOf(vhost),
        ["parameters" | "global-parameters", ..] => Need::PolicyMaker,
        ["policies", vhost, _] => Need::PolicyMakerOf(vhost),
        ["operator-policies", _, _] => Need::Administrator,
        // As in RabbitMQ since 3.12.
        ["feature-flags"] if reads => Need::Managing,
        ["vhosts", vhost, "connections" | "channels"] => Need::Enter(vhost),
        ["vhosts", _, ..] => Need::Administrator,
        [
            "users" | "permissions" | "topic-permissions" | "definitions",
            ..,
        ]
        | [
            "reset" | "rebalance" | "feature-flags" | "deprecated-features",
            ..,
        ] => Need::Administrator,
        ["vhost-limits" | "user-limits" | "cluster-name", ..] if !reads => Need::Administrator,
        ["vhost-limits", vhost] => Need::Look(vhost),
        ["queues" | "exchanges" | "bindings" | "consumers", vhost, ..]
        | ["policies" | "operator-policies" | "aliveness-test", vhost] => Need::Enter(vhost),
        _ => Need::Managing,
    }
}

type Act<'a> = (Right, Resource, &'a str);

/// The rights that an act needs, in the virtual host that its path names.
fn acts<'a>(method: &Method, path: &[&'a str]) -> (&'a str, Vec<Act<'a>>) {
    let (queue, exchange) = (Resource::Queue, Resource::Exchange);
    let binding = |kind, from: &'a str, to: &'a str| {
        vec![(Right::Write, kind, to), (Right::Read, exchange, from)]
    };
    let path = path.strip_prefix(&["ferry"]).unwrap_or(path);
    match (method.as_str(), path) {
        ("PUT" | "DELETE", ["queues", vhost, name])
        | ("POST", ["queues", vhost, name, "actions"]) => {
            (vhost, vec![(Right::Configure, queue, name)])
        }
        ("DELETE", ["queues", vhost, name, "contents" | "delayed"])
        | ("POST", ["queues", vhost, name, "get"]) => (vhost, vec![(Right::Read, queue, name)]),
        ("PUT" | "DELETE", ["exchanges", vhost, name]) => {
            (vhost, vec![(Right::Configure, exchange, name)])
        }
        ("POST", ["exchanges", vhost, name, "publish"]) => {
            (vhost, vec![(Right::Write, exchange, name)])
        }
        ("POST", ["bindings", vhost, "e", from, "q", to])
        | ("DELETE", ["bindings", vhost, "e", from, "q", to, _]) => {
            (vhost, binding(queue, from, to))
        }
        ("POST", ["bindings", vhost, "e", from, "e", to])
        | ("DELETE", ["bindings", vhost, "e", from, "e", to, _]) => {
            (vhost, binding(exchange, from, to))
        }
        _ => ("", Vec::new()),
    }
}

/// Lets a request pass, or answers it.
pub(crate) async fn pass(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(path) = parts_of(request.uri().path()) else {
        let body = error_body("bad_request", "the path is not percent-encoded");
        return (StatusCode::BAD_REQUEST, body).into_response();
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let need = need(request.method(), &path);
    if need == Need::Nothing {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let LoggedIn(user) = match LoggedIn::from_request_parts(&mut parts, &shared).await {
        Ok(user) => user,
        Err(refused) => return refused.into_response(),
    };
    if let Err(reason) = check(&shared, &user, need) {
        return refuse(reason);
    }
    let (vhost, acts) = acts(&parts.method, &path);
    // Where there is no virtual host, nothing is done.
    let acts = acts
        .into_iter()
        .filter(|_| shared.broker.vhost(vhost).is_some());
    for (right, kind, name) in acts {
        if let Err(refused) = user.check(vhost, right, kind, name) {
            return refuse_act(&path, &refused);
        }
    }
    parts.extensions.insert(Known(user));
    next.run(Request::from_parts(parts, body)).await
}

/// The names in a path; none if it can not be read. What is no text is nobody's name: an answer
/// that takes bytes has them from the path itself.
fn parts_of(path: &str) -> Option<Vec<String>> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| Some(String::from_utf8_lossy(&decoded(part)?).into_owned()))
        .collect()
}

/// RabbitMQ does it over a connection of its own, and tells of its end in one of three ways.
fn refuse_act(path: &[&str], refused: &AccessRefused) -> Response {
    match path {
        [.., "publish"] => {
            let body = error_body("bad_request", &format!("403 ACCESS_REFUSED - {refused}"));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
        [.., "get"] => refuse(&format!("ACCESS_REFUSED - {refused}")),
        _ => refuse("Access refused."),
    }
}

fn refuse(reason: &str) -> Response {
    let body = error_body("not_authorised", reason);
    (StatusCode::UNAUTHORIZED, body).into_response()
}

fn check(shared: &Shared, user: &User, need: Need<'_>) -> Result<(), &'static str> {
    const OBJECT: &str = "User not authorised to access object";
    const VHOST: &str = "User not authorised to access virtual host";
    let is = |tag: &str| user.has_tag(tag) || user.has_tag(ADMINISTRATOR);
    let enters = |vhost: &str| sees(user, vhost) || shared.broker.vhost(vhost).is_none();
    let (allowed, reason) = match need {
        Need::Nothing | Need::LogIn => return Ok(()),
        Need::Managing => (true, ""),
        Need::Enter(vhost) => (enters(vhost), VHOST),
        Need::Look(vhost) => (is(MONITORING) || enters(vhost), VHOST),
        Need::PolicyMaker => (is(POLICYMAKER), OBJECT),
        Need::PolicyMakerOf(vhost) => (is(POLICYMAKER) && enters(vhost), OBJECT),
        Need::Monitoring => (is(MONITORING), "Not monitor user"),
        Need::Administrator => (is(ADMINISTRATOR), "Not administrator user"),
    };
    if !MANAGING.iter().any(|tag| user.has_tag(tag)) {
        return Err("Not management user");
    }
    if allowed { Ok(()) } else { Err(reason) }
}

/// Whether what is in a virtual host is shown to a user.
pub(super) fn sees(user: &User, vhost: &str) -> bool {
    user.has_tag(ADMINISTRATOR) || user.may_enter(vhost)
}

/// Whether a user sees everything of the node.
pub(super) fn monitors(user: &User) -> bool {
    user.has_tag(MONITORING) || user.has_tag(ADMINISTRATOR)
}

/// The virtual hosts of which a user is shown what is in them.
pub(super) fn vhosts_seen(shared: &Shared, user: &User) -> Vec<Arc<Vhost>> {
    let mut vhosts = shared.broker.vhosts();
    vhosts.retain(|vhost| sees(user, vhost.name()));
    vhosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_need_what_they_need_in_rabbitmq() {
        for (method, path, expected) in [
            ("GET", "overview", Need::Managing),
            ("GET", "queues", Need::Managing),
            ("GET", "queues/v", Need::Enter("v")),
            ("DELETE", "queues/v/q", Need::Enter("v")),
            ("GET", "exchanges/v/e/bindings/source", Need::Enter("v")),
            ("POST", "bindings/v/e/a/q/b", Need::Enter("v")),
            ("GET", "nodes/n", Need::Monitoring),
            ("GET", "policies", Need::Managing),
            ("GET", "policies/v", Need::Enter("v")),
            ("GET", "policies/v/p", Need::PolicyMakerOf("v")),
            ("PUT", "policies/v/p", Need::PolicyMakerOf("v")),
            ("GET", "operator-policies/v", Need::Enter("v")),
            ("GET", "operator-policies/v/p", Need::Administrator),
            ("PUT", "operator-policies/v/p", Need::Administrator),
            ("GET", "vhosts", Need::Managing),
            ("GET", "vhosts/v", Need::Administrator),
            ("GET", "vhosts/v/permissions", Need::Administrator),
            ("GET", "vhosts/v/connections", Need::Enter("v")),
            ("GET", "users", Need::Administrator),
            ("POST", "users/bulk-delete", Need::Administrator),
            ("GET", "permissions/v/u", Need::Administrator),
            ("GET", "vhost-limits", Need::Managing),
            ("GET", "vhost-limits/v", Need::Look("v")),
            ("PUT", "vhost-limits/v/max-queues", Need::Administrator),
            ("GET", "user-limits/u", Need::Managing),
            ("DELETE", "user-limits/u/max-channels", Need::Administrator),
            ("GET", "auth", Need::Nothing),
            ("GET", "auth/attempts/n", Need::Monitoring),
            ("GET", "consumers/v", Need::Enter("v")),
            ("GET", "feature-flags", Need::Managing),
            ("PUT", "feature-flags/f/enable", Need::Administrator),
            ("GET", "parameters", Need::PolicyMaker),
            ("GET", "parameters/policy", Need::PolicyMaker),
            ("GET", "parameters/policy/v", Need::PolicyMakerOf("v")),
            ("PUT", "parameters/policy/v/p", Need::PolicyMakerOf("v")),
            ("POST", "ferry/publish/v/e", Need::LogIn),
            ("GET", "ferry/subscribe/v/q", Need::LogIn),
            ("GET", "ferry/queues/v/q/messages", Need::Managing),
            ("GET", "ferry/log", Need::Monitoring),
            ("POST", "ferry/definitions/check", Need::Administrator),
            ("GET", "ferry/openapi.json", Need::Nothing),
            ("GET", "ferry/passport/v/id", Need::Enter("v")),
        ] {
            let parts: Vec<&str> = path.split('/').collect();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(need(&method, &parts), expected, "{method} {path}");
        }
    }
}
