//! The headers exchange: bindings whose arguments are criteria on a message's headers.
//!
//! Invariants
//! - A binding that needs all its criteria is grouped under one of them, the one whose group was
//!   smallest at the time; only the groups of the headers that a message has are looked at.
//! - A group is a hint by hash: every binding found is still compared in full.
//! - `x-match` and `x-filter` are never criteria; other `x-` names are only in the `-with-x` modes.
//!   A void criterion asks for presence alone.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::arena::{Arena, Chain, Ends};
use super::ids::BindingIx;
use super::selection::FILTER;
use crate::arguments::{Arguments, Term, Value};

const X_MATCH: &str = "x-match";

/// An `x-match` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidXMatch {
    /// None of the four modes.
    #[error("Invalid x-match field value {0}; expected all, any, all-with-x, or any-with-x")]
    Value(String),
    /// Not text.
    #[error("Invalid x-match field type {type_name} (value {value}); expected longstr")]
    Type {
        /// The type that was received.
        type_name: &'static str,
        /// The value that was received, as printed.
        value: String,
    },
}

/// Whether a headers exchange takes a binding with these arguments.
pub(super) fn validate(arguments: &Arguments) -> Result<(), InvalidXMatch> {
    match arguments.get(X_MATCH) {
        None => Ok(()),
        Some(Value::Str(mode)) if Mode::parse(mode).is_some() => Ok(()),
        Some(value @ Value::Str(_)) => Err(InvalidXMatch::Value(Term(value).to_string())),
        Some(value) => Err(InvalidXMatch::Type {
            type_name: value.type_name(),
            value: Term(value).to_string(),
        }),
    }
}

#[derive(Clone, Copy)]
struct Mode {
    any: bool,
    with_x: bool,
}

impl Mode {
    fn parse(mode: &[u8]) -> Option<Mode> {
        let (any, with_x) = match mode {
            b"all" => (false, false),
            b"any" => (true, false),
            b"all-with-x" => (false, true),
            b"any-with-x" => (true, true),
            _ => return None,
        };
        Some(Mode { any, with_x })
    }

    fn of(criteria: &Arguments) -> Mode {
        let given = criteria
            .get(X_MATCH)
            .and_then(Value::as_bytes)
            .and_then(Mode::parse);
        given.unwrap_or(Mode {
            any: false,
            with_x: false,
        })
    }

    fn counts(self, name: &str) -> bool {
        name != X_MATCH && name != FILTER && (self.with_x || !name.starts_with("x-"))
    }
}

/// A message's headers in the order that matching needs.
pub(super) struct Sorted<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Sorted<'a> {
    pub(super) fn new(headers: &'a Arguments) -> Sorted<'a> {
        let mut entries: Vec<(&str, &Value)> = headers.iter().collect();
        entries.sort_by_key(|(name, _)| *name);
        entries.dedup_by_key(|(name, _)| *name);
        Sorted(entries)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let index = self.0.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        Some(self.0[index].1)
    }

    fn satisfies(&self, criteria: &Arguments) -> bool {
        let mode = Mode::of(criteria);
        let mut counted = criteria.iter().filter(|(name, _)| mode.counts(name));
        let holds = |(name, expected): (&str, &Value)| match (self.get(name), expected) {
            (None, _) => false,
            (Some(_), Value::Void) => true,
            (Some(value), expected) => value.equals_by_value(expected),
        };
        if mode.any {
            counted.any(holds)
        } else {
            counted.all(holds)
        }
    }
}

/// The home of a binding that is looked at for every message.
const UNGROUPED: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Group {
    ends: Ends,
    count: u32,
}

/// The groups of one exchange.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    groups: HashMap<u64, Group, FixedState>,
    ungrouped: Ends,
}

impl Headers {
    pub(super) fn new(hasher: FixedState) -> Headers {
        Headers {
            groups: HashMap::with_hasher(hasher),
            ungrouped: Ends::EMPTY,
        }
    }

    pub(super) fn insert(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let home = self.choose_home(arena.slot(ix).arguments(), hasher);
        arena.set_home(ix, home.map_or(UNGROUPED, |(index, _)| index));
        match home {
            None => arena.append(Chain::Home, &mut self.ungrouped, ix),
            Some((_, hash)) => {
                let empty = Group {
                    ends: Ends::EMPTY,
                    count: 0,
                };
                let group = self.groups.entry(hash).or_insert(empty);
                group.count += 1;
                arena.append(Chain::Home, &mut group.ends, ix);
            }
        }
    }

    /// The criterion with the smallest group, the first of equals, and its hash.
    fn choose_home(&self, criteria: &Arguments, hasher: &FixedState) -> Option<(u32, u64)> {
        let mode = Mode::of(criteria);
        if mode.any {
            return None;
        }
        let usable = criteria
            .iter()
            .enumerate()
            .filter(|(_, (name, value))| mode.counts(name) && !matches!(value, Value::Void));
        let hashed = usable.map(|(index, (name, value))| {
            (
                super::ids::place(index),
                hash_criterion(hasher, name, value),
            )
        });
        hashed.min_by_key(|(_, hash)| self.groups.get(hash).map_or(0, |group| group.count))
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let slot = arena.slot(ix);
        if slot.home == UNGROUPED {
            return arena.unlink(Chain::Home, &mut self.ungrouped, ix);
        }
        let criterion = slot.arguments().iter().nth(slot.home as usize);
        let (name, value) = criterion.expect("a home is an index into the binding's arguments");
        let hash = hash_criterion(hasher, name, value);
        let group = self
            .groups
            .get_mut(&hash)
            .expect("a grouped binding's group exists");
        group.count -= 1;
        arena.unlink(Chain::Home, &mut group.ends, ix);
        if group.count == 0 {
            self.groups.remove(&hash);
        }
    }

    pub(super) fn find(
        &self,
        arena: &Arena,
        hasher: &FixedState,
        headers: &Sorted<'_>,
        emit: &mut impl FnMut(BindingIx),
    ) {
        let mut offer = |ends: Ends| {
            for ix in arena.walk(Chain::Home, ends) {
                if headers.satisfies(arena.slot(ix).arguments()) {
                    emit(ix);
                }
            }
        };
        offer(self.ungrouped);
        if self.groups.is_empty() {
            return;
        }
        for (name, value) in &headers.0 {
            if let Some(group) = self.groups.get(&hash_criterion(hasher, name, value)) {
                offer(group.ends);
            }
        }
    }
}

fn hash_criterion(hasher: &FixedState, name: &str, value: &Value) -> u64 {
    let mut state = hasher.build_hasher();
    name.hash(&mut state);
    value.hash_by_value(&mut state);
    state.finish()
}
