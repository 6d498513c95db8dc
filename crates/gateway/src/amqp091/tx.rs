//! Transactions of one channel: publishes and settlements that wait for the commit.
//!
//! Invariants
//! - What is staged in a transaction reaches no queue before the commit; a rollback, a closed
//!   channel or a closed connection forgets it.
//! - A settlement that is rolled back is unacked again, in its place.
//! - `commit-ok` is sent once the whole transaction is durable.

use ferry_broker::{Burst, CommitError, Lease, Outcome, Promise};
use ferry_core::message::Draft;

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
    pub(crate) settled: Vec<(u64, Unsettled<Lease>, Outcome)>,
}

impl Tx {
    fn new() -> Box<Tx> {
        Box::new(Tx {
            burst: Burst::new(),
            returns: Vec::new(),
            settled: Vec::new(),
        })
    }

    /// Refuses a message that would make the transaction too large.
    pub(crate) fn check_room(&self, draft: &Draft<'_>) -> Result<(), Refusal> {
        let bytes = self.burst.staged_bytes() + draft.encoded_len();
        if bytes <= TX_BYTES_MAX {
            return Ok(());
        }
        Err(precondition_failed(format!(
            "a transaction of {bytes} bytes is larger than the limit of {TX_BYTES_MAX}; \
             commit more often"
        )))
    }
}

impl Channel {
    /// `tx.select`
    pub(crate) fn tx_select(&mut self, common: &Common) -> Result<(), Refusal> {
        if self.confirm.is_some() {
            return Err(precondition_failed("cannot switch from confirm to tx mode"));
        }
        self.tx.get_or_insert_with(Tx::new);
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
        let Some(tx) = self.tx.replace(Tx::new()) else {
            return Err(precondition_failed("channel is not transactional"));
        };
        let Tx {
            mut burst,
            returns,
            settled,
        } = *tx;
        common.link.with(|state| {
            if let Some(lane) = state.lanes.get(self.lane) {
                for (_, unsettled, outcome) in settled {
                    let queue = lane.settled(unsettled.slot);
                    burst.settle(&queue, unsettled.lease, outcome);
                }
            }
            state.outbox.buffer().extend_from_slice(&returns);
        });
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

    /// `tx.rollback`
    pub(crate) fn tx_rollback(&mut self, common: &Common) -> Result<(), Refusal> {
        let Some(tx) = self.tx.replace(Tx::new()) else {
            self.tx = None;
            return Err(precondition_failed("channel is not transactional"));
        };
        let settled = tx
            .settled
            .into_iter()
            .map(|(tag, unsettled, _)| (tag, unsettled));
        common.link.with(|state| {
            if let Some(lane) = state.lanes.get(self.lane) {
                lane.unacked.restore(settled);
            }
        });
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
    use ferry_core::message::FORMAT_AMQP091;

    #[test]
    fn a_transaction_that_would_be_too_large_is_refused() {
        let zeros = vec![0; TX_BYTES_MAX];
        for (bytes, fits) in [(1, true), (TX_BYTES_MAX - 100, true), (TX_BYTES_MAX, false)] {
            let draft = Draft {
                format: FORMAT_AMQP091,
                persistent: true,
                dead_lettered: false,
                priority: 0,
                ttl_ms: None,
                published_ms: 0,
                exchange: b"",
                routing_key: b"q",
                properties: &[0, 0],
                body: &zeros[..bytes],
            };
            assert_eq!(Tx::new().check_room(&draft).is_ok(), fits, "{bytes} bytes");
        }
    }
}
