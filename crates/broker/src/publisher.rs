//! Where a channel's messages go: its route cache, and staging them in a burst.
//!
//! Invariants
//! - A cached route is used only while the virtual host's epoch is the one it was found in.
//! - The cache is bounded and starts again when it is full.

mod intercepted;

use std::sync::Arc;

use ferry_core::message::{Draft, Message};
use ferry_core::queue::{DeadLetterReason, MessageId};
use ferry_core::routing::NoSuchExchange;
use ferry_core::view::MessageView;

use crate::dead_letter::Died;
use crate::direct_reply::KEY_PREFIX;
use crate::guard::{self, Care, Guarded};
use crate::intercept::Interceptor;
use crate::passport::{Posted, with_passport};
use crate::vhost::Map;
use crate::{
    Broker, Burst, ConfirmTag, ConnectionId, Metrics, Origin, QueueHandle, RuleBroken, Vhost,
};
use intercepted::Publish;

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
    /// It breaks a rule of its exchange.
    #[error(transparent)]
    RuleBroken(Box<RuleBroken>),
}

struct Route {
    epoch: u64,
    queues: Box<[Arc<QueueHandle>]>,
    care: Option<Arc<Care>>,
}

/// Is given the queues of a route, and what its exchange does besides.
type EachRoute<'a> = dyn FnMut(&[Arc<QueueHandle>], Option<Careful<'_>>) + 'a;

/// A channel's way to its virtual host's queues.
pub struct Publisher {
    vhost: Arc<Vhost>,
    routes: Map<Box<[u8]>, Route>,
    key: Vec<u8>,
    found: Vec<Arc<QueueHandle>>,
    connection: ConnectionId,
    origin: Option<Arc<Origin>>,
    /// Those of the default exchange, in the epoch in which they were looked up.
    default_rules: (u64, Option<Arc<Interceptor>>),
}

impl Publisher {
    /// A publisher without routes so far.
    pub fn new(vhost: Arc<Vhost>) -> Publisher {
        Publisher::of(vhost, ConnectionId::NOBODY)
    }

    /// The same for a connection, which then stands in the passports of its messages.
    pub fn of(vhost: Arc<Vhost>, connection: ConnectionId) -> Publisher {
        Publisher {
            vhost,
            routes: Map::default(),
            key: Vec::new(),
            found: Vec::new(),
            connection,
            origin: None,
            default_rules: (0, None),
        }
    }

    /// The same for somebody who is known.
    #[must_use]
    pub fn with_origin(self, origin: Arc<Origin>) -> Publisher {
        Publisher {
            origin: Some(origin),
            ..self
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
        headers: &dyn MessageView,
        each: &mut EachRoute<'_>,
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
                each(&route.queues, Careful::of(route.care.as_ref(), &self.vhost));
                return Ok(());
            }
        }
        let name = self.exchange_name(exchange)?;
        let routed = self
            .vhost
            .route(name, routing_keys, headers, &mut self.found)?;
        let care = self.vhost.care_of(name);
        each(&self.found, Careful::of(care.as_ref(), &self.vhost));
        if single && routed.cacheable {
            if self.routes.len() >= ROUTES_MAX {
                self.routes.clear();
            }
            let queues = self.found.drain(..).collect();
            let route = Route {
                epoch,
                queues,
                care,
            };
            self.routes.insert(self.key.as_slice().into(), route);
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

/// A publish to an exchange that does more than routing.
#[derive(Clone, Copy)]
struct Careful<'a> {
    care: &'a Care,
    vhost: &'a Vhost,
}

impl<'a> Careful<'a> {
    fn of(care: Option<&'a Arc<Care>>, vhost: &'a Vhost) -> Option<Careful<'a>> {
        care.map(|care| Careful { care, vhost })
    }
}

fn is_direct_reply(draft: &Draft<'_>) -> bool {
    draft.exchange.is_empty() && draft.routing_key.starts_with(KEY_PREFIX.as_bytes())
}

impl Broker {
    fn identity_of(&self, draft: &Draft<'_>) -> Option<MessageId> {
        let format = self.options.formats.get(draft.format)?;
        format.identity(draft.properties)
    }
}

impl Burst {
    /// Stages a message for every queue that it is routed to. Nothing is visible before `submit`.
    pub fn publish(
        &mut self,
        broker: &Broker,
        publisher: &mut Publisher,
        draft: &Draft<'_>,
        headers: &dyn MessageView,
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
        headers: &dyn MessageView,
        confirm: Option<ConfirmTag>,
    ) -> Result<Published, PublishError> {
        self.published += 1;
        self.confirms |= confirm.is_some();
        let publish = Publish {
            draft,
            routing_keys,
            view: headers,
            confirm,
        };
        if is_direct_reply(draft) {
            return match publisher.default_rules() {
                None => Ok(self.reply_directly(broker, draft)),
                Some(rules) => self.publish_intercepted(broker, publisher, &rules, publish),
            };
        }
        let (mut routed, mut rules, mut noting) = (false, None, Vec::new());
        let staged_before = self.staged.len();
        publisher.route(
            draft.exchange,
            routing_keys,
            headers,
            &mut |queues, care| {
                routed = match care {
                    None => self.stage_routed(broker, draft, queues, confirm),
                    Some(with) => match &with.care.interceptor {
                        None => self.stage_with_care(broker, draft, queues, with, confirm),
                        Some(first) => {
                            rules = Some(Arc::clone(first));
                            return;
                        }
                    },
                };
                noting = with_passport(queues);
            },
        )?;
        if let Some(rules) = rules {
            let published = self.publish_intercepted(broker, publisher, &rules, publish)?;
            routed = published == Published::Routed;
        }
        if !noting.is_empty() {
            let duplicate = self.staged.len() == staged_before;
            self.note_posted(broker, publisher, &publish, &noting, duplicate);
        }
        if !routed {
            Metrics::add(&broker.metrics.messages_unroutable, 1);
        }
        Ok(if routed {
            Published::Routed
        } else {
            Published::Unroutable
        })
    }

    /// Notes a publish for those of its queues that have a passport.
    #[cold]
    fn note_posted(
        &mut self,
        broker: &Broker,
        publisher: &Publisher,
        publish: &Publish<'_>,
        queues: &[Arc<QueueHandle>],
        duplicate: bool,
    ) {
        let posted = Posted {
            draft: publish.draft,
            routing_keys: publish.routing_keys,
            view: publish.view,
            connection: publisher.connection,
            queues,
            duplicate,
        };
        self.note_publish(broker, &publisher.vhost, &posted);
    }

    /// False if there is no queue.
    #[inline]
    fn stage_routed(
        &mut self,
        broker: &Broker,
        draft: &Draft<'_>,
        queues: &[Arc<QueueHandle>],
        confirm: Option<ConfirmTag>,
    ) -> bool {
        if queues.iter().any(|queue| queue.is_metered()) {
            self.charge(draft, queues);
        }
        let known_by = |queue: &Arc<QueueHandle>| queue.deduplicates();
        if draft.id.is_none()
            && queues.iter().any(known_by)
            && let Some(id) = broker.identity_of(draft)
        {
            let id = Some(id.to_bytes());
            self.identified = true;
            self.stage(&Draft { id, ..*draft }, queues, |_| confirm);
        } else if !queues.is_empty() {
            self.stage(draft, queues, |_| confirm);
        }
        !queues.is_empty()
    }

    /// The same for an exchange that does more than routing.
    fn stage_with_care(
        &mut self,
        broker: &Broker,
        draft: &Draft<'_>,
        queues: &[Arc<QueueHandle>],
        with: Careful<'_>,
        confirm: Option<ConfirmTag>,
    ) -> bool {
        let identity = with
            .care
            .guard
            .as_ref()
            .and_then(|guard| Some((guard, broker.identity_of(draft)?)));
        if let Some((guard, id)) = identity
            && broker.is_duplicate(guard, id)
        {
            Metrics::add(&broker.metrics.messages_duplicate, 1);
            self.left_out = true;
            return true;
        }
        let Some((guard, id)) = identity else {
            return self.stage_somewhere(broker, draft, queues, with, confirm);
        };
        let tag = guard::tag_of(confirm, self.guarded.len());
        self.tracked = Some(Vec::with_capacity(queues.len()));
        let routed = self.stage_somewhere(broker, draft, queues, with, Some(tag));
        let commands = self.tracked.take().unwrap_or_default();
        if routed {
            let guard = Arc::clone(guard);
            self.guarded.push(Guarded {
                guard,
                id,
                tag,
                commands,
            });
        }
        routed
    }

    fn stage_somewhere(
        &mut self,
        broker: &Broker,
        draft: &Draft<'_>,
        queues: &[Arc<QueueHandle>],
        with: Careful<'_>,
        confirm: Option<ConfirmTag>,
    ) -> bool {
        match queues.is_empty() {
            true => self.stage_unroutable(broker, draft, with, confirm),
            false => self.stage_routed(broker, draft, queues, confirm),
        }
    }

    /// Stages a message without a route for where its exchange sends such ones. False if that is
    /// nowhere.
    fn stage_unroutable(
        &mut self,
        broker: &Broker,
        draft: &Draft<'_>,
        with: Careful<'_>,
        confirm: Option<ConfirmTag>,
    ) -> bool {
        let (Some(target), Some(format)) = (
            &with.care.dead_letter,
            broker.options.formats.get(draft.format),
        ) else {
            return false;
        };
        let mut stored = Vec::new();
        draft.encode(&mut stored);
        let message = Message::parse(&stored).expect("what was encoded is a message");
        let died = Died {
            queue: "",
            target,
            reason: DeadLetterReason::Unroutable,
            message: &message,
        };
        let found = died.letter(broker, with.vhost, &**format);
        let Some((letter, queues)) = found.filter(|(_, queues)| !queues.is_empty()) else {
            return false;
        };
        Metrics::add(&broker.metrics.messages_dead_lettered, 1);
        self.note_unroutable(broker, with.vhost, &message, target, &queues);
        letter.stage(self, &message, target, &queues, |_| confirm);
        true
    }
}
