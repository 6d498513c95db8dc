//! The topic exchange: a trie of the words of all patterns.
//!
//! `*` stands for exactly one word, `#` for zero or more; words are what dots separate, and an
//! empty key has none.
//!
//! Invariants
//! - A node has a binding or a child, except the root; every other node goes with its last one.
//! - During a match a node is live at most once per word, and a `#` node, once reached, stays
//!   live to the end. Hence a match costs at most (nodes reached) x (words); nothing backtracks.
//! - Words are stored once for all patterns and counted.

mod words;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::arena::{Arena, Chain, Ends};
use super::ids::{BindingIx, place};
use super::inline::{PlaceSet, Places};
use words::{WordIx, Words};

const SEPARATOR: u8 = b'.';
const ONE_WORD: &[u8] = b"*";
const ANY_WORDS: &[u8] = b"#";
const ROOT: u32 = 0;
const NO_NODE: u32 = u32::MAX;

/// The words of a key or pattern.
fn words_of(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = (!key.is_empty()).then(|| key.split(|byte| *byte == SEPARATOR));
    words.into_iter().flatten()
}

/// Whether one pattern matches one key, at (words of the pattern) x (words of the key).
pub fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let key: Vec<&[u8]> = words_of(key).collect();
    let mut reached = vec![false; key.len() + 1];
    reached[0] = true;
    for word in words_of(pattern) {
        if word == ANY_WORDS {
            let first = reached
                .iter()
                .position(|here| *here)
                .unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        for index in (1..reached.len()).rev() {
            let fits = word == ONE_WORD || word == key[index - 1];
            reached[index] = fits && reached[index - 1];
        }
        reached[0] = false;
    }
    reached[key.len()]
}

/// What leads from a node's parent to it: a word, or one of three marks past all words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step(u32);

impl Step {
    const ROOT: Step = Step(u32::MAX);
    const ONE_WORD: Step = Step(u32::MAX - 1);
    const ANY_WORDS: Step = Step(u32::MAX - 2);

    fn word(word: WordIx) -> Step {
        debug_assert!(word.0 < Step::ANY_WORDS.0);
        Step(word.0)
    }
}

#[derive(Clone, Debug)]
struct Node {
    bindings: Ends,
    parent: u32,
    step: Step,
    one_word: u32,
    any_words: u32,
    word_children: u32,
}

impl Node {
    fn new(parent: u32, step: Step) -> Node {
        Node {
            bindings: Ends::EMPTY,
            parent,
            step,
            one_word: NO_NODE,
            any_words: NO_NODE,
            word_children: 0,
        }
    }

    fn is_needed(&self) -> bool {
        !self.bindings.is_empty() || self.any_words != NO_NODE || self.takes_words()
    }

    fn takes_words(&self) -> bool {
        self.word_children > 0 || self.one_word != NO_NODE
    }
}

/// The trie of one exchange.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Children by a word, found by (parent, word).
    edges: HashTable<u32>,
    words: Words,
}

impl Topic {
    pub(super) fn new() -> Topic {
        let root = Node::new(NO_NODE, Step::ROOT);
        Topic {
            nodes: vec![root],
            free: Vec::new(),
            edges: HashTable::new(),
            words: Words::default(),
        }
    }

    /// Nodes in use, the root included.
    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let mut node = ROOT;
        for word in words_of(&arena.slot(ix).key) {
            node = match word {
                ONE_WORD => self.wildcard_child(node, Step::ONE_WORD),
                ANY_WORDS => self.wildcard_child(node, Step::ANY_WORDS),
                word => self.word_child(node, word, hasher),
            };
        }
        arena.set_home(ix, node);
        arena.append(Chain::Home, &mut self.nodes[node as usize].bindings, ix);
    }

    fn wildcard_child(&mut self, parent: u32, step: Step) -> u32 {
        let node = &self.nodes[parent as usize];
        let child = if step == Step::ONE_WORD {
            node.one_word
        } else {
            node.any_words
        };
        if child != NO_NODE {
            return child;
        }
        let child = self.add_node(parent, step);
        let node = &mut self.nodes[parent as usize];
        match step {
            Step::ONE_WORD => node.one_word = child,
            _ => node.any_words = child,
        }
        child
    }

    fn word_child(&mut self, parent: u32, word: &[u8], hasher: &FixedState) -> u32 {
        let known = self.words.find(word, hasher);
        if let Some(child) = known.and_then(|word| self.find_edge(parent, word, hasher)) {
            return child;
        }
        let word = self.words.hold(word, hasher);
        let child = self.add_node(parent, Step::word(word));
        self.nodes[parent as usize].word_children += 1;
        let Topic { nodes, edges, .. } = self;
        let hash_of = |node: &u32| {
            let node = &nodes[*node as usize];
            hash_edge(hasher, node.parent, node.step)
        };
        edges.insert_unique(hash_edge(hasher, parent, Step::word(word)), child, hash_of);
        child
    }

    fn add_node(&mut self, parent: u32, step: Step) -> u32 {
        let node = Node::new(parent, step);
        match self.free.pop() {
            Some(free) => {
                self.nodes[free as usize] = node;
                free
            }
            None => {
                self.nodes.push(node);
                place(self.nodes.len() - 1)
            }
        }
    }

    fn find_edge(&self, parent: u32, word: WordIx, hasher: &FixedState) -> Option<u32> {
        let step = Step::word(word);
        let same = |node: &u32| {
            let node = &self.nodes[*node as usize];
            node.parent == parent && node.step == step
        };
        self.edges
            .find(hash_edge(hasher, parent, step), same)
            .copied()
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let mut node = arena.slot(ix).home;
        arena.unlink(Chain::Home, &mut self.nodes[node as usize].bindings, ix);
        while node != ROOT && !self.nodes[node as usize].is_needed() {
            let Node { parent, step, .. } = self.nodes[node as usize];
            self.detach(node, parent, step, hasher);
            self.free.push(node);
            node = parent;
        }
    }

    fn detach(&mut self, node: u32, parent: u32, step: Step, hasher: &FixedState) {
        let above = &mut self.nodes[parent as usize];
        match step {
            Step::ROOT => unreachable!("the root is never detached"),
            Step::ONE_WORD => above.one_word = NO_NODE,
            Step::ANY_WORDS => above.any_words = NO_NODE,
            Step(word) => {
                above.word_children -= 1;
                let hash = hash_edge(hasher, parent, step);
                match self.edges.find_entry(hash, |other| *other == node) {
                    Ok(entry) => drop(entry.remove()),
                    Err(_) => unreachable!("a node reached by a word has an edge"),
                }
                self.words.release(WordIx(word), hasher);
            }
        }
    }

    /// Hands out the bindings of every pattern that matches the key, each node's once.
    pub(super) fn find(&self, hasher: &FixedState, key: &[u8], emit: &mut impl FnMut(Ends)) {
        let mut walk = Walk::new(self, emit);
        walk.enter(ROOT);
        walk.live = std::mem::take(&mut walk.next);
        for word in words_of(key) {
            if walk.live.len() == 0 && walk.swallowing.len() == 0 {
                return;
            }
            walk.consume(self.words.find(word, hasher), hasher);
        }
        walk.finish();
    }
}

/// One match under way: which nodes the words so far can have led to.
struct Walk<'a, E> {
    topic: &'a Topic,
    emit: &'a mut E,
    /// Nodes, other than `#`, that exactly the words so far lead to.
    live: Places,
    /// The same for one word more.
    next: Places,
    /// `#` nodes with children by a word, in the order of being reached.
    swallowing: Places,
    /// All `#` nodes that were reached.
    reached: PlaceSet,
}

impl<'a, E: FnMut(Ends)> Walk<'a, E> {
    fn new(topic: &'a Topic, emit: &'a mut E) -> Walk<'a, E> {
        Walk {
            topic,
            emit,
            live: Places::default(),
            next: Places::default(),
            swallowing: Places::default(),
            reached: PlaceSet::default(),
        }
    }

    fn consume(&mut self, word: Option<WordIx>, hasher: &FixedState) {
        let swallowing = self.swallowing.len();
        for index in 0..self.live.len() {
            let node = self.live.get(index).expect("index is below the length");
            self.step(node, word, hasher);
        }
        for index in 0..swallowing {
            let node = self
                .swallowing
                .get(index)
                .expect("index is below the length");
            self.step(node, word, hasher);
        }
        std::mem::swap(&mut self.live, &mut self.next);
        self.next.clear();
    }

    fn step(&mut self, node: u32, word: Option<WordIx>, hasher: &FixedState) {
        let topic = self.topic;
        let Node {
            word_children,
            one_word,
            ..
        } = topic.nodes[node as usize];
        let word = word.filter(|_| word_children > 0);
        if let Some(child) = word.and_then(|word| topic.find_edge(node, word, hasher)) {
            self.enter(child);
        }
        if one_word != NO_NODE {
            self.enter(one_word);
        }
    }

    /// Reaches a node, and with it the `#` nodes that may stand for no word at all.
    fn enter(&mut self, node: u32) {
        self.next.push(node);
        let mut any_words = self.topic.nodes[node as usize].any_words;
        while any_words != NO_NODE && self.reached.insert(any_words) {
            let node = &self.topic.nodes[any_words as usize];
            (self.emit)(node.bindings);
            if node.takes_words() {
                self.swallowing.push(any_words);
            }
            any_words = node.any_words;
        }
    }

    fn finish(self) {
        for index in 0..self.live.len() {
            let node = self.live.get(index).expect("index is below the length");
            (self.emit)(self.topic.nodes[node as usize].bindings);
        }
    }
}

fn hash_edge(hasher: &FixedState, parent: u32, step: Step) -> u64 {
    hasher.hash_one(u64::from(parent) << 32 | u64::from(step.0))
}
