//! The bindings of one exchange that have a filter.
//!
//! Bindings that match by the same key and criteria share a site. A message's sites are found as
//! plain bindings are, and at each site an index over the filters leaves those worth trying.
//!
//! Invariants
//! - A binding is at one site, whose place is its `home`. A site has a binding.
//! - Of keys and criteria only what the type of exchange looks at tells sites apart.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::QueueId;
use super::arena::{Arena, Identity, Target};
use super::ids::BindingIx;
use super::matcher::Plain;
use super::route::Message;
use super::selection::{FILTER, Selection};
use crate::arguments::Arguments;
use crate::filter::FilterIndex;

/// Sites lead to what is bound there, which an arena knows nothing of.
const NOWHERE: Target = Target::Queue(QueueId(0));

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Filtered {
    sites: Arena,
    finder: Plain,
    /// By the place of the site.
    bindings: Vec<FilterIndex<BindingIx>>,
}

impl Filtered {
    /// Without bindings; `finder` finds the sites.
    pub(super) fn new(finder: Plain, hasher: &FixedState) -> Filtered {
        Filtered {
            sites: Arena::new(hasher.clone()),
            finder,
            bindings: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sites.len() == 0
    }

    pub(super) fn insert(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let slot = arena.slot(ix);
        let (key, criteria) = self.looked_at(&slot.key, slot.arguments());
        let identity = Identity {
            source: slot.source,
            target: NOWHERE,
            key,
            arguments: &criteria,
        };
        let site = match self.sites.find(identity) {
            Some(site) => site,
            None => {
                let site = self.sites.insert(identity, Selection::All);
                self.finder.insert(&mut self.sites, hasher, site);
                if self.bindings.len() <= site.0 as usize {
                    let seed = hasher.hash_one(site.0);
                    self.bindings.push(FilterIndex::with_seed(seed));
                }
                site
            }
        };
        if let Selection::Filter(filter) = &slot.selection {
            self.bindings[site.0 as usize].insert(filter, ix);
        }
        arena.set_home(ix, site.0);
    }

    /// What of a binding's key and arguments its exchange looks at.
    fn looked_at<'a>(
        &self,
        key: &'a [u8],
        arguments: &'a Arguments,
    ) -> (&'a [u8], Cow<'a, Arguments>) {
        match &self.finder {
            Plain::Fanout(_) => (b"", Cow::Owned(Arguments::new())),
            Plain::Direct(_) | Plain::Topic(_) => (key, Cow::Owned(Arguments::new())),
            Plain::Headers(_) => {
                let mut criteria = arguments.clone();
                while criteria.remove(FILTER).is_some() {}
                (b"", Cow::Owned(criteria))
            }
        }
    }

    pub(super) fn remove(&mut self, arena: &mut Arena, hasher: &FixedState, ix: BindingIx) {
        let slot = arena.slot(ix);
        let site = BindingIx(slot.home);
        let bindings = &mut self.bindings[site.0 as usize];
        if let Selection::Filter(filter) = &slot.selection {
            bindings.remove(filter, &ix);
        }
        if bindings.is_empty() {
            self.finder.remove(&mut self.sites, hasher, site);
            self.sites.remove(site);
        }
    }

    /// Hands out the bindings whose key, criteria and filter let a message through.
    pub(super) fn find(
        &self,
        hasher: &FixedState,
        message: &Message<'_>,
        take: &mut impl FnMut(BindingIx),
    ) {
        self.finder.find(&self.sites, hasher, message, &mut |site| {
            let bindings = &self.bindings[site.0 as usize];
            bindings.matching(message.view(), |ix| take(*ix));
        });
    }
}
