//! Files, functions and lines have a greatest length.
//!
//! Invariants
//! - A function's length is from its `fn` to its last brace, attributes and comments above left
//!   out.

use super::Finding;
use crate::tree::File;

/// The rule on files.
pub const FILE_LENGTH: &str = "file-length";
/// The rule on functions.
pub const FUNCTION_LENGTH: &str = "function-length";
const LINE_LENGTH: &str = "line-length";

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// Files that are too long.
pub fn files(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if file.source.is_none() || lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let message = format!("{lines} lines, the limit is {FILE_LINES_MAX}");
    vec![Finding::new(&file.path, 1, FILE_LENGTH, message)]
}

/// Functions that are too long.
pub fn functions(file: &File) -> Vec<Finding> {
    let functions = file.source.iter().flat_map(|source| source.functions());
    let measured = functions.map(|function| (function.last - function.first + 1, function));
    let long = measured.filter(|(lines, _)| *lines > FUNCTION_LINES_MAX);
    long.map(|(lines, function)| {
        let name = function.name;
        let message = format!("`{name}` has {lines} lines, the limit is {FUNCTION_LINES_MAX}");
        let finding = Finding::new(&file.path, function.first, FUNCTION_LENGTH, message);
        Finding {
            item: Some(name),
            ..finding
        }
    })
    .collect()
}

/// Lines that are too long; a comment that carries an address may be.
pub fn lines(file: &File) -> Vec<Finding> {
    if file.source.is_none() {
        return Vec::new();
    }
    let measured = file
        .lines()
        .map(|(number, line)| (number, line.chars().count(), line));
    let long = measured.filter(|(_, columns, line)| {
        let address = line.trim_start().starts_with("//") && line.contains("://");
        *columns > LINE_COLUMNS_MAX && !address
    });
    long.map(|(number, columns, _)| {
        let message = format!("{columns} columns, the limit is {LINE_COLUMNS_MAX}");
        Finding::new(&file.path, number, LINE_LENGTH, message)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn a_file_has_at_most_500_lines() {
        assert_eq!(found(files, "a.rs", &"x\n".repeat(500)), []);
        assert_eq!(found(files, "a.rs", &"x\n".repeat(501)), [1]);
        assert_eq!(found(files, "a.md", &"x\n".repeat(501)), []);
    }

    #[test]
    fn a_function_has_at_most_70_lines() {
        let function = |lines: usize| format!("\nfn f() {{\n{}}}\n", "a;\n".repeat(lines - 2));
        assert_eq!(found(functions, "a.rs", &function(70)), []);
        assert_eq!(found(functions, "a.rs", &function(71)), [2]);
        let finding = &functions(&File::new("a.rs", &function(71)))[0];
        assert_eq!(finding.item.as_deref(), Some("f"));
    }

    #[test]
    fn a_line_has_at_most_100_columns() {
        assert_eq!(
            found(lines, "a.rs", &format!("{}\n", "\u{e9}".repeat(100))),
            []
        );
        assert_eq!(
            found(lines, "a.rs", &format!("\n{}\n", "x".repeat(101))),
            [2]
        );
        let address = format!("// see https://example.org/{}", "x".repeat(100));
        assert_eq!(found(lines, "a.rs", &address), []);
        assert_eq!(
            found(lines, "a.rs", &format!("let a = \"{address}\";")),
            [1]
        );
    }
}
