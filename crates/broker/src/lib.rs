//! The one API that all doors call: publish, subscribe, settle, get, declare.
//!
//! It owns the partitions (who may change a queue, and when), the definitions of virtual hosts,
//! the promise that a confirm makes, and what happens at start, in the background and at the end.
//!
//! Invariants
//! - A partition's state is changed by one thread at a time, and nobody waits for a partition
//!   while holding another.
//! - Nothing is called a success before the log keeps it as its policy says.
//! - Doors are called under a partition's lock and never call back from there.
//! - No runtime: every call is synchronous and short, so the simulator runs this very code.
//!
//! Not here: sockets and protocols (`ferry-gateway`), what a queue does (`ferry-core`).

#![forbid(unsafe_code)]

mod arguments;
mod background;
mod broker;
mod burst;
mod checkpoint;
mod connections;
mod dead_letter;
mod definitions;
mod direct_reply;
mod durability;
mod error;
mod format;
mod gather;
mod guard;
mod handle;
mod inspect;
mod intercept;
mod json;
mod limits;
mod metrics;
mod outlet;
mod partition;
mod passport;
mod policies;
mod pressure;
mod promise;
mod publisher;
mod queues;
mod rates;
mod recovery;
mod replay;
mod sent_on;
mod settlement;
mod streams;
mod subscriptions;
#[cfg(feature = "testing")]
mod testing;
mod ticket;
mod transaction;
mod vhost;

pub use arguments::age_ms;
pub use background::Threads;
pub use broker::{Broker, Clock, LoginError, OpenError, Options, User};
pub use burst::Burst;
pub use connections::{ConnectionId, ConnectionInfo};
pub use durability::DurableWaiter;
pub use error::{DefinitionError, ErrorKind};
pub use ferry_core::queue::{Choice, MessageId, Outcome, Settled, StreamOffset, SyncPolicy};
pub use ferry_core::routing::{Destination, Exchange, ExchangeKind, SETTLE_EXCHANGE};
pub use ferry_core::view::{MessageView, NoView};
pub use ferry_log::Position;
pub use format::{Amendment, Basics, Formats, MessageFormat};
pub use gather::{
    GATHER_COUNT_MAX, GATHER_TIMEOUT_MS_DEFAULT, GATHER_TIMEOUT_MS_MAX, GatherError, GatherSpec,
    Gathering,
};
pub use handle::QueueHandle;
pub use inspect::{
    Browse, Filter, InvalidRef, LeaseHolder, Listed, MessageRef, MoveTo, OperateError, Page,
    Standing, What,
};
pub use intercept::{Origin, RuleBroken};
pub use json::arguments_as_json;
pub use limits::{
    Admitted, ChannelLimit, ConnectError, LimitError, LimitName, LimitsOf, LimitsSet, Seat,
};
pub use metrics::Metrics;
pub use outlet::{Delivery, Lease, Outlet};
pub use passport::{Event, Hop, HopSink, PASSPORT_BYTES_DEFAULT, TraceContext};
pub use policies::{ApplyTo, Policy, PolicyError, PolicySet};
pub use pressure::{BlockReason, Pressure, PressureWaiter};
pub use promise::Promise;
pub use publisher::{PublishError, Published, Publisher};
pub use rates::{ConnectionLimits, Hold, RateOf, RateWaiter, ThrottleCount};
pub use replay::{Edit, JobId, JobState, Progress, ReplayJob, ReplaySpec, Selection};
pub use subscriptions::{ConsumeError, ConsumerHandle, ConsumerSpec};
pub use ticket::{ConfirmTag, Ticket, TicketWaiter};
pub use transaction::CommitError;
pub use vhost::{BindingSpec, QueueDeclared, QueueSpec, Vhost};
