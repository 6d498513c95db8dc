//! The FerryMQ binary: command line, configuration, signals, wiring.
fn main() {}
