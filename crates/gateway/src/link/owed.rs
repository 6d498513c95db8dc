//! What is owed to a client, oldest first, until what it waits for has come.
//!
//! Invariants
//! - What is owed is paid in the order in which it was incurred, and not before the promise behind
//!   it is kept.
//! - At most one wait is armed, for the oldest debt; paying stops there.

use std::collections::VecDeque;

use ferry_broker::Promise;

/// Debts whose space is kept when all are paid.
const KEPT_MAX: usize = 64;

/// What has to be waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait<P> {
    /// Nothing: all is paid, or a wait is armed already.
    Nothing,
    /// The log.
    Kept(Promise),
    /// The partitions.
    Resolved(P),
}

/// A debt: it says what it waits for.
pub(crate) trait Due {
    /// What stands for work that is not applied yet.
    type Pledge;

    /// The promise that it waits for; the pledge as long as there is none.
    fn due(&self) -> Result<Promise, Self::Pledge>;
}

/// The debts of one connection.
#[derive(Debug)]
pub(crate) struct Owed<D> {
    queue: VecDeque<D>,
    armed: bool,
}

impl<D> Default for Owed<D> {
    fn default() -> Self {
        Owed {
            queue: VecDeque::new(),
            armed: false,
        }
    }
}

impl<D: Due> Owed<D> {
    /// Owes one more.
    pub(crate) fn push(&mut self, debt: D) {
        self.queue.push_back(debt);
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &D> {
        self.queue.iter()
    }

    /// The oldest if it is due, which is not owed any more; else what to wait for, which counts as
    /// armed then.
    pub(crate) fn next(&mut self, kept: impl Fn(Promise) -> bool) -> Result<D, Wait<D::Pledge>> {
        let wait = match self.queue.front().map(Due::due) {
            None => Wait::Nothing,
            Some(Err(pledge)) => Wait::Resolved(pledge),
            Some(Ok(promise)) if !kept(promise) => Wait::Kept(promise),
            Some(Ok(_)) => return Ok(self.queue.pop_front().expect("the front was just seen")),
        };
        if matches!(wait, Wait::Nothing) {
            if self.queue.capacity() > KEPT_MAX {
                self.queue = VecDeque::new();
            }
            return Err(wait);
        }
        match std::mem::replace(&mut self.armed, true) {
            true => Err(Wait::Nothing),
            false => Err(wait),
        }
    }

    /// The armed wait is over, or came to nothing.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// Forgets everything that is owed.
    pub(crate) fn clear(&mut self) {
        self.queue = VecDeque::new();
    }
}
