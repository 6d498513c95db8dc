//! An MQTT filter, a line feed, and a topic name.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/mqtt/tests/checks/mod.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::CODEC, checks::check_topic);
