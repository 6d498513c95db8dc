//! A route: from an exchange and a message's keys and headers to its queues.
//!
//! Invariants
//! - Every exchange is visited at most once, so cycles of bindings end.
//! - An exchange's alternate is visited when none of its own bindings matched, whatever the
//!   matched ones lead to in the end.
//! - `out` holds each queue once, in ascending order.

use std::borrow::Cow;
use std::sync::Arc;

use super::Topology;
use super::arena::{Chain, Ends, Target};
use super::headers::{HeaderView, Sorted};
use super::ids::{BindingIx, ExchangeIx, QueueId};
use super::inline::{PlaceSet, Places};
use super::topology::{Matcher, Node};
use crate::arguments::Arguments;

/// What a route rested on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteInfo {
    /// Whether a headers exchange was visited. If not, the result holds for every message with
    /// the same exchange and keys until the epoch changes.
    pub uses_headers: bool,
}

/// The exchange that was published to does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no exchange '{name}' in vhost '{vhost}'")]
pub struct NoSuchExchange {
    /// The missing exchange.
    pub name: String,
    /// Where it was looked for.
    pub vhost: Arc<str>,
}

impl Topology {
    /// Replaces `out` by the queues that a message goes to.
    pub fn route(
        &self,
        exchange: &str,
        routing_key: &[u8],
        headers: &dyn HeaderView,
        out: &mut Vec<QueueId>,
    ) -> Result<RouteInfo, NoSuchExchange> {
        self.route_many(exchange, &[routing_key], headers, out)
    }

    /// The same for a message with several keys (`CC`, `BCC`): whatever any of them matches.
    pub fn route_many(
        &self,
        exchange: &str,
        routing_keys: &[&[u8]],
        headers: &dyn HeaderView,
        out: &mut Vec<QueueId>,
    ) -> Result<RouteInfo, NoSuchExchange> {
        out.clear();
        let Some(first) = self.find_exchange(exchange) else {
            let (name, vhost) = (exchange.to_owned(), Arc::clone(&self.vhost));
            return Err(NoSuchExchange { name, vhost });
        };
        let mut found = Found {
            topology: self,
            out,
            ahead: Places::default(),
            visited: None,
        };
        let mut decoded: Option<Cow<'_, Arguments>> = None;
        let mut next = Some(first);
        while let Some(ix) = next {
            let node = self.node(ix);
            if matches!(node.matcher, Matcher::Headers(_)) && decoded.is_none() {
                decoded = Some(headers.headers());
            }
            let matched = self.visit(node, routing_keys, decoded.as_deref(), &mut |binding| {
                found.take(first, binding);
            });
            if !matched {
                let alternate = node.exchange.alternate();
                if let Some(ix) = alternate.and_then(|name| self.find_exchange(name)) {
                    found.visit_later(first, ix);
                }
            }
            next = found.ahead.pop().map(ExchangeIx);
        }
        if out.len() > 1 {
            out.sort_unstable();
            out.dedup();
        }
        Ok(RouteInfo {
            uses_headers: decoded.is_some(),
        })
    }

    /// Hands the bindings of one exchange that match to `take`; false when there is none.
    fn visit(
        &self,
        node: &Node,
        routing_keys: &[&[u8]],
        headers: Option<&Arguments>,
        take: &mut impl FnMut(BindingIx),
    ) -> bool {
        let (arena, hasher) = (&self.arena, &self.hasher);
        let mut matched = false;
        let mut take = |ix| {
            matched = true;
            take(ix);
        };
        let mut take_all = |ends: Ends| arena.walk(Chain::Home, ends).for_each(&mut take);
        match &node.matcher {
            Matcher::Fanout(all) => take_all(*all),
            Matcher::Direct(direct) => {
                let groups = routing_keys
                    .iter()
                    .filter_map(|key| direct.find(arena, hasher, key));
                groups.for_each(take_all);
            }
            Matcher::Topic(topic) => {
                for key in routing_keys {
                    topic.find(hasher, key, &mut take_all);
                }
            }
            Matcher::Headers(matcher) => {
                let none = Arguments::new();
                let headers = Sorted::new(headers.unwrap_or(&none));
                matcher.find(arena, hasher, &headers, &mut take);
            }
        }
        matched
    }
}

/// What a route has found so far.
struct Found<'a> {
    topology: &'a Topology,
    out: &'a mut Vec<QueueId>,
    ahead: Places,
    /// Exchanges that were visited or will be; none before the first binding to an exchange.
    visited: Option<PlaceSet>,
}

impl Found<'_> {
    fn take(&mut self, first: ExchangeIx, binding: BindingIx) {
        match self.topology.arena.slot(binding).target {
            Target::Queue(queue) => self.out.push(queue),
            Target::Exchange(ix) => self.visit_later(first, ix),
        }
    }

    fn visit_later(&mut self, first: ExchangeIx, ix: ExchangeIx) {
        let visited = self.visited.get_or_insert_with(|| {
            let mut visited = PlaceSet::default();
            visited.insert(first.0);
            visited
        });
        if visited.insert(ix.0) {
            self.ahead.push(ix.0);
        }
    }
}
