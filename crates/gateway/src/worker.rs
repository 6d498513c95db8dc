//! What a thread keeps for the connections it works for: the read buffer, the burst, and the list
//! of connections whose outbox it has written to.
//!
//! Invariants
//! - No connection owns any of this: an idle connection holds no buffer.
//! - A link is in the list of at most one thread; whoever put it there flushes it.
//! - A link is only put into the list of a thread that flushes at the end of its work: one that is
//!   within [`with_worker`], or one of the broker's own. Elsewhere the link's task is woken for it,
//!   so a stranger who calls the broker leaves nothing behind.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use ferry_broker::Burst;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::link::AnyLink;

/// Room in the read buffer beside one frame that is not complete yet, in bytes.
pub(crate) const SCRATCH_BYTES: usize = 256 << 10;

/// Threads that do what takes its time.
const ASIDE_MAX: usize = 16;

/// A thread's buffers for the burst it works on.
pub(crate) struct Worker {
    /// Where sockets are read into.
    pub(crate) scratch: Vec<u8>,
    /// What the current read has brought.
    pub(crate) burst: Burst,
}

thread_local! {
    static WORKER: RefCell<Option<Box<Worker>>> = const { RefCell::new(None) };
    static TOUCHED: RefCell<Vec<Arc<dyn AnyLink>>> = const { RefCell::new(Vec::new()) };
    static FLUSHES: Cell<bool> = const { Cell::new(false) };
}

/// Lends the thread's buffers for one piece of work, after which [`flush_touched`] is called.
pub(crate) fn with_worker<R>(work: impl FnOnce(&mut Worker) -> R) -> R {
    let mut worker = WORKER.take().unwrap_or_else(|| {
        Box::new(Worker {
            scratch: vec![0; SCRATCH_BYTES],
            burst: Burst::new(),
        })
    });
    let before = FLUSHES.replace(true);
    let result = work(&mut worker);
    FLUSHES.set(before);
    WORKER.set(Some(worker));
    flush_touched();
    result
}

/// Does what takes its time on another thread, where nobody waits for it. What waits for its turn
/// takes no thread.
pub(crate) fn aside(work: impl FnOnce() + Send + 'static) {
    #[cfg(feature = "testing")]
    let Err(work) = crate::testing::plan(Duration::ZERO, work) else {
        return;
    };
    static TURNS: Semaphore = Semaphore::const_new(ASIDE_MAX);
    tokio::spawn(async move {
        let turn = TURNS.acquire().await;
        if tokio::task::spawn_blocking(work).await.is_err() {
            tracing::error!("work on another thread ended in a panic");
        }
        drop(turn);
    });
}

/// Work that is done later, unless it is aborted.
pub(crate) enum Later {
    Task(AbortHandle),
    #[cfg(feature = "testing")]
    Planned(crate::testing::Planned),
}

impl Later {
    pub(crate) fn abort(&self) {
        match self {
            Later::Task(task) => task.abort(),
            #[cfg(feature = "testing")]
            Later::Planned(planned) => planned.abort(),
        }
    }
}

/// Does something after so long. Within a tokio runtime.
pub(crate) fn later(delay: Duration, work: impl FnOnce() + Send + 'static) -> Later {
    #[cfg(feature = "testing")]
    let work = match crate::testing::plan(delay, work) {
        Ok(planned) => return Later::Planned(planned),
        Err(work) => work,
    };
    let task = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        work();
    });
    Later::Task(task.abort_handle())
}

/// Whether this thread flushes what it has touched at the end of its work.
pub(crate) fn flushes() -> bool {
    FLUSHES.get()
}

/// Notes that a link's outbox has something for its socket. Only where [`flushes`] says yes.
pub(crate) fn touch(link: Arc<dyn AnyLink>) {
    TOUCHED.with_borrow_mut(|touched| touched.push(link));
}

/// The end of a piece of work on a thread of the broker: from now on it is known to come here.
pub(crate) fn after_work() {
    FLUSHES.set(true);
    flush_touched();
}

/// Writes what this thread has put into outboxes to their sockets, as far as those take it.
pub(crate) fn flush_touched() {
    while let Some(link) = TOUCHED.with_borrow_mut(Vec::pop) {
        link.flush();
    }
}
