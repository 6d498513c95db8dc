//! SUBSCRIBE and UNSUBSCRIBE.
//!
//! Invariants
//! - SUBACK says what is safe: a subscription of a session that lasts is on the disk by then.
//! - A subscription is known here before its binding lets anything through.
//! - Retained messages go by the session's queue, as any other: bounded, in order, and with their
//!   QoS.

use std::sync::Arc;

use ferry_broker::{Promise, QueueHandle};
use mqtt::{
    Properties, Qos, ReasonCode, ReasonList, RetainHandling, Suback, Subscribe, SubscribeOptions,
    Unsuback, Unsubscribe, topic,
};

use super::Running;
use super::sources::OWN;
use crate::mqtt::common::End;
use crate::mqtt::retained::Replay;
use crate::mqtt::store::{self, Shared};
use crate::mqtt::subscriptions::{Subscription, Subscriptions};
use crate::mqtt::turn::Turn;

/// What a filter was granted: when it is safe, and whether retained messages come.
struct Granted {
    qos: Qos,
    safe: Promise,
    replays: bool,
}

/// Why a filter was not granted.
type Refused = ReasonCode;

impl Running {
    pub(super) fn on_subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        turn.submit(&self.common.link);
        let id = subscribe.properties.subscription_identifiers().next();
        let (mut reasons, mut safe, mut replays) = (Vec::new(), Promise::Now, Vec::new());
        for wanted in subscribe.filters.iter() {
            let filter = wanted.filter.as_bytes();
            let granted = match topic::shared(filter).filter(|_| self.common.version.is_5()) {
                Some((group, filter)) => self.share(group, filter, wanted.options, id),
                None => self.subscribe(filter, wanted.options, id),
            };
            reasons.push(match granted {
                Ok(granted) => {
                    safe = safe.max(granted.safe);
                    self.sys.add(&self.common, wanted.filter, id);
                    if granted.replays {
                        replays.push(wanted.filter);
                    }
                    granted_code(granted.qos)
                }
                Err(reason) => {
                    self.log_refusal(wanted.filter, reason);
                    reason
                }
            });
        }
        let mut packet = Vec::new();
        let (version, mut list) = (self.common.version, Vec::new());
        Suback {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: ReasonList::write(&mut list, reasons),
        }
        .write(&mut packet, version);
        self.common.link.send_when(safe, packet);
        for filter in replays {
            self.sys.give(&self.common, filter);
            self.forgo_replay(filter.as_bytes());
            self.replays.push_back(Replay::new(filter.as_bytes()));
        }
        self.replay_retained(turn);
        Ok(())
    }

    /// Forgets retained messages that are still to come.
    fn forgo_replay(&mut self, filter: &[u8]) {
        self.replays.retain(|replay| !replay.is_of(filter));
    }

    fn log_refusal(&self, filter: &str, reason: ReasonCode) {
        tracing::info!(
            peer = %self.common.peer,
            client_id = &*self.common.client_id,
            vhost = self.common.vhost.name(),
            user = self.common.user.name,
            filter,
            ?reason,
            "subscription refused"
        );
    }

    /// The binding key for a filter, if the user may read all that it lets through.
    fn key_of(&self, filter: &[u8]) -> Result<Box<[u8]>, Refused> {
        let mut key = Vec::new();
        topic::filter_to_key(filter, &mut key);
        let (user, vhost) = (&self.common.user, self.common.vhost.name());
        let allowed = user.may_subscribe_filter(vhost, &key);
        allowed
            .map(|key| key.into_owned().into())
            .ok_or(ReasonCode::NotAuthorized)
    }

    fn subscription(
        &self,
        filter: &[u8],
        options: SubscribeOptions,
        id: Option<u32>,
    ) -> Result<Subscription, Refused> {
        Ok(Subscription {
            filter: filter.into(),
            key: self.key_of(filter)?,
            qos: options.qos.bits(),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            id,
        })
    }

    /// The session's own queue, made if this is the first time that it is needed.
    fn own_queue(&mut self) -> Result<(Arc<QueueHandle>, Promise), Refused> {
        if let Some(queue) = self.sources.queue(OWN) {
            return Ok((Arc::clone(queue), Promise::Now));
        }
        let made = store::make(&self.common, self.expiry_s);
        let (queue, promise) = made.map_err(|end| end.reason)?;
        self.sources
            .attach_own(&self.common, Arc::clone(&queue), Subscriptions::default());
        Ok((queue, promise))
    }

    fn check_queue(&self, queue: &QueueHandle) -> Result<(), Refused> {
        let (user, vhost) = (&self.common.user, self.common.vhost.name());
        let checked = user.check_session_subscribe(vhost, queue.name());
        checked.map_err(|_| ReasonCode::NotAuthorized)
    }

    fn subscribe(
        &mut self,
        filter: &[u8],
        options: SubscribeOptions,
        id: Option<u32>,
    ) -> Result<Granted, Refused> {
        let subscription = self.subscription(filter, options, id)?;
        let (queue, made) = self.own_queue()?;
        self.check_queue(&queue)?;
        let before = self.set(filter, Some(subscription.clone()));
        let bound = store::subscribe(&self.common, &queue, &subscription, before.as_ref());
        let bound = match bound {
            Ok(bound) => bound,
            Err(end) => {
                self.set(filter, before);
                return Err(end.reason);
            }
        };
        let consumed = self.sources.consume(&self.common, OWN);
        consumed.map_err(|end| end.reason)?;
        Ok(Granted {
            qos: options.qos,
            safe: made.max(bound),
            replays: match options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => before.is_none(),
                RetainHandling::DoNotSend => false,
            },
        })
    }

    /// Sets or takes what is known of a filter, and gives what was known before.
    fn set(&self, filter: &[u8], subscription: Option<Subscription>) -> Option<Subscription> {
        self.common.link.with(|state| {
            let receiver = state.wire.receiver.as_mut()?;
            let own = receiver.sources.get_mut(usize::from(OWN))?.as_mut()?;
            let before = own.subscriptions.remove(filter);
            if let Some(subscription) = subscription {
                own.subscriptions.set(subscription);
            }
            before
        })
    }

    /// Shares a subscription. Its messages are delivered at most at QoS 1: one that was handed to
    /// somebody who is gone goes to somebody else, which is not exactly once.
    fn share(
        &mut self,
        group: &[u8],
        filter: &[u8],
        options: SubscribeOptions,
        id: Option<u32>,
    ) -> Result<Granted, Refused> {
        let qos = options.qos.min(Qos::AtLeastOnce);
        let subscription = self.subscription(filter, SubscribeOptions { qos, ..options }, id)?;
        let shared = Shared {
            group: group.into(),
            subscription,
        };
        let name = store::shared_queue_name(group, filter);
        let (user, vhost) = (&self.common.user, self.common.vhost.name());
        let may = user.check_session_begin(vhost, &name);
        may.map_err(|_| ReasonCode::NotAuthorized)?;
        let found = store::shared_queue(&self.common, &shared, self.expiry_s);
        let (queue, made) = found.map_err(|end| end.reason)?;
        self.check_queue(&queue)?;
        let before = self.sources.shared(group, filter);
        let noted = match self.sources.lasting_queue() {
            Some(own) => {
                let before = before.map(|(_, shared)| shared);
                store::share(&self.common, own, &shared, before)
            }
            None => Ok(Promise::Now),
        };
        let noted = noted.map_err(|end| end.reason)?;
        let consumed = match before.map(|(place, _)| place) {
            Some(place) => self.sources.change(&self.common, place, shared),
            None => {
                let attached = self.sources.attach_shared(&self.common, queue, shared);
                attached.and_then(|place| self.sources.consume(&self.common, place))
            }
        };
        consumed.map_err(|end| end.reason)?;
        Ok(Granted {
            qos,
            safe: made.max(noted),
            // Nobody in particular would get them.
            replays: false,
        })
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        turn.submit(&self.common.link);
        let (mut reasons, mut safe) = (Vec::new(), Promise::Now);
        for filter in unsubscribe.filters.iter() {
            self.sys.remove(filter);
            let filter = filter.as_bytes();
            let gone = match topic::shared(filter).filter(|_| self.common.version.is_5()) {
                Some((group, filter)) => self.unshare(group, filter),
                None => self.unsubscribe(filter),
            };
            reasons.push(match gone {
                Ok(Some(promise)) => {
                    safe = safe.max(promise);
                    ReasonCode::Success
                }
                Ok(None) => ReasonCode::NoSubscriptionExisted,
                Err(end) => end.reason,
            });
        }
        let (mut packet, mut list) = (Vec::new(), Vec::new());
        Unsuback {
            packet_id: unsubscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: ReasonList::write(&mut list, reasons),
        }
        .write(&mut packet, self.common.version);
        self.common.link.send_when(safe, packet);
        Ok(())
    }

    /// None if it was not subscribed.
    fn unsubscribe(&mut self, filter: &[u8]) -> Result<Option<Promise>, End> {
        let Some(queue) = self.sources.queue(OWN).cloned() else {
            return Ok(None);
        };
        let Some(before) = self.set(filter, None) else {
            return Ok(None);
        };
        self.forgo_replay(filter);
        let promise = store::unsubscribe(&self.common, &queue, &before)?;
        self.sources.consume(&self.common, OWN)?;
        Ok(Some(promise))
    }

    /// None if it was not shared by this session.
    fn unshare(&mut self, group: &[u8], filter: &[u8]) -> Result<Option<Promise>, End> {
        let Some((place, shared)) = self.sources.shared(group, filter) else {
            return Ok(None);
        };
        let promise = match self.sources.lasting_queue() {
            Some(own) => store::unshare(&self.common, own, shared)?,
            None => Promise::Now,
        };
        let shared = shared.clone();
        self.sources.leave(&self.common, place);
        let left = store::leave_all(&self.common, [&shared]);
        Ok(Some(promise.max(left)))
    }
}

fn granted_code(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::Success,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}
