//! Tests of routing: tables by exchange type, removal, and a model that random changes are
//! compared with.

mod filters;
mod hashed;
mod headers;
mod model;
mod options;
mod patterns;
mod removal;
mod routes;

use super::*;
use crate::arguments::{Arguments, Value};
use crate::view::{MessageView, NoView};

/// A topology with one exchange `x` of a kind.
fn with_exchange(kind: ExchangeKind) -> Topology {
    let mut topology = Topology::new("/");
    declare(&mut topology, "x", kind);
    topology
}

fn declare(topology: &mut Topology, name: &str, kind: ExchangeKind) {
    let declared = topology.declare_exchange(Exchange::new(name, kind));
    assert_eq!(declared, Ok(Declared { created: true }), "{name}");
}

fn arguments<const N: usize>(entries: [(&str, Value); N]) -> Arguments {
    entries.into_iter().collect()
}

fn to_queue(id: u64) -> Destination {
    Destination::Queue(QueueId(id))
}

fn to_exchange(name: &str) -> Destination {
    Destination::Exchange(name.into())
}

/// Binds without arguments; the binding must be new.
fn bind(topology: &mut Topology, source: &str, destination: &Destination, key: &str) {
    let bound = topology.bind(source, destination, key.as_bytes(), &Arguments::new());
    assert_eq!(bound, Ok(true), "{source} -> {destination:?} by {key:?}");
}

fn routed(topology: &Topology, exchange: &str, key: &str) -> Vec<u64> {
    routed_with(topology, exchange, key, &NoView)
}

fn routed_with(
    topology: &Topology,
    exchange: &str,
    key: &str,
    headers: &dyn MessageView,
) -> Vec<u64> {
    let mut out = vec![QueueId(u64::MAX)];
    let info = topology.route(exchange, key.as_bytes(), headers, &|| 0, &mut out);
    info.expect("the exchange exists");
    out.into_iter().map(|queue| queue.0).collect()
}
