//! Bindings that come and go, against the same ones made in another order.
//!
//! Run: `cargo +nightly fuzz run core_routes`.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/core/tests/fuzz_corpus/checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_routes(bytes));
