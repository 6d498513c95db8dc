//! AMQP 0-9-1: enough to declare, publish, confirm, consume and acknowledge.
//!
//! Invariants
//! - The generator is also a check: a frame without its end mark, a confirm for a message never
//!   sent, and a close by the broker each end the run with an error.

mod client;
mod consumer;
mod producer;
pub mod selftest;
mod setup;
mod wire;

pub use client::Client;
pub use consumer::consumer;
pub use producer::producer;
pub use setup::{cleanup, queue_args, setup};
