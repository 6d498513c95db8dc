//! What every client has at hand, and what all of them publish to.
//!
//! Invariants
//! - Where a message goes is known when it is published: queues, bindings and subscriptions are
//!   made before the first one, and stay.

use ferry_log::testing::Random;

use super::lease::Leases;
use super::ledger::{Ledger, Place};
use super::retained::RetainedBook;
use super::tx::Transactions;
use super::will::Wills;
use crate::trace::Trace;

/// Durable queues of AMQP: `w0`, `w1` and so on.
pub(super) const QUEUES: usize = 5;

/// The one of them whose messages are taken without an acknowledgement.
pub(super) const UNACKED: Place = 3;

/// The one that has room for few, and refuses what is more.
pub(super) const LIMITED: Place = 4;

/// The topic that is bound to it.
pub(super) const LIMITED_TOPIC: &str = "f/0";

/// Topics: `t/0` and `t/1`, each bound to the queue of its number.
pub(super) const TOPICS: usize = 2;

/// Clients of AMQP.
pub(super) const AMQP_CLIENTS: usize = 3;

/// Clients of MQTT.
pub(super) const MQTT_CLIENTS: usize = 5;

/// What the sessions have subscribed to: a filter, and the QoS.
pub(super) const SUBSCRIBED: [(&str, u8); MQTT_CLIENTS] =
    [("t/0", 1), ("t/+", 2), ("l/+", 1), (SHARED, 1), (SHARED, 1)];

/// What two of them share.
const SHARED: &str = "$share/g/t/+";

/// The first of those who share.
const SHARERS: usize = 3;

/// Whose session gets the wills.
pub(super) const WATCHER: usize = 2;

/// Most bytes of most bodies.
const BODY_BYTES: u64 = 600;

/// Most bytes of the others.
const LONG_BODY_BYTES: u64 = 12_000;

/// How often a client that goes settles something in the same breath, and once more, in percent.
pub(super) const LAST_WORDS_PERCENT: u64 = 60;

/// What is known of what the ledger does not have.
#[derive(Default)]
pub(super) struct Books {
    pub(super) transactions: Transactions,
    pub(super) wills: Wills,
    pub(super) retained: RetainedBook,
    pub(super) leases: Leases,
}

/// What a client works with.
pub(super) struct Desk<'a> {
    pub(super) random: &'a mut Random,
    pub(super) ledger: &'a mut Ledger,
    pub(super) trace: &'a mut Trace,
    pub(super) books: &'a mut Books,
    pub(super) now_ms: u64,
}

impl Desk<'_> {
    /// How long a body is to be.
    pub(super) fn body_bytes(&mut self) -> u32 {
        let bytes_max = match self.random.chance(5) {
            true => LONG_BODY_BYTES,
            false => BODY_BYTES,
        };
        (u64::from(crate::body::BODY_BYTES_MIN) + self.random.below(bytes_max)) as u32
    }
}

/// The place of a session; those who share something have one together.
pub(super) fn session(client: usize) -> Place {
    QUEUES + client.min(SHARERS)
}

/// The place of a session that expires.
pub(super) fn lodging(lodger: usize) -> Place {
    session(SHARERS) + 1 + lodger
}

/// Whether a place is of several sessions.
pub(super) fn is_shared(place: Place) -> bool {
    place == session(SHARERS)
}

/// Where what is published to a topic goes.
pub(super) fn places_of(topic: usize) -> Vec<Place> {
    let name = format!("t/{topic}");
    let has = |client: &usize| {
        let filter = SUBSCRIBED[*client].0;
        let filter = filter.strip_prefix("$share/g/").unwrap_or(filter);
        mqtt::topic::matches(filter.as_bytes(), name.as_bytes())
    };
    let sessions = (0..=SHARERS).filter(has).map(session);
    std::iter::once(topic).chain(sessions).collect()
}
