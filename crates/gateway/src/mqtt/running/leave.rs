//! A connection takes up its session, and gives it back at its end.
//!
//! Invariants
//! - What is in flight at the end waits first in its queue, and comes again with its packet id.
//! - A session that does not last is gone with its connection.

use ferry_broker::{Metrics, Outcome, Promise};
use mqtt::{Pubrel, ReasonCode};

use super::Running;
use super::sources::OWN;
use crate::mqtt::flights::{Flight, Stage};
use crate::mqtt::store::{self, KeptId, Note};
use crate::mqtt::subscriptions::Subscriptions;
use crate::mqtt::sys::SysWatch;
use crate::mqtt::turn::Turn;

impl Running {
    /// Goes on where the session was left. Called when the client was told that it is let in.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        let Some(stored) = self.sources.stored.take() else {
            return;
        };
        let Some(queue) = stored.queue else {
            return;
        };
        self.release_again(&stored.notes, &stored.kept_ids);
        let mut subscriptions = Subscriptions::default();
        for one in stored.subscriptions {
            if let Ok(filter) = std::str::from_utf8(&one.filter) {
                self.sys.add(&self.common, filter, one.id);
            }
            subscriptions.set(one);
        }
        self.sources.attach_own(&self.common, queue, subscriptions);
        let mut resumed = self.sources.consume(&self.common, OWN);
        for shared in stored.shared {
            resumed = resumed.and_then(|()| {
                let found = store::shared_queue(&self.common, &shared, self.expiry_s);
                let (queue, _) = found?;
                let place = self.sources.attach_shared(&self.common, queue, shared)?;
                self.sources.consume(&self.common, place)
            });
        }
        if let Err(end) = resumed {
            tracing::warn!(
                client_id = &*self.common.client_id,
                vhost = self.common.vhost.name(),
                reason = end.text,
                "a part of the session can not be resumed"
            );
        }
        turn.submit(&self.common.link);
    }

    /// Sends PUBREL again for what the client has not answered; keeps the ids of what will come
    /// again.
    fn release_again(&self, notes: &[Note], kept_ids: &[KeptId]) {
        let version = self.common.version;
        let kept = kept_ids.iter().map(|kept| kept.id).collect();
        self.common.link.with(|state| {
            state.wire.flights.keep(&kept);
            for note in notes {
                let Note::Released(id) = *note else {
                    continue;
                };
                let flight = Flight {
                    lease: None,
                    source: OWN,
                    stage: Stage::AwaitsPubcomp,
                };
                if state.wire.flights.begin_with(id, flight) {
                    Pubrel::new(id, ReasonCode::Success).write(state.outbox.buffer(), version);
                }
            }
        });
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self, turn: &mut Turn<'_>) {
        for place in self.sources.places() {
            self.sources.stop(&self.common, place);
        }
        self.sys = SysWatch::default();
        turn.submit(&self.common.link);
        self.give_back(turn);
        turn.submit(&self.common.link);
        if let Err(end) = self.keep_or_end() {
            tracing::error!(
                client_id = &*self.common.client_id,
                vhost = self.common.vhost.name(),
                reason = end.text,
                "the session can not be kept as it should"
            );
        }
        let metrics = self.common.broker.metrics();
        Metrics::add(&metrics.channels_closed, 1);
        Metrics::add(&metrics.publishers_closed, u64::from(self.publishes));
        self.common.broker.connection_closed(self.common.connection);
    }

    /// Requeues what is in flight.
    fn give_back(&mut self, turn: &mut Turn<'_>) {
        let (flights, done, refused) = self.common.link.with(|state| {
            let flights: Vec<_> = state
                .wire
                .flights
                .iter()
                .map(|(id, one)| (id, *one))
                .collect();
            let done = std::mem::take(&mut state.wire.leftovers.done);
            (flights, done, state.wire.take_refused())
        });
        self.forget_refused(refused);
        for (source, lease) in done {
            if let Some(queue) = self.sources.queue(source) {
                turn.staging().settle(queue, lease, Outcome::Accept);
            }
        }
        for (id, flight) in flights {
            let queue = self.sources.queue(flight.source);
            if let (Some(lease), Some(queue)) = (flight.lease, queue) {
                let burst = turn.staging();
                // The others of a shared queue have packet ids of their own.
                if flight.source == OWN {
                    let qos = if flight.stage == Stage::AwaitsPuback {
                        1
                    } else {
                        2
                    };
                    burst.tag(queue, lease, KeptId { id, qos }.number());
                }
                burst.settle(queue, lease, Outcome::Requeue);
            }
        }
    }

    /// Has the session kept for as long as was asked for, or ends it.
    fn keep_or_end(&self) -> Result<Promise, crate::mqtt::common::End> {
        let promise = match self.sources.lasting_queue() {
            None => Promise::Now,
            Some(queue) if self.expiry_s == 0 => store::end(&self.common, queue.name())?,
            Some(queue) => return store::set_expiry(&self.common, queue, self.expiry_s),
        };
        let left = store::leave_all(&self.common, self.sources.all_shared());
        Ok(promise.max(left))
    }
}
