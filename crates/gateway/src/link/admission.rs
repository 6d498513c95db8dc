//! Whether a delivery may come: what the rates of its connection say, and the room in the outbox.

use std::sync::atomic::{AtomicBool, Ordering};

use ferry_broker::ConnectionLimits;
use ferry_core::queue::DELIVERY_OVERHEAD_BYTES;

use super::{Link, Wire, event};

impl<W: Wire> Link<W> {
    /// Admits a delivery of so many bytes: its room is reserved until `unreserve`, and it counts
    /// for the rates. A refusal sets `mark`; `passes` is asked last, and marks its own.
    pub(crate) fn admit(
        &self,
        bytes: usize,
        limits: &ConnectionLimits,
        mark: &AtomicBool,
        passes: impl FnOnce() -> bool,
    ) -> bool {
        if !self.passes_rates(limits, mark) || !self.reserve(bytes, mark) {
            return false;
        }
        let passes = passes();
        if !passes {
            self.unreserve(bytes);
        } else if limits.meters_deliveries() {
            let body_bytes = bytes.saturating_sub(DELIVERY_OVERHEAD_BYTES);
            limits.charge_delivery(body_bytes as u64);
        }
        passes
    }

    /// Whether the rates let one more go. If not, the connection's timer says when.
    fn passes_rates(&self, limits: &ConnectionLimits, mark: &AtomicBool) -> bool {
        if !limits.meters_deliveries() || limits.may_deliver() {
            return true;
        }
        mark.store(true, Ordering::SeqCst);
        limits.await_deliveries();
        self.notify(event::PACED);
        false
    }
}
