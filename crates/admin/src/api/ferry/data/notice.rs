//! Waiting for the broker without a thread.
//!
//! Invariants
//! - What is told before anybody waits is not lost.

use std::sync::Arc;

use ferry_broker::{Broker, ReadyWaiter, Ticket, TicketWaiter};
use tokio::sync::Notify;

use crate::api::ferry::kept;
use crate::api::ferry::problem::Problem;

/// Wakes one request.
#[derive(Default)]
pub(super) struct Notice(pub Notify);

impl TicketWaiter for Notice {
    fn ticket_resolved(&self) {
        self.0.notify_one();
    }
}

impl ReadyWaiter for Notice {
    fn ready(&self) {
        self.0.notify_one();
    }
}

/// What became of publishes that were submitted.
pub(super) struct Confirmed {
    /// Whether the log keeps them.
    pub logged: bool,
    /// The numbers of those that a queue refused.
    pub refused: Vec<u64>,
}

/// Waits until what a ticket promises is kept.
pub(super) async fn confirmed(
    broker: &Broker,
    ticket: Option<Arc<Ticket>>,
) -> Result<Confirmed, Problem> {
    let Some(ticket) = ticket else {
        let (logged, refused) = (false, Vec::new());
        return Ok(Confirmed { logged, refused });
    };
    let notice = Arc::new(Notice::default());
    if ticket.on_resolved(Arc::clone(&notice) as Arc<dyn TicketWaiter>) {
        notice.0.notified().await;
    }
    let failed = || Problem::unavailable("the message log has failed");
    let promise = ticket.resolved().ok_or_else(failed)?;
    kept(broker, promise).await;
    Ok(Confirmed {
        logged: promise != ferry_broker::Promise::Now,
        refused: ticket
            .rejected()
            .into_iter()
            .map(|confirm| confirm.tag)
            .collect(),
    })
}
