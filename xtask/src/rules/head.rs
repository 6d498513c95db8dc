//! A module opens with what it owns.
//!
//! Invariants
//! - The first line that is not blank is a `//!` with words.

use super::Finding;
use crate::tree::File;

const RULE: &str = "module-head";

/// Rust files without a head.
pub fn check(file: &File) -> Vec<Finding> {
    let first = file
        .text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty());
    let head = first.and_then(|line| line.strip_prefix("//!"));
    if file.source.is_none() || head.is_some_and(|words| !words.trim().is_empty()) {
        return Vec::new();
    }
    let message = "no `//!` head that says what the module owns".to_owned();
    vec![Finding::new(&file.path, 1, RULE, message)]
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_module_opens_with_a_head() {
        for (text, lines) in [
            ("//! Leases.\nfn a() {}\n", &[][..]),
            ("\n//! Leases.\n", &[]),
            ("fn a() {}\n", &[1]),
            ("// Leases.\nfn a() {}\n", &[1]),
            ("#![forbid(unsafe_code)]\n//! Leases.\n", &[1]),
            ("//!\n//! Leases.\n", &[1]),
            ("", &[1]),
        ] {
            assert_eq!(found(check, "a.rs", text), lines, "{text:?}");
        }
        assert_eq!(found(check, "a.py", "import os\n"), []);
    }
}
