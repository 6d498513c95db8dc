//! What finds the bindings of one exchange that a message goes by.
//!
//! Invariants
//! - A binding is where its selection puts it: with the plain ones, with those that have a filter,
//!   or nowhere, if it is never taken. With a hash exchange it is always among the members.
//! - Without bindings that have a filter there is nothing that looks for them.

use foldhash::fast::FixedState;

use super::arena::{Arena, Chain, Ends};
use super::direct::Direct;
use super::filtered::Filtered;
use super::hashed::Hashed;
use super::headers::{Headers, Sorted};
use super::ids::BindingIx;
use super::options::Rule;
use super::route::Message;
use super::selection::Selection;
use super::topic::Topic;

/// The bindings of one exchange.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    /// All that match.
    Plain(Plain, Option<Box<Filtered>>),
    /// One of them.
    Hashed(Box<Hashed>),
}

impl Matcher {
    pub(super) fn new(rule: Rule, hasher: &FixedState) -> Matcher {
        let plain = match rule {
            Rule::Direct => Plain::Direct(Direct::default()),
            Rule::Fanout => Plain::Fanout(Ends::EMPTY),
            Rule::Topic => Plain::Topic(Box::new(Topic::new())),
            Rule::Headers => Plain::Headers(Headers::new(hasher.clone())),
            Rule::Hashed(pick) => return Matcher::Hashed(Box::new(Hashed::new(pick))),
        };
        Matcher::Plain(plain, None)
    }

    /// Adds a binding; `destination` is the stable hash of where it leads.
    pub(super) fn insert(
        &mut self,
        arena: &mut Arena,
        hasher: &FixedState,
        ix: BindingIx,
        destination: u64,
    ) {
        let (plain, filtered) = match self {
            Matcher::Plain(plain, filtered) => (plain, filtered),
            Matcher::Hashed(hashed) => return hashed.insert(arena, hasher, ix, destination),
        };
        match arena.slot(ix).selection {
            Selection::All => plain.insert(arena, hasher, ix),
            Selection::Filter(_) => {
                let new = || Box::new(Filtered::new(plain.empty(hasher), hasher));
                filtered.get_or_insert_with(new).insert(arena, hasher, ix);
            }
            Selection::Nothing => {}
        }
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let (plain, filtered) = match self {
            Matcher::Plain(plain, filtered) => (plain, filtered),
            Matcher::Hashed(hashed) => return hashed.remove(arena, hasher, ix),
        };
        match arena.slot(ix).selection {
            Selection::All => plain.remove(arena, hasher, ix),
            Selection::Filter(_) => {
                let there = filtered.as_mut().expect("a filtered binding is in here");
                there.remove(arena, hasher, ix);
                if there.is_empty() {
                    *filtered = None;
                }
            }
            Selection::Nothing => {}
        }
    }

    /// Hands out the bindings that a message goes by, perhaps more than once.
    pub(super) fn find(
        &self,
        arena: &Arena,
        hasher: &FixedState,
        message: &Message<'_>,
        take: &mut impl FnMut(BindingIx),
    ) {
        match self {
            Matcher::Plain(plain, filtered) => {
                plain.find(arena, hasher, message, take);
                if let Some(filtered) = filtered {
                    filtered.find(hasher, message, take);
                }
            }
            Matcher::Hashed(hashed) => {
                let picked = hashed.pick(message).unwrap_or(Ends::EMPTY);
                let takes = |ix: &BindingIx| arena.slot(*ix).selection.takes(message);
                arena.walk(Chain::Home, picked).filter(takes).for_each(take);
            }
        }
    }

    /// Whether bindings have criteria on headers.
    pub(super) fn asks_headers(&self) -> bool {
        matches!(self, Matcher::Plain(Plain::Headers(_), _))
    }
}

/// What finds bindings by keys and headers.
#[derive(Clone, Debug)]
pub(super) enum Plain {
    Direct(Direct),
    Fanout(Ends),
    Topic(Box<Topic>),
    Headers(Headers),
}

impl Plain {
    /// One of the same kind without bindings.
    fn empty(&self, hasher: &FixedState) -> Plain {
        match self {
            Plain::Direct(_) => Plain::Direct(Direct::default()),
            Plain::Fanout(_) => Plain::Fanout(Ends::EMPTY),
            Plain::Topic(_) => Plain::Topic(Box::new(Topic::new())),
            Plain::Headers(_) => Plain::Headers(Headers::new(hasher.clone())),
        }
    }

    pub(super) fn insert(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        match self {
            Plain::Direct(direct) => direct.insert(arena, hasher, ix),
            Plain::Fanout(all) => arena.append(Chain::Home, all, ix),
            Plain::Topic(topic) => topic.insert(arena, hasher, ix),
            Plain::Headers(headers) => headers.insert(arena, hasher, ix),
        }
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        match self {
            Plain::Direct(direct) => direct.remove(arena, hasher, ix),
            Plain::Fanout(all) => arena.unlink(Chain::Home, all, ix),
            Plain::Topic(topic) => topic.remove(arena, hasher, ix),
            Plain::Headers(headers) => headers.remove(arena, hasher, ix),
        }
    }

    pub(super) fn find(
        &self,
        arena: &Arena,
        hasher: &FixedState,
        message: &Message<'_>,
        take: &mut impl FnMut(BindingIx),
    ) {
        let mut take_all = |ends: Ends| arena.walk(Chain::Home, ends).for_each(&mut *take);
        match self {
            Plain::Fanout(all) => take_all(*all),
            Plain::Direct(direct) => {
                let groups = message
                    .keys
                    .iter()
                    .filter_map(|key| direct.find(arena, hasher, key));
                groups.for_each(take_all);
            }
            Plain::Topic(topic) => {
                for key in message.keys {
                    topic.find(hasher, key, &mut take_all);
                }
            }
            Plain::Headers(matcher) => {
                matcher.find(arena, hasher, &Sorted::new(message.headers()), take);
            }
        }
    }
}
