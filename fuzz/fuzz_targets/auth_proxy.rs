//! A PROXY header of either version.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::CODEC,
    ferry_auth::fuzzing::check_proxy
);
