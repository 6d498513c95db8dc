//! The engine: messages, names, limits, routing and queues as plain data and functions.
//!
//! Invariants
//! - Nothing here does I/O, starts a task, takes a lock, reads a clock or draws a random number:
//!   time is an argument, what must happen is returned as effects.
//! - The same inputs in the same order give the same outputs, on every machine.
//! - Bounds are named with their units in `limits`.
//!
//! Not here: what is on disk (`ferry-log`), who is connected (`ferry-gateway`), in which order
//! commands arrive (`ferry-broker`).

#![forbid(unsafe_code)]

pub mod arguments;
pub mod facts;
pub mod filter;
pub mod image;
pub mod limits;
pub mod message;
pub mod queue;
pub mod reason;
pub mod routing;
pub mod view;
pub mod wire;

/// Milliseconds since the Unix epoch, as handed in by the caller.
pub type Millis = u64;
