//! Which topics a filter takes, in pieces.
//!
//! A filter is a key whose levels may be `*`, which takes one level, and whose last may be `#`,
//! which takes any number of levels, also none. Neither takes a first level that starts with `$`.
//!
//! Invariants
//! - A walk looks at what the filter may take, and at nothing else: below a level with a name it
//!   follows one edge.
//! - Topics come in one order, that of the numbers of their levels, a topic before those below
//!   it; one that is there during all pieces comes once, whatever comes and goes meanwhile. (A
//!   name that is used keeps its number.)
//! - A piece is bounded by what it visits, not only by what it finds.

use std::ops::Bound;

use ferry_core::Millis;

use super::index::{Index, ROOT, levels_of};
use super::levels::Levels;

/// Nodes that one piece visits at most.
const VISITED_MAX: usize = 4096;

/// The level of a filter that takes any one.
const ONE: &[u8] = b"*";

/// The last level of a filter that takes any number.
const REST: &[u8] = b"#";

/// Where a walk goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedCursor(Vec<u32>);

/// Topics that a filter takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetainedPage {
    /// Their keys; perhaps none, though there are more.
    pub topics: Vec<Vec<u8>>,
    /// Where to go on; none if that was all.
    pub next: Option<RetainedCursor>,
}

#[derive(Clone, Copy)]
enum Want {
    Only(u32),
    Any,
}

struct Filter {
    levels: Vec<Want>,
    /// Whether all is taken that is below.
    rest: bool,
}

impl Filter {
    /// None if it has a level that no topic has.
    fn resolve(key: &[u8], known: &Levels) -> Option<Filter> {
        let mut levels: Vec<&[u8]> = levels_of(key).collect();
        let rest = levels.last() == Some(&REST);
        levels.truncate(levels.len() - usize::from(rest));
        let want = |name: &&[u8]| match *name {
            ONE => Some(Want::Any),
            name => known.find(name).map(Want::Only),
        };
        let levels = levels.iter().map(want).collect::<Option<Vec<Want>>>()?;
        Some(Filter { levels, rest })
    }

    /// What it wants of the children of a node at that depth.
    fn wants(&self, depth: usize) -> Option<Want> {
        let below = self.rest.then_some(Want::Any);
        self.levels.get(depth).copied().or(below)
    }

    /// Whether it takes a node at that depth which the walk has come to.
    fn takes(&self, depth: usize) -> bool {
        depth == self.levels.len() || self.rest && depth > self.levels.len()
    }
}

struct Frame {
    node: u32,
    /// The level of the child that was visited last.
    visited: Option<u32>,
}

struct Walk<'a> {
    index: &'a Index,
    filter: Filter,
    /// From the root to where the walk is.
    frames: Vec<Frame>,
    /// The levels between.
    path: Vec<u32>,
}

impl Walk<'_> {
    fn enter(&mut self, level: u32, node: u32) {
        if let Some(frame) = self.frames.last_mut() {
            frame.visited = Some(level);
        }
        self.path.push(level);
        self.frames.push(Frame {
            node,
            visited: None,
        });
    }

    /// Goes to where it was, or as far as that is still there.
    fn resume(&mut self, cursor: &RetainedCursor) {
        for level in &cursor.0 {
            let Some(frame) = self.frames.last_mut() else {
                return;
            };
            frame.visited = Some(*level);
            match self.index.edges.get(&(frame.node, *level)) {
                Some(node) => self.enter(*level, *node),
                None => return,
            }
        }
    }

    /// The next child to visit of where the walk is.
    fn next_child(&self, frame: &Frame) -> Option<(u32, u32)> {
        let depth = self.path.len();
        let edges = &self.index.edges;
        match (self.filter.wants(depth)?, frame.visited) {
            (Want::Only(level), None) => {
                let node = edges.get(&(frame.node, level))?;
                Some((level, *node))
            }
            (Want::Only(_), Some(_)) => None,
            (Want::Any, visited) => {
                let from = match visited {
                    Some(level) => Bound::Excluded((frame.node, level)),
                    None => Bound::Included((frame.node, 0)),
                };
                let to = Bound::Included((frame.node, u32::MAX));
                let seen = |level: u32| depth > 0 || !self.is_hidden(level);
                let mut children = edges.range((from, to));
                let next = children.find(|((_, level), _)| seen(*level))?;
                Some((next.0.1, *next.1))
            }
        }
    }

    /// Whether a first level is only taken by its name.
    fn is_hidden(&self, level: u32) -> bool {
        self.index.levels.name(level).starts_with(b"$")
    }

    /// Steps on to the next node. Its number; none at the end.
    fn step(&mut self) -> Option<u32> {
        loop {
            let frame = self.frames.last()?;
            if let Some((level, node)) = self.next_child(frame) {
                self.enter(level, node);
                return Some(node);
            }
            self.frames.pop();
            self.path.pop();
        }
    }
}

impl Index {
    /// Topics that a filter takes and whose message is not past its time, behind `after`: `limit`
    /// at most. Also gives the nodes that were met whose message is.
    pub fn page(
        &self,
        filter: &[u8],
        limit: usize,
        after: Option<&RetainedCursor>,
        now: Millis,
    ) -> (RetainedPage, Vec<u32>) {
        let (mut page, mut expired) = (RetainedPage::default(), Vec::new());
        let Some(filter) = Filter::resolve(filter, &self.levels) else {
            return (page, expired);
        };
        let mut walk = Walk {
            index: self,
            filter,
            frames: vec![Frame {
                node: ROOT,
                visited: None,
            }],
            path: Vec::new(),
        };
        if let Some(after) = after {
            walk.resume(after);
        }
        let mut visited = 0;
        while let Some(node) = walk.step() {
            visited += 1;
            if walk.filter.takes(walk.path.len())
                && let Some(held) = self.held(node)
            {
                match held.expired(now) {
                    true => expired.push(node),
                    false => page.topics.push(self.key(&walk.path)),
                }
            }
            if page.topics.len() >= limit || visited >= VISITED_MAX {
                page.next = Some(RetainedCursor(walk.path));
                break;
            }
        }
        (page, expired)
    }
}
