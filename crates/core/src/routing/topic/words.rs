//! The words of all patterns of one exchange, each stored once.
//!
//! Invariants
//! - A word is stored while at least one trie node holds it.
//! - A word's place is stable while it is stored, and reused after.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::place;

/// The place of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WordIx(pub(super) u32);

#[derive(Clone, Debug)]
struct Word {
    text: Box<[u8]>,
    holders: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    entries: Vec<Word>,
    free: Vec<WordIx>,
    by_text: HashTable<WordIx>,
}

impl Words {
    pub(super) fn find(&self, text: &[u8], hasher: &FixedState) -> Option<WordIx> {
        let same = |ix: &WordIx| *self.entries[ix.0 as usize].text == *text;
        self.by_text.find(hasher.hash_one(text), same).copied()
    }

    /// Adds one holder of a word.
    pub(super) fn hold(&mut self, text: &[u8], hasher: &FixedState) -> WordIx {
        if let Some(ix) = self.find(text, hasher) {
            self.entries[ix.0 as usize].holders += 1;
            return ix;
        }
        let word = Word {
            text: text.into(),
            holders: 1,
        };
        let ix = match self.free.pop() {
            Some(ix) => {
                self.entries[ix.0 as usize] = word;
                ix
            }
            None => {
                self.entries.push(word);
                WordIx(place(self.entries.len() - 1))
            }
        };
        let Words {
            entries, by_text, ..
        } = self;
        let hash_of = |ix: &WordIx| hasher.hash_one(&*entries[ix.0 as usize].text);
        by_text.insert_unique(hasher.hash_one(text), ix, hash_of);
        ix
    }

    /// Takes one holder away, and the word with the last.
    pub(super) fn release(&mut self, ix: WordIx, hasher: &FixedState) {
        let word = &mut self.entries[ix.0 as usize];
        word.holders -= 1;
        if word.holders > 0 {
            return;
        }
        let text = std::mem::take(&mut word.text);
        match self
            .by_text
            .find_entry(hasher.hash_one(&*text), |other| *other == ix)
        {
            Ok(entry) => drop(entry.remove()),
            Err(_) => unreachable!("every stored word is found by its text"),
        }
        self.free.push(ix);
    }
}
