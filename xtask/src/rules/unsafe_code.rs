//! `unsafe` stays where it was decided to be.
//!
//! Invariants
//! - A file outside `ALLOWED` has none; a file in it says why in a `SAFETY` comment right before.

use super::Finding;
use crate::source::words;
use crate::tree::File;

const RULE: &str = "unsafe";

/// Files that may: with each, a reason is given where it is used.
const ALLOWED: [&str; 3] = [
    "bench/src/sys.rs",
    "crates/broker/tests/loom_inbox.rs",
    "fuzz/src/memory.rs",
];

const REASON_LINES_MAX: usize = 4;

/// Every `unsafe` that is not allowed, or has no reason.
pub fn check(file: &File) -> Vec<Finding> {
    let Some(source) = &file.source else {
        return Vec::new();
    };
    let allowed = ALLOWED.contains(&file.path.as_str());
    let explained = |line: usize| {
        let near = line.saturating_sub(REASON_LINES_MAX)..=line;
        source
            .comments
            .iter()
            .any(|c| near.contains(&c.line) && c.text.contains("SAFETY"))
    };
    let uses = source
        .lines()
        .filter(|(_, code)| words(code, "unsafe").next().is_some());
    let wrong = uses.filter(|(line, _)| !allowed || !explained(*line));
    wrong
        .map(|(line, _)| {
            let message = if allowed {
                "no SAFETY comment"
            } else {
                "the file is not allowed it"
            };
            Finding::new(&file.path, line, RULE, message.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn unsafe_is_allowed_by_name_and_with_a_reason() {
        let bare = "fn f() {\n    unsafe { g() }\n}\n";
        let explained = "fn f() {\n    // SAFETY: g has no conditions.\n    unsafe { g() }\n}\n";
        let none = "#![forbid(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";\n";
        for (path, text, lines) in [
            ("crates/log/src/a.rs", bare, &[2][..]),
            ("crates/log/src/a.rs", explained, &[3]),
            ("crates/log/src/a.rs", none, &[]),
            (ALLOWED[0], bare, &[2]),
            (ALLOWED[0], explained, &[]),
        ] {
            assert_eq!(found(check, path, text), lines, "{path} {text:?}");
        }
    }
}
