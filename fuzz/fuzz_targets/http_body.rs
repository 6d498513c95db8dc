//! The body of a request to the HTTP API; the first byte says which.
#![no_main]

ferrymq_fuzz::target!(ferrymq_fuzz::Memory::JSON, ferry_admin::fuzzing::check_body);
