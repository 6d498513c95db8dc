//! Taking away exchanges, bindings, and what goes with them.
//!
//! Invariants
//! - A removal costs what it removes, not what there is.
//! - An auto-delete exchange goes when the last binding from it goes, and takes its own bindings
//!   along, which may empty further ones; an exchange never bound from stays.

use std::sync::Arc;

use super::arena::{Chain, Ends, Identity, Slot, Target};
use super::ids::{BindingIx, ExchangeIx, QueueId};
use super::topology::{sorted, taken};
use super::{Binding, Destination, Exchange, Topology};
use crate::arguments::Arguments;

/// Everything that one removal took away, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The bindings.
    pub bindings: Vec<Binding>,
    /// The exchanges: the one that was named, then auto-delete ones.
    pub exchanges: Vec<Exchange>,
}

impl Removed {
    /// Whether nothing was removed.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.exchanges.is_empty()
    }
}

/// Why an exchange was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteExchangeError {
    /// There is none of that name.
    #[error("no exchange '{name}' in vhost '{vhost}'")]
    NotFound {
        /// The missing exchange.
        name: String,
        /// Where it was looked for.
        vhost: Arc<str>,
    },
    /// It has bindings from it, and the caller wanted it only if unused.
    #[error("exchange '{name}' in vhost '{vhost}' in use")]
    InUse {
        /// The exchange.
        name: String,
        /// Its virtual host.
        vhost: Arc<str>,
    },
}

impl Topology {
    /// Deletes an exchange with the bindings from it and to it.
    pub fn delete_exchange(
        &mut self,
        name: &str,
        if_unused: bool,
    ) -> Result<Removed, DeleteExchangeError> {
        let (name_owned, vhost) = (name.to_owned(), Arc::clone(&self.vhost));
        let Some(ix) = self.find_exchange(name) else {
            return Err(DeleteExchangeError::NotFound {
                name: name_owned,
                vhost,
            });
        };
        if if_unused && !self.node(ix).outgoing.is_empty() {
            return Err(DeleteExchangeError::InUse {
                name: name_owned,
                vhost,
            });
        }
        let mut removed = Removed::default();
        let mut sources = Vec::new();
        self.remove_exchange(ix, &mut sources, &mut removed);
        self.remove_emptied(sources, &mut removed);
        self.epoch += 1;
        Ok(removed)
    }

    /// Removes one binding; removing one that is not there removes nothing.
    pub fn unbind(
        &mut self,
        source: &str,
        destination: &Destination,
        routing_key: &[u8],
        arguments: &Arguments,
    ) -> Removed {
        let mut removed = Removed::default();
        let found = self.find_binding(source, destination, routing_key, arguments);
        if let Some((source, ix)) = found {
            self.remove_binding(ix, &mut removed);
            self.remove_emptied(vec![source], &mut removed);
            self.epoch += 1;
        }
        removed
    }

    /// Whether there is that very binding.
    pub fn is_bound(
        &self,
        source: &str,
        destination: &Destination,
        routing_key: &[u8],
        arguments: &Arguments,
    ) -> bool {
        let found = self.find_binding(source, destination, routing_key, arguments);
        found.is_some()
    }

    fn find_binding(
        &self,
        source: &str,
        destination: &Destination,
        key: &[u8],
        arguments: &Arguments,
    ) -> Option<(ExchangeIx, BindingIx)> {
        let source = self.find_exchange(source)?;
        let target = match destination {
            Destination::Queue(queue) => Target::Queue(*queue),
            Destination::Exchange(name) => Target::Exchange(self.find_exchange(name)?),
        };
        let arguments = &sorted(arguments);
        let identity = Identity {
            source,
            target,
            key,
            arguments,
        };
        Some((source, self.arena.find(identity)?))
    }

    /// Removes all bindings to a queue that goes away.
    pub fn remove_queue(&mut self, queue: QueueId) -> Removed {
        let mut removed = Removed::default();
        let mut sources = Vec::new();
        while let Some(ix) = self.by_queue.get(&queue).and_then(Ends::first) {
            sources.push(self.remove_binding(ix, &mut removed).source);
        }
        self.remove_emptied(sources, &mut removed);
        if !removed.is_empty() {
            self.epoch += 1;
        }
        removed
    }

    /// Deletes those of `candidates` that are auto-delete and have no binding from them left.
    fn remove_emptied(&mut self, mut candidates: Vec<ExchangeIx>, removed: &mut Removed) {
        let mut index = 0;
        while let Some(&ix) = candidates.get(index) {
            index += 1;
            let node = self.nodes[ix.0 as usize].as_ref();
            if node.is_some_and(|node| node.exchange.auto_delete && node.outgoing.is_empty()) {
                self.remove_exchange(ix, &mut candidates, removed);
            }
        }
    }

    /// Deletes an exchange; adds those that led to it to `sources`.
    fn remove_exchange(
        &mut self,
        ix: ExchangeIx,
        sources: &mut Vec<ExchangeIx>,
        removed: &mut Removed,
    ) {
        while let Some(binding) = self.node(ix).outgoing.first() {
            self.remove_binding(binding, removed);
        }
        while let Some(binding) = self.node(ix).incoming.first() {
            sources.push(self.remove_binding(binding, removed).source);
        }
        let node = self.nodes[ix.0 as usize]
            .take()
            .expect("its bindings were just read");
        self.by_name.remove(&node.exchange.name);
        self.free.push(ix);
        removed.exchanges.push(node.exchange);
    }

    fn remove_binding(&mut self, ix: BindingIx, removed: &mut Removed) -> Slot {
        removed.bindings.push(self.view(ix).to_binding());
        let Topology {
            arena,
            nodes,
            hasher,
            by_queue,
            ..
        } = self;
        let (source, target) = (arena.slot(ix).source, arena.slot(ix).target);
        let node = taken(nodes, source);
        arena.unlink(Chain::Source, &mut node.outgoing, ix);
        node.matcher.remove(arena, hasher, ix);
        match target {
            Target::Exchange(exchange) => {
                arena.unlink(Chain::Destination, &mut taken(nodes, exchange).incoming, ix);
            }
            Target::Queue(queue) => {
                let incoming = by_queue
                    .get_mut(&queue)
                    .expect("a bound queue has an entry");
                arena.unlink(Chain::Destination, incoming, ix);
                if incoming.is_empty() {
                    by_queue.remove(&queue);
                }
            }
        }
        arena.remove(ix)
    }
}
