//! A client's messages of SCRAM.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::CODEC,
    ferry_auth::fuzzing::check_scram
);
