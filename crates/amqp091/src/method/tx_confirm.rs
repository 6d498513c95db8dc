//! The small classes: access (30, kept for old clients), confirm (85), tx (90).
//!
//! Invariant: fields are in wire order.

/// Class 30, access: old clients ask for a ticket before anything else.
pub mod access {
    use crate::wire::ShortStr;

    methods! { 30;
        /// Asks for an access ticket.
        10 Request<'a> {
            realm: ShortStr<'a>,
            exclusive: bool,
            passive: bool,
            active: bool,
            write: bool,
            read: bool,
        }
        /// The ticket, which means nothing.
        11 RequestOk { ticket: u16, }
    }
}

/// Class 85, confirm: RabbitMQ's publisher confirms.
pub mod confirm {
    methods! { 85;
        /// From here on, publishes on this channel are confirmed.
        10 Select { no_wait: bool, }
        /// They are.
        11 SelectOk {}
    }
}

/// Class 90, tx: local transactions.
pub mod tx {
    methods! { 90;
        /// Makes the channel transactional.
        10 Select {}
        /// It is.
        11 SelectOk {}
        /// Applies what was published and acked since the last commit.
        20 Commit {}
        /// It is applied.
        21 CommitOk {}
        /// Forgets what was published and acked since the last commit.
        30 Rollback {}
        /// It is forgotten.
        31 RollbackOk {}
    }
}
