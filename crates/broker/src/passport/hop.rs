//! One hop of a message's way.

use ferry_core::Millis;
use ferry_core::queue::Step;
use serde::{Deserialize, Serialize};

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// In which queue; none if in no queue.
    pub queue: Option<String>,
    /// The trace that the message belongs to, if it does.
    pub trace_id: Option<[u8; 16]>,
    /// What.
    pub event: Event,
}

/// What happened, with its details. Names that a client chose are shown as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A client published it.
    Published {
        /// To this exchange.
        exchange: String,
        /// With this routing key.
        routing_key: String,
        /// The user; none if the broker itself published.
        user: Option<String>,
        /// The name of the connection.
        connection: Option<String>,
        /// Length of the body, in bytes.
        bytes: u64,
    },
    /// A binding matched, or an alternate exchange was asked; to a queue if the hop has one.
    Routed {
        /// The exchange that it came from.
        exchange: String,
        /// The key of the binding; none for the way to an alternate.
        binding_key: Option<String>,
        /// The exchange that it went to.
        to_exchange: Option<String>,
    },
    /// It is in the queue.
    Entered,
    /// The queue was full and refused it.
    Refused,
    /// Its id had been seen before, by the queue or by its exchange: it was not stored again.
    Duplicate,
    /// It waits.
    Delayed {
        /// Until then, in milliseconds since the Unix epoch.
        until: Millis,
    },
    /// Its wait is over.
    Awake,
    /// It was handed out.
    Delivered {
        /// The tag of the consumer; none for who asked for one message.
        consumer: Option<String>,
        /// The name of the connection, if that is known.
        connection: Option<String>,
        /// Whether it was said to be a redelivery.
        redelivered: bool,
        /// Whether it needs no settling.
        auto_ack: bool,
    },
    /// Its consumer is done with it.
    Acked,
    /// Its consumer does not want it.
    Rejected,
    /// It came back to the queue: nacked, or its consumer is gone, or its lease expired.
    Returned,
    /// Nobody settled it in time.
    LeaseExpired,
    /// It was dropped, as there is nowhere to go for dead letters.
    Dropped {
        /// Why it left: `expired`, `rejected`, `maxlen`, `delivery_limit`.
        reason: String,
    },
    /// It left the queue for where dead letters go.
    DeadLettered {
        /// Why: `expired`, `rejected`, `maxlen`, `delivery_limit`, `unroutable`.
        reason: String,
        /// To this exchange.
        exchange: String,
        /// With this routing key.
        routing_key: String,
        /// The queues that are to take it; none if that is nowhere.
        queues: Vec<String>,
    },
    /// An operator moved it, or replayed it.
    Moved {
        /// Who.
        by: String,
        /// What was done: `moved`, `replayed`, `edited and replayed`.
        act: String,
        /// To this exchange.
        exchange: String,
        /// With this routing key.
        routing_key: String,
        /// The queues that took it.
        queues: Vec<String>,
        /// The id that it had before or has after, if it is another one.
        other_id: Option<String>,
    },
    /// An operator dropped it.
    Cancelled {
        /// Who.
        by: String,
    },
    /// So many hops are not kept.
    LeftOut {
        /// How many.
        hops: u64,
    },
}

impl From<Step> for Event {
    fn from(step: Step) -> Event {
        match step {
            Step::Entered => Event::Entered,
            Step::Refused => Event::Refused,
            Step::Duplicate => Event::Duplicate,
            Step::Delayed(until) => Event::Delayed { until },
            Step::Awake => Event::Awake,
            Step::Acked => Event::Acked,
            Step::Rejected => Event::Rejected,
            Step::Returned => Event::Returned,
            Step::LeaseExpired => Event::LeaseExpired,
            Step::Dropped(reason) => Event::Dropped {
                reason: reason.name().to_owned(),
            },
        }
    }
}

/// Bytes that are text most of the time.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
