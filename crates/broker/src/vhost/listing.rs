//! What there is in a virtual host, for who lists it.
//!
//! Invariants
//! - A listing is a copy of one moment: nobody holds the lock of definitions while it is read.

use std::sync::Arc;

use ferry_core::routing::{Binding, Destination, Exchange, QueueId};
use ferry_core::view::NoView;

use super::Vhost;
use crate::QueueHandle;

impl Vhost {
    /// All exchanges, in order of their names.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let definitions = self.definitions.read();
        let mut exchanges: Vec<_> = definitions.topology.exchanges().cloned().collect();
        exchanges.sort_by(|a, b| a.name.cmp(&b.name));
        exchanges
    }

    /// All bindings, with the names of their destinations.
    pub fn bindings(&self) -> Vec<(Binding, String)> {
        let definitions = self.definitions.read();
        let named = |binding: Binding| {
            let name = match &binding.destination {
                Destination::Queue(id) => definitions.by_id.get(id)?.name().to_owned(),
                Destination::Exchange(name) => name.to_string(),
            };
            Some((binding, name))
        };
        definitions
            .topology
            .bindings()
            .filter_map(|view| named(view.to_binding()))
            .collect()
    }

    /// The bindings of one queue, without a look at others.
    pub fn bindings_of(&self, queue: &QueueHandle) -> Vec<Binding> {
        let definitions = self.definitions.read();
        let found = definitions.topology.bindings_of_queue(queue.id);
        found.map(|view| view.to_binding()).collect()
    }

    /// Whether an exchange that looks at keys alone has a queue for this one.
    pub fn has_route(&self, exchange: &str, routing_key: &[u8]) -> bool {
        let (definitions, mut found) = (self.definitions.read(), Vec::new());
        let topology = &definitions.topology;
        let routed = topology.route(exchange, routing_key, &NoView, &|| 0, &mut found);
        routed.is_ok() && !found.is_empty()
    }

    /// All queues, in order of their names.
    pub fn queues(&self) -> Vec<Arc<QueueHandle>> {
        let mut queues: Vec<_> = self.definitions.read().queues.values().cloned().collect();
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        queues
    }

    /// The queue of that identity.
    pub(crate) fn queue_of(&self, id: QueueId) -> Option<Arc<QueueHandle>> {
        self.definitions.read().by_id.get(&id).cloned()
    }
}
