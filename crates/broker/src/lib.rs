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
mod guard;
mod handle;
mod inspect;
mod metrics;
mod outlet;
mod partition;
mod policies;
mod pressure;
mod promise;
mod publisher;
mod queues;
mod recovery;
mod replay;
mod settlement;
mod subscriptions;
#[cfg(feature = "testing")]
mod testing;
mod ticket;
mod transaction;
mod vhost;

pub use background::Threads;
pub use broker::{Broker, Clock, LoginError, OpenError, Options, User};
pub use burst::Burst;
pub use connections::{ConnectionId, ConnectionInfo};
pub use durability::DurableWaiter;
pub use error::{DefinitionError, ErrorKind};
pub use ferry_core::queue::{MessageId, Outcome, Settled, SyncPolicy};
pub use ferry_core::routing::{
    Destination, Exchange, ExchangeKind, HeaderView, NoHeaders, SETTLE_EXCHANGE,
};
pub use ferry_log::Position;
pub use format::{Basics, Formats, MessageFormat};
pub use handle::QueueHandle;
pub use inspect::{
    Browse, Filter, InvalidRef, LeaseHolder, Listed, MessageRef, MoveTo, OperateError, Page,
    Standing, What,
};
pub use metrics::Metrics;
pub use outlet::{Delivery, Lease, Outlet};
pub use policies::{ApplyTo, Policy, PolicyError, PolicySet};
pub use pressure::{BlockReason, Pressure, PressureWaiter};
pub use promise::Promise;
pub use publisher::{PublishError, Published, Publisher};
pub use replay::{Edit, JobId, JobState, Progress, ReplayJob, ReplaySpec, Selection};
pub use subscriptions::{ConsumeError, ConsumerHandle, ConsumerSpec};
pub use ticket::{ConfirmTag, Ticket, TicketWaiter};
pub use transaction::CommitError;
pub use vhost::{BindingSpec, QueueDeclared, QueueSpec, Vhost};
