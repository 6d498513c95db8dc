//! An MQTT filter, a line feed, and a topic name.
//!
//! Run: `cargo +nightly fuzz run mqtt_topic`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/mqtt/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_topic(bytes));
