//! Splits a Rust text into code and comments.
//!
//! Invariants
//! - Every character of the text is either copied to the code or replaced there by a blank;
//!   line ends are always copied.

use super::{Comment, Source};

/// Splits a text.
pub fn split(text: &str) -> Source {
    let characters: Vec<char> = text.chars().collect();
    let code = String::with_capacity(text.len());
    let mut lexer = Lexer {
        characters,
        at: 0,
        line: 1,
        code,
        comments: Vec::new(),
    };
    while lexer.at < lexer.characters.len() {
        lexer.step();
    }
    Source {
        code: lexer.code,
        comments: lexer.comments,
    }
}

struct Lexer {
    characters: Vec<char>,
    at: usize,
    line: usize,
    code: String,
    comments: Vec<Comment>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('r'), _) if self.starts_word() => self.raw_or_word(1),
            (Some('b' | 'c'), Some('r')) if self.starts_word() => self.raw_or_word(2),
            (Some('\''), _) => self.character_or_lifetime(),
            _ => self.copy(),
        }
    }

    /// Whether the character before is no part of a word.
    fn starts_word(&self) -> bool {
        let before = self
            .at
            .checked_sub(1)
            .and_then(|at| self.characters.get(at));
        !before.is_some_and(|before| before.is_alphanumeric() || *before == '_')
    }

    fn copy(&mut self) {
        if let Some(character) = self.peek(0) {
            self.line += usize::from(character == '\n');
            self.code.push(character);
            self.at += 1;
        }
    }

    fn blank(&mut self) {
        match self.peek(0) {
            Some('\n') => self.copy(),
            Some(_) => {
                self.code.push(' ');
                self.at += 1;
            }
            None => {}
        }
    }

    fn comment(&mut self, text: String) {
        let before = self.code.rsplit('\n').next().unwrap_or_default();
        let alone = before.trim().is_empty();
        self.comments.push(Comment {
            line: self.line,
            text,
            alone,
        });
    }

    fn line_comment(&mut self) {
        let rest = self.characters[self.at..].iter();
        let text: String = rest.take_while(|character| **character != '\n').collect();
        let length = text.chars().count();
        self.comment(text);
        (0..length).for_each(|_| self.blank());
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        let mut text = String::new();
        while let Some(character) = self.peek(0) {
            let length = match (character, self.peek(1)) {
                ('/', Some('*')) => {
                    depth += 1;
                    2
                }
                ('*', Some('/')) => {
                    depth -= 1;
                    2
                }
                ('\n', _) => {
                    self.comment(std::mem::take(&mut text));
                    self.copy();
                    continue;
                }
                _ => 1,
            };
            text.extend(&self.characters[self.at..self.at + length]);
            (0..length).for_each(|_| self.blank());
            if depth == 0 {
                break;
            }
        }
        self.comment(text);
    }

    /// From a quote to the next one that is not escaped.
    fn string(&mut self) {
        self.copy();
        while let Some(character) = self.peek(0) {
            match character {
                '"' => return self.copy(),
                '\\' => {
                    self.blank();
                    self.blank();
                }
                _ => self.blank(),
            }
        }
    }

    /// At `r` or the like: a raw string if hashes and a quote follow, else part of a word.
    fn raw_or_word(&mut self, prefix: usize) {
        let hashes = self.characters[self.at + prefix..].iter();
        let hashes = hashes.take_while(|character| **character == '#').count();
        if self.peek(prefix + hashes) != Some('"') {
            return self.copy();
        }
        (0..=prefix + hashes).for_each(|_| self.copy());
        while let Some(character) = self.peek(0) {
            let closes = (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if character == '"' && closes {
                return (0..=hashes).for_each(|_| self.copy());
            }
            self.blank();
        }
    }

    /// At a single quote: a character literal if it is closed in time, else a lifetime.
    fn character_or_lifetime(&mut self) {
        if self.peek(1) == Some('\\') {
            self.copy();
            self.blank();
            self.blank();
            while self
                .peek(0)
                .is_some_and(|character| character != '\'' && character != '\n')
            {
                self.blank();
            }
            return self.copy();
        }
        self.copy();
        if self.peek(1) == Some('\'') {
            self.blank();
            self.copy();
        }
    }
}
