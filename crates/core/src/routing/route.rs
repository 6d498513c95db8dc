//! A route: from an exchange and a message's keys and headers to its queues.
//!
//! Invariants
//! - Every exchange is visited at most once, so cycles of bindings end.
//! - An exchange's alternate is visited when none of its own bindings matched, whatever the
//!   matched ones lead to in the end.
//! - `out` holds each queue once, in ascending order.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::Topology;
use super::arena::Target;
use super::ids::{BindingIx, ExchangeIx, QueueId};
use super::inline::{PlaceSet, Places};
use super::topology::Node;
use crate::arguments::Arguments;
use crate::view::MessageView;

/// What a route rested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// Whether exchange and keys alone decided. If so, the result holds for every message with
    /// the same ones until the epoch changes.
    pub by_keys_alone: bool,
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

/// A message that is routed.
pub(super) struct Message<'a> {
    pub(super) keys: &'a [&'a [u8]],
    view: &'a dyn MessageView,
    chance: &'a dyn Fn() -> u64,
    headers: OnceCell<Cow<'a, Arguments>>,
    /// Whether nothing but the keys was asked for.
    by_keys_alone: Cell<bool>,
}

impl<'a> Message<'a> {
    pub(super) fn new(
        keys: &'a [&'a [u8]],
        view: &'a dyn MessageView,
        chance: &'a dyn Fn() -> u64,
    ) -> Message<'a> {
        Message {
            keys,
            view,
            chance,
            headers: OnceCell::new(),
            by_keys_alone: Cell::new(true),
        }
    }

    /// What is known of it beside the keys.
    pub(super) fn view(&self) -> &'a dyn MessageView {
        self.by_keys_alone.set(false);
        self.view
    }

    /// All headers, taken apart once.
    pub(super) fn headers(&self) -> &Arguments {
        self.headers.get_or_init(|| self.view().headers())
    }

    /// A number that is another one each time.
    pub(super) fn chance(&self) -> u64 {
        self.by_keys_alone.set(false);
        (self.chance)()
    }
}

impl Topology {
    /// Replaces `out` by the queues that a message goes to. `chance` gives another number for each
    /// choice that is left to it; numbers in a row will do.
    pub fn route(
        &self,
        exchange: &str,
        routing_key: &[u8],
        view: &dyn MessageView,
        chance: &dyn Fn() -> u64,
        out: &mut Vec<QueueId>,
    ) -> Result<RouteInfo, NoSuchExchange> {
        self.route_many(exchange, &[routing_key], view, chance, out)
    }

    /// The same for a message with several keys (`CC`, `BCC`): whatever any of them matches.
    pub fn route_many(
        &self,
        exchange: &str,
        routing_keys: &[&[u8]],
        view: &dyn MessageView,
        chance: &dyn Fn() -> u64,
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
        let message = Message::new(routing_keys, view, chance);
        let mut next = Some(first);
        while let Some(ix) = next {
            let node = self.node(ix);
            let matched = self.visit(node, &message, &mut |binding| found.take(first, binding));
            if !matched {
                let alternate = node.alternate();
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
            by_keys_alone: message.by_keys_alone.get(),
        })
    }

    /// Hands the bindings of one exchange that match to `take`; false when there is none.
    pub(super) fn visit(
        &self,
        node: &Node,
        message: &Message<'_>,
        take: &mut impl FnMut(BindingIx),
    ) -> bool {
        let mut matched = false;
        let mut take = |binding| {
            matched = true;
            take(binding);
        };
        node.matcher
            .find(&self.arena, &self.hasher, message, &mut take);
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
