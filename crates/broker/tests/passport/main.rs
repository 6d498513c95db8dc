//! Passports: the way of each message, hop by hop, and what is kept of it.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

#[path = "../common/mod.rs"]
mod common;
mod hops;
mod kept;
mod support;
