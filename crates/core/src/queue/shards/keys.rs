//! The keys that have something out, and who has it.
//!
//! Invariants
//! - There is a state for a key while a message of it is leased, or came back and waits for its
//!   next try; for no other.
//! - Nobody may get more of a key than who holds all that is out of it, and nobody while
//!   something of it came back that was followed by what is still out, or waits to be tried again.

use hashbrown::HashMap;

use crate::queue::ConsumerSlot;

/// What is out of one key.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Who holds all that is out, if that is one consumer.
    holder: Option<ConsumerSlot>,
    /// Leased messages.
    out: u32,
    /// Messages that came back and wait for their time.
    waiting: u32,
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
        state.holder = match state.out {
            0 => holder,
            _ => holder.filter(|holder| state.holder == Some(*holder)),
        };
        state.out += 1;
    }

    /// The lease of a message of the key ended; `back` if the message is in the queue again.
    pub fn ended(&mut self, key: u32, back: bool) {
        let state = self.states.get_mut(&key);
        let state = state.expect("a key with a lease has a state");
        state.out -= 1;
        state.paused |= back;
        if state.out == 0 {
            (state.holder, state.paused) = (None, false);
        }
        self.tidy(key);
    }

    /// A message of the key waits to be tried again.
    pub fn waits(&mut self, key: u32) {
        self.states.entry(key).or_default().waiting += 1;
    }

    /// One that did waits no longer.
    pub fn waited(&mut self, key: u32) {
        let state = self.states.get_mut(&key);
        state.expect("a key that waits has a state").waiting -= 1;
        self.tidy(key);
    }

    /// Nobody gets more of a key before all that is out of it now is settled or came back.
    pub fn pause_all(&mut self) {
        self.states
            .values_mut()
            .for_each(|state| state.paused = true);
    }

    fn tidy(&mut self, key: u32) {
        let state = self.states.get(&key);
        if state.is_some_and(|state| state.out == 0 && state.waiting == 0) {
            self.states.remove(&key);
        }
    }

    /// Whether nothing of the key is out.
    pub fn is_free(&self, key: u32) -> bool {
        !self.states.contains_key(&key)
    }

    /// Whether the consumer may get the next message of the key.
    pub fn is_open_to(&self, key: u32, consumer: ConsumerSlot) -> bool {
        self.states.get(&key).is_none_or(|state| {
            state.holder == Some(consumer) && state.waiting == 0 && !state.paused
        })
    }

    /// How many keys have something out.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.states.len()
    }
}
