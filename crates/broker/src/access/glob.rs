//! Patterns in which a `*` stands for any bytes, as scopes of tokens have them.
//!
//! ```text
//! first * searched * searched * last
//!   |        |          |        '-- the text ends with it, behind all the others
//!   |        '----------'-- wherever they come first, in this order
//!   '-- the text begins with it
//! ```
//!
//! Invariants
//! - What comes first is taken first: that never leaves less for what is to come. So where a text
//!   has got to is one place in the pattern, and a pattern has as many places as it has bytes.
//! - A match costs at most the sum of the two lengths, whatever the pattern.

/// A piece, to be found in a text that goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    bytes: Vec<u8>,
    /// For so many bytes that have come: how many of the last of them a shorter beginning has.
    shorter: Vec<usize>,
}

impl Piece {
    fn new(bytes: Vec<u8>) -> Piece {
        let mut shorter = vec![0; bytes.len() + 1];
        for end in 1..bytes.len() {
            let mut at = shorter[end];
            while at > 0 && bytes[at] != bytes[end] {
                at = shorter[at];
            }
            shorter[end + 1] = at + usize::from(bytes[at] == bytes[end]);
        }
        Piece { bytes, shorter }
    }

    /// How much of it the text ends with, behind `at` of it and one byte more.
    fn next(&self, mut at: usize, byte: u8) -> usize {
        while at > 0 && self.bytes.get(at) != Some(&byte) {
            at = self.shorter[at];
        }
        at + usize::from(self.bytes.get(at) == Some(&byte))
    }
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    first: Vec<u8>,
    searched: Vec<Piece>,
    /// None if there is no `*`: the text is `first`.
    last: Option<Piece>,
}

/// Where in a pattern a text has got to: in which of its pieces, and behind how many of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    piece: u32,
    at: u32,
}

impl Place {
    fn of(piece: usize, at: usize) -> Place {
        Place {
            piece: piece as u32,
            at: at as u32,
        }
    }
}

impl Glob {
    /// A pattern of what is before, between and behind its `*`: one piece for none of them.
    #[must_use]
    pub fn new(pieces: impl IntoIterator<Item = Vec<u8>>) -> Glob {
        let mut pieces = pieces.into_iter();
        let first = pieces.next().unwrap_or_default();
        let mut others: Vec<_> = pieces.map(Piece::new).collect();
        let last = others.pop();
        // Several `*` in a row are one.
        others.retain(|piece| !piece.bytes.is_empty());
        Glob {
            first,
            searched: others,
            last,
        }
    }

    /// Whether all of the text is as the pattern says.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        let end = text
            .iter()
            .try_fold(self.start(), |place, byte| self.next(place, *byte));
        end.is_some_and(|place| self.matches_at_end(place))
    }

    pub(super) fn start(&self) -> Place {
        self.settle(0, 0)
    }

    /// Goes on to the next piece where one is complete.
    fn settle(&self, piece: usize, at: usize) -> Place {
        let length = match piece {
            0 => self.first.len(),
            piece => (self.searched.get(piece - 1)).map_or(usize::MAX, |one| one.bytes.len()),
        };
        match at == length && self.last.is_some() {
            true => Place::of(piece + 1, 0),
            false => Place::of(piece, at),
        }
    }

    /// Where one byte more leads; none if nothing that begins so is as the pattern says.
    pub(super) fn next(&self, place: Place, byte: u8) -> Option<Place> {
        let (piece, at) = (place.piece as usize, place.at as usize);
        let next = match piece {
            0 => {
                let goes_on = self.first.get(at) == Some(&byte);
                goes_on.then_some(at + 1)?
            }
            piece => match (self.searched.get(piece - 1), &self.last) {
                (Some(searched), _) => searched.next(at, byte),
                (None, last) => last.as_ref()?.next(at, byte),
            },
        };
        Some(self.settle(piece, next))
    }

    /// Whether a text that ends there is as the pattern says.
    pub(super) fn matches_at_end(&self, place: Place) -> bool {
        let at = place.at as usize;
        match &self.last {
            None => at == self.first.len(),
            Some(last) => place.piece as usize > self.searched.len() && at == last.bytes.len(),
        }
    }

    /// Whether it is so however the text goes on.
    pub(super) fn matches_whatever_follows(&self, place: Place) -> bool {
        let ends_with_any = self.last.as_ref().is_some_and(|last| last.bytes.is_empty());
        ends_with_any && self.matches_at_end(place)
    }

    /// All bytes that stand in it.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> {
        let others = self.searched.iter().chain(&self.last);
        let others = others.flat_map(|piece| &piece.bytes);
        self.first.iter().chain(others).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::new(text.split('*').map(|piece| piece.as_bytes().to_vec()))
    }

    /// By trying every way to share the text out.
    fn is_as_said(pieces: &[&str], text: &str) -> bool {
        match pieces {
            [] => text.is_empty(),
            [piece] => text == *piece,
            [piece, rest @ ..] => text
                .strip_prefix(piece)
                .is_some_and(|text| (0..=text.len()).any(|at| is_as_said(rest, &text[at..]))),
        }
    }

    #[test]
    fn a_text_matches_if_there_is_a_way_to_share_it_out() {
        let mut texts = vec![String::new()];
        for at in 0.. {
            if texts[at].len() == 7 {
                break;
            }
            for letter in ["a", "b"] {
                texts.push(format!("{}{letter}", texts[at]));
            }
        }
        let patterns = [
            "",
            "*",
            "**",
            "a",
            "ab",
            "a*",
            "*a",
            "*a*",
            "a*a",
            "ab*ba",
            "*ab*",
            "*aab",
            "*aab*a",
            "a*bab*b",
            "*aa*aa*",
            "*aba",
            "*abab*ab",
            "b**a",
            "aabaab*",
            "*aabaabb*",
        ];
        for pattern in patterns {
            let pieces: Vec<_> = pattern.split('*').collect();
            for text in &texts {
                let found = glob(pattern).matches(text.as_bytes());
                assert_eq!(found, is_as_said(&pieces, text), "{pattern} {text}");
            }
        }
    }
}
