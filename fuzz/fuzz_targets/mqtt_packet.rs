//! MQTT packets one after another, in every version and from both sides.
//!
//! Run: `cargo +nightly fuzz run mqtt_packet`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/mqtt/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_packets(bytes));
