//! Patterns of `LIKE`: `%` is any text, `_` is any one character.
//!
//! Invariants
//! - A pattern is cut at its `%` into parts. The first stands at the beginning of the text, the
//!   last at its end, and each of the others at the first place after the one before.
//! - A match takes one pass over the text: a part without `_` is searched for in one pass, and one
//!   with it by a word that has a bit for each of its characters.
//! - Text that is not UTF-8 is matched, too: a byte that is no part of a character is one.

use memchr::memmem;

use super::{PATTERN_BYTES_MAX, PATTERN_PART_CHARS_MAX};

/// A pattern that texts may be like.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The whole text, if there is no `%`.
    first: Vec<Piece>,
    middle: Vec<Part>,
    /// None if there is no `%`.
    last: Option<Vec<Piece>>,
}

/// What stands at a known place.
#[derive(Debug)]
enum Piece {
    Text(Box<str>),
    Any,
}

/// What stands somewhere.
#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Characters(Characters),
}

/// A character of a pattern; none for any.
type Wanted = Option<char>;

impl Pattern {
    /// Reads a pattern. What stands after `escape` stands for itself.
    ///
    /// # Errors
    /// Why it makes no sense or would cost too much.
    pub fn read(text: &str, escape: Option<char>) -> Result<Pattern, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "a pattern may not be longer than {PATTERN_BYTES_MAX} bytes"
            ));
        }
        let mut parts = cut(text, escape)?.into_iter();
        let first = pieces(&parts.next().unwrap_or_default());
        let last = parts.next_back().map(|part| pieces(&part));
        let middle = parts
            .filter(|part| !part.is_empty())
            .map(|part| part_of(&part));
        Ok(Pattern {
            first,
            middle: middle.collect::<Result<_, _>>()?,
            last,
        })
    }

    /// Whether a text is like it.
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some(rest) = strip_first(text, &self.first) else {
            return false;
        };
        let Some(last) = &self.last else {
            return rest.is_empty();
        };
        let Some(mut rest) = strip_last(rest, last) else {
            return false;
        };
        for part in &self.middle {
            match part.end_in(rest) {
                Some(end) => rest = &rest[end..],
                None => return false,
            }
        }
        true
    }
}

/// The parts between the `%` of a pattern: one more than there are `%`.
fn cut(text: &str, escape: Option<char>) -> Result<Vec<Vec<Wanted>>, String> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            _ if Some(character) == escape => match characters.next() {
                Some(next) if matches!(next, '%' | '_') || next == character => {
                    part.push(Some(next));
                }
                _ => {
                    let why = format!("after {character} must stand %, _ or {character}");
                    return Err(why);
                }
            },
            '%' => parts.push(std::mem::take(&mut part)),
            '_' => part.push(None),
            _ => part.push(Some(character)),
        }
    }
    parts.push(part);
    Ok(parts)
}

fn pieces(part: &[Wanted]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for run in part.chunk_by(|left, right| left.is_some() == right.is_some()) {
        let text: String = run.iter().flatten().collect();
        match text.is_empty() {
            true => pieces.extend(run.iter().map(|_| Piece::Any)),
            false => pieces.push(Piece::Text(text.into())),
        }
    }
    pieces
}

fn part_of(part: &[Wanted]) -> Result<Part, String> {
    let text: Option<String> = part.iter().copied().collect();
    if let Some(text) = text {
        return Ok(Part::Text(text.into()));
    }
    if part.len() > PATTERN_PART_CHARS_MAX {
        return Err(format!(
            "between two % of a pattern may not stand more than {PATTERN_PART_CHARS_MAX} \
             characters if one is _"
        ));
    }
    Ok(Part::Characters(Characters::new(part)))
}

impl Part {
    /// Where its first occurrence ends.
    fn end_in(&self, text: &[u8]) -> Option<usize> {
        match self {
            Part::Text(wanted) => Some(memmem::find(text, wanted.as_bytes())? + wanted.len()),
            Part::Characters(characters) => characters.end_in(text),
        }
    }
}

/// A part with `_` in it: bit `n` of a word says that its first `n + 1` characters end here.
#[derive(Debug)]
struct Characters {
    /// The bits at which any character stands.
    any: u64,
    /// In order: a character and all bits at which it may stand.
    bits: Vec<(char, u64)>,
    /// The bit of the last character.
    end: u64,
}

impl Characters {
    fn new(part: &[Wanted]) -> Characters {
        let at = |wanted: Wanted| {
            let places = part.iter().enumerate();
            let bits = places.filter(|(_, found)| **found == wanted);
            bits.fold(0, |bits, (place, _)| bits | 1 << place)
        };
        let any = at(None);
        let mut bits: Vec<(char, u64)> = part
            .iter()
            .flatten()
            .map(|character| (*character, any | at(Some(*character))))
            .collect();
        bits.sort_unstable();
        bits.dedup();
        Characters {
            any,
            bits,
            end: 1 << (part.len() - 1),
        }
    }

    fn end_in(&self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        let mut state = 0;
        while at < text.len() {
            let (character, bytes) = first_character(&text[at..]);
            at += bytes;
            let found = character.and_then(|character| {
                let found = self
                    .bits
                    .binary_search_by_key(&character, |(known, _)| *known);
                found.ok()
            });
            let bits = found.map_or(self.any, |index| self.bits[index].1);
            state = (state << 1 | 1) & bits;
            if state & self.end != 0 {
                return Some(at);
            }
        }
        None
    }
}

fn strip_first<'a>(text: &'a [u8], pieces: &[Piece]) -> Option<&'a [u8]> {
    pieces.iter().try_fold(text, |text, piece| match piece {
        Piece::Text(wanted) => text.strip_prefix(wanted.as_bytes()),
        Piece::Any if text.is_empty() => None,
        Piece::Any => Some(&text[first_character(text).1..]),
    })
}

fn strip_last<'a>(text: &'a [u8], pieces: &[Piece]) -> Option<&'a [u8]> {
    pieces
        .iter()
        .rev()
        .try_fold(text, |text, piece| match piece {
            Piece::Text(wanted) => text.strip_suffix(wanted.as_bytes()),
            Piece::Any if text.is_empty() => None,
            Piece::Any => Some(&text[..text.len() - last_character_bytes(text)]),
        })
}

/// The first character of a text that is not empty, if it is one, and how many bytes it has.
fn first_character(text: &[u8]) -> (Option<char>, usize) {
    let bytes = match text[0] {
        ascii @ 0..0x80 => return (Some(char::from(ascii)), 1),
        0xC0..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    let found = text.get(..bytes).map(std::str::from_utf8);
    match found {
        Some(Ok(character)) => (character.chars().next(), bytes),
        _ => (None, 1),
    }
}

/// How many bytes the last character of a text that is not empty has.
fn last_character_bytes(text: &[u8]) -> usize {
    let starts = |bytes: &usize| {
        let from = text.len().checked_sub(*bytes);
        from.is_some_and(|from| first_character(&text[from..]).1 == *bytes)
    };
    (1..=4).rev().find(starts).unwrap_or(1)
}
