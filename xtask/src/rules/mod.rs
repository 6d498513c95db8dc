//! The rules. Each is one file with a check and a bad and a good sample.
//!
//! Invariants
//! - A rule looks at one file at a time and reports every place, not the first.

mod commented_code;
mod head;
mod layers;
mod lengths;
mod machine_paths;
mod todo;
mod unsafe_code;
mod unwrap;

use crate::tree::File;

pub use lengths::{FILE_LENGTH, FUNCTION_LENGTH};

/// Something to put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root.
    pub path: String,
    /// The line, from one.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
    /// The function, where the finding is about one.
    pub item: Option<String>,
}

impl Finding {
    pub fn new(path: &str, line: usize, rule: &'static str, message: String) -> Finding {
        Finding {
            path: path.to_owned(),
            line,
            rule,
            message,
            item: None,
        }
    }
}

/// A rule: what it finds in one file.
type Rule = fn(&File) -> Vec<Finding>;

const RULES: [Rule; 10] = [
    lengths::files,
    lengths::functions,
    lengths::lines,
    head::check,
    layers::check,
    unwrap::check,
    todo::check,
    commented_code::check,
    unsafe_code::check,
    machine_paths::check,
];

/// Applies every rule to a file.
pub fn check(file: &File) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| rule(file)).collect()
}

/// The lines a rule finds in a sample.
#[cfg(test)]
fn found(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&File::new(path, text))
        .into_iter()
        .map(|finding| finding.line)
        .collect()
}
