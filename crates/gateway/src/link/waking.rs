//! When a connection's task wakes: events, a socket that is writable again, a log that caught up.
//!
//! Invariants
//! - An event is noted before the waker is looked for, and the waker is set before the events are
//!   taken: none is slept over.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use ferry_broker::{DurableWaiter, Promise};

use super::{Link, Wire, event};

/// Bytes that wait to be written to the log before publishers stop for a moment.
const LOG_BACKLOG_BYTES_MAX: u64 = 8 << 20;

impl<W: Wire> Link<W> {
    /// Wakes the connection's task for these events.
    pub(crate) fn notify(&self, events: u32) {
        let before = self.events.fetch_or(events, Ordering::SeqCst);
        if before & events != events {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// What the task was woken for. Only the task calls this.
    pub(crate) fn take_events(&self, cx: &Context<'_>) -> u32 {
        let mut waker = self.waker.lock();
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        self.events.swap(0, Ordering::SeqCst)
    }

    /// From now on the task is woken when the outbox is empty.
    pub(crate) fn drain(&self) {
        self.state.lock().draining = true;
    }

    /// Flushes once the socket is writable; ready when nothing is blocked. Only the task calls it.
    pub(crate) fn poll_unblock(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.state.lock().outbox.is_blocked() {
                return Poll::Ready(Ok(()));
            }
            match self.writer.poll_write_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    self.state.lock().outbox.unblock();
                    self.flush();
                    self.broker.memory_given_back();
                }
            }
        }
    }

    /// Whether the disk is so far behind that a publisher has to stop for a moment, so that what
    /// waits in memory to be written stays bounded. If so, the task is woken when it has caught up.
    pub(crate) fn log_is_behind(&self) -> bool {
        let log = self.broker.log();
        // An alarm holds publishes in its own way, and lets everything else go on.
        let held = self.broker.memory().blocked().is_some();
        if held || log.backlog_bytes() <= LOG_BACKLOG_BYTES_MAX {
            return false;
        }
        let caught_up = Arc::new(CaughtUp(self.me.clone()));
        self.broker
            .when_kept(Promise::Written(log.end()), caught_up);
        true
    }
}

/// Wakes a connection that stopped reading because the log was behind.
struct CaughtUp<W>(Weak<Link<W>>);

impl<W: Wire> DurableWaiter for CaughtUp<W> {
    fn kept(&self) {
        if let Some(link) = self.0.upgrade() {
            link.notify(event::RESUME);
        }
    }
}
