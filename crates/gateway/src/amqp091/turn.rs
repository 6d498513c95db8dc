//! What a turn owes in AMQP 0-9-1: confirms.
//!
//! Invariants
//! - The ranges owed with a ticket cover exactly the publishes of that submit, in tag order.

use ferry_broker::ConfirmTag;

use super::channel::Common;
use super::confirm::ConfirmRange;
use super::lane::LaneId;
use crate::turn;

/// The work of one socket read.
pub(crate) type Turn<'w> = turn::Turn<'w, ConfirmRange>;

impl Turn<'_> {
    /// The publish that was just staged is to be confirmed.
    pub(crate) fn confirm(&mut self, lane: LaneId, confirm: ConfirmTag) {
        match self.owed.iter_mut().rev().find(|range| range.lane == lane) {
            Some(range) => range.last = confirm.tag,
            None => self.owed.push(ConfirmRange {
                lane,
                channel: confirm.channel,
                first: confirm.tag,
                last: confirm.tag,
            }),
        }
    }

    /// Hands what was staged to the broker.
    pub(crate) fn submit(&mut self, common: &Common) {
        if !self.has_staged() {
            return;
        }
        let ticket = self.hand_over(&common.broker);
        let ranges = std::mem::take(&mut self.owed);
        if let Some(ticket) = ticket {
            common.link.owe_confirms(ticket, ranges, self.read_at());
        }
    }
}
