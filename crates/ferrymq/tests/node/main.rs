//! The binary as a process: started, asked, signalled, and its tools.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod commands;
mod first_start;
mod packaging;
mod serve;
mod settings;
mod support;
mod tools;
