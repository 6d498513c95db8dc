//! Scopes in RabbitMQ's form: `right:vhost/name` or `right:vhost/name/routing key`, with `*` for
//! any bytes and `%xx` for a byte.
//!
//! Invariants
//! - A scope that makes no sense grants nothing.
//! - A match costs at most the product of the two lengths, whatever the pattern.

use ferry_broker::Right;

/// A pattern: pieces that must come in this order, anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Vec<u8>>);

impl Pattern {
    /// Reads a pattern; none if an escape in it makes no sense.
    pub(crate) fn parse(text: &str) -> Option<Pattern> {
        text.split('*')
            .map(decode)
            .collect::<Option<_>>()
            .map(Pattern)
    }

    /// The same as a regular expression over bytes. Several `*` in a row are one: an automaton for
    /// a hundred of them takes seconds.
    pub(crate) fn to_regex(&self) -> String {
        let piece = |piece: &Vec<u8>| -> String {
            let bytes = piece.iter();
            bytes.map(|byte| format!("\\x{byte:02x}")).collect()
        };
        let last = self.0.len() - 1;
        let pieces = self.0.iter().enumerate();
        let pieces = pieces.filter(|(at, piece)| *at == 0 || *at == last || !piece.is_empty());
        let pieces: Vec<_> = pieces.map(|(_, bytes)| piece(bytes)).collect();
        format!("^{}$", pieces.join(".*"))
    }

    /// Whether all of the text is as the pattern says.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (first, rest) = self.0.split_first().expect("a split has one part at least");
        let Some(mut left) = text.as_bytes().strip_prefix(first.as_slice()) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return left.is_empty();
        };
        for piece in middle.iter().filter(|piece| !piece.is_empty()) {
            let found = left
                .windows(piece.len())
                .position(|part| part == piece.as_slice());
            let Some(at) = found else {
                return false;
            };
            left = &left[at + piece.len()..];
        }
        left.ends_with(last)
    }
}

/// `%xx` is that byte, `+` a blank, as in a query.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    Some(out)
}

/// A right in virtual hosts, to names, perhaps to routing keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) right: Right,
    pub(crate) vhost: Pattern,
    pub(crate) name: Pattern,
    /// As it was written: claims may stand in it.
    pub(crate) routing_key: Option<String>,
}

impl Scope {
    /// Reads a scope; none if it is something else.
    pub(crate) fn parse(text: &str) -> Option<Scope> {
        let (right, rest) = text.split_once(':')?;
        let right = match right {
            "configure" => Right::Configure,
            "write" => Right::Write,
            "read" => Right::Read,
            _ => return None,
        };
        let mut parts = rest.split('/');
        let (vhost, name) = (parts.next()?, parts.next()?);
        let routing_key = parts.next().map(str::to_owned);
        if parts.next().is_some() {
            return None;
        }
        Some(Scope {
            right,
            vhost: Pattern::parse(vhost)?,
            name: Pattern::parse(name)?,
            routing_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_wildcards_in_a_row_are_one() {
        let regex = |text| Pattern::parse(text).unwrap().to_regex();
        for (many, one) in [("a***b", "a*b"), ("**", "*"), ("**a**", "*a*")] {
            assert_eq!(regex(many), regex(one));
        }
        assert_eq!(regex("a"), r"^\x61$");
        assert_eq!(regex("*"), "^.*$");
    }

    #[test]
    fn patterns_match_as_rabbitmq_says() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "anything/at all", true),
            ("a*", "abc", true),
            ("a*", "ba", false),
            ("*c", "abc", true),
            ("*c", "abcd", false),
            ("*b*", "abc", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "ac", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("ab*ba", "aba", false),
            ("%2F", "/", true),
            ("%2a", "*", true),
            ("%2a", "x", false),
            ("a+b", "a b", true),
            ("%C3%A9", "é", true),
            ("A", "a", false),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(text), matches, "{pattern} {text}");
        }
        for wrong in ["%", "%2", "%zz", "a%2*"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_pattern_and_its_regular_expression_let_the_same_filters_through() {
        for (pattern, filter, expected) in [
            ("a.*", "a.#", false),
            ("a.*", "a.*.#", true),
            ("a*", "a.#", true),
            ("*", "#", true),
            ("*.b", "*.b", true),
            ("a.%2a", "a.*", false),
            ("", "#", false),
        ] {
            let regex = Pattern::parse(pattern).unwrap().to_regex();
            let found = ferry_broker::filter_is_within(filter.as_bytes(), &regex);
            assert_eq!(found, expected, "{filter} within {pattern}");
        }
    }

    #[test]
    fn what_is_no_scope_grants_nothing() {
        for (text, fits) in [
            ("read:*/*", true),
            ("write:*/*/*", true),
            ("configure:%2F/a*", true),
            ("read:a//", true),
            ("read:*", false),
            ("read:*/*/*/*", false),
            ("admin:*/*", false),
            ("READ:*/*", false),
            ("read", false),
            ("", false),
            ("tag:administrator", false),
            ("read:%/x", false),
        ] {
            assert_eq!(Scope::parse(text).is_some(), fits, "{text}");
        }
    }
}
