//! Wills that wait: their connections are gone, and it is not their time yet.
//!
//! Invariants
//! - At most one will waits for a client; a session that goes on takes it back, one that ends has
//!   it published at once.
//! - All that wait take [`WAITING_BYTES_MAX`] at most: beyond that they do not wait.
//! - None is forgotten when the gateway goes down in order. They do not outlive a crash.

use std::sync::Arc;
use std::time::Duration;

use ferry_broker::Burst;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::clients::ClientKey;
use super::will::{Author, Will};
use crate::worker::{Later, later, with_worker};

/// What all waiting wills may take, in bytes.
const WAITING_BYTES_MAX: usize = 64 << 20;

struct Waiting {
    number: u64,
    author: Author,
    will: Will,
    timer: Later,
}

#[derive(Default)]
struct Table {
    of: HashMap<ClientKey, Waiting, crate::hashing::HashState>,
    bytes: usize,
    next: u64,
}

impl Table {
    fn remove(&mut self, key: &ClientKey) -> Option<Waiting> {
        let waiting = self.of.remove(key)?;
        self.bytes -= waiting.will.bytes();
        Some(waiting)
    }
}

/// All wills that wait.
#[derive(Default)]
pub(crate) struct Wills(Mutex<Table>);

impl Wills {
    /// Keeps a will until its time; gives it back if there is no room. Within a tokio runtime.
    pub(crate) fn wait(
        self: &Arc<Wills>,
        key: ClientKey,
        author: Author,
        will: Will,
        delay: Duration,
    ) -> Result<(), (Author, Will)> {
        let mut table = self.0.lock();
        if table.bytes + will.bytes() > WAITING_BYTES_MAX {
            return Err((author, will));
        }
        table.next += 1;
        let number = table.next;
        let (wills, of) = (Arc::downgrade(self), key.clone());
        let timer = later(delay, move || {
            if let Some(wills) = wills.upgrade() {
                wills.fire(&of, number);
            }
        });
        table.bytes += will.bytes();
        let waiting = Waiting {
            number,
            author,
            will,
            timer,
        };
        let before = table.of.insert(key, waiting);
        // A session that begins settles the will of the one before it: there is none.
        if let Some(before) = before {
            table.bytes -= before.will.bytes();
            before.timer.abort();
        }
        Ok(())
    }

    /// A session goes on, or ends to make room for a new one: its will is taken back, or published.
    pub(crate) fn settle(&self, key: &ClientKey, goes_on: bool, burst: &mut Burst) {
        let Some(waiting) = self.0.lock().remove(key) else {
            return;
        };
        waiting.timer.abort();
        if !goes_on {
            waiting.author.publish(&waiting.will, burst);
        }
    }

    fn fire(&self, key: &ClientKey, number: u64) {
        let mut table = self.0.lock();
        if table
            .of
            .get(key)
            .is_none_or(|waiting| waiting.number != number)
        {
            return;
        }
        let waiting = table.remove(key);
        drop(table);
        if let Some(waiting) = waiting {
            with_worker(|worker| waiting.author.publish(&waiting.will, &mut worker.burst));
        }
    }

    /// The gateway is going down: publishes all of them.
    pub(crate) fn publish_all(&self) {
        let all = std::mem::take(&mut *self.0.lock()).of;
        for waiting in all.into_values() {
            waiting.timer.abort();
            with_worker(|worker| waiting.author.publish(&waiting.will, &mut worker.burst));
        }
    }
}

#[cfg(test)]
mod tests;
