//! What other threads ask of an open connection, and what happens by time.

use ferry_broker::Outcome;
use ferry_core::Millis;
use mqtt::ReasonCode;

use super::Running;
use super::sources::OWN;
use crate::link::event;
use crate::mqtt::common::End;
use crate::mqtt::store::KeptId;
use crate::mqtt::turn::Turn;
use crate::mqtt::wire::Leftovers;

/// After how long it is looked again whether there is room for retained messages, in milliseconds:
/// what makes room is nearly always seen at once.
const REPLAY_MS: u64 = 100;

impl Running {
    /// Does what other threads have asked for.
    pub(crate) fn on_events(&mut self, events: u32, turn: &mut Turn<'_>) -> Result<(), End> {
        // What was paid to the client wakes as what lets consumers go on does.
        if events & (event::LEFTOVERS | event::RESUME) != 0 {
            self.take_leftovers(turn)?;
        }
        if events & event::SYS != 0 {
            self.sys.tell(&self.common);
        }
        if events & event::RESUME != 0 {
            self.resume_starved();
            self.replay_retained(turn);
        }
        if events & event::PRESSURE != 0 {
            self.blocked = self.common.broker.memory().blocked();
            self.arriving.go_on(self.blocked.is_none());
            self.replay(turn)?;
        }
        if events & event::ACCESS != 0 {
            self.access_changed()?;
        }
        Ok(())
    }

    /// Lets the consumers go on that were refused.
    pub(super) fn resume_starved(&self) {
        let starved = self.sources.starved();
        if !starved.is_empty() {
            self.common.broker.resume(&starved);
        }
    }

    /// Takes up what deliveries and refusals have left.
    pub(super) fn take_leftovers(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let leftovers = self
            .common
            .link
            .with(|state| std::mem::take(&mut state.wire.leftovers));
        let Leftovers {
            done,
            tags,
            refused,
            cancelled,
            must_end,
        } = leftovers;
        for (source, lease) in done {
            if let Some(queue) = self.sources.queue(source) {
                turn.staging().settle(queue, lease, Outcome::Accept);
            }
        }
        self.forget_refused(refused);
        self.keep_ids(tags, turn);
        for source in cancelled {
            if source == OWN {
                let text = "the session's queue is gone";
                return Err(End::refused(ReasonCode::AdministrativeAction, text));
            }
            self.sources.leave(&self.common, source);
        }
        match must_end {
            true => Err(End::refused(
                ReasonCode::QuotaExceeded,
                "a queue is full and refused a publish",
            )),
            false => Ok(()),
        }
    }

    /// The client may publish under these ids again: what it did was not taken.
    pub(super) fn forget_refused(&mut self, ids: Vec<u16>) {
        for id in ids {
            self.received.remove(&id);
        }
    }

    /// Has packet ids kept with their messages; the PUBLISH packets go out when they are safe.
    fn keep_ids(&mut self, tags: Vec<(u16, ferry_broker::Lease, u16)>, turn: &mut Turn<'_>) {
        if tags.is_empty() {
            return;
        }
        let burst = turn.staging();
        let mut ids = Vec::with_capacity(tags.len());
        for (source, lease, id) in tags {
            if let Some(queue) = self.sources.queue(source) {
                burst.tag(queue, lease, KeptId { id, qos: 2 }.number());
                ids.push(id);
            }
        }
        burst.want_ticket();
        turn.submit_for(&self.common.link, ids);
    }

    /// Works through what is held until publishes are held again.
    fn replay(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let held = self.held.take();
        let mut at = 0;
        while at < held.len() && !self.is_holding() {
            at += self.replay_one(&held[at..], turn)?;
        }
        self.held.put_back(&held[at..]);
        Ok(())
    }

    /// The socket is closed, or another one has taken its place: what the client had sent before
    /// that is taken, whatever holds it, also its farewell. It is in memory already, and bounded.
    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let held = self.held.take();
        let mut at = 0;
        while at < held.len() {
            at += self.replay_one(&held[at..], turn)?;
        }
        Ok(())
    }

    fn replay_one(&mut self, held: &[u8], turn: &mut Turn<'_>) -> Result<usize, End> {
        let frame = mqtt::frame(held, u32::MAX)?;
        let frame = frame.expect("only whole packets are held");
        self.on_frame(frame, turn)?;
        Ok(frame.size)
    }

    /// Whether a rate holds publishes.
    pub(crate) fn is_paced(&self) -> bool {
        self.pacing.is_holding()
    }

    /// When a wait for the sake of a rate is over.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        let deliveries = self.common.limits.deliver_resumes_at();
        let retained = (!self.replays.is_empty()).then(|| self.common.broker.now() + REPLAY_MS);
        let waits = self.pacing.wakes_at().into_iter().chain(deliveries);
        waits.chain(retained).min()
    }

    /// A wait may be over, or rates are others now.
    pub(crate) fn wake_up(&mut self, events: u32, turn: &mut Turn<'_>) -> Result<(), End> {
        let now = turn.now(&self.common.broker);
        let changed = events & event::RATES != 0;
        let released = match changed {
            true => {
                self.metered = self.pacing.is_metered();
                self.pacing.rates_changed(now);
                true
            }
            false => self.pacing.release(now),
        };
        if released {
            self.replay(turn)?;
        }
        if changed || self.common.limits.take_awaited(now) {
            self.resume_starved();
        }
        self.replay_retained(turn);
        Ok(())
    }

    /// Stages more of the retained messages that the client is owed, as far as it reads.
    pub(super) fn replay_retained(&mut self, turn: &mut Turn<'_>) {
        let Some(queue) = self.sources.queue(OWN) else {
            return;
        };
        while let Some(replay) = self.replays.front_mut() {
            if !replay.go_on(&self.common, queue, turn) {
                return;
            }
            self.replays.pop_front();
        }
    }

    /// Rights were taken: a session that is subscribed to what it may not read any more is ended.
    fn access_changed(&mut self) -> Result<(), End> {
        let (user, vhost) = (&self.common.user, self.common.vhost.name());
        if !user.may_enter(vhost) {
            let text = "the right to the virtual host was taken";
            return Err(End::refused(ReasonCode::NotAuthorized, text));
        }
        let keys: Vec<_> = self.common.link.with(|state| {
            let receiver = state.wire.receiver.iter();
            let sources = receiver.flat_map(|receiver| receiver.sources.iter().flatten());
            let all = sources.flat_map(|source| source.subscriptions.iter());
            all.map(|one| one.key.clone()).collect()
        });
        let may_not = |key: &[u8]| {
            let allowed = user.may_subscribe_filter(vhost, key);
            allowed.is_none_or(|allowed| *allowed != *key)
        };
        match keys.iter().any(|key| may_not(key)) {
            true => Err(End::refused(
                ReasonCode::NotAuthorized,
                "the right to read what is subscribed was taken",
            )),
            false => Ok(()),
        }
    }
}
