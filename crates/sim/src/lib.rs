//! Seeded simulation: the broker itself, driven by one thread on a virtual clock and a disk that
//! tears, drops, reorders, fills up and fails, beside a model that knows what must be true.
//!
//! One seed is one life of a node: hundreds of steps, each of them an operation of a client, of
//! the operator, of time or of misfortune. After each step everything that can be seen from
//! outside is compared with the model; after each restart everything that is on the disk is.
//!
//! A new operation is a function of an actor (`actors`) that calls the broker, tells the model
//! with [`model::Change`] what was asked for, and gets a weight in [`Workload`]. A new workload is
//! a row in `Workload::ALL`. A new promise is a check in `check` or in `model::recover`.
//!
//! Invariants
//! - The same seed, workload and number of steps give the same trace, byte for byte: no clock, no
//!   thread, no order of hashing, no address comes into it.
//! - The model is told what was asked and what came out, never what the broker thinks.
//!
//! Not here: sockets, TLS, threads (`ferry-gateway` and its tests), the log alone
//! (`ferry-log`'s own tests).

#![forbid(unsafe_code)]

pub mod actors;
pub mod body;
pub mod check;
pub mod clock;
pub mod faults;
pub mod format;
mod life;
pub mod model;
pub mod operation;
pub mod outlet;
pub mod peek;
pub mod retained;
pub mod run;
mod scenes;
mod sessions;
mod tear;
pub mod trace;
mod wire;
pub mod workload;
pub mod world;

pub use run::{Failure, Outcome, run_seed};
pub use workload::Workload;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// What every step and check comes to.
pub type Checked<T = ()> = Result<T, Violation>;

/// Makes a violation out of a format.
#[macro_export]
macro_rules! violated {
    ($($text:tt)*) => { Err($crate::Violation(format!($($text)*))) };
}
