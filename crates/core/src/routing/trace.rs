//! The way of a message through exchanges, for who asks after it was routed.
//!
//! Invariants
//! - Only legs on a way to one of the given queues are told, at most [`LEGS_MAX`] of them, and to
//!   each exchange the first.
//! - An exchange that leads a message to queues by chance is asked again: what it chose is then
//!   told by a binding that leads there, if there is one from an exchange on the way.

use hashbrown::HashSet;

use super::arena::Target;
use super::ids::{BindingIx, ExchangeIx, QueueId};
use super::route::Message;
use super::{BindingView, Topology};
use crate::view::MessageView;

/// Most legs of one message.
const LEGS_MAX: usize = 64;

/// Exchanges that are visited for one message.
const EXCHANGES_MAX: usize = 256;

/// Legs that are looked at for one message.
const FOUND_MAX: usize = 4096;

/// From an exchange to the next, or to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leg<'a> {
    /// By a binding.
    Binding(BindingView<'a>),
    /// Nothing matched there, so to its alternate.
    Alternate {
        /// The exchange where nothing matched.
        source: &'a str,
        /// Its alternate.
        alternate: &'a str,
    },
}

/// A leg by places.
#[derive(Clone, Copy)]
enum Found {
    Binding(BindingIx),
    Alternate(ExchangeIx, ExchangeIx),
}

impl Topology {
    /// The legs that brought a message from an exchange to these queues, in the order in which they
    /// were gone. None for an exchange that is gone.
    pub fn trace(
        &self,
        exchange: &str,
        routing_keys: &[&[u8]],
        message: &dyn MessageView,
        queues: &[QueueId],
    ) -> Vec<Leg<'_>> {
        let Some(first) = self.find_exchange(exchange) else {
            return Vec::new();
        };
        let message = Message::new(routing_keys, message, &|| 0);
        let queues: HashSet<QueueId> = queues.iter().copied().collect();
        let (mut found, mut visited) = (Vec::new(), vec![first]);
        let mut next = 0;
        while let Some(ix) = visited.get(next).copied() {
            next += 1;
            let mut legs = Vec::new();
            self.legs_from(ix, &message, &queues, &mut legs);
            for leg in legs {
                match self.exchange_of(leg) {
                    None => found.push(leg),
                    Some(to) if !visited.contains(&to) && visited.len() < EXCHANGES_MAX => {
                        visited.push(to);
                        found.push(leg);
                    }
                    Some(_) => {}
                }
            }
        }
        self.add_chosen(&visited, &queues, &mut found);
        self.keep_useful(&mut found);
        found.truncate(LEGS_MAX);
        found.into_iter().map(|leg| self.leg(leg)).collect()
    }

    fn legs_from(
        &self,
        ix: ExchangeIx,
        message: &Message<'_>,
        queues: &HashSet<QueueId>,
        found: &mut Vec<Found>,
    ) {
        let node = self.node(ix);
        let matched = self.visit(node, message, &mut |binding| {
            let wanted = match self.arena.slot(binding).target {
                Target::Queue(queue) => queues.contains(&queue),
                Target::Exchange(_) => true,
            };
            let known = |leg: &Found| matches!(leg, Found::Binding(known) if *known == binding);
            let again = message.keys.len() > 1 && found.iter().any(known);
            if wanted && !again && found.len() < FOUND_MAX {
                found.push(Found::Binding(binding));
            }
        });
        let alternate = node.alternate().filter(|_| !matched);
        if let Some(alternate) = alternate.and_then(|name| self.find_exchange(name)) {
            found.push(Found::Alternate(ix, alternate));
        }
    }

    /// The exchange that a leg leads to.
    fn exchange_of(&self, leg: Found) -> Option<ExchangeIx> {
        match leg {
            Found::Alternate(_, alternate) => Some(alternate),
            Found::Binding(binding) => match self.arena.slot(binding).target {
                Target::Exchange(ix) => Some(ix),
                Target::Queue(_) => None,
            },
        }
    }

    /// Adds a leg for each queue that no leg leads to.
    fn add_chosen(
        &self,
        visited: &[ExchangeIx],
        queues: &HashSet<QueueId>,
        found: &mut Vec<Found>,
    ) {
        let mut left = queues.clone();
        for leg in found.iter() {
            if let Found::Binding(binding) = leg
                && let Target::Queue(queue) = self.arena.slot(*binding).target
            {
                left.remove(&queue);
            }
        }
        let mut left: Vec<QueueId> = left.into_iter().collect();
        left.sort_unstable();
        for queue in left {
            let mut bindings = self.places_of_queue(queue);
            let on_the_way = |ix: &BindingIx| visited.contains(&self.arena.slot(*ix).source);
            found.extend(bindings.find(on_the_way).map(Found::Binding));
        }
    }

    /// Drops legs that lead to no queue in the end.
    fn keep_useful(&self, found: &mut Vec<Found>) {
        let mut useful: HashSet<u32> = HashSet::new();
        let mut kept = Vec::with_capacity(found.len());
        // A leg to an exchange stands before all legs from there.
        for leg in found.drain(..).rev() {
            if self
                .exchange_of(leg)
                .is_none_or(|ix| useful.contains(&ix.0))
            {
                useful.insert(match leg {
                    Found::Binding(binding) => self.arena.slot(binding).source.0,
                    Found::Alternate(source, _) => source.0,
                });
                kept.push(leg);
            }
        }
        kept.reverse();
        *found = kept;
    }

    fn leg(&self, leg: Found) -> Leg<'_> {
        match leg {
            Found::Binding(binding) => Leg::Binding(self.view(binding)),
            Found::Alternate(source, alternate) => Leg::Alternate {
                source: &self.node(source).exchange.name,
                alternate: &self.node(alternate).exchange.name,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Destination, Exchange, ExchangeKind};
    use super::*;
    use crate::arguments::Arguments;

    fn bind(topology: &mut Topology, source: &str, to: Destination, key: &[u8]) {
        let bound = topology.bind(source, &to, key, &Arguments::new());
        assert!(bound.unwrap());
    }

    fn topology(exchanges: &[&str]) -> Topology {
        let mut topology = Topology::new("/");
        for name in exchanges {
            let exchange = Exchange::new(*name, ExchangeKind::Topic);
            topology.declare_exchange(exchange).unwrap();
        }
        topology
    }

    fn keys(topology: &Topology, queues: &[QueueId]) -> Vec<String> {
        let legs = topology.trace("a", &[b"k", b"k.k"], &Arguments::new(), queues);
        let key = |leg| match leg {
            Leg::Binding(binding) => String::from_utf8_lossy(binding.routing_key).into_owned(),
            Leg::Alternate { alternate, .. } => alternate.to_owned(),
        };
        legs.into_iter().map(key).collect()
    }

    #[test]
    fn a_queue_that_no_match_leads_to_is_told_by_a_binding_on_the_way() {
        let mut topology = topology(&["a", "b", "aside"]);
        let exchange = |name: &str| Destination::Exchange(name.into());
        bind(&mut topology, "a", exchange("b"), b"k");
        bind(&mut topology, "b", Destination::Queue(QueueId(1)), b"not k");
        bind(&mut topology, "aside", Destination::Queue(QueueId(2)), b"k");
        assert_eq!(keys(&topology, &[QueueId(1)]), ["k", "not k"]);
        assert!(keys(&topology, &[QueueId(2)]).is_empty());
        assert!(keys(&topology, &[]).is_empty());
        let nowhere = topology.trace("gone", &[b"k"], &Arguments::new(), &[QueueId(1)]);
        assert!(nowhere.is_empty());
    }

    #[test]
    fn a_binding_that_several_keys_match_is_told_once_and_legs_are_bounded() {
        let mut topology = topology(&["a"]);
        let queues: Vec<QueueId> = (0..1000).map(QueueId).collect();
        for queue in &queues {
            bind(&mut topology, "a", Destination::Queue(*queue), b"#");
        }
        assert_eq!(keys(&topology, &queues[..1]), ["#"]);
        assert_eq!(keys(&topology, &queues).len(), LEGS_MAX);
    }
}
