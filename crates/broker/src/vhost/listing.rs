//! What there is in a virtual host, for who lists it.
//!
//! Invariants
//! - A listing is a copy of one moment: nobody holds the lock of definitions while it is read.

use std::sync::Arc;

use ferry_core::routing::{Binding, BindingView, Destination, Exchange, QueueId};
use ferry_core::view::NoView;

use super::{Definitions, Vhost};
use crate::QueueHandle;

impl Vhost {
    /// All exchanges, in order of their names.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let definitions = self.definitions.read();
        definitions.topology.exchanges().cloned().collect()
    }

    /// All exchanges, in order of their names, and how many bindings lead away from each.
    pub fn exchanges_with_bindings(&self) -> Vec<(Exchange, usize)> {
        let definitions = self.definitions.read();
        let topology = &definitions.topology;
        let count = |exchange: &Exchange| topology.bindings_from(&exchange.name).count();
        let counted = |exchange: &Exchange| (exchange.clone(), count(exchange));
        topology.exchanges().map(counted).collect()
    }

    /// All bindings, with the names of their destinations.
    pub fn bindings(&self) -> Vec<(Binding, String)> {
        let definitions = self.definitions.read();
        named(&definitions, definitions.topology.bindings())
    }

    /// The bindings that lead away from an exchange, without a look at others.
    pub fn bindings_from(&self, exchange: &str) -> Vec<(Binding, String)> {
        let definitions = self.definitions.read();
        named(&definitions, definitions.topology.bindings_from(exchange))
    }

    /// The bindings that lead to an exchange, without a look at others.
    pub fn bindings_to(&self, exchange: &str) -> Vec<(Binding, String)> {
        let definitions = self.definitions.read();
        named(&definitions, definitions.topology.bindings_to(exchange))
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
        in_order(self.queues_in_any_order(), |queue| queue.name.as_bytes())
    }

    /// All queues, for who adds something up: to sort a million names takes longer.
    pub fn queues_in_any_order(&self) -> Vec<Arc<QueueHandle>> {
        self.definitions.read().queues.values().cloned().collect()
    }

    /// The queue of that identity.
    pub(crate) fn queue_of(&self, id: QueueId) -> Option<Arc<QueueHandle>> {
        self.definitions.read().by_id.get(&id).cloned()
    }
}

/// Bindings with the names of their destinations.
fn named<'a>(
    definitions: &Definitions,
    bindings: impl Iterator<Item = BindingView<'a>>,
) -> Vec<(Binding, String)> {
    let named = |view: BindingView<'_>| {
        let binding = view.to_binding();
        let name = match &binding.destination {
            Destination::Queue(id) => definitions.by_id.get(id)?.name().to_owned(),
            Destination::Exchange(name) => name.to_string(),
        };
        Some((binding, name))
    };
    bindings.filter_map(named).collect()
}

/// Sorts by name. A look at a name is a jump or two through memory, so the first bytes in which
/// names differ are taken along.
fn in_order<T>(items: Vec<T>, name: impl Fn(&T) -> &[u8]) -> Vec<T> {
    let first = items.first().map(&name).unwrap_or_default();
    let shared = items.iter().fold(first.len(), |shared, item| {
        let pairs = first[..shared].iter().zip(name(item));
        pairs.take_while(|(a, b)| a == b).count()
    });
    let mut keyed: Vec<(u128, T)> = items
        .into_iter()
        .map(|item| {
            let mut key = [0; 16];
            let differs = name(&item)[shared..].iter();
            key.iter_mut()
                .zip(differs)
                .for_each(|(to, from)| *to = *from);
            (u128::from_be_bytes(key), item)
        })
        .collect();
    keyed
        .sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| name(one).cmp(name(other))));
    keyed.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_bytes_whatever_they_share() {
        for names in [
            &[][..],
            &["a"],
            &["b", "", "a"],
            &["q.2", "q.10", "q.1", "q", "q.1\0", "q.1\0\0"],
            &["same.so.far.and.then.b", "same.so.far.and.then.a", "same"],
            &[
                "0123456789abcdefb",
                "0123456789abcdefa",
                "0123456789abcdef",
                "x",
            ],
            &["q-é", "q-z", "q-\u{ffff}", "q-"],
        ] {
            let mut expected = names.to_vec();
            expected.sort_unstable();
            let found = in_order(names.to_vec(), |name| name.as_bytes());
            assert_eq!(found, expected);
        }
    }
}
