//! The node: what it is, what it uses, and what its memory is used for.
//!
//! Invariants
//! - What RabbitMQ tells of the Erlang machine is left out: there is none.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ferry_broker::BlockReason;
use serde_json::{Value, json};

use super::details::{CourseQuery, Kind, Windows, seen};
use super::list::Columns;
use super::overview::{contexts, exchange_types};
use super::{ApiError, Context, Query, Shared, Shown, State, gather};
use crate::process;
use crate::sampler::{CHURN, Key, USED, churn, used};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/nodes", get(all))
        .route("/nodes/{node}", get(one))
        .route("/nodes/{node}/memory", get(memory))
        .route("/nodes/{node}/memory/relative", get(memory_relative))
}

async fn all(State(shared): Context, query: Query<CourseQuery>) -> Shown {
    gather(shared, move |shared| {
        let shown = json!([show(shared, query.windows())]);
        Ok(Columns::of(query.columns.as_deref()).pick_each(shown))
    })
    .await
}

async fn one(State(shared): Context, Path(name): Path<String>, query: Query<CourseQuery>) -> Shown {
    gather(shared, move |shared| {
        is_here(shared, &name)?;
        let mut shown = show(shared, query.windows());
        // A page of RabbitMQ asks for it with the node.
        if let Some(memory) = memory_of(shared) {
            shown["memory"] = memory;
        }
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

async fn memory(State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| {
        is_here(shared, &name)?;
        Ok(json!({ "memory": memory_of(shared).unwrap_or_else(|| json!("not_available")) }))
    })
    .await
}

async fn memory_relative(State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| {
        is_here(shared, &name)?;
        let Some(resident) = process::resident_bytes().filter(|bytes| *bytes > 0) else {
            return Ok(json!({ "memory": "not_available" }));
        };
        let messages = shared.broker.memory().used_bytes() as f64;
        let share = (messages * 100.0 / resident as f64).min(100.0);
        let memory = json!({ "messages": share, "other": 100.0 - share, "total": 100 });
        Ok(json!({ "memory": memory }))
    })
    .await
}

fn is_here(shared: &Shared, name: &str) -> Result<(), ApiError> {
    match name == shared.node.name {
        true => Ok(()),
        false => Err(ApiError::NotFound),
    }
}

/// What the memory is used for, as far as it is counted.
fn memory_of(shared: &Shared) -> Option<Value> {
    let resident = process::resident_bytes()?;
    let messages = shared.broker.memory().used_bytes();
    Some(json!({
        "messages": messages,
        "other": resident.saturating_sub(messages),
        "strategy": "rss",
        "total": { "rss": resident },
    }))
}

fn show(shared: &Shared, windows: Windows) -> Value {
    let memory = shared.broker.memory();
    let blocked = memory.blocked();
    let processors = std::thread::available_parallelism().map(usize::from).ok();
    let files_max = process::open_files_max();
    let mut node = json!({
        "name": shared.node.name,
        "type": "disc",
        "running": shared.broker.failed().is_none(),
        "being_drained": false,
        "os_pid": std::process::id().to_string(),
        "uptime": shared.started.elapsed().as_millis() as u64,
        "rates_mode": "basic",
        "mem_limit": memory.high_bytes(),
        "mem_alarm": blocked == Some(BlockReason::Memory),
        "mem_calculation_strategy": "rss",
        "disk_free_alarm": blocked == Some(BlockReason::Disk),
        "disk_free_limit": shared.broker.disk_free_bytes_min(),
        "message_memory_used": memory.used_bytes(),
        "sync": shared.broker.sync_default().name(),
        "db_dir": shared.node.data_dir,
        "exchange_types": exchange_types(),
        "auth_mechanisms": auth_mechanisms(),
        "applications": [{
            "name": "ferrymq",
            "description": "FerryMQ",
            "version": shared.node.version,
        }],
        "contexts": contexts(shared, false),
        "partitions": [],
        "cluster_links": [],
        "enabled_plugins": [],
        "config_files": [],
        "log_files": [],
    });
    let Some(fields) = node.as_object_mut() else {
        return node;
    };
    let counts = CHURN.iter().zip(churn(shared).map(Some));
    let figures = USED.iter().zip(used(shared)).chain(counts);
    seen(shared, &Key::Node, windows, |seen| {
        for (field, value) in figures {
            if let Some(value) = value {
                fields.insert(field.name.to_owned(), json!(value));
                seen.put(fields, *field, Kind::Node);
            }
        }
    });
    for (name, value) in [
        ("fd_total", files_max),
        ("sockets_total", files_max),
        ("processors", processors.map(|count| count as u64)),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    node
}

fn auth_mechanisms() -> Value {
    let show = |name: &str| json!({ "name": name, "description": "SASL", "enabled": true });
    Value::Array(["PLAIN", "AMQPLAIN"].map(show).to_vec())
}
