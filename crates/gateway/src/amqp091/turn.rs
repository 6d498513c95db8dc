//! A turn: what one socket read makes a connection do.
//!
//! Invariants
//! - What was staged is submitted before anything else asks the broker about its effect, and at
//!   the latest at the end of the turn.
//! - The ranges owed with a ticket cover exactly the publishes of that submit, in tag order.

use std::time::Instant;

use ferry_broker::{Broker, Burst, ConfirmTag, Hold};
use ferry_core::Millis;

use super::channel::Common;
use super::confirm::ConfirmRange;
use super::lane::LaneId;

/// The work of one socket read.
pub(crate) struct Turn<'w> {
    burst: &'w mut Burst,
    staged: bool,
    confirms: Vec<ConfirmRange>,
    now: Option<Millis>,
    hold: Option<Hold>,
    read_at: Option<Instant>,
}

impl<'w> Turn<'w> {
    /// A turn over the thread's burst.
    pub(crate) fn new(burst: &'w mut Burst) -> Turn<'w> {
        Turn {
            burst,
            staged: false,
            confirms: Vec::new(),
            now: None,
            hold: None,
            read_at: None,
        }
    }

    /// The same over what was just read from the socket: its confirms are measured from there.
    pub(crate) fn of_read(burst: &'w mut Burst, read_at: Instant) -> Turn<'w> {
        Turn {
            read_at: Some(read_at),
            ..Turn::new(burst)
        }
    }

    /// The time of the turn: the clock is read once, however many messages it brings.
    pub(crate) fn now(&mut self, broker: &Broker) -> Millis {
        *self.now.get_or_insert_with(|| broker.now())
    }

    /// The burst, to stage something in.
    pub(crate) fn staging(&mut self) -> &mut Burst {
        self.staged = true;
        self.burst
    }

    /// A queue wants the publisher to wait.
    pub(crate) fn note_hold(&mut self, hold: Hold) {
        self.hold = Some(hold);
    }

    /// Whether a queue wants the publisher to wait.
    pub(crate) fn has_hold(&self) -> bool {
        self.hold.is_some()
    }

    /// What a queue wants the publisher to wait for.
    pub(crate) fn take_hold(&mut self) -> Option<Hold> {
        self.hold.take()
    }

    /// The publish that was just staged is to be confirmed.
    pub(crate) fn confirm(&mut self, lane: LaneId, confirm: ConfirmTag) {
        match self
            .confirms
            .iter_mut()
            .rev()
            .find(|range| range.lane == lane)
        {
            Some(range) => range.last = confirm.tag,
            None => self.confirms.push(ConfirmRange {
                lane,
                channel: confirm.channel,
                first: confirm.tag,
                last: confirm.tag,
            }),
        }
    }

    /// Hands what was staged to the broker.
    pub(crate) fn submit(&mut self, common: &Common) {
        if !std::mem::take(&mut self.staged) {
            return;
        }
        let ticket = self.burst.submit(&common.broker);
        let ranges = std::mem::take(&mut self.confirms);
        if let Some(ticket) = ticket {
            common.link.owe_confirms(ticket, ranges, self.read_at);
        }
    }
}
