//! What a connection's task needs of the protocol that is spoken on it.
//!
//! Invariants
//! - A session reads no socket and knows no task: bytes and time go in, bytes come out by its link.

use std::sync::Arc;
use std::time::Instant;

use ferry_broker::Burst;

use crate::arrival::Arrival;
use crate::link::{Link, Wire};
use crate::shared::Shared;

/// One connection's protocol state, from its first byte to its last.
pub(crate) trait Session: Send + 'static {
    /// What it keeps under its link's lock.
    type Wire: Wire;

    /// The protocol, for log lines.
    const PROTOCOL: &'static str;

    /// A session that waits for the first byte.
    fn new(
        shared: Arc<Shared>,
        link: Arc<Link<Self::Wire>>,
        arrival: Arrival,
        now: Instant,
    ) -> Self;

    /// Whether all is said and done.
    fn is_over(&self) -> bool;

    /// Whether the client has published anything.
    fn publishes(&self) -> bool;

    /// Whether more from the socket can be taken now.
    fn wants_more(&self) -> bool;

    /// Whether bytes that waited for a decision are to be looked at now; says so once.
    fn takes_rest(&mut self) -> bool;

    /// Takes what has come, `fresh` bytes of it for the first time; gives how much was used.
    fn receive(&mut self, bytes: &[u8], fresh: usize, burst: &mut Burst, now: Instant) -> usize;

    /// Does what other threads have asked for.
    fn on_events(&mut self, events: u32, burst: &mut Burst, now: Instant);

    /// When [`Session::tick`] is due.
    fn next_tick(&self) -> Option<Instant>;

    /// The time has come that `next_tick` named. `is_read` says that whatever the client has sent
    /// has been taken; the silence of one who is held back says nothing.
    fn tick(&mut self, now: Instant, is_read: bool, burst: &mut Burst);

    /// Ends it without a word.
    fn abandon(&mut self, reason: &str, burst: &mut Burst);
}
