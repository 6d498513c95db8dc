//! Code is deleted, not commented out.
//!
//! Invariants
//! - A finding is a run of at least `RUN_LINES_MIN` plain comment lines, each of which reads like
//!   Rust. Doc comments may show code.

use super::Finding;
use crate::source::Comment;
use crate::tree::File;

const RULE: &str = "commented-code";
const RUN_LINES_MIN: usize = 3;

const ENDINGS: [&str; 6] = [";", "{", "}", "},", ");", ")?;"];
const OPENINGS: [&str; 12] = [
    "let ", "fn ", "pub ", "use ", "impl ", "#[", "return ", "match ", "if ", "else", "for ",
    "while ",
];

/// Runs of commented-out code.
pub fn check(file: &File) -> Vec<Finding> {
    let Some(source) = &file.source else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut run: Vec<usize> = Vec::new();
    let mut close = |run: &mut Vec<usize>| {
        if run.len() >= RUN_LINES_MIN {
            let message = format!("{} lines of code in comments: delete them", run.len());
            findings.push(Finding::new(&file.path, run[0], RULE, message));
        }
        run.clear();
    };
    for comment in &source.comments {
        let follows = run.last().is_none_or(|last| last + 1 == comment.line);
        if !follows || !is_code(comment) {
            close(&mut run);
        }
        if is_code(comment) {
            run.push(comment.line);
        }
    }
    close(&mut run);
    findings
}

fn is_code(comment: &Comment) -> bool {
    let Some(text) = comment.text.strip_prefix("//").filter(|_| comment.alone) else {
        return false;
    };
    let text = text.trim();
    let doc = comment.text.starts_with("///") || comment.text.starts_with("//!");
    let sentence = text.starts_with(|c: char| c.is_uppercase()) && text.contains(' ');
    let shaped = ENDINGS.iter().any(|ending| text.ends_with(ending));
    let opened = OPENINGS.iter().any(|opening| text.starts_with(opening));
    let calls = text.contains('(') || text.contains('=') || text.len() <= 3 || opened;
    !doc && shaped && calls && !sentence
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn code_is_not_kept_in_comments() {
        for (text, lines) in [
            ("a();\n// let a = b();\n// c(a);\n// }\n", &[2][..]),
            (
                "// if a {\n//     b(c);\n// }\n\n// x = 1;\n// y = 2;\n// z(x, y);\n",
                &[1, 5],
            ),
            ("// let a = b();\n// c(a);\n", &[]),
            ("// let a = b();\n\n// c(a);\n// d(a);\n", &[]),
            ("/// let a = b();\n/// c(a);\n/// d(a);\nfn f() {}\n", &[]),
            (
                "// The order counts here;\n// first the log (it may fail);\n// then the reply;\n",
                &[],
            ),
            ("a(); // b();\nc(); // d();\ne(); // f();\n", &[]),
        ] {
            assert_eq!(found(check, "a.rs", text), lines, "{text:?}");
        }
    }
}
