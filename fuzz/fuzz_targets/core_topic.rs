//! Topic patterns, one per line, against a key in the last line.
//!
//! Run: `cargo +nightly fuzz run core_topic`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/core/tests/fuzz_corpus/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_topic(bytes));
