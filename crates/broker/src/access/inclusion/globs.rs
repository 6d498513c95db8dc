//! Several globs at once, as an automaton: where a text has got to in each of them.
//!
//! Invariants
//! - A state has only those globs that may still match; one without any is none.
//! - Each set of places is one state, however it was come to.

use super::{Acceptor, is_within};
use crate::access::glob::{Glob, Place};
use crate::vhost::Map;

/// Places that all states have together.
const PLACES_MAX: usize = 1 << 16;
/// Places of a state that are gone through in the time of a step.
const PLACES_A_STEP: usize = 4;

/// Whether every routing key that `binding_key` lets through is matched by one of `globs` at least.
/// Says no where that would take too long to find out.
pub fn filter_is_within_globs(binding_key: &[u8], globs: &[Glob]) -> bool {
    is_within(binding_key, Globs::new(globs))
}

/// Those globs that may still match, by their index, and where in them the text has got to.
type Places = Box<[(u32, Place)]>;

pub(super) struct Globs<'a> {
    globs: &'a [Glob],
    /// A byte that stands in a glob is a class; what stands in none is one with the first of those.
    classes: [u8; 256],
    states: Vec<Places>,
    known: Map<Places, u32>,
    places: usize,
}

impl<'a> Globs<'a> {
    pub(super) fn new(globs: &'a [Glob]) -> Globs<'a> {
        let mut stands = [false; 256];
        for byte in globs.iter().flat_map(Glob::bytes) {
            stands[usize::from(byte)] = true;
        }
        let other = (0..=u8::MAX).find(|byte| !stands[usize::from(*byte)]);
        let class =
            |byte: usize| (stands[byte].then_some(byte as u8).or(other)).unwrap_or_default();
        Globs {
            globs,
            classes: std::array::from_fn(class),
            states: Vec::new(),
            known: Map::default(),
            places: 0,
        }
    }

    fn state(&mut self, places: Places) -> Option<u32> {
        if let Some(state) = self.known.get(&places) {
            return Some(*state);
        }
        self.places += places.len();
        if places.is_empty() || self.places > PLACES_MAX {
            return None;
        }
        let state = self.states.len() as u32;
        self.states.push(places.clone());
        self.known.insert(places, state);
        Some(state)
    }

    fn any(&self, state: u32, is_so: impl Fn(&Glob, Place) -> bool) -> bool {
        let mut places = self.states[state as usize].iter();
        places.any(|(index, place)| is_so(&self.globs[*index as usize], *place))
    }
}

impl Acceptor for Globs<'_> {
    type State = u32;

    fn start(&mut self) -> Option<u32> {
        let globs = (0..).zip(self.globs);
        self.state(globs.map(|(index, glob)| (index, glob.start())).collect())
    }

    fn next(&mut self, state: u32, byte: u8) -> Option<u32> {
        let places = self.states[state as usize].iter();
        let next = places.filter_map(|(index, place)| {
            let next = self.globs[*index as usize].next(*place, byte)?;
            Some((*index, next))
        });
        let next = next.collect();
        self.state(next)
    }

    fn matches_at_end(&self, state: u32) -> bool {
        self.any(state, Glob::matches_at_end)
    }

    fn matches_whatever_follows(&self, state: u32) -> bool {
        self.any(state, Glob::matches_whatever_follows)
    }

    fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }

    fn cost(&self, state: u32) -> usize {
        1 + self.states[state as usize].len() / PLACES_A_STEP
    }
}
