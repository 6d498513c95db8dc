//! What waits between a queue and the connection of a subscriber.
//!
//! Invariants
//! - The bytes that wait and those that were promised room are `FEED_BYTES_MAX` at most, or one
//!   message.
//! - Who was refused room is told when there is some: the look and the mark are one step.

use std::collections::VecDeque;

use std::sync::Arc;

use ferry_broker::{ConnectionLimits, Delivery, Outlet};
use ferry_core::Millis;
use ferry_core::queue::DELIVERY_OVERHEAD_BYTES;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Taken;
use crate::api::ferry::data::rates::resume_at;

/// Bytes of messages that wait for one client.
const FEED_BYTES_MAX: usize = 4 << 20;

#[derive(Default)]
struct Inner {
    waiting: VecDeque<(Taken, usize)>,
    /// Bytes that wait or were promised room.
    bytes: usize,
    /// Somebody was refused room.
    starved: bool,
    /// A rate refused a message until then.
    held_until: Option<Millis>,
    gone: bool,
}

/// The way out to one subscriber.
pub(super) struct Feed {
    inner: Mutex<Inner>,
    changed: Notify,
    limits: Arc<ConnectionLimits>,
}

/// What comes next.
pub(super) enum Next {
    /// A message, and whether the queue is to be told that there is room again.
    Message { taken: Box<Taken>, has_room: bool },
    /// Nothing before that: then the queue is to be told that it may go on.
    Held(Millis),
    /// Nothing will come any more.
    Gone,
    /// Nothing yet.
    Nothing,
}

impl Feed {
    pub fn new(limits: Arc<ConnectionLimits>) -> Feed {
        Feed {
            inner: Mutex::default(),
            changed: Notify::new(),
            limits,
        }
    }

    fn pop(&self) -> Next {
        let mut inner = self.inner.lock();
        match inner.waiting.pop_front() {
            Some((taken, admitted)) => {
                inner.bytes -= admitted;
                let has_room = std::mem::take(&mut inner.starved);
                let taken = Box::new(taken);
                Next::Message { taken, has_room }
            }
            None if inner.gone => Next::Gone,
            None => match inner.held_until.take() {
                Some(at) => Next::Held(at),
                None => Next::Nothing,
            },
        }
    }

    /// Waits for what comes next, which is not nothing.
    pub async fn next(&self) -> Next {
        loop {
            match self.pop() {
                Next::Nothing => self.changed.notified().await,
                next => return next,
            }
        }
    }
}

impl Outlet for Feed {
    fn admit(&self, bytes: usize) -> bool {
        let mut inner = self.inner.lock();
        if inner.bytes > 0 && inner.bytes + bytes > FEED_BYTES_MAX {
            inner.starved = true;
            return false;
        }
        if let Some(at) = resume_at(&self.limits) {
            inner.held_until = Some(at);
            self.changed.notify_one();
            return false;
        }
        if self.limits.meters_deliveries() {
            let body_bytes = bytes.saturating_sub(DELIVERY_OVERHEAD_BYTES);
            self.limits.charge_delivery(body_bytes as u64);
        }
        inner.bytes += bytes;
        true
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        let taken = Taken::copy(&delivery);
        let admitted = delivery.admitted_bytes;
        self.inner.lock().waiting.push_back((taken, admitted));
        self.changed.notify_one();
    }

    fn forgo(&self, admitted_bytes: usize) {
        self.inner.lock().bytes -= admitted_bytes;
    }

    fn cancelled(&self) {
        self.inner.lock().gone = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ferry::data::rates::tests::unlimited;

    #[test]
    fn a_full_feed_refuses_and_has_room_for_one_message_of_any_size() {
        let feed = Feed::new(unlimited());
        assert!(feed.admit(FEED_BYTES_MAX * 2));
        assert!(!feed.admit(1));
        assert!(feed.inner.lock().starved);
        feed.forgo(FEED_BYTES_MAX * 2);
        assert!(feed.admit(FEED_BYTES_MAX) && !feed.admit(1));
    }

    #[test]
    fn the_end_comes_after_what_waits() {
        let feed = Feed::new(unlimited());
        assert!(matches!(feed.pop(), Next::Nothing));
        feed.inner.lock().held_until = Some(7);
        assert!(matches!(feed.pop(), Next::Held(7)));
        assert!(matches!(feed.pop(), Next::Nothing));
        feed.cancelled();
        assert!(matches!(feed.pop(), Next::Gone));
    }
}
