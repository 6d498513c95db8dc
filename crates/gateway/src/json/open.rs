//! A connection that is let in.
//!
//! Invariants
//! - Whatever the way out, what it holds goes back to its queues, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferry_broker::{
    Admitted, Broker, ConnectionId, ConnectionInfo, ConnectionLimits, Kept, KeptFor, Origin,
    Outcome, Publisher, User, Vhost, WeakProbe,
};
use ferry_core::Millis;

use super::answer::{Problem, write_ok};
use super::request::{Request, from};
use super::subscribe::Subscription;
use super::turn::Turn;
use super::wire::Link;
use crate::arrival::Arrival;
use crate::link::event;
use crate::pacing::Pacing;
use crate::shared::Shared;

/// The protocol, as listings show it.
const PROTOCOL: &str = "ferrymq.json";

/// A connection that is let in.
pub(super) struct Open {
    pub(super) broker: Arc<Broker>,
    pub(super) link: Arc<Link>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) user: Arc<User>,
    pub(super) connection: ConnectionId,
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) message_bytes_max: u64,
    pub(super) publisher: Publisher,
    pub(super) pacing: Pacing,
    pub(super) subscriptions: BTreeMap<u64, Subscription>,
    /// The number of the publish before.
    pub(super) last_confirm: u64,
    pub(super) publishes: bool,
    /// A text of which not all has come.
    pub(super) arriving: Kept,
}

impl Open {
    /// Lets a user into a virtual host.
    pub(super) fn new(
        shared: &Shared,
        link: &Arc<Link>,
        arrival: &Arrival,
        user: Arc<User>,
        vhost: &str,
    ) -> Result<Open, Problem> {
        let broker = &shared.broker;
        // Whether a virtual host is there is for those to know who may enter it.
        let found = broker.vhost(vhost).filter(|_| user.may_enter(vhost));
        let vhost = found.ok_or_else(|| {
            let text = format!("access to vhost '{vhost}' refused for user '{}'", user.name);
            Problem::new("access_refused", text)
        })?;
        let local = link.local_addr();
        let admitted = broker.admit_connection(ConnectionInfo {
            peer: arrival.peer.to_string(),
            tls: arrival.tls.clone(),
            local: local.map(|at| at.to_string()).unwrap_or_default(),
            user: user.name.clone(),
            vhost: vhost.name().to_owned(),
            protocol: PROTOCOL,
            mechanism: "PLAIN".to_owned(),
            channel_max: 1,
            probe: WeakProbe::new(Arc::downgrade(link) as _),
            ..ConnectionInfo::default()
        });
        let admitted = admitted.map_err(|error| Problem::new("refused", error.to_string()))?;
        let Admitted { id, limits } = admitted;
        let origin = Origin {
            user: user.name.clone(),
            address: arrival.peer.to_string(),
        };
        let publisher = Publisher::new(Arc::clone(&vhost))
            .by(Arc::clone(&user))
            .with_origin(Arc::new(origin));
        link.with(|state| state.wire.is_open = true);
        Ok(Open {
            broker: Arc::clone(broker),
            link: Arc::clone(link),
            vhost,
            user,
            connection: id,
            pacing: Pacing::new(Arc::clone(&limits)),
            limits,
            message_bytes_max: shared.config.message_bytes_max,
            publisher,
            subscriptions: BTreeMap::new(),
            last_confirm: 0,
            publishes: false,
            arriving: Kept::new(broker, KeptFor::Arriving),
        })
    }

    /// Does what is asked for.
    pub(super) fn handle(&mut self, request: Request, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let id = match request {
            Request::Login { .. } => {
                return Err(Problem::bad("somebody has logged in"));
            }
            Request::Publish(publish) => return self.publish(*publish, turn),
            Request::Subscribe {
                id,
                queue,
                topic,
                no_ack,
                prefetch,
            } => {
                let from = from(queue.as_deref(), topic.as_deref(), no_ack, prefetch)?;
                return self.subscribe(id, &from, turn);
            }
            Request::Unsubscribe { id, subscription } => {
                self.unsubscribe(subscription, turn)?;
                id
            }
            Request::Ack { id, tag } => {
                self.settle(tag, Outcome::Accept, turn)?;
                id
            }
            Request::Nack { id, tag, requeue } => {
                let outcome = match requeue {
                    true => Outcome::Requeue,
                    false => Outcome::Reject,
                };
                self.settle(tag, outcome, turn)?;
                id
            }
            Request::Ping { id } => id,
        };
        if id.is_some() {
            self.link.say(|out| write_ok(out, id, None));
        }
        Ok(())
    }

    fn settle(&self, tag: u64, outcome: Outcome, turn: &mut Turn<'_>) -> Result<(), Problem> {
        let unsettled = self.link.with(|state| {
            let unsettled = state.wire.unsettled.remove(&tag);
            let counts = unsettled.is_some() && outcome == Outcome::Accept;
            state.wire.counts.ack += u64::from(counts);
            unsettled
        });
        let unknown = || Problem::new("unknown_tag", format!("no delivery has the tag {tag}"));
        let (queue, lease) = unsettled.ok_or_else(unknown)?;
        turn.staging().settle(&queue, lease, outcome);
        Ok(())
    }

    /// Does what other threads have asked for.
    pub(super) fn on_events(&mut self, events: u32) {
        if events & event::LEFTOVERS != 0 {
            self.take_cancelled();
        }
        if events & event::RESUME != 0 {
            self.resume_starved();
        }
        if events & event::ACCESS != 0 {
            self.check_subscriptions();
        }
        if events & event::RATES != 0 {
            self.pacing.rates_changed(self.broker.now());
            self.resume_starved();
        }
    }

    /// Why it may not go on.
    pub(super) fn fault(&self) -> Option<String> {
        let (user, vhost) = (&self.user, &self.vhost);
        if user.is_deleted() {
            return Some(format!("user '{}' is deleted", user.name));
        }
        if vhost.is_deleted() {
            return Some(format!("vhost '{}' is deleted", vhost.name()));
        }
        if !user.may_enter(vhost.name()) {
            return Some("the right to the virtual host was taken".to_owned());
        }
        let expires_at = user.expires_at();
        let has_expired = expires_at.is_some_and(|at| at <= self.broker.now());
        has_expired.then(|| "the credential has expired".to_owned())
    }

    /// When there is something to do.
    pub(super) fn wakes_at(&self) -> Option<Millis> {
        let deliveries = self.limits.deliver_resumes_at();
        deliveries.into_iter().chain(self.user.expires_at()).min()
    }

    /// A wait may be over.
    pub(super) fn wake_up(&self) {
        if self.limits.take_awaited(self.broker.now()) {
            self.resume_starved();
        }
    }

    /// Gives everything back.
    pub(super) fn release(mut self, turn: &mut Turn<'_>) {
        turn.submit(&self.link);
        self.end_subscriptions();
        let unsettled = self
            .link
            .with(|state| std::mem::take(&mut state.wire.unsettled));
        for (queue, lease) in unsettled.into_values() {
            turn.staging().settle(&queue, lease, Outcome::Requeue);
        }
        turn.submit(&self.link);
        self.broker.connection_closed(self.connection);
    }
}
