//! Runs every rule over the tree and prints what it finds.
//!
//! Invariants
//! - A finding is printed or excepted, never both; an exception that excepts nothing is a finding.

use std::path::Path;
use std::process::ExitCode;

use crate::exceptions::{self, EXCEPTIONS_PATH};
use crate::rules::{self, Finding};
use crate::tree::{self, File};

/// Checks the tree under `root`.
pub fn run(root: &Path) -> ExitCode {
    let (files, exceptions) = match (tree::read(root), exceptions::read(root)) {
        (Ok(files), Ok(exceptions)) => (files, exceptions),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("tidy: can not read {}: {error}", root.display());
            return ExitCode::from(2);
        }
    };
    let findings = check(&files, &exceptions);
    for Finding {
        path,
        line,
        rule,
        message,
        ..
    } in &findings
    {
        println!("{path}:{line}: {rule}: {message}");
    }
    if findings.is_empty() {
        println!("tidy: {} files", files.len());
        return ExitCode::SUCCESS;
    }
    println!("tidy: {} findings in {} files", findings.len(), files.len());
    ExitCode::FAILURE
}

fn check(files: &[File], exceptions: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = files.iter().flat_map(rules::check).collect();
    exceptions::apply(exceptions, EXCEPTIONS_PATH, &mut findings);
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_sorted_and_a_clean_file_gives_none() {
        let bad = File::new("crates/core/src/b.rs", "fn f() {\n    g().unwrap();\n}\n");
        let clean = File::new("crates/core/src/a.rs", "//! Clean.\nfn f() {}\n");
        let findings = check(&[bad, clean], "");
        let found: Vec<_> = findings
            .iter()
            .map(|f| (f.path.as_str(), f.line, f.rule))
            .collect();
        let path = "crates/core/src/b.rs";
        assert_eq!(found, [(path, 1, "module-head"), (path, 2, "unwrap")]);
    }
}
