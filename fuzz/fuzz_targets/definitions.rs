//! A definitions file: what is taken can be imported, and imported again.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/admin/tests/fuzz_corpus/checks.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::MACHINE, checks::check_definitions);
