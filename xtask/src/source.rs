//! A Rust file with its comments and literals told apart from its code.
//!
//! Invariants
//! - `code` has the text's lines, each as many characters long; what is in a comment or between
//!   quotes is blank in it, so a search in `code` finds code.
//! - A comment block that spans lines gives one comment for each.
//!
//! Not here: a parser. Items are found by their keywords and braces, which is enough to measure.

mod items;
mod lexer;
#[cfg(test)]
mod tests;

pub use items::Function;

/// One line of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Line number, from one.
    pub line: usize,
    /// With its slashes.
    pub text: String,
    /// Whether nothing but the comment is on the line.
    pub alone: bool,
}

/// What the lexer makes of a file.
pub struct Source {
    /// The code alone.
    pub code: String,
    /// The comments alone.
    pub comments: Vec<Comment>,
}

impl Source {
    pub fn new(text: &str) -> Source {
        lexer::split(text)
    }

    /// Lines of code with their numbers, from one.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// All functions with a body.
    pub fn functions(&self) -> Vec<Function> {
        items::functions(&self.code)
    }

    /// First and last lines of the items that are compiled for tests only.
    pub fn test_spans(&self) -> Vec<(usize, usize)> {
        items::test_spans(&self.code)
    }
}

/// Where `word` stands in `line` as a whole word.
pub fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    line.match_indices(word)
        .map(|(start, _)| start)
        .filter(move |start| {
            let before = line[..*start].chars().next_back();
            let after = line[start + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
