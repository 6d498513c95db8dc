//! MQTT packets held against another implementation.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/mqtt/tests/reference/mod.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::CODEC, checks::check_reference);
