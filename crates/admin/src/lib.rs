//! HTTP: metrics, health, the first pages of the management API, and a page for people.
//!
//! It owns the HTTP listener and everything that is said on it. It reads the broker; all it changes
//! there are policies and what queues hold, for who is logged in.
//!
//! Invariants
//! - What is not known is left out; no figure is made up.
//! - Requests have limits: head, body, time, and how many connections there are at once.
//! - No answer grants another origin anything; the page runs no script but its own file.
//! - `/metrics` and `/health` need no log-in, everything below `/api` does.
//!
//! Not here: who may log in (`ferry-broker`), the protocols of messages (`ferry-gateway`).

#![forbid(unsafe_code)]

mod api;
mod auth;
#[cfg(feature = "testing")]
pub mod fuzzing;
mod health;
mod kept;
mod metrics;
mod page;
mod process;
mod routes;
mod sampler;
mod server;
mod shared;
mod websocket;

pub use process::resident_bytes;
pub use server::{Admin, AdminConfig, METRICS_PROTOCOL};
pub use shared::{Listener, Node};
pub use websocket::{Upgraded, WebSockets};
