//! What is retained, by topic: a tree by level.
//!
//! ```text
//!  a.b.c ──▶ root ─a─▶ node ─b─▶ node ─c─▶ node: lease, bytes, expiry
//! ```
//!
//! All edges are in one ordered map, by node and level, so that a node without many children costs
//! no map of its own and every walk has an order to go on in.
//!
//! Invariants
//! - Every node but the root has something, or children: what is let go is gone at once.
//! - `expiring` has the nodes whose message expires, each once.
//! - An edge uses its level's name; a name without an edge is not kept.
//!
//! Not here: which topics a filter takes (`walk`), bodies (the queue).

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use ferry_core::Millis;
use slab::Slab;

use super::levels::Levels;
use crate::Lease;
use crate::pressure::UNSETTLED_BYTES;

/// What parts the levels of a key.
pub(super) const SEPARATOR: u8 = b'.';

/// What a node takes with the edge to it, about.
const NODE_BYTES: usize = 90;

/// The node of no level.
pub(super) const ROOT: u32 = 0;

/// The newest message of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// What it is read and settled by.
    pub lease: Lease,
    /// Length of its stored form, which has a head and so is never 0.
    pub bytes: NonZeroU32,
    /// When it expires; 0 for never.
    pub expires_at: Millis,
}

impl Held {
    /// Whether it is past its time.
    pub fn expired(&self, now: Millis) -> bool {
        self.expires_at != 0 && self.expires_at <= now
    }
}

struct Node {
    parent: u32,
    /// The level that leads here from its parent.
    level: u32,
    children: u32,
    held: Option<Held>,
}

/// All topics of a virtual host that have a message.
pub(super) struct Index {
    nodes: Slab<Node>,
    /// By parent and level.
    pub(super) edges: BTreeMap<(u32, u32), u32>,
    pub(super) levels: Levels,
    expiring: BTreeSet<(Millis, u32)>,
    topics: u64,
    bytes: u64,
}

impl Default for Index {
    fn default() -> Index {
        let mut nodes = Slab::new();
        nodes.insert(Node {
            parent: ROOT,
            level: 0,
            children: 0,
            held: None,
        });
        Index {
            nodes,
            edges: BTreeMap::new(),
            levels: Levels::default(),
            expiring: BTreeSet::new(),
            topics: 0,
            bytes: 0,
        }
    }
}

/// The levels of a key.
pub(super) fn levels_of(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|byte| *byte == SEPARATOR)
}

impl Index {
    /// How many topics there are.
    pub fn topics(&self) -> u64 {
        self.topics
    }

    /// Bytes of their stored forms.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// About what they take in memory, their leases too, but not their bodies, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let nodes = (self.nodes.len() - 1) * NODE_BYTES + self.levels.memory_bytes();
        nodes as u64 + self.topics * UNSETTLED_BYTES
    }

    /// What a topic has.
    pub fn get(&self, key: &[u8]) -> Option<Held> {
        self.held(self.find(key)?)
    }

    /// What a node has.
    pub fn held(&self, node: u32) -> Option<Held> {
        self.nodes[node as usize].held
    }

    /// Gives a topic a message. Says which one it had.
    pub fn set(&mut self, key: &[u8], held: Held) -> Option<Held> {
        let node = self.make(key);
        let before = self.take_held(node);
        self.nodes[node as usize].held = Some(held);
        self.topics += 1;
        self.bytes += u64::from(held.bytes.get());
        if held.expires_at != 0 {
            self.expiring.insert((held.expires_at, node));
        }
        before
    }

    /// Takes the message of a topic out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Held> {
        let node = self.find(key)?;
        self.remove_at(node)
    }

    /// Takes the message of a node out; without it the node may be gone, and some above it.
    pub fn remove_at(&mut self, node: u32) -> Option<Held> {
        let held = self.take_held(node);
        self.prune(node);
        held
    }

    /// When the first message expires.
    pub fn next_expiry(&self) -> Option<Millis> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// Takes out what is past its time, the oldest first and so many at most.
    pub fn take_expired(&mut self, now: Millis, max: usize) -> Vec<Lease> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((at, node)) = self.expiring.first().copied()
            && at <= now
        {
            taken.extend(self.remove_at(node).map(|held| held.lease));
        }
        taken
    }

    /// The key of a path.
    pub fn key(&self, path: &[u32]) -> Vec<u8> {
        let names: Vec<&[u8]> = path.iter().map(|level| self.levels.name(*level)).collect();
        names.join(&SEPARATOR)
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        levels_of(key).try_fold(ROOT, |node, name| {
            let level = self.levels.find(name)?;
            self.edges.get(&(node, level)).copied()
        })
    }

    fn make(&mut self, key: &[u8]) -> u32 {
        let mut node = ROOT;
        for name in levels_of(key) {
            let known = self.levels.find(name);
            let child = known.and_then(|level| self.edges.get(&(node, level)).copied());
            node = child.unwrap_or_else(|| self.grow(node, name));
        }
        node
    }

    fn grow(&mut self, parent: u32, name: &[u8]) -> u32 {
        let level = self.levels.take(name);
        let child = self.nodes.insert(Node {
            parent,
            level,
            children: 0,
            held: None,
        }) as u32;
        self.edges.insert((parent, level), child);
        self.nodes[parent as usize].children += 1;
        child
    }

    fn take_held(&mut self, node: u32) -> Option<Held> {
        let held = self.nodes[node as usize].held.take()?;
        self.topics -= 1;
        self.bytes -= u64::from(held.bytes.get());
        if held.expires_at != 0 {
            self.expiring.remove(&(held.expires_at, node));
        }
        Some(held)
    }

    /// Lets a node go that has nothing, and those above that have nothing then.
    fn prune(&mut self, mut node: u32) {
        while node != ROOT {
            let Node {
                parent,
                level,
                children,
                held,
            } = &self.nodes[node as usize];
            if *children > 0 || held.is_some() {
                return;
            }
            let (parent, level) = (*parent, *level);
            self.nodes.remove(node as usize);
            self.edges.remove(&(parent, level));
            self.levels.give_back(level);
            self.nodes[parent as usize].children -= 1;
            node = parent;
        }
    }

    /// How many nodes, edges and names there are.
    #[cfg(test)]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.nodes.len() - 1, self.edges.len(), self.levels.count())
    }
}
