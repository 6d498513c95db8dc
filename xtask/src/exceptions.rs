//! The list of files and functions that are longer than allowed: it may only shrink.
//!
//! Invariants
//! - Only lengths can be excepted.
//! - An entry that excepts nothing is a finding, and so is a list of another length than
//!   `EXCEPTIONS_COUNT`: whoever removes an entry lowers the count, and nobody raises it unseen.

use std::fs;
use std::io;
use std::path::Path;

use crate::rules::{FILE_LENGTH, FUNCTION_LENGTH, Finding};

/// Where the list is, from the root.
pub const EXCEPTIONS_PATH: &str = "xtask/exceptions.txt";

/// How many entries the list has.
const EXCEPTIONS_COUNT: usize = 0;

const RULE: &str = "exception";
const EXCEPTABLE: [&str; 2] = [FILE_LENGTH, FUNCTION_LENGTH];

/// Reads the list; a missing file is an empty one.
pub fn read(root: &Path) -> io::Result<String> {
    match fs::read_to_string(root.join(EXCEPTIONS_PATH)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        outcome => outcome,
    }
}

/// Takes out of `findings` what the list excepts, and adds what is wrong with the list.
pub fn apply(list: &str, path: &str, findings: &mut Vec<Finding>) {
    apply_counted(list, path, EXCEPTIONS_COUNT, findings);
}

fn apply_counted(list: &str, path: &str, expected: usize, findings: &mut Vec<Finding>) {
    let mut count = 0;
    for (index, line) in list.lines().enumerate() {
        let entry = line.trim();
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        count += 1;
        let before = findings.len();
        findings.retain(|finding| !excepts(entry, finding));
        if findings.len() == before {
            let message = format!("`{entry}` is no longer needed: remove it");
            findings.push(Finding::new(path, index + 1, RULE, message));
        }
    }
    if count != expected {
        let message = format!("{count} entries, but EXCEPTIONS_COUNT is {expected}");
        findings.push(Finding::new(path, 1, RULE, message));
    }
}

/// An entry is `rule path`, or `rule path function`.
fn excepts(entry: &str, finding: &Finding) -> bool {
    let mut words = entry.split_whitespace();
    EXCEPTABLE.contains(&finding.rule)
        && words.next() == Some(finding.rule)
        && words.next() == Some(&*finding.path)
        && words.next() == finding.item.as_deref()
        && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let mut long = Finding::new("a.rs", 3, FUNCTION_LENGTH, String::new());
        long.item = Some("f".to_owned());
        vec![
            Finding::new("a.rs", 1, FILE_LENGTH, String::new()),
            long,
            Finding::new("a.rs", 9, "unwrap", String::new()),
        ]
    }

    #[test]
    fn an_entry_excepts_its_own_finding_only() {
        for (list, left) in [
            ("", 3),
            ("# a comment\n\n", 3),
            ("file-length a.rs", 2),
            ("file-length a.rs\nfunction-length a.rs f", 1),
        ] {
            let entries = list.lines().filter(|line| line.contains("length")).count();
            let mut findings = findings();
            apply_counted(list, "list", entries, &mut findings);
            assert_eq!(findings.len(), left, "{list:?}");
            assert!(findings.iter().all(|finding| finding.rule != RULE));
        }
    }

    #[test]
    fn an_entry_that_is_not_needed_is_a_finding() {
        for entry in [
            "file-length b.rs",
            "function-length a.rs g",
            "function-length a.rs",
            "file-length a.rs f",
            "unwrap a.rs",
        ] {
            let mut findings = findings();
            apply_counted(entry, "list", 1, &mut findings);
            assert_eq!(findings.len(), 4, "{entry}");
            assert_eq!(
                (&*findings[3].path, findings[3].rule),
                ("list", RULE),
                "{entry}"
            );
        }
    }

    #[test]
    fn the_list_has_as_many_entries_as_the_count_says() {
        for expected in [0, 2] {
            let mut findings = findings();
            apply_counted("file-length a.rs", "list", expected, &mut findings);
            assert_eq!(
                findings
                    .iter()
                    .filter(|finding| finding.rule == RULE)
                    .count(),
                1
            );
        }
    }
}
