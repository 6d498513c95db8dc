//! Topic aliases: numbers that stand for topics, in both directions.
//!
//! Invariants
//! - A number means what it was last said to mean, on this connection only.
//! - The table for the client holds no more than it has allowed.

use hashbrown::HashMap;

/// An alias of ours for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutAlias {
    /// The number.
    pub(crate) number: u16,
    /// Whether the client knows it: the topic is left out then.
    pub(crate) is_known: bool,
}

/// What we call topics.
#[derive(Debug, Default)]
pub(crate) struct OutAliases {
    max: u16,
    numbers: HashMap<Box<[u8]>, u16, foldhash::fast::RandomState>,
}

impl OutAliases {
    /// For a client that takes so many.
    pub(crate) fn new(max: u16) -> OutAliases {
        OutAliases {
            max,
            ..OutAliases::default()
        }
    }

    /// The alias of a topic, if it has one or there is one left.
    #[inline]
    pub(crate) fn of(&mut self, topic: &[u8]) -> Option<OutAlias> {
        match self.max {
            0 => None,
            _ => self.look_up(topic),
        }
    }

    /// The alias of a topic if the client knows it already.
    pub(crate) fn known(&self, topic: &[u8]) -> Option<u16> {
        self.numbers.get(topic).copied()
    }

    fn look_up(&mut self, topic: &[u8]) -> Option<OutAlias> {
        if let Some(number) = self.numbers.get(topic) {
            return Some(OutAlias {
                number: *number,
                is_known: true,
            });
        }
        let number = u16::try_from(self.numbers.len() + 1).ok()?;
        if number > self.max {
            return None;
        }
        self.numbers.insert(topic.into(), number);
        Some(OutAlias {
            number,
            is_known: false,
        })
    }
}

/// What the client calls topics.
#[derive(Debug, Default)]
pub(crate) struct InAliases {
    topics: Vec<Box<[u8]>>,
}

impl InAliases {
    /// From now on the number stands for that topic. The number is not 0 and not beyond what was
    /// allowed.
    pub(crate) fn set(&mut self, number: u16, topic: &[u8]) {
        let place = usize::from(number) - 1;
        if self.topics.len() <= place {
            self.topics.resize(place + 1, Box::default());
        }
        self.topics[place] = topic.into();
    }

    /// The topic of a number.
    pub(crate) fn get(&self, number: u16) -> Option<&[u8]> {
        let place = usize::from(number).checked_sub(1)?;
        let topic = self.topics.get(place)?;
        Some(&**topic).filter(|topic| !topic.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_named_once_and_then_known() {
        let mut aliases = OutAliases::new(2);
        let of = |aliases: &mut OutAliases, topic: &str| {
            let alias = aliases.of(topic.as_bytes());
            alias.map(|alias| (alias.number, alias.is_known))
        };
        for (topic, expected) in [
            ("a", Some((1, false))),
            ("b", Some((2, false))),
            ("a", Some((1, true))),
            ("c", None),
            ("b", Some((2, true))),
        ] {
            assert_eq!(of(&mut aliases, topic), expected, "{topic}");
        }
        assert_eq!(OutAliases::new(0).of(b"a"), None);
    }

    #[test]
    fn a_number_means_what_was_said_last() {
        let mut aliases = InAliases::default();
        aliases.set(3, b"a");
        assert_eq!((aliases.get(3), aliases.get(1)), (Some(&b"a"[..]), None));
        aliases.set(3, b"b");
        assert_eq!((aliases.get(3), aliases.get(0)), (Some(&b"b"[..]), None));
    }
}
