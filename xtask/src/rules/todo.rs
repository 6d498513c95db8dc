//! A note of work left names its issue.
//!
//! Invariants
//! - The number stands on the same line, after the mark: a mark, then `#` and digits.

use super::Finding;
use crate::source::words;
use crate::tree::File;

const RULE: &str = "todo";
const MARKS: [&str; 3] = ["TODO", "FIXME", "XXX"];
const COMMENTED: [&str; 7] = [".py", ".sh", ".toml", ".js", ".yml", ".yaml", "justfile"];

/// Every mark without an issue: in the comments of Rust, anywhere in other code.
pub fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |line: usize, text: &str| {
        for mark in MARKS.into_iter().filter(|mark| is_open(text, mark)) {
            let message = format!("`{mark}` without the number of an issue");
            findings.push(Finding::new(&file.path, line, RULE, message));
        }
    };
    match &file.source {
        Some(source) => source.comments.iter().for_each(|c| look(c.line, &c.text)),
        None if COMMENTED.iter().any(|ending| file.path.ends_with(ending)) => {
            file.lines().for_each(|(line, text)| look(line, text));
        }
        None => {}
    }
    findings
}

fn is_open(text: &str, mark: &str) -> bool {
    words(text, mark).any(|start| {
        let after = text[start..]
            .match_indices('#')
            .map(|(at, _)| &text[start + at + 1..]);
        !after
            .into_iter()
            .any(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_mark_names_its_issue() {
        for (path, text, lines) in [
            ("a.rs", "a();\n// TODO: later\n", &[2][..]),
            ("a.rs", "/* one\n FIXME two */\n", &[2]),
            ("a.rs", "// #12 TODO\n", &[1]),
            ("a.rs", "// TODO(#12): later\n", &[]),
            ("a.rs", "// TODO #12\n", &[]),
            ("a.rs", "let a = \"TODO\"; // TODOS, todo\n", &[]),
            ("a.py", "x = 1  # TODO\n", &[1]),
            ("a.md", "TODO\n", &[]),
        ] {
            assert_eq!(found(check, path, text), lines, "{path} {text:?}");
        }
    }
}
