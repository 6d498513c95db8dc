//! Where a channel's messages go: its route cache, and staging them in a burst.
//!
//! Invariants
//! - A cached route is used only while the virtual host's epoch is the one it was found in.
//! - The cache is bounded and starts again when it is full.

use std::sync::Arc;

use ferry_core::message::Draft;
use ferry_core::routing::{HeaderView, NoSuchExchange};

use crate::direct_reply::KEY_PREFIX;
use crate::vhost::Map;
use crate::{Broker, Burst, ConfirmTag, Metrics, QueueHandle, Vhost};

/// Routes that a channel remembers.
const ROUTES_MAX: usize = 4096;

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// At least one queue will get it.
    Routed,
    /// No queue will get it.
    Unroutable,
}

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no such exchange.
    #[error(transparent)]
    ExchangeNotFound(#[from] NoSuchExchange),
    /// Clients may not publish to it.
    #[error("cannot publish to internal exchange '{name}' in vhost '{vhost}'")]
    ExchangeInternal {
        /// The exchange.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
}

struct Route {
    epoch: u64,
    queues: Box<[Arc<QueueHandle>]>,
}

/// A channel's way to its virtual host's queues.
pub struct Publisher {
    vhost: Arc<Vhost>,
    routes: Map<Box<[u8]>, Route>,
    key: Vec<u8>,
    found: Vec<Arc<QueueHandle>>,
}

impl Publisher {
    /// A publisher without routes so far.
    pub fn new(vhost: Arc<Vhost>) -> Publisher {
        Publisher {
            vhost,
            routes: Map::default(),
            key: Vec::new(),
            found: Vec::new(),
        }
    }

    /// The virtual host.
    pub fn vhost(&self) -> &Arc<Vhost> {
        &self.vhost
    }

    /// Hands the route of a message to `each`.
    fn route(
        &mut self,
        exchange: &[u8],
        routing_keys: &[&[u8]],
        headers: &dyn HeaderView,
        each: &mut dyn FnMut(&[Arc<QueueHandle>]),
    ) -> Result<(), PublishError> {
        let epoch = self.vhost.epoch();
        let single = routing_keys.len() == 1;
        if single {
            self.key.clear();
            self.key.extend_from_slice(exchange);
            self.key.push(0xff); // in no UTF-8 name
            self.key.extend_from_slice(routing_keys[0]);
            if let Some(route) = self.routes.get(self.key.as_slice())
                && route.epoch == epoch
            {
                each(&route.queues);
                return Ok(());
            }
        }
        let name = self.exchange_name(exchange)?;
        let routed = self
            .vhost
            .route(name, routing_keys, headers, &mut self.found)?;
        each(&self.found);
        if single && routed.cacheable {
            if self.routes.len() >= ROUTES_MAX {
                self.routes.clear();
            }
            let queues = self.found.drain(..).collect();
            self.routes
                .insert(self.key.as_slice().into(), Route { epoch, queues });
        }
        self.found.clear();
        Ok(())
    }

    fn exchange_name<'a>(&self, exchange: &'a [u8]) -> Result<&'a str, PublishError> {
        let missing = |name: String| {
            let vhost = Arc::clone(&self.vhost.name);
            PublishError::ExchangeNotFound(NoSuchExchange { name, vhost })
        };
        let lossy = || String::from_utf8_lossy(exchange).into_owned();
        let name = std::str::from_utf8(exchange).map_err(|_| missing(lossy()))?;
        if name.is_empty() {
            return Ok(name);
        }
        let exchange = self.vhost.exchange(name).map_err(|_| missing(lossy()))?;
        if exchange.internal {
            let vhost = self.vhost.name.to_string();
            return Err(PublishError::ExchangeInternal {
                name: lossy(),
                vhost,
            });
        }
        Ok(name)
    }
}

impl Burst {
    /// Stages a message for every queue that it is routed to. Nothing is visible before `submit`.
    pub fn publish(
        &mut self,
        broker: &Broker,
        publisher: &mut Publisher,
        draft: &Draft<'_>,
        headers: &dyn HeaderView,
        confirm: Option<ConfirmTag>,
    ) -> Result<Published, PublishError> {
        self.publish_many(
            broker,
            publisher,
            draft,
            &[draft.routing_key],
            headers,
            confirm,
        )
    }

    /// The same for a message with several routing keys (`CC`, `BCC`).
    pub fn publish_many(
        &mut self,
        broker: &Broker,
        publisher: &mut Publisher,
        draft: &Draft<'_>,
        routing_keys: &[&[u8]],
        headers: &dyn HeaderView,
        confirm: Option<ConfirmTag>,
    ) -> Result<Published, PublishError> {
        self.published += 1;
        self.confirms |= confirm.is_some();
        if draft.exchange.is_empty() && draft.routing_key.starts_with(KEY_PREFIX.as_bytes()) {
            return Ok(self.reply_directly(broker, draft));
        }
        let mut routed = false;
        publisher.route(draft.exchange, routing_keys, headers, &mut |queues| {
            routed = !queues.is_empty();
            if routed {
                self.stage(draft, queues, confirm);
            }
        })?;
        if !routed {
            Metrics::add(&broker.metrics.messages_unroutable, 1);
        }
        Ok(if routed {
            Published::Routed
        } else {
            Published::Unroutable
        })
    }
}
