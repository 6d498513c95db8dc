//! Looking at a topology: exchanges and bindings for passive declares, listings and exports.
//!
//! Invariants
//! - Exchanges come in the order of their names, bindings of one exchange or queue in the order
//!   in which they were made.

use std::sync::Arc;

use super::arena::{Chain, Ends, Target};
use super::ids::{BindingIx, ExchangeIx, QueueId};
use super::{BindingView, Destination, Exchange, Topology};

impl Topology {
    /// The exchange of that name.
    pub fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.find_exchange(name).map(|ix| &self.node(ix).exchange)
    }

    /// All exchanges but the default one, by name.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.places_by_name()
            .into_iter()
            .map(|ix| &self.node(ix).exchange)
    }

    /// How many bindings there are.
    pub fn binding_count(&self) -> usize {
        self.arena.len()
    }

    /// All bindings, by the name of their source.
    pub fn bindings(&self) -> impl Iterator<Item = BindingView<'_>> {
        let places = self.places_by_name().into_iter();
        places.flat_map(|ix| self.views(Chain::Source, self.node(ix).outgoing))
    }

    /// The bindings from an exchange.
    pub fn bindings_from(&self, exchange: &str) -> impl Iterator<Item = BindingView<'_>> {
        let ends = self
            .find_exchange(exchange)
            .map(|ix| self.node(ix).outgoing);
        self.views(Chain::Source, ends.unwrap_or(Ends::EMPTY))
    }

    /// The bindings to an exchange.
    pub fn bindings_to(&self, exchange: &str) -> impl Iterator<Item = BindingView<'_>> {
        let ends = self
            .find_exchange(exchange)
            .map(|ix| self.node(ix).incoming);
        self.views(Chain::Destination, ends.unwrap_or(Ends::EMPTY))
    }

    /// The bindings to a queue.
    pub fn bindings_of_queue(&self, queue: QueueId) -> impl Iterator<Item = BindingView<'_>> {
        let ends = self.by_queue.get(&queue).copied();
        self.views(Chain::Destination, ends.unwrap_or(Ends::EMPTY))
    }

    /// The places of a queue's bindings.
    pub(super) fn places_of_queue(&self, queue: QueueId) -> impl Iterator<Item = BindingIx> {
        let ends = self.by_queue.get(&queue).copied();
        let ends = ends.unwrap_or(Ends::EMPTY);
        self.arena.walk(Chain::Destination, ends)
    }

    fn places_by_name(&self) -> Vec<ExchangeIx> {
        let mut named: Vec<(&Arc<str>, ExchangeIx)> =
            self.by_name.iter().map(|(name, ix)| (name, *ix)).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        named.into_iter().map(|(_, ix)| ix).collect()
    }

    fn views(&self, chain: Chain, ends: Ends) -> impl Iterator<Item = BindingView<'_>> {
        self.arena.walk(chain, ends).map(|ix| self.view(ix))
    }

    pub(super) fn view(&self, ix: BindingIx) -> BindingView<'_> {
        let slot = self.arena.slot(ix);
        BindingView {
            source: &self.node(slot.source).exchange.name,
            destination: match slot.target {
                Target::Queue(queue) => Destination::Queue(queue),
                Target::Exchange(ix) => {
                    Destination::Exchange(Arc::clone(&self.node(ix).exchange.name))
                }
            },
            routing_key: &slot.key,
            arguments: slot.arguments(),
        }
    }
}
