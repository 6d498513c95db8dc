//! The binary as a process: started, asked, signalled, and its tools.

mod serve;
mod settings;
mod support;
mod tools;
