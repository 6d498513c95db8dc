//! A JSON schema, a line feed, and a body.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::COMPILED,
    ferry_broker::fuzzing::check_schema
);
