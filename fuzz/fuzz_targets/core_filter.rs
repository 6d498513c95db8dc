//! A text that may be a filter, against messages.
//!
//! Run: `cargo +nightly fuzz run core_filter`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/core/tests/fuzz_corpus/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_filter(bytes));
