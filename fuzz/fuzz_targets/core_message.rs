//! The stored form of a message.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/core/tests/fuzz_corpus/checks.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::CODEC, checks::check_message);
