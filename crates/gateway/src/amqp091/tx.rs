//! Transactions of one channel: publishes and settlements that wait for the commit.
//!
//! Invariants
//! - What is staged in a transaction reaches no queue before the commit; a rollback, a closed
//!   channel or a closed connection forgets it.
//! - A settlement that is rolled back is unacked again, in its place.
//! - `commit-ok` is sent once the whole transaction is durable.

use ferry_broker::{Burst, CommitError, Lease, Outcome, Promise};

use amqp091::method::tx as methods;
use amqp091::{Method, ReplyCode};

use super::channel::{Channel, Common};
use super::errors::{Refusal, precondition_failed};
use super::lane::Unsettled;
use super::turn::Turn;

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
