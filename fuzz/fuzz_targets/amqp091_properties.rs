//! A property block of AMQP 0-9-1, read and edited.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/amqp091/tests/checks/mod.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::CODEC, checks::check_properties);
