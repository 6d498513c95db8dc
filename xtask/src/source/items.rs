//! Finds functions and test-only items in code without comments and literals.
//!
//! Invariants
//! - An item ends with the brace that closes its first one, or with a semicolon before any.

use super::words;

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`.
    pub first: usize,
    /// The line of its last brace.
    pub last: usize,
}

/// All functions with a body.
pub fn functions(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for start in words(code, "fn") {
        let rest = code[start + 2..].trim_start();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() {
            continue;
        }
        if let Some((end, '}')) = item_end(&code[start..]) {
            let (first, last) = (line_at(code, start), line_at(code, start + end));
            functions.push(Function { name, first, last });
        }
    }
    functions
}

/// First and last lines of what follows each `#[cfg(test)]`.
pub fn test_spans(code: &str) -> Vec<(usize, usize)> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let starts = code.match_indices(ATTRIBUTE).map(|(start, _)| start);
    let spans = starts.map(|start| {
        let after = start + ATTRIBUTE.len();
        let end = item_end(&code[after..]).map_or(code.len(), |(end, _)| after + end);
        (line_at(code, start), line_at(code, end))
    });
    spans.collect()
}

/// Where the item that starts here ends, and with which character.
fn item_end(code: &str) -> Option<(usize, char)> {
    let (mut braces, mut brackets) = (0usize, 0usize);
    for (index, character) in code.char_indices() {
        match character {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return Some((index, ';')),
            '{' => braces += 1,
            '}' if braces <= 1 => return Some((index, '}')),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

fn line_at(code: &str, index: usize) -> usize {
    code[..index].matches('\n').count() + 1
}
