//! House rules as a check: `cargo xtask tidy`.
//!
//! Invariants
//! - The check reads, and never writes; the same tree gives the same output in the same order.
//! - It needs nothing but the standard library, so it builds in a second on a bare machine.

mod exceptions;
mod rules;
mod source;
mod tidy;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::run(&root()),
        _ => {
            eprintln!("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

/// The repository: the directory above this package, or the current one outside of cargo.
fn root() -> PathBuf {
    match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => PathBuf::from(package).join(".."),
        None => PathBuf::from("."),
    }
}
