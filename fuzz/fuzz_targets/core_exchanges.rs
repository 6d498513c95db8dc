//! Changes of bindings of the classic exchanges: routes are those of a list that is searched.
#![no_main]

#[path = "../../crates/core/tests/fuzz_corpus/exchanges.rs"]
mod exchanges;

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::MACHINE, exchanges::check_exchanges);
