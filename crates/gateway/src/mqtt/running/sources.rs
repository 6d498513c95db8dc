//! The queues that a session's messages come from: its own, and those that it shares.
//!
//! Invariants
//! - The first is the session's own, made when it is needed first. Others keep their place for as
//!   long as the connection is open, also when they are left.
//! - Each has one consumer here, which settles nothing if nothing has more than QoS 0.

use std::sync::Arc;

use ferry_broker::{Choice, ConsumeError, ConsumerHandle, ConsumerSpec, QueueHandle};
use mqtt::ReasonCode;

use crate::mqtt::common::{Common, End};
use crate::mqtt::deliver::{Source, SourceOutlet};
use crate::mqtt::store::{Shared, Stored};
use crate::mqtt::subscriptions::Subscriptions;

/// The place of the session's own queue.
pub(super) const OWN: u16 = 0;

/// One of them.
struct Attached {
    queue: Arc<QueueHandle>,
    consumer: Option<(ConsumerHandle, Arc<SourceOutlet>)>,
    no_ack: bool,
    /// What is shared by it.
    shared: Option<Shared>,
}

/// All of them.
pub(super) struct Sources {
    list: Vec<Option<Attached>>,
    /// What was there when the connection was opened, and is not attached yet.
    pub(super) stored: Option<Box<Stored>>,
    /// Whether messages in the session's queue have packet ids from before.
    pub(super) comes_again: bool,
}

/// Makes room for one more place, and no more: nearly all sessions have a single one.
fn make_place<T>(list: &mut Vec<Option<T>>, index: usize) {
    let missing = (index + 1).saturating_sub(list.len());
    list.reserve_exact(missing);
    list.resize_with(list.len() + missing, || None);
}

impl Sources {
    /// Nothing is attached yet.
    pub(super) fn new(stored: Stored) -> Sources {
        Sources {
            list: Vec::new(),
            comes_again: !stored.kept_ids.is_empty(),
            stored: Some(Box::new(stored)),
        }
    }

    /// The queue of a source.
    pub(super) fn queue(&self, source: u16) -> Option<&Arc<QueueHandle>> {
        let found = self.list.get(usize::from(source))?.as_ref()?;
        Some(&found.queue)
    }

    /// The session's own queue, if it outlives the connection.
    pub(super) fn lasting_queue(&self) -> Option<&Arc<QueueHandle>> {
        let stored = || self.stored.as_ref()?.queue.as_ref();
        let queue = self.queue(OWN).or_else(stored);
        queue.filter(|queue| queue.durable())
    }

    /// The place of what is shared so, and how.
    pub(super) fn shared(&self, group: &[u8], filter: &[u8]) -> Option<(u16, &Shared)> {
        let is_it =
            |shared: &&Shared| *shared.group == *group && *shared.subscription.filter == *filter;
        let all = self.list.iter().zip(0u16..);
        let mut shared =
            all.filter_map(|(one, place)| Some((place, one.as_ref()?.shared.as_ref()?)));
        shared.find(|(_, shared)| is_it(shared))
    }

    /// All places that are taken.
    pub(super) fn places(&self) -> Vec<u16> {
        let taken = self.list.iter().zip(0u16..);
        taken
            .filter_map(|(one, place)| one.is_some().then_some(place))
            .collect()
    }

    /// The consumers that were refused room since the last call.
    pub(super) fn starved(&self) -> Vec<ConsumerHandle> {
        let consumers = self
            .list
            .iter()
            .flatten()
            .filter_map(|one| one.consumer.as_ref());
        consumers
            .filter(|(_, outlet)| outlet.take_starved())
            .map(|(handle, _)| handle.clone())
            .collect()
    }

    /// Attaches the session's own queue, without a consumer.
    pub(super) fn attach_own(
        &mut self,
        common: &Common,
        queue: Arc<QueueHandle>,
        subscriptions: Subscriptions,
    ) {
        self.put(common, OWN, queue, subscriptions, None);
    }

    /// Attaches a queue that is shared, without a consumer, and gives its place.
    pub(super) fn attach_shared(
        &mut self,
        common: &Common,
        queue: Arc<QueueHandle>,
        shared: Shared,
    ) -> Result<u16, End> {
        let mut subscriptions = Subscriptions::default();
        subscriptions.set(shared.subscription.clone());
        // The first place is kept for the session's own queue, whether it has one or not.
        let place = self.list.len().max(usize::from(OWN) + 1);
        let place = u16::try_from(place).map_err(|_| {
            let text = "there are too many shared subscriptions";
            End::refused(ReasonCode::QuotaExceeded, text)
        })?;
        self.put(common, place, queue, subscriptions, Some(shared));
        Ok(place)
    }

    fn put(
        &mut self,
        common: &Common,
        place: u16,
        queue: Arc<QueueHandle>,
        subscriptions: Subscriptions,
        shared: Option<Shared>,
    ) {
        let index = usize::from(place);
        let source = Source {
            queue: Arc::clone(&queue),
            subscriptions,
            no_ack: false,
            keeps_ids: place == OWN,
        };
        make_place(&mut self.list, index);
        self.list[index] = Some(Attached {
            queue,
            consumer: None,
            no_ack: false,
            shared,
        });
        common.link.with(|state| {
            let Some(receiver) = &mut state.wire.receiver else {
                return;
            };
            make_place(&mut receiver.sources, index);
            receiver.sources[index] = Some(source);
        });
    }

    /// Subscribes to what is shared with other options than before.
    pub(super) fn change(
        &mut self,
        common: &Common,
        place: u16,
        shared: Shared,
    ) -> Result<(), End> {
        common.link.with(|state| {
            let receiver = state.wire.receiver.as_mut()?;
            let source = receiver.sources.get_mut(usize::from(place))?.as_mut()?;
            source.subscriptions.set(shared.subscription.clone());
            Some(())
        });
        if let Some(Some(one)) = self.list.get_mut(usize::from(place)) {
            one.shared = Some(shared);
        }
        self.consume(common, place)
    }

    /// What is shared.
    pub(super) fn all_shared(&self) -> impl Iterator<Item = &Shared> {
        let all = self.list.iter().flatten();
        let stored = self.stored.iter().flat_map(|stored| &stored.shared);
        all.filter_map(|one| one.shared.as_ref()).chain(stored)
    }

    /// Consumes from a source, in the way that its subscriptions need.
    pub(super) fn consume(&mut self, common: &Common, place: u16) -> Result<(), End> {
        let Some(Some(attached)) = self.list.get_mut(usize::from(place)) else {
            return Ok(());
        };
        // What was sent once with an id has to be acknowledged, whatever is subscribed now.
        let needs_ack = place == OWN && self.comes_again;
        let no_ack = common.link.with(|state| {
            let receiver = state.wire.receiver.as_mut()?;
            let source = receiver.sources.get_mut(usize::from(place))?.as_mut()?;
            source.no_ack = !needs_ack && source.subscriptions.qos_max() == 0;
            Some(source.no_ack)
        });
        let no_ack = no_ack.unwrap_or_default();
        if attached.consumer.is_some() && attached.no_ack == no_ack {
            return Ok(());
        }
        if let Some((handle, _)) = attached.consumer.take() {
            common.broker.cancel(&handle);
        }
        attached.no_ack = no_ack;
        let outlet = Arc::new(SourceOutlet::new(
            Arc::clone(&common.link),
            Arc::clone(&common.limits),
            common.connection,
            place,
            no_ack,
        ));
        let spec = ConsumerSpec {
            tag: common.client_id.to_string(),
            no_ack,
            exclusive: false,
            priority: 0,
            prefetch: common.terms.receive_max_out.into(),
            choice: Choice::default(),
            outlet: outlet.clone(),
        };
        let consumed = common.broker.consume(&attached.queue, spec, &mut || ());
        let handle = consumed.map_err(|error| {
            let reason = match error {
                ConsumeError::NoRoom(_) => ReasonCode::QuotaExceeded,
                _ => ReasonCode::ImplementationSpecific,
            };
            End::refused(reason, error.to_string())
        })?;
        attached.consumer = Some((handle, outlet));
        Ok(())
    }

    /// Stops consuming from a source; what is in flight stays there.
    pub(super) fn stop(&mut self, common: &Common, place: u16) {
        let found = self
            .list
            .get_mut(usize::from(place))
            .and_then(Option::as_mut);
        if let Some((handle, _)) = found.and_then(|attached| attached.consumer.take()) {
            common.broker.cancel(&handle);
        }
    }

    /// A shared source is left, or gone. Its place is not used again: something of it may be in
    /// flight.
    pub(super) fn leave(&mut self, common: &Common, place: u16) {
        self.stop(common, place);
        if let Some(Some(one)) = self.list.get_mut(usize::from(place)) {
            one.shared = None;
        }
        common.link.with(|state| {
            let receiver = state.wire.receiver.as_mut();
            let sources = receiver.map(|receiver| &mut receiver.sources);
            if let Some(source) = sources.and_then(|all| all.get_mut(usize::from(place))) {
                *source = None;
            }
        });
    }
}
