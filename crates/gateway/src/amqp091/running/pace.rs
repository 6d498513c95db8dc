//! Rates of an open connection: what is held for them, and what happens when the wait is over.
//!
//! Invariants
//! - Held frames go on in the order in which they came; a message that has begun is finished.

use amqp091::method::connection;
use amqp091::{Method, ShortStr};
use ferry_core::Millis;

use super::{End, Running};
use crate::amqp091::turn::Turn;

impl Running {
    /// Whether publishes are held, for whatever reason.
    pub(super) fn is_holding(&self) -> bool {
        self.blocked.is_some() || self.pacing.is_holding()
    }

    /// Whether a rate holds publishes.
    pub(crate) fn is_paced(&self) -> bool {
        self.pacing.is_holding()
    }

    /// More has come from the socket.
    pub(super) fn begin_read(&mut self, turn: &mut Turn<'_>) {
        self.metered = self.pacing.is_metered();
        if self.metered && !self.is_holding() {
            let now = turn.now(&self.common.broker);
            self.pacing.begin(now);
            self.tell_held(now);
        }
    }

    /// A message with a body of so many bytes was published.
    #[inline]
    pub(super) fn charge(&mut self, bytes: usize, turn: &mut Turn<'_>) {
        if self.metered || turn.has_hold() {
            self.charge_rates(bytes, turn);
        }
    }

    #[inline(never)]
    fn charge_rates(&mut self, bytes: usize, turn: &mut Turn<'_>) {
        let now = turn.now(&self.common.broker);
        self.pacing.charge(bytes, turn.take_hold(), now);
        self.tell_held(now);
    }

    /// Works through what is held until publishes are held again.
    pub(super) fn replay(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let (frames, mut at) = self.held.take();
        while at < frames.len() && !self.is_holding() {
            let used = self.step(&frames[at..], turn)?;
            assert!(used > 0, "only whole frames are held");
            at += used;
        }
        if at == frames.len() {
            self.held.forget_channels();
            return Ok(());
        }
        if !self.amid_held_message() {
            self.held.put_back(frames, at);
            return Ok(());
        }
        self.held.forget_channels();
        while at < frames.len() {
            at += self.step(&frames[at..], turn)?;
        }
        Ok(())
    }

    /// Whether the frames of several channels were mixed, so that one is amid a message now.
    fn amid_held_message(&mut self) -> bool {
        let Running { held, channels, .. } = self;
        held.channels().iter().any(|number| {
            let channel = channels.get(*number);
            channel.is_some_and(|channel| !channel.input.is_idle())
        })
    }

    /// Tells a client that publishes and wants to know that a rate holds it.
    pub(super) fn tell_held(&mut self, now: Millis) {
        if !self.publishes || !self.client.notify_blocked || self.told_blocked {
            return;
        }
        if self.pacing.tells(now)
            && let Some(reason) = self.pacing.reason()
        {
            self.write_blocked(ShortStr::clipped(reason.as_bytes()));
        }
    }

    pub(super) fn write_blocked(&mut self, reason: ShortStr<'_>) {
        self.told_blocked = true;
        let blocked = Method::ConnectionBlocked(connection::Blocked { reason });
        self.common
            .link
            .with(|state| blocked.write_frame(state.outbox.buffer(), 0));
    }

    /// Tells a client that was told the contrary that it may publish, if nothing holds it.
    pub(super) fn tell_unblocked(&mut self) {
        if self.blocked.is_some() || self.pacing.has_told() || !self.told_blocked {
            return;
        }
        self.told_blocked = false;
        let unblocked = Method::ConnectionUnblocked(connection::Unblocked {});
        self.common
            .link
            .with(|state| unblocked.write_frame(state.outbox.buffer(), 0));
    }

    /// When a wait for the sake of a rate is over.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        let deliveries = self.common.limits.deliver_resumes_at();
        self.pacing.wakes_at().into_iter().chain(deliveries).min()
    }

    /// A wait may be over.
    pub(crate) fn wake_up(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let now = turn.now(&self.common.broker);
        if self.pacing.release(now) {
            self.replay(turn)?;
        }
        if self.pacing.tells_free(now) {
            self.tell_unblocked();
        }
        if self.common.limits.take_awaited(now) {
            self.resume_starved();
        }
        Ok(())
    }

    /// Rates are others now: what is held goes on until it is held by these.
    pub(crate) fn rates_changed(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        self.metered = self.pacing.is_metered();
        let now = turn.now(&self.common.broker);
        self.pacing.rates_changed(now);
        self.replay(turn)?;
        self.resume_starved();
        Ok(())
    }
}
