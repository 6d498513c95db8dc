//! What happened, as text for a reader and as one number for a comparison.
//!
//! Invariants
//! - Everything that goes into the trace goes into the number.

use std::collections::VecDeque;
use std::fmt::Write;

/// Lines that a failure shows.
const LINES_KEPT: usize = 60;

/// The trace of one seed.
#[derive(Debug)]
pub struct Trace {
    verbose: bool,
    hash: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// An empty trace; a verbose one is printed as it grows.
    #[must_use]
    pub fn new(verbose: bool) -> Trace {
        Trace {
            verbose,
            hash: 0xcbf2_9ce4_8422_2325,
            last: VecDeque::new(),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: String) {
        self.bytes(line.as_bytes());
        if self.verbose {
            println!("{line}");
        }
        if self.last.len() == LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Adds bytes to the number only.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The number that stands for all of it.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> String {
        let mut text = String::new();
        for line in &self.last {
            let _never_fails = writeln!(text, "  {line}");
        }
        text
    }
}
