//! Frames of WebSocket, whole and in pieces, held against another implementation.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::JSON,
    ferry_gateway::fuzzing::check_frames
);
