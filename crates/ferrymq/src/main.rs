//! The FerryMQ binary: command line, configuration, signals, wiring.
//!
//! Invariants
//! - Standard output carries what scripts wait for, standard error the log.
//! - The exit code of a node is 0 after an orderly end, 2 for a wrong setting, 70 after the disk
//!   failed, and 1 for everything else; those of commands are in `commands/outcome.rs`.
//!
//! Not here: anything that a message meets.

#![forbid(unsafe_code)]

mod args;
mod certificates;
mod client;
mod clock;
mod commands;
mod config;
mod definitions;
mod environment;
mod file;
mod logging;
mod memory;
mod mqtt;
mod notify;
#[cfg(feature = "otel")]
mod otel;
mod runtime;
mod security;
mod serve;
mod settings;
mod show;
mod signals;
mod size;
mod tools;
mod websocket;

use std::process::ExitCode;

use args::Invocation;
use config::Config;
use settings::SettingError;

/// Nearly all that a broker allocates is short-lived and crosses threads, which this one does
/// in half the time of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_WRONG_SETTING: u8 = 2;

fn main() -> ExitCode {
    match args::parse() {
        Invocation::Serve(flags) => match configure(flags) {
            Ok(config) => serve::run(config),
            Err(error) => {
                eprintln!("ferrymq: {error}");
                ExitCode::from(EXIT_WRONG_SETTING)
            }
        },
        Invocation::Verify(subject) => tools::verify(&subject),
        Invocation::Repair(subject) => tools::repair(&subject),
        Invocation::Command(command) => commands::run(*command),
    }
}

/// The file's settings, over them the environment's, over them the flags.
fn configure(flags: args::Flags) -> Result<Config, SettingError> {
    let environment = environment::read(std::env::vars_os())?;
    let mut settings = match flags.config.or(environment.config) {
        Some(path) => file::read(&path)?,
        None => settings::Settings::default(),
    };
    settings.overlay(environment.settings);
    settings.overlay(flags.settings);
    Config::new(&settings)
}
