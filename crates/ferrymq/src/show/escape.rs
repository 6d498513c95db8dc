//! Text that somebody else chose, made harmless for a terminal.
//!
//! Invariants
//! - What comes out has no control character, nothing that turns the direction of text, and nothing
//!   invisible; all else is as it was.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A name or another short text, on one line.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, is_unsafe, |c, into| {
        into.extend(c.escape_default());
    })
}

/// The body of a message: its own lines and tabs stay.
pub(crate) fn escape_body(text: &str) -> Cow<'_, str> {
    let is_unsafe = |c| is_unsafe(c) && c != '\n' && c != '\t';
    escape_where(text, is_unsafe, |c, into| {
        into.extend(c.escape_default());
    })
}

/// Text of JSON, whose strings mean the same afterwards.
pub(crate) fn escape_json(text: &str) -> String {
    // Between strings there is no other control character than the end of a line.
    let is_unsafe = |c| is_unsafe(c) && c != '\n';
    let escaped = escape_where(text, is_unsafe, |c, into| {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            write!(into, "\\u{unit:04x}").expect("a string takes everything");
        }
    });
    escaped.into_owned()
}

fn escape_where(
    text: &str,
    is_unsafe: impl Fn(char) -> bool,
    write: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unsafe(c) {
            true => write(c, &mut escaped),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            // Of no width, or turning the direction of what follows.
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Ends of lines.
            | '\u{2028}' | '\u{2029}'
            // Letters that nobody sees.
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn names_can_do_nothing_to_a_terminal() {
        for (name, expected) in [
            ("orders", "orders"),
            ("Aufträge/中文 \"x\"", "Aufträge/中文 \"x\""),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{7f}\0", "\\u{7f}\\u{0}"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("\u{e0041}", "\\u{e0041}"),
            ("", ""),
        ] {
            assert_eq!(escape(name), expected);
        }
        assert_eq!(escape_body("a\n\tb\u{1b}c"), "a\n\tb\\u{1b}c");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = Value::from("a\u{9b}\u{202e}\u{7f}\u{e0041}\u{1b}\"\\ü");
        let text = escape_json(&format!("{value:#}\n"));
        assert!(
            !text.contains(|c: char| is_unsafe(c) && c != '\n'),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
