//! Retained messages: the newest of each topic, whatever happens to the node.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod limits;
mod reserved;
mod store;
mod support;
