//! Scopes in RabbitMQ's form: `right:vhost/name` or `right:vhost/name/routing key`, with `*` for
//! any bytes and `%xx` for a byte.
//!
//! Invariants
//! - A scope that makes no sense grants nothing.

use ferry_broker::{Glob, Right};

/// Reads a pattern; none if an escape in it makes no sense.
pub(crate) fn pattern(text: &str) -> Option<Glob> {
    let pieces: Option<Vec<_>> = text.split('*').map(decode).collect();
    pieces.map(Glob::new)
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
    pub(crate) vhost: Glob,
    pub(crate) name: Glob,
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
            vhost: pattern(vhost)?,
            name: pattern(name)?,
            routing_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_rabbitmq_says() {
        for (written, text, matches) in [
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
            let parsed = pattern(written).unwrap();
            assert_eq!(parsed.matches(text.as_bytes()), matches, "{written} {text}");
        }
        for wrong in ["%", "%2", "%zz", "a%2*"] {
            assert_eq!(pattern(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_filter_is_let_through_if_all_that_it_matches_is() {
        for (written, filter, expected) in [
            ("a.*", "a.#", false),
            ("a.*", "a.*.#", true),
            ("a*", "a.#", true),
            ("*", "#", true),
            ("*.b", "*.b", true),
            ("a.%2a", "a.*", false),
            ("", "#", false),
        ] {
            let globs = [pattern(written).unwrap()];
            let found = ferry_broker::filter_is_within_globs(filter.as_bytes(), &globs);
            assert_eq!(found, expected, "{filter} within {written}");
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
