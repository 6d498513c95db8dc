//! The sums of a virtual host.
//!
//! Invariants
//! - A sum never goes back: what is gone stays in it.
//! - To add up costs a look at every queue, exchange and connection; whoever asks often keeps the
//!   result for a while.

use std::sync::Arc;

use super::retired::of_connection;
use super::{ExchangeTally, MessageStats};
use crate::{Broker, ConnectionInfo, QueueHandle, Vhost};

/// What a virtual host has counted, and what its queues hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VhostSums {
    /// What has happened to messages.
    pub stats: MessageStats,
    /// Messages that wait.
    pub ready: u64,
    /// Messages that were delivered and not settled.
    pub unsettled: u64,
    /// Bytes that connections received.
    pub received_bytes: u64,
    /// Bytes that connections sent.
    pub sent_bytes: u64,
}

impl Vhost {
    /// Adds up what is here; `queues` are its queues, `connections` all of the node, as the caller
    /// knows them.
    pub fn sums(&self, queues: &[Arc<QueueHandle>], connections: &[ConnectionInfo]) -> VhostSums {
        let retired = self.retirement.get();
        let mut sums = VhostSums {
            stats: retired.stats,
            received_bytes: retired.received_bytes,
            sent_bytes: retired.sent_bytes,
            ..VhostSums::default()
        };
        for queue in queues {
            sums.stats += MessageStats {
                publish: 0,
                ..queue.stats()
            };
            sums.ready += queue.ready();
            sums.unsettled += queue.unsettled();
        }
        for exchange in self.exchange_tallies.lock().values() {
            sums.stats.publish += exchange.stats().publish_in;
        }
        let own = |connection: &&ConnectionInfo| *connection.vhost == *self.name;
        for connection in connections.iter().filter(own) {
            let Some(probe) = connection.probe.upgrade() else {
                continue;
            };
            let traffic = probe.traffic();
            sums.stats += of_connection(probe.totals());
            sums.received_bytes += traffic.received_bytes;
            sums.sent_bytes += traffic.sent_bytes;
        }
        sums
    }

    /// What was published to an exchange, and how many queues it went to.
    pub fn exchange_stats(&self, name: &str) -> MessageStats {
        let tallies = self.exchange_tallies.lock();
        tallies
            .get(name)
            .map(|tally| tally.stats())
            .unwrap_or_default()
    }

    /// The same of every exchange that something was published to.
    pub fn all_exchange_stats(&self) -> Vec<(Arc<str>, MessageStats)> {
        let tallies = self.exchange_tallies.lock();
        tallies
            .iter()
            .map(|(name, tally)| (Arc::clone(name), tally.stats()))
            .collect()
    }

    pub(crate) fn exchange_tally(&self, name: &str) -> Arc<ExchangeTally> {
        let mut tallies = self.exchange_tallies.lock();
        if let Some(tally) = tallies.get(name) {
            return Arc::clone(tally);
        }
        let tally = Arc::new(ExchangeTally::default());
        tallies.insert(name.into(), Arc::clone(&tally));
        tally
    }

    /// An exchange is gone.
    pub(crate) fn forget_exchange_tally(&self, name: &str) {
        if let Some(tally) = self.exchange_tallies.lock().remove(name) {
            self.retirement.exchange(tally.stats());
        }
    }
}

impl Broker {
    /// What is known of the connections of a virtual host.
    pub fn connections_in(&self, vhost: &str) -> Vec<ConnectionInfo> {
        let mut found = self.connections();
        found.retain(|connection| connection.vhost == vhost);
        found
    }
}
