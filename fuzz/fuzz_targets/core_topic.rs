//! Topic patterns and a key: the routes are those of a plain matcher.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/core/tests/fuzz_corpus/checks.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::MACHINE, checks::check_topic);
