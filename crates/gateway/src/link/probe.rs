//! What a connection tells of itself.
//!
//! Invariants
//! - Each count has one writer: reads are the task's, writes are counted by who has the outbox.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_broker::{ChannelInfo, ConsumerInfo, MessageStats, Probe, Tally, Traffic};
use parking_lot::Mutex;

use super::{Link, Wire, event};

/// What the connection's task shows to who asks.
#[derive(Default)]
pub(crate) struct Front {
    received_bytes: Tally,
    reads: Tally,
    writes: std::sync::atomic::AtomicU64,
    publishes: AtomicBool,
    paced: AtomicBool,
    close_reason: Mutex<Option<String>>,
}

impl Front {
    /// One read brought so many bytes.
    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.add(bytes as u64);
        self.reads.add(1);
    }

    /// One write was made.
    pub(super) fn sent(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the client publishes, and whether a rate holds its publishes.
    pub(crate) fn show(&self, publishes: bool, paced: bool) {
        self.publishes.store(publishes, Ordering::Relaxed);
        self.paced.store(paced, Ordering::Relaxed);
    }

    /// Why the connection is to be closed, once.
    pub(crate) fn take_close_reason(&self) -> Option<String> {
        self.close_reason.lock().take()
    }
}

impl<W: Wire> Link<W> {
    /// The address that the client has connected to.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.writer.local_addr()
    }
}

impl<W: Wire> Probe for Link<W> {
    fn traffic(&self) -> Traffic {
        Traffic {
            received_bytes: self.front.received_bytes.get(),
            reads: self.front.reads.get(),
            sent_bytes: self.sent_bytes(),
            writes: self.front.writes.load(Ordering::Relaxed),
            waiting_bytes: self.level() as u64,
        }
    }

    fn state(&self) -> &'static str {
        let held = self.broker.memory().blocked().is_some();
        let publishes = self.front.publishes.load(Ordering::Relaxed);
        match (held, publishes) {
            (true, true) => "blocked",
            (true, false) => "blocking",
            (false, _) if self.front.paced.load(Ordering::Relaxed) => "flow",
            (false, _) => "running",
        }
    }

    fn channels(&self) -> Vec<ChannelInfo> {
        let mut channels = self.state.lock().wire.channels();
        channels.sort_by_key(|channel| channel.number);
        channels
    }

    fn channel_count(&self) -> usize {
        self.state.lock().wire.channel_count()
    }

    fn consumers(&self) -> Vec<ConsumerInfo> {
        self.state.lock().wire.consumers()
    }

    fn totals(&self) -> MessageStats {
        self.state.lock().wire.totals()
    }

    fn close(&self, reason: &str) {
        *self.front.close_reason.lock() = Some(reason.to_owned());
        self.notify(event::CLOSE);
    }
}
