//! Whether all that a binding key of a topic exchange lets through is matched by a pattern: a
//! regular expression, or any of several globs.
//!
//! A binding key is a small automaton over the bytes of routing keys, a pattern becomes another.
//! Both are walked together: if the first can end where the second has not matched, there is a key
//! that is let through and not allowed. What a key looks like is never guessed from samples.
//!
//! ```text
//!  sensors . * . #   --> states of the binding key  \
//!                                                     pairs, each visited once
//!  ^sensors\.[ab]\.  --> states of the pattern      /
//! ```
//!
//! Invariants
//! - Yes is said only after every pair that can be reached was looked at; what takes more than the
//!   limits, or can not be compiled within them, is a no.
//! - Keys that nobody who subscribes gets do not count: the empty one and, where the binding key
//!   begins with a wildcard, those that begin with `$`.

mod globs;

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use regex_automata::dfa::dense::{Builder, Config, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};

pub use self::globs::filter_is_within_globs;
use super::pattern::{PATTERN_DEPTH_MAX, PROGRAM_BYTES_MAX};
use crate::vhost::Map;

/// What a pattern's automaton may take, and what making it may take, in bytes each.
const AUTOMATON_BYTES_MAX: usize = 1 << 20;
/// Steps of a walk: some milliseconds of a processor.
const STEPS_MAX: usize = 1 << 18;

const SEPARATOR: u8 = b'.';
const ONE_WORD: &[u8] = b"*";
const ANY_WORDS: &[u8] = b"#";
/// What topics of the broker's own begin with.
const OWN: u8 = b'$';

/// Whether every routing key that `binding_key` lets through is matched by `pattern`, a regular
/// expression that matches anywhere unless it has anchors. Says no where that would take too long
/// to find out.
pub(super) fn filter_is_within(binding_key: &[u8], pattern: &str) -> bool {
    compile(pattern).is_some_and(|pattern| is_within(binding_key, pattern))
}

fn is_within(binding_key: &[u8], pattern: impl Acceptor) -> bool {
    let walk = Walk::new(binding_key, pattern);
    walk.is_some_and(|walk| walk.finds_no_way_out().is_some())
}

/// The automaton of a pattern.
trait Acceptor {
    type State: Copy + Eq + Hash;

    fn start(&mut self) -> Option<Self::State>;

    /// Where a byte leads; none if nothing that begins so matches, or that is not known.
    fn next(&mut self, state: Self::State, byte: u8) -> Option<Self::State>;

    fn matches_at_end(&self, state: Self::State) -> bool;

    fn matches_whatever_follows(&self, state: Self::State) -> bool;

    /// The class of a byte: all of a class it takes for the same.
    fn class(&self, byte: u8) -> u8;

    /// What a step from there costs, in steps.
    fn cost(&self, state: Self::State) -> usize;
}

impl Acceptor for DFA<Vec<u32>> {
    type State = StateID;

    fn start(&mut self) -> Option<StateID> {
        self.start_state(&start::Config::new()).ok()
    }

    fn next(&mut self, state: StateID, byte: u8) -> Option<StateID> {
        let next = self.next_state(state, byte);
        let is_lost = self.is_dead_state(next) || self.is_quit_state(next);
        (!is_lost).then_some(next)
    }

    fn matches_at_end(&self, state: StateID) -> bool {
        self.is_match_state(self.next_eoi_state(state))
    }

    fn matches_whatever_follows(&self, state: StateID) -> bool {
        self.is_match_state(state)
    }

    fn class(&self, byte: u8) -> u8 {
        self.byte_classes().get(byte)
    }

    fn cost(&self, _state: StateID) -> usize {
        1
    }
}

fn compile(pattern: &str) -> Option<DFA<Vec<u32>>> {
    let syntax = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .nest_limit(PATTERN_DEPTH_MAX);
    let program = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(PROGRAM_BYTES_MAX))
        .which_captures(WhichCaptures::None);
    let automaton = Config::new()
        .start_kind(StartKind::Unanchored)
        .accelerate(false)
        .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
        .determinize_size_limit(Some(AUTOMATON_BYTES_MAX));
    Builder::new()
        .syntax(syntax)
        .thompson(program)
        .configure(automaton)
        .build(pattern)
        .ok()
}

/// Where in a binding key a routing key has got to. The index is that of a word of the former.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// In a word that is as it stands, behind so many of its bytes.
    Word(u32, u32),
    /// In a word that a wildcard lets through.
    Wild(u32),
}

struct Filter<'a> {
    words: Vec<&'a [u8]>,
}

impl Filter<'_> {
    /// The places that a new word can begin in, when the words before `at` are done with.
    fn entries(&self, at: u32) -> impl Iterator<Item = Place> {
        self.open(at).map(|at| match self.words[at as usize] {
            ONE_WORD | ANY_WORDS => Place::Wild(at),
            _ => Place::Word(at, 0),
        })
    }

    /// The words that may come next: `#` can be left out.
    fn open(&self, at: u32) -> impl Iterator<Item = u32> {
        let first = at as usize;
        let left_out = self.words[first.min(self.words.len())..]
            .iter()
            .take_while(|word| **word == ANY_WORDS)
            .count();
        let last = (first + left_out).min(self.words.len().saturating_sub(1));
        (first..=last)
            .filter(|at| *at < self.words.len())
            .map(|at| at as u32)
    }

    /// What comes after the word of a place has ended; none if it can not end there.
    fn behind(&self, place: Place) -> Option<u32> {
        match place {
            Place::Word(at, bytes) => {
                (bytes as usize == self.words[at as usize].len()).then_some(at + 1)
            }
            Place::Wild(at) if self.words[at as usize] == ANY_WORDS => Some(at),
            Place::Wild(at) => Some(at + 1),
        }
    }

    /// Whether a routing key can end in a place.
    fn ends(&self, place: Place) -> bool {
        self.behind(place).is_some_and(|at| {
            let rest = &self.words[at as usize..];
            rest.iter().all(|word| *word == ANY_WORDS)
        })
    }
}

/// A walk through both automata at once.
struct Walk<'a, A: Acceptor> {
    filter: Filter<'a>,
    pattern: A,
    /// A byte for each class of bytes that the pattern takes for the same, without `.` and `$`.
    others: Vec<u8>,
    seen: Map<(Place, A::State), ()>,
    to_visit: VecDeque<(Place, A::State)>,
    steps: usize,
}

impl<'a, A: Acceptor> Walk<'a, A> {
    /// None for a binding key that only the empty routing key gets through, and others too long.
    fn new(binding_key: &'a [u8], pattern: A) -> Option<Walk<'a, A>> {
        let words: Vec<_> = binding_key.split(|byte| *byte == SEPARATOR).collect();
        if binding_key.is_empty() || binding_key.len() > usize::from(u16::MAX) {
            return None;
        }
        let mut classes = HashSet::new();
        let mut others: Vec<u8> = (0..=u8::MAX).collect();
        others.retain(|byte| ![SEPARATOR, OWN].contains(byte));
        others.retain(|byte| classes.insert(pattern.class(*byte)));
        Some(Walk {
            filter: Filter { words },
            pattern,
            others,
            seen: Map::default(),
            to_visit: VecDeque::new(),
            steps: 0,
        })
    }

    /// Some if every key that can be walked is matched, none if one is not or this takes too long.
    fn finds_no_way_out(mut self) -> Option<()> {
        let start = self.pattern.start()?;
        let first: Vec<_> = self.filter.entries(0).collect();
        for place in first {
            self.leave(place, start, true)?;
        }
        while let Some((place, state)) = self.to_visit.pop_front() {
            if self.filter.ends(place) && !self.pattern.matches_at_end(state) {
                return None;
            }
            self.leave(place, state, false)?;
        }
        Some(())
    }

    /// Goes on with every byte that can come in a place.
    fn leave(&mut self, place: Place, state: A::State, first: bool) -> Option<()> {
        match place {
            Place::Word(at, bytes) => {
                if let Some(byte) = self.filter.words[at as usize].get(bytes as usize) {
                    self.step(Place::Word(at, bytes + 1), state, *byte)?;
                }
            }
            Place::Wild(_) => {
                for index in 0..self.others.len() {
                    self.step(place, state, self.others[index])?;
                }
                if !first {
                    self.step(place, state, OWN)?;
                }
            }
        }
        if let Some(behind) = self.filter.behind(place) {
            let next: Vec<_> = self.filter.entries(behind).collect();
            for place in next {
                self.step(place, state, SEPARATOR)?;
            }
        }
        Some(())
    }

    fn step(&mut self, to: Place, state: A::State, byte: u8) -> Option<()> {
        self.steps += self.pattern.cost(state);
        // From every place a key can end: where nothing can match any more is a way out.
        let state = self.pattern.next(state, byte)?;
        if !self.pattern.matches_whatever_follows(state)
            && self.seen.insert((to, state), ()).is_none()
        {
            self.to_visit.push_back((to, state));
        }
        (self.steps <= STEPS_MAX).then_some(())
    }
}

#[cfg(test)]
mod tests;
