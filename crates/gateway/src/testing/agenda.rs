//! What is to be done aside, or later, where no runtime does it.
//!
//! Invariants
//! - It is done in the order of its time, and of its planning where that is the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

type Work = Box<dyn FnOnce() + Send>;

struct Agenda {
    now: Instant,
    planned: BTreeMap<(Instant, u64), Work>,
    next: u64,
}

thread_local! {
    static AGENDA: RefCell<Option<Agenda>> = const { RefCell::new(None) };
}

/// Something that was planned.
pub(crate) struct Planned((Instant, u64));

impl Planned {
    /// It is not done, if it was not yet.
    pub(crate) fn abort(&self) {
        let dropped = AGENDA.with_borrow_mut(|agenda| agenda.as_mut()?.planned.remove(&self.0));
        // Not under the borrow: what it holds may plan, or abort, when it is dropped.
        drop(dropped);
    }
}

/// An empty agenda for this thread.
pub(super) fn begin(now: Instant) {
    let agenda = Agenda {
        now,
        planned: BTreeMap::new(),
        next: 0,
    };
    let _before = AGENDA.replace(Some(agenda));
}

/// Whether this thread is one of a simulation.
pub(crate) fn is_simulated() -> bool {
    AGENDA.with_borrow(Option::is_some)
}

/// Plans work, if this thread has an agenda; else gives it back.
pub(crate) fn plan<W: FnOnce() + Send + 'static>(delay: Duration, work: W) -> Result<Planned, W> {
    AGENDA.with_borrow_mut(|agenda| {
        let Some(agenda) = agenda else {
            return Err(work);
        };
        let key = (agenda.now + delay, agenda.next);
        agenda.next += 1;
        agenda.planned.insert(key, Box::new(work));
        Ok(Planned(key))
    })
}

/// Does what is due.
pub(super) fn work(now: Instant) {
    loop {
        let due = AGENDA.with_borrow_mut(|agenda| {
            let agenda = agenda.as_mut()?;
            agenda.now = now;
            let first = agenda.planned.first_entry()?;
            (first.key().0 <= now).then(|| first.remove())
        });
        match due {
            Some(work) => work(),
            None => return,
        }
    }
}
