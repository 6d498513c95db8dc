//! What a session has subscribed to, and which of it a message matches.
//!
//! Bindings let through a little too much: a level `*` of a filter is no wildcard, and a wildcard
//! at the front does not match topics that start with `$`. What comes is matched here once more,
//! unless all subscriptions are alike and none of this can be.
//!
//! Invariants
//! - A filter is there once.
//! - What no subscription matches is not delivered.

use hashbrown::HashMap;
use mqtt::topic;

/// A subscription as it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The filter, without the group if it is a shared one.
    pub(crate) filter: Box<[u8]>,
    /// The key of its binding, which lets through what it matches.
    pub(crate) key: Box<[u8]>,
    /// The most that a message is delivered with.
    pub(crate) qos: u8,
    /// Whether the client's own messages are left out.
    pub(crate) no_local: bool,
    /// Whether messages keep the flag that they were published with.
    pub(crate) retain_as_published: bool,
    /// What the client calls it.
    pub(crate) id: Option<u32>,
}

impl Subscription {
    fn verdict(&self) -> Verdict {
        Verdict {
            qos: self.qos,
            retain_as_published: self.retain_as_published,
        }
    }

    /// Whether bindings alone decide about it, and nothing else does.
    fn is_plain(&self) -> bool {
        let wild_front = matches!(self.filter.first(), Some(b'+' | b'#'));
        !self.no_local && self.id.is_none() && !wild_front && !self.filter.contains(&b'*')
    }
}

/// A message as far as subscriptions look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// Its topic.
    pub(crate) topic: &'a [u8],
    /// Whether the session's client has published it.
    pub(crate) is_own: bool,
}

/// How a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// At most so.
    pub(crate) qos: u8,
    /// Whether it keeps its retain flag.
    pub(crate) retain_as_published: bool,
}

impl Verdict {
    fn number(self) -> usize {
        usize::from(self.qos) * 2 + usize::from(self.retain_as_published)
    }

    fn of(number: usize) -> Verdict {
        Verdict {
            qos: (number / 2) as u8,
            retain_as_published: number % 2 == 1,
        }
    }
}

/// The kinds of verdict there are.
const VERDICTS: usize = 6;

/// The subscriptions of one queue.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_filter: HashMap<Box<[u8]>, Subscription, crate::hashing::HashState>,
    /// How many have which verdict.
    verdicts: [u32; VERDICTS],
    /// How many need a look for other reasons.
    special: u32,
    /// What holds for every message, if none needs a look.
    alike: Option<Verdict>,
}

impl Subscriptions {
    /// All of them, in any order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.by_filter.values()
    }

    /// Adds one, in the place of that with the same filter.
    pub(crate) fn set(&mut self, subscription: Subscription) {
        self.remove(&subscription.filter.clone());
        self.verdicts[subscription.verdict().number()] += 1;
        self.special += u32::from(!subscription.is_plain());
        self.by_filter
            .insert(subscription.filter.clone(), subscription);
        self.look_again();
    }

    /// Takes one away, and gives it back if it was there.
    pub(crate) fn remove(&mut self, filter: &[u8]) -> Option<Subscription> {
        let removed = self.by_filter.remove(filter)?;
        self.verdicts[removed.verdict().number()] -= 1;
        self.special -= u32::from(!removed.is_plain());
        self.look_again();
        Some(removed)
    }

    /// The most that any of them grants.
    pub(crate) fn qos_max(&self) -> u8 {
        let granted = self.verdicts.iter().rposition(|count| *count > 0);
        granted.map_or(0, |number| Verdict::of(number).qos)
    }

    fn look_again(&mut self) {
        let whole = self.by_filter.len() as u32;
        let of_all = self.verdicts.iter().position(|count| *count == whole);
        let alike = of_all.filter(|_| whole > 0 && self.special == 0);
        self.alike = alike.map(Verdict::of);
    }

    /// How every message is delivered, if none has to be looked at.
    #[inline]
    pub(crate) fn judge_all(&self) -> Option<Verdict> {
        self.alike
    }

    /// How a message is delivered, if it is; replaces `ids` by what its subscriptions are called.
    #[inline]
    pub(crate) fn judge(&self, candidate: Candidate<'_>, ids: &mut Vec<u32>) -> Option<Verdict> {
        ids.clear();
        match self.alike {
            Some(verdict) => Some(verdict),
            None => self.judge_each(candidate, ids),
        }
    }

    fn judge_each(&self, candidate: Candidate<'_>, ids: &mut Vec<u32>) -> Option<Verdict> {
        let mut found: Option<Verdict> = None;
        for one in self.by_filter.values() {
            if one.no_local && candidate.is_own || !topic::matches(&one.filter, candidate.topic) {
                continue;
            }
            ids.extend(one.id);
            let before = found.unwrap_or(Verdict {
                qos: 0,
                retain_as_published: false,
            });
            found = Some(Verdict {
                qos: before.qos.max(one.qos),
                retain_as_published: before.retain_as_published || one.retain_as_published,
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(filter: &str, qos: u8) -> Subscription {
        Subscription {
            filter: filter.as_bytes().into(),
            key: Box::default(),
            qos,
            no_local: false,
            retain_as_published: false,
            id: None,
        }
    }

    fn judge(of: &[Subscription], topic: &str, is_own: bool) -> (Option<u8>, Vec<u32>) {
        let mut all = Subscriptions::default();
        of.iter().for_each(|one| all.set(one.clone()));
        let mut ids = vec![99];
        let topic = topic.as_bytes();
        let verdict = all.judge(Candidate { topic, is_own }, &mut ids);
        ids.sort_unstable();
        (verdict.map(|verdict| verdict.qos), ids)
    }

    #[test]
    fn a_message_gets_the_most_of_all_that_match_it() {
        let both = [plain("a/#", 0), plain("a/b", 2)];
        assert_eq!(judge(&both, "a/b", false), (Some(2), vec![]));
        assert_eq!(judge(&both, "a/c", false), (Some(0), vec![]));
        let named = |filter, qos, id| Subscription {
            id: Some(id),
            ..plain(filter, qos)
        };
        let named = [named("a/+", 1, 7), named("#", 0, 9), named("b", 2, 3)];
        assert_eq!(judge(&named, "a/b", false), (Some(1), vec![7, 9]));
    }

    #[test]
    fn what_bindings_let_through_too_much_is_left_out() {
        for (filter, topic, expected) in [
            ("a/*", "a/b", None),
            ("a/*", "a/*", Some(1)),
            ("#", "$SYS/uptime", None),
            ("+/uptime", "$SYS/uptime", None),
            ("$SYS/#", "$SYS/uptime", Some(1)),
        ] {
            let found = judge(&[plain(filter, 1)], topic, false).0;
            assert_eq!(found, expected, "{filter} {topic}");
        }
    }

    #[test]
    fn own_messages_are_left_out_where_that_was_asked_for() {
        let not_own = Subscription {
            no_local: true,
            ..plain("a", 2)
        };
        assert_eq!(judge(std::slice::from_ref(&not_own), "a", true).0, None);
        assert_eq!(judge(std::slice::from_ref(&not_own), "a", false).0, Some(2));
        assert_eq!(judge(&[not_own, plain("#", 1)], "a", true).0, Some(1));
    }

    #[test]
    fn a_filter_is_there_once() {
        let mut all = Subscriptions::default();
        all.set(plain("a", 0));
        all.set(plain("a", 1));
        assert_eq!((all.iter().count(), all.qos_max()), (1, 1));
        assert!(all.alike.is_some());
        all.set(plain("b", 0));
        assert!(all.alike.is_none());
        assert!(all.remove(b"b").is_some() && all.remove(b"b").is_none());
        assert!(all.alike.is_some());
    }
}
