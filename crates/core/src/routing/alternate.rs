//! Alternate exchanges: where a message goes that an exchange routes nowhere.
//!
//! Invariants
//! - The exchange's own argument counts before what a policy says.

use std::sync::Arc;

use super::Topology;
use super::topology::{Node, taken};

impl Topology {
    /// Sets what a policy says of an exchange; an exchange that is not there is passed over.
    pub fn set_policy_alternate(&mut self, exchange: &str, alternate: Option<Arc<str>>) {
        let Some(ix) = self.find_exchange(exchange) else {
            return;
        };
        let node = taken(&mut self.nodes, ix);
        if node.policy_alternate != alternate {
            node.policy_alternate = alternate;
            self.epoch += 1;
        }
    }
}

impl Node {
    pub(super) fn alternate(&self) -> Option<&str> {
        let own = self.exchange.alternate();
        own.or(self.policy_alternate.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use crate::routing::{Destination, Exchange, ExchangeKind, QueueId};
    use crate::view::NoView;

    #[test]
    fn a_policy_says_where_to_unless_the_exchange_does() {
        let mut topology = Topology::new("/");
        for (name, alternate) in [("own", Some("a")), ("none", None), ("a", None), ("b", None)] {
            let arguments = alternate.map(|to| ("alternate-exchange", to));
            let exchange = Exchange {
                arguments: Arguments::from_iter(arguments),
                ..Exchange::new(name, ExchangeKind::Fanout)
            };
            topology.declare_exchange(exchange).unwrap();
        }
        for (source, queue) in [("a", 1), ("b", 2)] {
            let queue = Destination::Queue(QueueId(queue));
            topology
                .bind(source, &queue, b"", &Arguments::new())
                .unwrap();
        }
        let route = |topology: &Topology, exchange: &str| {
            let mut found = Vec::new();
            topology
                .route(exchange, b"", &NoView, &|| 0, &mut found)
                .unwrap();
            found
        };
        for (said, own, none) in [
            (None, &[QueueId(1)][..], &[][..]),
            (Some("b"), &[QueueId(1)], &[QueueId(2)]),
            (Some("missing"), &[QueueId(1)], &[]),
            (None, &[QueueId(1)], &[]),
        ] {
            for exchange in ["own", "none", "unheard-of"] {
                topology.set_policy_alternate(exchange, said.map(Arc::from));
            }
            assert_eq!(route(&topology, "own"), own, "{said:?}");
            assert_eq!(route(&topology, "none"), none, "{said:?}");
        }
    }

    #[test]
    fn the_epoch_grows_when_a_route_may_change() {
        let mut topology = Topology::new("/");
        let before = topology.epoch();
        for (exchange, said, grown) in [
            ("amq.topic", None, 0),
            ("amq.topic", Some("amq.fanout"), 1),
            ("amq.topic", Some("amq.fanout"), 1),
            ("unheard-of", Some("amq.fanout"), 1),
            ("amq.topic", None, 2),
        ] {
            topology.set_policy_alternate(exchange, said.map(Arc::from));
            assert_eq!(topology.epoch(), before + grown, "{exchange} {said:?}");
        }
    }
}
