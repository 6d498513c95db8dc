//! Why an operator's call was refused.
//!
//! Invariants
//! - A refused call has changed nothing, unless the log has failed: then the node stops.

use ferry_log::{LogError, ReadError};

use crate::QueueHandle;

/// Why an act on a message, a queue or a job was refused.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// There is no such queue any more.
    #[error("no queue '{name}' in vhost '{vhost}'")]
    NoSuchQueue {
        /// The queue.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
    /// There is no such exchange.
    #[error("no exchange '{name}' in vhost '{vhost}'")]
    NoSuchExchange {
        /// The exchange.
        name: String,
        /// Its virtual host.
        vhost: String,
    },
    /// The message is gone, or its name is out of date.
    #[error("the message is not there any more")]
    NotFound,
    /// Somebody has the message.
    #[error("the message is leased: end its lease first")]
    Leased,
    /// It does not wait for its time.
    #[error("the message does not wait for a time")]
    NotDelayed,
    /// Nobody outside has it, so there is no lease to extend or end.
    #[error("the message is not leased to a consumer")]
    NotLeased,
    /// It is in a stream, which keeps its messages until they are too old or too many.
    #[error("messages do not leave a stream one by one")]
    Stream,
    /// No queue would get it.
    #[error("the message would go to no queue: bind one, or name a queue")]
    NotRouted,
    /// It never was a dead letter, so that nobody knows where it came from.
    #[error("the message has no history of deaths that tells where it came from")]
    NoOrigin,
    /// Who asked may not write there.
    #[error("write access to exchange '{0}' refused")]
    NotAllowed(String),
    /// A queue that it would go to is full.
    #[error("queue '{0}' is full")]
    Refused(String),
    /// Its body can not be read back.
    #[error("the message can not be read back: {0}")]
    Unreadable(ReadError),
    /// No door has registered the format of its properties.
    #[error("the message is of format {0}, which nobody knows")]
    UnknownFormat(u8),
    /// A value is not in its range.
    #[error("{what} must be {range}")]
    OutOfRange {
        /// The value.
        what: &'static str,
        /// What it may be.
        range: String,
    },
    /// There are as many of them as there may be.
    #[error("there are {max} {what} already")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// There is no such job.
    #[error("there is no such job")]
    NoSuchJob,
    /// The log does not take it.
    #[error("it can not be stored: {0}")]
    Log(#[from] LogError),
}

impl OperateError {
    pub(crate) fn no_queue(queue: &QueueHandle) -> OperateError {
        OperateError::NoSuchQueue {
            name: queue.name().to_owned(),
            vhost: queue.vhost().to_owned(),
        }
    }

    pub(crate) fn out_of_range(what: &'static str, range: impl Into<String>) -> OperateError {
        OperateError::OutOfRange {
            what,
            range: range.into(),
        }
    }
}
