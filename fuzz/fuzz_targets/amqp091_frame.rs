//! Frames one after another, as they come on a connection.
//!
//! Run: `cargo +nightly fuzz run amqp091_frame`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/amqp091/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_frames(bytes));
