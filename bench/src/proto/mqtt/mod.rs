//! MQTT 3.1.1 and 5 at quality of service 0, 1 and 2.
//!
//! Invariants
//! - A message counts as confirmed at PUBACK or PUBCOMP.
//! - A durable load uses sessions that outlive their connection; the clean-up ends them.
//! - What a broker may not send ends a run: see `producer` and `consumer`.
//!
//! Not here: topic aliases, wills and shared subscriptions; no load needs them.

mod client;
mod consumer;
pub mod crowd;
mod lookup;
mod producer;
mod topics;
mod wire;

pub use client::Client;
pub use consumer::{cleanup, consumer};
pub use lookup::{Reader, version};
pub use producer::producer;
pub use topics::retained_topic;
