//! Where a channel's messages go, and staging them in a burst.
//!
//! Invariants
//! - Nothing is staged for a queue but by its route: as the exchange, its rules and its guard say.
//! - A message that goes nowhere is counted, whatever its publisher is told.
//! - A route is remembered for a user who had the right to it in its epoch, which grows when
//!   rights change.

mod intercepted;
mod permitted;
mod routes;

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
use crate::stats::ExchangeTally;
use crate::{
    AccessRefused, Broker, Burst, ConfirmTag, ConnectionId, Metrics, Origin, QueueHandle,
    RuleBroken, User, Vhost,
};
use intercepted::Publish;
use routes::{Route, Routes};

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
    /// The user has no right to publish that.
    #[error(transparent)]
    AccessRefused(#[from] AccessRefused),
    /// It breaks a rule of its exchange.
    #[error(transparent)]
    RuleBroken(Box<RuleBroken>),
}

/// A channel's way to its virtual host's queues.
pub struct Publisher {
    vhost: Arc<Vhost>,
    routes: Routes,
    /// A route that is not to be remembered.
    passing: Route,
    found: Vec<Arc<QueueHandle>>,
    connection: ConnectionId,
    origin: Option<Arc<Origin>>,
    /// Those of the default exchange, in the epoch in which they were looked up.
    default_rules: (u64, Option<Arc<Interceptor>>),
    /// Who publishes; none for the broker itself, which may.
    user: Option<Arc<User>>,
    /// The exchange that was found to be allowed last, in its epoch.
    allowed: (u64, Vec<u8>),
    /// The exchange whose route was last looked up, in which epoch, and where it counts.
    last_tally: Option<(Box<str>, u64, Arc<ExchangeTally>)>,
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
            routes: Routes::default(),
            passing: Route::default(),
            found: Vec::new(),
            connection,
            origin: None,
            default_rules: (0, None),
            user: None,
            allowed: (0, Vec::new()),
            last_tally: None,
        }
    }

    /// The same for a user, who then needs rights for what is published.
    #[must_use]
    pub fn by(self, user: Arc<User>) -> Publisher {
        Publisher {
            user: Some(user),
            ..self
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

    /// Where a message goes.
    fn route(
        &mut self,
        exchange: &[u8],
        routing_keys: &[&[u8]],
        headers: &dyn MessageView,
    ) -> Result<Found<'_>, PublishError> {
        if let [key] = routing_keys
            && let Some(place) = self.routes.find(exchange, key, self.vhost.epoch())
        {
            return Ok(Found::new(self.routes.at(place), &self.vhost));
        }
        self.look_up(exchange, routing_keys, headers)
    }

    /// The same for a route that is not remembered.
    #[cold]
    fn look_up(
        &mut self,
        exchange: &[u8],
        routing_keys: &[&[u8]],
        headers: &dyn MessageView,
    ) -> Result<Found<'_>, PublishError> {
        let epoch = self.vhost.epoch();
        self.check_write(exchange, epoch)?;
        let name = self.exchange_name(exchange, routing_keys)?;
        let routed = self
            .vhost
            .route(name, routing_keys, headers, &mut self.found)?;
        let care = self.vhost.care_of(name);
        let tally = Publisher::tally(&mut self.last_tally, &self.vhost, epoch, name);
        let route = Route::new(epoch, self.found.drain(..).collect(), care, tally);
        let route = match routing_keys {
            [key] if routed.cacheable => {
                let place = self.routes.insert(exchange, key, route);
                self.routes.at(place)
            }
            _ => {
                self.passing = route;
                &self.passing
            }
        };
        Ok(Found::new(route, &self.vhost))
    }

    /// Where an exchange counts, without a look at the virtual host if it is the last one again.
    fn tally(
        last: &mut Option<(Box<str>, u64, Arc<ExchangeTally>)>,
        vhost: &Vhost,
        epoch: u64,
        name: &str,
    ) -> Arc<ExchangeTally> {
        if let Some((known, found_in, tally)) = last
            && **known == *name
            && *found_in == epoch
        {
            return Arc::clone(tally);
        }
        let tally = vhost.exchange_tally(name);
        *last = Some((name.into(), epoch, Arc::clone(&tally)));
        tally
    }

    /// The name of an exchange that there is, and that may be published to.
    fn exchange_name<'a>(
        &self,
        exchange: &'a [u8],
        routing_keys: &[&[u8]],
    ) -> Result<&'a str, PublishError> {
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
        self.check_topics(&exchange, routing_keys)?;
        Ok(name)
    }
}

/// A route that was found.
#[derive(Clone, Copy)]
struct Found<'a> {
    queues: &'a [Arc<QueueHandle>],
    with: Option<Careful<'a>>,
    /// Where the exchange counts.
    tally: &'a Arc<ExchangeTally>,
    /// See [`Route`].
    plain: bool,
}

impl<'a> Found<'a> {
    fn new(route: &'a Route, vhost: &'a Vhost) -> Found<'a> {
        Found {
            queues: &route.queues,
            with: route.care.as_deref().map(|care| Careful { care, vhost }),
            tally: &route.tally,
            plain: route.plain,
        }
    }
}

/// What the passports of a message are to be told.
struct Noting {
    /// Those of its queues that have one.
    queues: Vec<Arc<QueueHandle>>,
    /// Whether its exchange had seen its id.
    duplicate: bool,
}

/// A publish to an exchange that does more than routing.
#[derive(Clone, Copy)]
struct Careful<'a> {
    care: &'a Care,
    vhost: &'a Vhost,
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
        self.confirm_asked += u64::from(confirm.is_some());
        let publish = Publish {
            draft,
            routing_keys,
            view: headers,
            confirm,
        };
        if is_direct_reply(draft) {
            publisher.check_write(b"", publisher.vhost.epoch())?;
            return match publisher.default_rules() {
                None => Ok(self.reply_directly(broker, draft)),
                Some(rules) => self.publish_intercepted(broker, publisher, &rules, publish),
            };
        }
        let found = publisher.route(draft.exchange, routing_keys, headers)?;
        if found.plain {
            self.routed += found.queues.len() as u64;
            self.flow.note(found.tally, found.queues.len());
            self.stage(draft, found.queues, |_| confirm);
            return Ok(Published::Routed);
        }
        let rules = found.with.and_then(|with| with.care.interceptor.clone());
        let published = match rules {
            Some(rules) => self.publish_intercepted(broker, publisher, &rules, publish)?,
            None => {
                let (published, noting) = self.stage_found(broker, &publish, found);
                self.note_posted(broker, publisher, &publish, noting);
                published
            }
        };
        if published == Published::Unroutable {
            Metrics::add(&broker.metrics.messages_unroutable, 1);
        }
        Ok(published)
    }

    /// Stages a message for its route. Gives what is to be noted of it once its publisher is free.
    fn stage_found(
        &mut self,
        broker: &Broker,
        publish: &Publish<'_>,
        found: Found<'_>,
    ) -> (Published, Noting) {
        let Publish { draft, confirm, .. } = *publish;
        let staged_before = self.staged.len();
        self.flow.note(found.tally, found.queues.len());
        let routed = match found.with {
            None => self.stage_routed(broker, draft, found.queues, confirm),
            Some(with) => self.stage_with_care(broker, draft, found.queues, with, confirm),
        };
        let noting = Noting {
            queues: with_passport(found.queues),
            duplicate: self.staged.len() == staged_before,
        };
        let published = match routed {
            true => Published::Routed,
            false => Published::Unroutable,
        };
        (published, noting)
    }

    /// Notes a publish for those of its queues that have a passport, if any.
    fn note_posted(
        &mut self,
        broker: &Broker,
        publisher: &Publisher,
        publish: &Publish<'_>,
        noting: Noting,
    ) {
        if noting.queues.is_empty() {
            return;
        }
        let posted = Posted {
            draft: publish.draft,
            routing_keys: publish.routing_keys,
            view: publish.view,
            connection: publisher.connection,
            origin: publisher.origin.as_deref(),
            queues: &noting.queues,
            duplicate: noting.duplicate,
        };
        self.note_publish(broker, &publisher.vhost, &posted);
    }

    /// False if there is no queue.
    fn stage_routed(
        &mut self,
        broker: &Broker,
        draft: &Draft<'_>,
        queues: &[Arc<QueueHandle>],
        confirm: Option<ConfirmTag>,
    ) -> bool {
        self.routed += queues.len() as u64;
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
