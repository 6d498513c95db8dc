//! The data plane: publishing and consuming by HTTP, for applications.
//!
//! ```text
//!  publish ─▶ 201 when durable        lease ─▶ messages, each with a token ─▶ settle, extend
//!  request ─▶ the reply               subscribe ─▶ server-sent events ─▶ settle (manual)
//! ```
//!
//! Invariants
//! - No tag is needed, the right to write or to read is.
//! - A publish is answered when what it promises is kept; a held publisher is told when to come
//!   again, and nothing of its message is kept.
//! - A lease lives until its time is over or it is settled, whoever is connected: only those of a
//!   subscription go back when it ends.
//! - Nobody who waits holds a thread.

pub(super) mod batch;
mod body;
#[cfg(feature = "testing")]
pub(in crate::api) mod fuzzing;
mod headers;
mod incoming;
pub(super) mod lease;
mod notice;
pub(super) mod publish;
mod rates;
pub(super) mod request;
pub(super) mod settle;
mod settled;
pub(super) mod subscribe;
mod taken;
mod token;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::paths::Paths;
use rates::Rates;
use settled::Settlements;
use token::Signer;

/// The first names of the paths of applications, not of those who look after the node.
pub(crate) const DATA_PLANE: [&str; 7] = [
    "publish",
    "publish-batch",
    "lease",
    "settle",
    "extend",
    "request",
    "subscribe",
];

/// Most bodies that come at once, in messages of the largest size.
const BODIES_MAX: u64 = 8;

/// What the data plane keeps between requests.
pub(crate) struct DataPlane {
    signer: Signer,
    settlements: Settlements,
    rates: Rates,
    /// Bytes of bodies that are coming in.
    body_bytes: Arc<AtomicU64>,
    /// Largest body of a message, in bytes.
    message_bytes_max: u64,
}

impl DataPlane {
    pub fn new(message_bytes_max: u64) -> DataPlane {
        DataPlane {
            signer: Signer::new(),
            settlements: Settlements::default(),
            rates: Rates::default(),
            body_bytes: Arc::default(),
            message_bytes_max,
        }
    }
}

pub(super) fn routes(paths: Paths) -> Paths {
    paths
        .post("/publish/{vhost}/{exchange}", publish::publish)
        .post("/publish-batch/{vhost}/{exchange}", batch::batch)
        .post("/request/{vhost}/{exchange}", request::request)
        .post("/lease/{vhost}/{queue}", lease::lease)
        .post("/settle/{vhost}/{queue}", settle::settle)
        .post("/extend/{vhost}/{queue}", settle::extend)
        .get("/subscribe/{vhost}/{queue}", subscribe::subscribe)
}
