//! What the facts of a replay say of one message, put together at its end.
//!
//! Invariants
//! - A later fact about the same thing counts, wherever the body was when it was written.

use hashbrown::{HashMap, HashSet};

use super::super::entry::{Body, Entry};
use crate::Millis;
use crate::message::Position;
use crate::reason::DeadLetterReason;

type Positions = HashSet<Position, foldhash::fast::FixedState>;
type PositionMap<T> = HashMap<Position, T, foldhash::fast::FixedState>;

/// What facts say of one message besides that it was delivered, moved or is gone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Note {
    /// Its place, if it got another one when it woke.
    pub seq: Option<u64>,
    /// Until when it waits; 0 if it woke.
    pub waits_until: Option<Millis>,
    pub expires_at: Option<Millis>,
    pub departed: Option<DeadLetterReason>,
    pub tag: Option<u32>,
}

/// What all facts together say of the messages of a queue.
#[derive(Debug, Default)]
pub struct Told {
    pub gone: Positions,
    pub moved: PositionMap<Position>,
    pub delivered: PositionMap<u32>,
    pub notes: PositionMap<Note>,
}

impl Told {
    /// Where the messages are that something is said of, in order.
    pub fn positions(&self) -> Vec<Position> {
        let left = self.gone.iter().chain(self.moved.keys());
        let stayed = self.delivered.keys().chain(self.notes.keys());
        let mut all: Vec<Position> = left.chain(stayed).copied().collect();
        all.sort_unstable();
        all
    }

    /// Follows a message to where its body is now, counting what happened to it on the way. None
    /// if it is gone.
    pub fn of(&self, entry: &mut Entry) -> Option<Note> {
        let mut position = entry.position().expect("a recovered body is in the log");
        let mut note = Note::default();
        let mut count = 0;
        loop {
            count += self.delivered.get(&position).copied().unwrap_or(0);
            if let Some(later) = self.notes.get(&position) {
                note = Note {
                    seq: later.seq.or(note.seq),
                    waits_until: later.waits_until.or(note.waits_until),
                    expires_at: later.expires_at.or(note.expires_at),
                    departed: later.departed.or(note.departed),
                    tag: later.tag.or(note.tag),
                };
            }
            if self.gone.contains(&position) {
                return None;
            }
            match self.moved.get(&position) {
                Some(next) => position = *next,
                None => break,
            }
        }
        entry.body = Body::Log(position);
        entry.returns = entry.returns.saturating_add(count);
        entry.redelivered |= count > 0;
        Some(note)
    }
}

/// What facts say of the tag of a message.
pub struct Retag {
    pub seq: u64,
    /// Its place, if it got another one.
    pub moved_to: Option<u64>,
    pub tag: Option<u32>,
}

impl Note {
    /// What becomes of the tag of the message at `seq`, if facts say anything of it.
    pub fn retags(&self, seq: u64) -> Option<Retag> {
        let (moved_to, tag) = (self.seq, self.tag);
        (moved_to.is_some() || tag.is_some()).then_some(Retag { seq, moved_to, tag })
    }

    /// Whether a message that waits until `waits`, or is ready, belongs elsewhere.
    pub fn moves(&self, waits: Option<Millis>) -> bool {
        self.departed.is_some()
            || self.waits_until.is_some_and(|until| Some(until) != waits)
            || self.seq.is_some()
    }
}
