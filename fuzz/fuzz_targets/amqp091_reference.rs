//! Tables, headers and methods of AMQP 0-9-1 held against another implementation.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::JSON,
    ferrymq_fuzz::reference::check_amqp091
);
