//! Transactions of one channel: publishes and settlements that wait for the commit.
//!
//! Invariants
//! - What is staged in a transaction reaches no queue before the commit; a rollback, a closed
//!   channel or a closed connection forgets it.
//! - A settlement that is rolled back is unacked again, in its place.
//! - Who settles by `ferry.settle` is told at the commit, before its answer, of a lease that has
//!   ended by then.
//! - `commit-ok` is sent once the whole transaction is durable.

use std::sync::Arc;

use ferry_broker::{
    Broker, Burst, CommitError, Kept, KeptFor, Lease, Outcome, Promise, QueueHandle, Settled,
};
use ferry_core::limits::DELAY_MS_MAX;

use amqp091::method::tx as methods;
use amqp091::{Method, ReplyCode};

use super::channel::{Channel, Common};
use super::errors::{Refusal, precondition_failed};
use super::lane::Unsettled;
use super::turn::Turn;

/// Messages of one transaction that has not been committed, in bytes: they wait in memory.
const TX_BYTES_MAX: usize = 256 << 20;

/// What a transaction has gathered.
pub(crate) struct Tx {
    /// Publishes and settlements.
    pub(crate) burst: Burst,
    /// Returns to be sent at the commit.
    pub(crate) returns: Vec<u8>,
    /// Settlements, to be undone by a rollback.
    pub(crate) settled: Vec<Noted>,
    /// More time for deliveries, which stay unacked.
    extensions: Vec<Extension>,
    /// Returns among these that may have to be sent, in bytes.
    late_bytes: usize,
    /// All of it.
    kept: Kept,
}

/// A settlement that waits for the commit.
pub(crate) struct Noted {
    /// Its delivery tag.
    pub(crate) tag: u64,
    /// The delivery, taken out of the unacked ones.
    pub(crate) unsettled: Unsettled<Lease>,
    /// How it ends.
    pub(crate) outcome: Outcome,
    /// The return that says that the lease had ended; none for who is not told.
    pub(crate) late: Option<Vec<u8>>,
}

/// More time for a lease, from the commit on.
pub(crate) struct Extension {
    /// The queue of the delivery.
    pub(crate) queue: Arc<QueueHandle>,
    /// Its lease.
    pub(crate) lease: Lease,
    /// How long; none for as long as the queue gives.
    pub(crate) time_ms: Option<u64>,
    /// The return that says that the lease had ended.
    pub(crate) late: Vec<u8>,
}

impl Tx {
    fn new(broker: &Arc<Broker>) -> Box<Tx> {
        Box::new(Tx {
            burst: Burst::new(),
            returns: Vec::new(),
            settled: Vec::new(),
            extensions: Vec::new(),
            late_bytes: 0,
            kept: Kept::new(broker, KeptFor::Transaction),
        })
    }

    /// Refuses a message, or its return, that would make the transaction too large, or all of them
    /// together.
    pub(crate) fn check_room(&mut self, more_bytes: usize) -> Result<(), Refusal> {
        let beside = self.returns.len() + self.late_bytes + more_bytes;
        let bytes = self.burst.staged_bytes() + beside;
        if bytes > TX_BYTES_MAX {
            return Err(precondition_failed(format!(
                "a transaction of {bytes} bytes is larger than the limit of {TX_BYTES_MAX}; \
                 commit more often"
            )));
        }
        let kept = self.burst.kept_bytes() + beside;
        if self.kept.set(kept as u64) && self.kept.is_crowded() {
            return Err(precondition_failed(format!(
                "a transaction of {bytes} bytes, and others, take as much memory as they may; \
                 commit more often"
            )));
        }
        Ok(())
    }
}

impl Channel {
    /// Leaves a settlement for the commit.
    pub(crate) fn note(&mut self, noted: Noted) {
        if let Some(tx) = &mut self.tx {
            tx.late_bytes += noted.late.as_ref().map_or(0, Vec::len);
            tx.settled.push(noted);
        }
    }

    /// Leaves an extension for the commit.
    pub(crate) fn note_extension(&mut self, extension: Extension) {
        if let Some(tx) = &mut self.tx {
            tx.late_bytes += extension.late.len();
            tx.extensions.push(extension);
        }
    }

    /// `tx.select`
    pub(crate) fn tx_select(&mut self, common: &Common) -> Result<(), Refusal> {
        if self.confirm.is_some() {
            return Err(precondition_failed("cannot switch from confirm to tx mode"));
        }
        self.tx.get_or_insert_with(|| Tx::new(&common.broker));
        self.begin_tx(common, 0);
        self.reply(
            common,
            Promise::Now,
            Method::TxSelectOk(methods::SelectOk {}),
        );
        Ok(())
    }

    /// `tx.commit`
    pub(crate) fn tx_commit(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        if self.tx.is_none() {
            return Err(precondition_failed("channel is not transactional"));
        }
        turn.submit(common);
        let Some(tx) = self.tx.replace(Tx::new(&common.broker)) else {
            return Err(precondition_failed("channel is not transactional"));
        };
        let Tx {
            mut burst,
            mut returns,
            settled,
            extensions,
            ..
        } = *tx;
        let accepted = settled
            .iter()
            .filter(|noted| noted.outcome == Outcome::Accept)
            .count();
        self.begin_tx(common, accepted as u64);
        let mut told = Vec::new();
        common.link.with(|state| {
            let Some(lane) = state.wire.lanes.get(self.lane) else {
                return;
            };
            for noted in settled {
                let lease = noted.unsettled.lease;
                let queue = lane.settled(noted.unsettled.slot);
                burst.settle(&queue, lease, noted.outcome);
                told.extend(noted.late.map(|late| Extension {
                    queue,
                    lease,
                    // Until the commit has ended it, so that what is told stays true.
                    time_ms: Some(DELAY_MS_MAX),
                    late,
                }));
            }
        });
        for extension in extensions.iter().chain(&told) {
            let Extension { queue, lease, .. } = extension;
            let extended = common.broker.extend_lease(queue, *lease, extension.time_ms);
            if extended == Settled::Late {
                returns.extend_from_slice(&extension.late);
            }
        }
        common
            .link
            .with(|state| state.outbox.buffer().extend_from_slice(&returns));
        let promise = common
            .broker
            .commit(&mut burst)
            .map_err(|error| match error {
                CommitError::Partial => precondition_failed(error.to_string()),
                CommitError::Log(_) => Refusal::new(ReplyCode::InternalError, error.to_string()),
            })?;
        self.reply(common, promise, Method::TxCommitOk(methods::CommitOk {}));
        common.resume_credit(self.lane);
        Ok(())
    }

    /// Shows that a transaction begins, and how many were settled as done by the one before.
    fn begin_tx(&self, common: &Common, accepted: u64) {
        let published = self.tally.publish.get();
        self.with_stats(common, |stats| {
            stats.transactional = true;
            stats.committed = published;
            stats.acks_uncommitted = 0;
            stats.counts.ack += accepted;
        });
    }

    /// `tx.rollback`
    pub(crate) fn tx_rollback(&mut self, common: &Common) -> Result<(), Refusal> {
        let Some(tx) = self.tx.replace(Tx::new(&common.broker)) else {
            self.tx = None;
            return Err(precondition_failed("channel is not transactional"));
        };
        let settled = tx.settled.into_iter();
        let settled = settled.map(|noted| (noted.tag, noted.unsettled));
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                lane.unacked.restore(settled);
            }
        });
        self.begin_tx(common, 0);
        self.reply(
            common,
            Promise::Now,
            Method::TxRollbackOk(methods::RollbackOk {}),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::for_tests::broker;

    #[test]
    fn a_transaction_that_would_be_too_large_is_refused() {
        let broker = broker(1 << 32);
        for (waiting, bytes, fits) in [
            (0, 1, true),
            (0, TX_BYTES_MAX, true),
            (0, TX_BYTES_MAX + 1, false),
            (100, TX_BYTES_MAX - 100, true),
            (100, TX_BYTES_MAX - 99, false),
        ] {
            let mut tx = Tx::new(&broker);
            tx.returns = vec![0; waiting];
            assert_eq!(tx.check_room(bytes).is_ok(), fits, "{bytes} bytes");
            let mut tx = Tx::new(&broker);
            tx.late_bytes = waiting;
            assert_eq!(tx.check_room(bytes).is_ok(), fits, "{bytes} bytes");
        }
    }

    #[test]
    fn transactions_together_take_a_part_of_memory_only() {
        let broker = broker(8 << 20);
        let mut txs = [(); 3].map(|()| Tx::new(&broker));
        for (nth, bytes, fits) in [(0, 900_000, true), (1, 900_000, true), (2, 300_000, false)] {
            assert_eq!(txs[nth].check_room(bytes).is_ok(), fits, "{nth}");
        }
        assert_eq!(broker.memory().used_bytes(), 2_100_000);
        let [first, second, mut third] = txs;
        drop(first);
        assert!(third.check_room(300_001).is_ok(), "there is room again");
        drop((second, third));
        assert_eq!(broker.memory().used_bytes(), 0);
    }
}
