//! Patterns of permissions: regular expressions over names, compiled once.
//!
//! Invariants
//! - A pattern is matched in a time linear in the name; what it takes is bounded.
//! - A pattern matches anywhere in a name unless it has anchors, and the empty one matches the
//!   empty name only, as in RabbitMQ.
//! - What stands for a variable matches its value and nothing else, whatever characters are in it.

use regex::bytes::{Regex, RegexBuilder};

use super::inclusion::filter_is_within;

/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 4096;
/// Largest program that a pattern may become.
pub(super) const PROGRAM_BYTES_MAX: usize = 256 << 10;
/// How deep groups in a pattern may nest.
pub(super) const PATTERN_DEPTH_MAX: u32 = 32;

/// The name of a client of a protocol that has such names.
const CLIENT_ID: &str = "{client_id}";

/// A pattern, ready for use.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// Matches everything: the usual one, `.*`.
    All,
    /// Matches the empty name.
    Empty,
    Some(Regex),
}

impl Pattern {
    /// Compiles a pattern, or says what is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        Ok(match text {
            ".*" | "^.*" | ".*$" | "^.*$" => Pattern::All,
            "" | "^$" => Pattern::Empty,
            text => Pattern::compile(text, false)?,
        })
    }

    fn compile(text: &str, dot_is_any: bool) -> Result<Pattern, String> {
        let mut builder = RegexBuilder::new(text);
        builder
            .unicode(false)
            .dot_matches_new_line(dot_is_any)
            .size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(PATTERN_DEPTH_MAX);
        let regex = builder.build().map_err(|error| error.to_string())?;
        Ok(Pattern::Some(regex))
    }

    /// A pattern over routing keys, in which `.` stands for every byte: a key that has a line's end
    /// in it is a key like others.
    fn of_keys(text: &str) -> Result<Pattern, String> {
        match Pattern::new(text)? {
            Pattern::Some(_) => Pattern::compile(text, true),
            simple => Ok(simple),
        }
    }

    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Empty => name.is_empty(),
            Pattern::Some(regex) => regex.is_match(name),
        }
    }
}

/// A pattern over routing keys, with the user and the virtual host filled in.
#[derive(Debug, Clone)]
pub(crate) enum TopicPattern {
    Fixed(Pattern),
    /// Still to be filled with the name of a client.
    OfClient(String),
}

impl TopicPattern {
    pub fn new(text: &str, user: &str, vhost: &str) -> Result<TopicPattern, String> {
        let filled = fill(text, &[("{username}", user), ("{vhost}", vhost)]);
        if filled.contains(CLIENT_ID) {
            Pattern::of_keys(&fill(&filled, &[(CLIENT_ID, "")]))?;
            return Ok(TopicPattern::OfClient(filled));
        }
        Pattern::of_keys(&filled).map(TopicPattern::Fixed)
    }

    /// Whether it allows a routing key. For a client without a name the variable stands for its
    /// own text.
    pub fn matches(&self, routing_key: &[u8], client_id: Option<&str>) -> bool {
        self.with(client_id, |pattern| pattern.matches(routing_key))
    }

    /// Whether it allows every routing key that a binding key lets through.
    pub fn covers(&self, binding_key: &[u8], client_id: Option<&str>) -> bool {
        self.with(client_id, |pattern| match pattern {
            Pattern::All => true,
            Pattern::Empty => false,
            Pattern::Some(regex) => filter_is_within(binding_key, regex.as_str()),
        })
    }

    fn with(&self, client_id: Option<&str>, ask: impl FnOnce(&Pattern) -> bool) -> bool {
        match self {
            TopicPattern::Fixed(pattern) => ask(pattern),
            TopicPattern::OfClient(text) => {
                let text = fill(text, &[(CLIENT_ID, client_id.unwrap_or(CLIENT_ID))]);
                Pattern::of_keys(&text).is_ok_and(|pattern| ask(&pattern))
            }
        }
    }
}

/// Replaces variables by text that matches their values. What a value has of another variable's
/// name stays as it is.
fn fill(text: &str, variables: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let found = variables.iter().find(|(name, _)| from.starts_with(name));
        rest = match found {
            Some((name, value)) => {
                filled.push_str(&regex::escape(value));
                &from[name.len()..]
            }
            None => {
                filled.push('{');
                &from[1..]
            }
        };
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_anywhere_unless_they_are_anchored() {
        for (pattern, name, expected) in [
            (".*", "anything", true),
            (".*", "", true),
            ("", "", true),
            ("", "a", false),
            ("^$", "a", false),
            ("orders", "my-orders-2", true),
            ("^orders$", "my-orders", false),
            ("^(a|b)", "bc", true),
            (r"^\d+$", "123", true),
            (r"^\w$", "é", false),
            ("^.$", "\n", false),
            ("(a+)+$", &"a".repeat(5000), true),
            ("(a+)+$", &format!("{}!", "a".repeat(5000)), false),
        ] {
            let found = Pattern::new(pattern).unwrap().matches(name.as_bytes());
            assert_eq!(found, expected, "{pattern} ~ {name:.20}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_bounded_are_refused() {
        let long = "a".repeat(PATTERN_BYTES_MAX + 1);
        let deep = format!("{}a{}", "(".repeat(40), ")".repeat(40));
        for bad in [
            "(",
            "a{2,1}",
            "(?=a)",
            r"(a)\1",
            "x{9999}{9999}",
            &long,
            &deep,
        ] {
            assert!(Pattern::new(bad).is_err(), "{bad:.20}");
        }
    }

    #[test]
    fn a_variable_stands_for_its_value_and_nothing_else() {
        for (pattern, user, client, key, expected) in [
            ("^{username}\\.", "ann", None, "ann.x", true),
            ("^{username}$", ".*", None, "anything", false),
            ("^{username}$", ".*", None, ".*", true),
            ("^{username}$", "a|b", None, "b", false),
            ("^{vhost}$", "u", None, "/", true),
            ("^{username}$", "{vhost}", None, "/", false),
            ("^t/{client_id}/", "u", Some("dev1"), "t/dev1/x", true),
            ("^t/{client_id}/", "u", Some(".*"), "t/other/x", false),
            (
                "^t/{client_id}/",
                "u",
                Some("a|t/other"),
                "t/other/x",
                false,
            ),
            ("^t/{client_id}/", "u", Some("#"), "t/other/x", false),
            ("^t/{client_id}/", "u", None, "t/other/x", false),
            ("^t/{client_id}/", "u", None, "t/{client_id}/x", true),
            (
                "^{username}/{client_id}$",
                "{client_id}",
                Some("c"),
                "c/c",
                false,
            ),
            ("^x{2}$", "u", None, "xx", true),
            ("^a.*z$", "u", None, "a\n.z", true),
        ] {
            let pattern = TopicPattern::new(pattern, user, "/").unwrap();
            let found = pattern.matches(key.as_bytes(), client);
            assert_eq!(found, expected, "{pattern:?} ~ {key}");
        }
        assert!(TopicPattern::new("({client_id}", "u", "/").is_err());
    }
}
