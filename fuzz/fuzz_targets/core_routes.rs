//! Changes of bindings: routes do not depend on their order.
#![no_main]

// Each target uses one of the checks.
#[allow(dead_code)]
#[path = "../../crates/core/tests/fuzz_corpus/checks.rs"]
mod checks;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::MACHINE, checks::check_routes);
