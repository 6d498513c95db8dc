//! A file of a log: the first byte says which, the others are its content.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/log/tests/fuzz_corpus/checks.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::MACHINE, checks::check_files);
