//! What a thread keeps for the connections it works for: the read buffer, the burst, and the list
//! of connections whose outbox it has written to.
//!
//! Invariants
//! - No connection owns any of this: an idle connection holds no buffer.
//! - A link is in the list of at most one thread; whoever put it there flushes it.
//! - Whoever runs broker work on a thread calls [`flush_touched`] before it goes idle.

use std::cell::RefCell;
use std::sync::Arc;

use ferry_broker::Burst;

use crate::link::Link;

/// Room in the read buffer beside one frame that is not complete yet, in bytes.
pub(crate) const SCRATCH_BYTES: usize = 256 << 10;

/// A thread's buffers for the burst it works on.
pub(crate) struct Worker {
    /// Where sockets are read into.
    pub(crate) scratch: Vec<u8>,
    /// What the current read has brought.
    pub(crate) burst: Burst,
}

thread_local! {
    static WORKER: RefCell<Option<Box<Worker>>> = const { RefCell::new(None) };
    static TOUCHED: RefCell<Vec<Arc<Link>>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's buffers for one piece of work.
pub(crate) fn with_worker<R>(work: impl FnOnce(&mut Worker) -> R) -> R {
    let mut worker = WORKER.take().unwrap_or_else(|| {
        Box::new(Worker { scratch: vec![0; SCRATCH_BYTES], burst: Burst::new() })
    });
    let result = work(&mut worker);
    WORKER.set(Some(worker));
    result
}

/// Notes that a link's outbox has something for its socket.
pub(crate) fn touch(link: Arc<Link>) {
    TOUCHED.with_borrow_mut(|touched| touched.push(link));
}

/// Writes what this thread has put into outboxes to their sockets, as far as those take it.
pub fn flush_touched() {
    while let Some(link) = TOUCHED.with_borrow_mut(Vec::pop) {
        link.flush();
    }
}
