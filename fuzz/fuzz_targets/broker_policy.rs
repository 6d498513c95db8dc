//! A policy: a pattern, a line feed, a definition in JSON.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::COMPILED,
    ferry_broker::fuzzing::check_policy
);
