//! The keys that have something out, and who has it.
//!
//! Invariants
//! - There is a state for a key while a message of it is leased, or came back and waits for its
//!   next try; for no other.
//! - Nobody may get more of a key than who holds all that is out of it, and nobody while
//!   something of it came back that was followed by what is still out, or waits to be tried again.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::queue::{ConsumerId, ConsumerSlot};

/// What is out of one key. Small: among thousands of keys each is a look far away.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Who got something of it last, of those who are consumers.
    holder: ConsumerId,
    /// Leased messages.
    out: u32,
    /// Messages that came back and wait for their time.
    waiting: u32,
    /// All that is out is the holder's.
    has_all: bool,
    /// Something came back while other things were out.
    paused: bool,
}

/// All such keys.
#[derive(Debug, Default)]
pub struct Keys {
    states: HashMap<u32, State, foldhash::fast::FixedState>,
}

impl Keys {
    /// A message of the key is leased, to a consumer or to somebody else.
    pub fn out(&mut self, key: u32, holder: Option<ConsumerSlot>) {
        let state = self.states.entry(key).or_default();
        let had_all = |holder: ConsumerSlot| state.has_all && state.holder == holder.id();
        state.has_all = holder.is_some_and(|holder| state.out == 0 || had_all(holder));
        if let Some(holder) = holder {
            state.holder = holder.id();
        }
        state.out += 1;
    }

    /// The lease of a message of the key ended; `back` if the message is in the queue again.
    pub fn ended(&mut self, key: u32, back: bool) {
        self.change(key, |state| {
            state.out -= 1;
            state.paused |= back;
            if state.out == 0 {
                (state.has_all, state.paused) = (false, false);
            }
        });
    }

    /// A message of the key waits to be tried again.
    pub fn waits(&mut self, key: u32) {
        self.states.entry(key).or_default().waiting += 1;
    }

    /// One that did waits no longer.
    pub fn waited(&mut self, key: u32) {
        self.change(key, |state| state.waiting -= 1);
    }

    /// Changes the state of a key that has something out, and forgets it if it has nothing more.
    fn change(&mut self, key: u32, change: impl FnOnce(&mut State)) {
        let Entry::Occupied(mut found) = self.states.entry(key) else {
            panic!("a key that has something out has a state");
        };
        let state = found.get_mut();
        change(state);
        if state.out == 0 && state.waiting == 0 {
            found.remove();
        }
    }

    /// Nobody gets more of a key before all that is out of it now is settled or came back.
    pub fn pause_all(&mut self) {
        self.states
            .values_mut()
            .for_each(|state| state.paused = true);
    }

    /// Whether nothing of the key is out.
    pub fn is_free(&self, key: u32) -> bool {
        !self.states.contains_key(&key)
    }

    /// Whether the consumer may get the next message of the key.
    pub fn is_open_to(&self, key: u32, consumer: ConsumerSlot) -> bool {
        self.states.get(&key).is_none_or(|state| {
            let is_its = state.has_all && state.holder == consumer.id();
            is_its && state.waiting == 0 && !state.paused
        })
    }

    /// How many keys have something out.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.states.len()
    }
}
