//! Why a message became a dead letter.
//!
//! Invariants
//! - A name is what stands in the message's history, as in RabbitMQ; a code is what stands in the
//!   log. Neither is used twice.

/// Why a message became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterReason {
    /// A consumer rejected it without asking for it to be requeued.
    Rejected,
    /// Its time to live ran out.
    Expired,
    /// The queue was at its maximum length.
    MaxLength,
    /// It came back more often than the queue allows.
    DeliveryLimit,
    /// Its exchange led it to no queue.
    Unroutable,
}

const ALL: [(DeadLetterReason, u8, &str); 5] = [
    (DeadLetterReason::Rejected, 1, "rejected"),
    (DeadLetterReason::Expired, 2, "expired"),
    (DeadLetterReason::MaxLength, 3, "maxlen"),
    (DeadLetterReason::DeliveryLimit, 4, "delivery_limit"),
    (DeadLetterReason::Unroutable, 5, "unroutable"),
];

impl DeadLetterReason {
    fn row(self) -> (DeadLetterReason, u8, &'static str) {
        let found = ALL.iter().find(|(reason, ..)| *reason == self);
        *found.expect("every reason has its row")
    }

    /// The reason as it stands in the message's history.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// The reason as it stands in the log.
    pub fn code(self) -> u8 {
        self.row().1
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<DeadLetterReason> {
        let found = ALL.iter().find(|(_, _, known)| *known == name);
        found.map(|(reason, ..)| *reason)
    }

    /// The reason of that code.
    pub fn from_code(code: u8) -> Option<DeadLetterReason> {
        let found = ALL.iter().find(|(_, known, _)| *known == code);
        found.map(|(reason, ..)| *reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_its_reason_and_no_other() {
        for (reason, code, name) in ALL {
            assert_eq!(DeadLetterReason::from_code(code), Some(reason));
            assert_eq!((reason.code(), reason.name()), (code, name));
            assert_eq!(DeadLetterReason::from_name(name), Some(reason));
        }
        assert_eq!(DeadLetterReason::from_code(0), None);
    }
}
