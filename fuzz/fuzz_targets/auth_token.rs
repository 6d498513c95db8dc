//! A token, a key set, or claims; the first byte says which.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::COMPILED,
    ferry_auth::fuzzing::check_token
);
