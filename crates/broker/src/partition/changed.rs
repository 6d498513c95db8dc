//! What a step has changed, shown outside once, at the end of the step.
//!
//! Invariants
//! - A queue stands in `changed` once, from the first command of a step that changes it to the
//!   end of the step; then what it shows outside is so, and it is planned when it is due next.

use std::sync::atomic::Ordering;

use super::After;
use super::context::StateContext;
use super::state::State;

impl State {
    /// Shows what has become of the queues that this step has changed.
    pub(super) fn show_changed(&mut self, cx: &StateContext<'_>) {
        while let Some(place) = self.changed.pop() {
            let Some(slot) = self.queues.get_mut(place as usize) else {
                continue;
            };
            slot.has_changed = false;
            self.index_bytes += slot.handle.show(&slot.queue.counts(), cx.now);
            let awaited = slot.handle.awaited.load(Ordering::Relaxed);
            if awaited != 0 && slot.queue.has_room((awaited - 1) as u32) {
                slot.handle.awaited.store(0, Ordering::Relaxed);
                let queue = slot.queue.id();
                cx.afters.lock().push(After::Room { queue });
            }
            self.plan(place);
        }
    }
}
