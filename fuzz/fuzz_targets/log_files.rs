//! A file of a log: the first byte says which, the others are its content.
//!
//! Run: `cargo +nightly fuzz run log_files`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/log/tests/fuzz_corpus/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_files(bytes));
