//! What commands write: for people on a terminal, for scripts everywhere else.
//!
//! Invariants
//! - Text that somebody else chose reaches a terminal through `escape` only.
//! - A terminal gets aligned tables that fit; anything else gets columns between tabs, a row on
//!   each line.
//! - Colours go to a terminal only, and not if NO_COLOR is set.
//! - A reader that went away (`| head`) is no failure.

mod escape;
mod table;
mod time;

use std::io::{self, ErrorKind, IsTerminal, Write};

use rustix::termios::tcgetwinsize;
use serde_json::Value;

pub(crate) use escape::{escape, escape_body, escape_json};
pub(crate) use table::{Align, Table};
pub(crate) use time::{moment, span};

/// What standard output is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub is_terminal: bool,
    /// In characters; where it is known.
    pub columns: Option<u16>,
    pub rows: Option<u16>,
    pub colours: bool,
}

impl Terminal {
    /// Standard output as it is now.
    pub fn now() -> Terminal {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let size = match is_terminal {
            true => tcgetwinsize(&stdout).ok(),
            false => None,
        };
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        Terminal {
            is_terminal,
            columns: size.map(|size| size.ws_col).filter(|&columns| columns > 0),
            rows: size.map(|size| size.ws_row).filter(|&rows| rows > 0),
            colours: is_terminal && wanted && able,
        }
    }
}

/// Writes to standard output and flushes it.
pub(crate) fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

/// Whether nobody reads any more.
pub(crate) fn nobody_reads(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

/// JSON over several lines, in which no string can do anything to a terminal.
pub(crate) fn json(value: &Value) -> String {
    let mut text = escape_json(&format!("{value:#}"));
    text.push('\n');
    text
}

/// The same on one line.
pub(crate) fn json_line(value: &Value) -> String {
    let mut text = escape_json(&value.to_string());
    text.push('\n');
    text
}

/// A plural where it belongs: `1 message`, `2 messages`.
pub(crate) fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(number))
}

/// A number with commas.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_counted() {
        for (number, expected) in [
            (0, "0 messages"),
            (1, "1 message"),
            (999, "999 messages"),
            (1_000, "1,000 messages"),
            (1_234_567, "1,234,567 messages"),
        ] {
            assert_eq!(count(number, "message"), expected);
        }
    }
}
