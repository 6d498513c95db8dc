//! `unwrap()` stays in tests.
//!
//! Invariants
//! - Test code is a file in a `tests` directory, one named `tests.rs` or `*_tests.rs`, and every
//!   item under `#[cfg(test)]`.

use super::Finding;
use crate::tree::File;

const RULE: &str = "unwrap";

/// Every `.unwrap()` outside tests.
pub fn check(file: &File) -> Vec<Finding> {
    let Some(source) = file.source.as_ref().filter(|_| !file.is_test()) else {
        return Vec::new();
    };
    let spans = source.test_spans();
    let in_test = |line| {
        spans
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&line))
    };
    let lines = source
        .lines()
        .filter(|(line, code)| code.contains(".unwrap()") && !in_test(*line));
    lines
        .map(|(line, _)| {
            let message = "outside tests: return an error, or `expect(\"why it holds\")`";
            Finding::new(&file.path, line, RULE, message.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn unwrap_is_for_tests() {
        for (path, text, lines) in [
            ("a.rs", "fn f() {\n    g().unwrap();\n}\n", &[2][..]),
            (
                "a.rs",
                "#[cfg(test)]\nmod t {\n    g().unwrap();\n}\nfn f() { g().unwrap() }\n",
                &[5],
            ),
            (
                "a.rs",
                "#[cfg(test)]\nmod tests;\nfn f() { g().unwrap() }\n",
                &[3],
            ),
            (
                "a.rs",
                "// g().unwrap()\nfn f() { g(\".unwrap()\").unwrap_or(1) }\n",
                &[],
            ),
            ("src/a/tests.rs", "fn f() { g().unwrap() }\n", &[]),
            ("tests/a.rs", "fn f() { g().unwrap() }\n", &[]),
            ("src/a/tests/b.rs", "fn f() { g().unwrap() }\n", &[]),
        ] {
            assert_eq!(found(check, path, text), lines, "{path} {text:?}");
        }
    }
}
