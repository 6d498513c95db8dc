//! What an operator does with queues and single messages: browse, act, move, replay.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod acts;
mod browse;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod filter;
mod jobs;
mod many;
mod moves;
mod replay;
mod support;
