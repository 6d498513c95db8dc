//! A request of the JSON protocol over WebSocket.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::JSON,
    ferry_gateway::fuzzing::check_request
);
