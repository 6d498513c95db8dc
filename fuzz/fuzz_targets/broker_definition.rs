//! The record of a definition.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::RECORD,
    ferry_broker::fuzzing::check_definition
);
