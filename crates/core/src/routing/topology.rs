//! The topology of one virtual host: its exchanges and bindings, and how they are added.
//!
//! Invariants
//! - A binding's source and, if it leads to an exchange, its destination exist.
//! - `by_name` holds every exchange once; `by_queue` has an entry for a queue with bindings only.
//! - `epoch` grows with every change that may alter a route, and with no other.
//! - Nothing that is handed out depends on the order of a hash table, hence not on the seed.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::arena::{Arena, Chain, Ends, Identity, Target};
use super::direct::Direct;
use super::headers::{self, Headers};
use super::ids::{BindingIx, ExchangeIx, QueueId, place};
use super::options::Rule;
use super::topic::Topic;
use super::{
    BindError, DeclareExchangeError, Declared, Destination, Exchange, ExchangeKind,
    ROUTING_KEY_BYTES_MAX, SETTLE_EXCHANGE,
};
use crate::arguments::Arguments;

const SEED_DEFAULT: u64 = 0x6665_7272_796d_7100;

/// What finds the bindings of one exchange for a message.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Direct(Direct),
    Fanout(Ends),
    Topic(Box<Topic>),
    Headers(Headers),
}

/// One exchange with its bindings.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) exchange: Exchange,
    /// Bindings from it.
    pub(super) outgoing: Ends,
    /// Bindings to it.
    pub(super) incoming: Ends,
    pub(super) matcher: Matcher,
}

/// The exchanges and bindings of one virtual host.
#[derive(Clone, Debug)]
pub struct Topology {
    pub(super) vhost: Arc<str>,
    pub(super) hasher: FixedState,
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) free: Vec<ExchangeIx>,
    pub(super) by_name: HashMap<Arc<str>, ExchangeIx, FixedState>,
    pub(super) by_queue: HashMap<QueueId, Ends, FixedState>,
    pub(super) arena: Arena,
    pub(super) epoch: u64,
}

impl Topology {
    /// A topology with the exchanges that every virtual host has.
    pub fn new(vhost: impl Into<Arc<str>>) -> Topology {
        Topology::with_seed(vhost, SEED_DEFAULT)
    }

    /// The same with hash tables seeded by a secret, so that names can not be chosen to collide.
    pub fn with_seed(vhost: impl Into<Arc<str>>, seed: u64) -> Topology {
        let hasher = FixedState::with_seed(seed);
        let mut topology = Topology {
            vhost: vhost.into(),
            hasher: hasher.clone(),
            nodes: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::with_hasher(hasher.clone()),
            by_queue: HashMap::with_hasher(hasher.clone()),
            arena: Arena::new(hasher),
            epoch: 0,
        };
        let trace = Exchange {
            internal: true,
            ..Exchange::new("amq.rabbitmq.trace", ExchangeKind::Topic)
        };
        for exchange in [
            Exchange::new("amq.direct", ExchangeKind::Direct),
            Exchange::new("amq.fanout", ExchangeKind::Fanout),
            Exchange::new("amq.headers", ExchangeKind::Headers),
            Exchange::new("amq.match", ExchangeKind::Headers),
            Exchange::new("amq.topic", ExchangeKind::Topic),
            Exchange::new(SETTLE_EXCHANGE, ExchangeKind::Direct),
            trace,
        ] {
            let declared = topology.declare_exchange(exchange);
            declared.expect("their names differ and they have no arguments");
        }
        topology
    }

    /// The virtual host's name.
    pub fn vhost(&self) -> &Arc<str> {
        &self.vhost
    }

    /// Grows with every change that may alter a route.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Declares an exchange, or checks that the one there is equivalent.
    pub fn declare_exchange(&mut self, spec: Exchange) -> Result<Declared, DeclareExchangeError> {
        if let Some(current) = self.exchange(&spec.name) {
            current.assert_equivalent(&spec, &self.vhost)?;
            return Ok(Declared { created: false });
        }
        let rule = spec.validate(&self.vhost)?;
        self.add_exchange(spec, rule);
        Ok(Declared { created: true })
    }

    fn add_exchange(&mut self, exchange: Exchange, rule: Rule) {
        let matcher = match rule {
            Rule::Direct => Matcher::Direct(Direct::default()),
            Rule::Fanout => Matcher::Fanout(Ends::EMPTY),
            Rule::Topic => Matcher::Topic(Box::new(Topic::new())),
            Rule::Headers => Matcher::Headers(Headers::new(self.hasher.clone())),
        };
        let name = Arc::clone(&exchange.name);
        let node = Node {
            exchange,
            outgoing: Ends::EMPTY,
            incoming: Ends::EMPTY,
            matcher,
        };
        let ix = match self.free.pop() {
            Some(ix) => {
                self.nodes[ix.0 as usize] = Some(node);
                ix
            }
            None => {
                self.nodes.push(Some(node));
                ExchangeIx(place(self.nodes.len() - 1))
            }
        };
        self.by_name.insert(name, ix);
        self.epoch += 1;
    }

    /// Binds; false when the very same binding is there already.
    pub fn bind(
        &mut self,
        source: &str,
        destination: &Destination,
        routing_key: &[u8],
        arguments: &Arguments,
    ) -> Result<bool, BindError> {
        if routing_key.len() > ROUTING_KEY_BYTES_MAX {
            return Err(BindError::RoutingKeyTooLong(routing_key.len()));
        }
        let source = self.find_or_refuse(source)?;
        let target = match destination {
            Destination::Queue(queue) => Target::Queue(*queue),
            Destination::Exchange(name) => Target::Exchange(self.find_or_refuse(name)?),
        };
        if matches!(self.node(source).matcher, Matcher::Headers(_)) {
            headers::validate(arguments)?;
        }
        let arguments = &sorted(arguments);
        let identity = Identity {
            source,
            target,
            key: routing_key,
            arguments,
        };
        if self.arena.find(identity).is_some() {
            return Ok(false);
        }
        if self.arena.is_full() {
            return Err(BindError::TooManyBindings);
        }
        let ix = self.arena.insert(identity);
        self.link(ix, source, target);
        self.epoch += 1;
        Ok(true)
    }

    fn link(&mut self, ix: BindingIx, source: ExchangeIx, target: Target) {
        let Topology {
            arena,
            nodes,
            hasher,
            by_queue,
            ..
        } = self;
        let node = taken(nodes, source);
        arena.append(Chain::Source, &mut node.outgoing, ix);
        match &mut node.matcher {
            Matcher::Direct(direct) => direct.insert(arena, hasher, ix),
            Matcher::Fanout(all) => arena.append(Chain::Home, all, ix),
            Matcher::Topic(topic) => topic.insert(arena, hasher, ix),
            Matcher::Headers(headers) => headers.insert(arena, hasher, ix),
        }
        let incoming = match target {
            Target::Queue(queue) => by_queue.entry(queue).or_insert(Ends::EMPTY),
            Target::Exchange(exchange) => &mut taken(nodes, exchange).incoming,
        };
        arena.append(Chain::Destination, incoming, ix);
    }

    pub(super) fn find_exchange(&self, name: &str) -> Option<ExchangeIx> {
        self.by_name.get(name).copied()
    }

    fn find_or_refuse(&self, name: &str) -> Result<ExchangeIx, BindError> {
        self.find_exchange(name)
            .ok_or_else(|| BindError::NoSuchExchange {
                name: name.to_owned(),
                vhost: Arc::clone(&self.vhost),
            })
    }

    pub(super) fn node(&self, ix: ExchangeIx) -> &Node {
        let node = self.nodes.get(ix.0 as usize).and_then(Option::as_ref);
        node.expect("the place of an exchange that exists is taken")
    }
}

/// The node at a place that is known to be taken.
pub(super) fn taken(nodes: &mut [Option<Node>], ix: ExchangeIx) -> &mut Node {
    let node = nodes.get_mut(ix.0 as usize).and_then(Option::as_mut);
    node.expect("the place of an exchange that exists is taken")
}

/// Arguments in the order that is part of a binding's identity.
pub(super) fn sorted(arguments: &Arguments) -> Arguments {
    let mut arguments = arguments.clone();
    arguments.sort_by_name();
    arguments
}
