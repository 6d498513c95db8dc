//! Whole sessions of `ferrymq.json` by three clients of a node in memory.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code, unused_imports)]
#[path = "../../crates/gateway/tests/checks/mod.rs"]
mod checks;
#[allow(dead_code)]
#[path = "../../crates/gateway/tests/house/mod.rs"]
mod house;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check_json(bytes));
