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

mod access;
mod alarms;
mod arguments;
mod arrivals;
mod background;
mod broker;
mod burst;
mod checkpoint;
mod clean_stop;
mod clearing;
mod connections;
pub mod damage;
mod dead_letter;
mod definitions;
mod direct_reply;
mod durability;
mod error;
mod expiry;
mod format;
#[cfg(feature = "testing")]
pub mod fuzzing;
mod gather;
mod guard;
mod handle;
mod import;
mod inspect;
mod intercept;
mod json;
mod kept;
mod leases;
mod limits;
mod measure;
mod metrics;
mod notes;
mod outlet;
mod overview;
mod parameters;
mod partition;
mod passport;
mod policies;
mod pool;
mod pressure;
mod promise;
mod properties;
mod publisher;
mod queues;
mod rates;
mod recovery;
mod replay;
mod retained;
mod room;
mod self_check;
mod sent_on;
mod settlement;
mod stats;
mod streams;
mod subscriptions;
#[cfg(feature = "testing")]
mod testing;
mod ticket;
mod transaction;
mod vhost;

pub use access::{
    AccessError, AccessRefused, AccessSet, AccessWaiter, Account, Credentials, Glob, Grants, Login,
    LoginBy, LoginCount, PasswordCheck, Permission, Resource, Right, ScramLogin, ScramVerifier,
    TopicPermission, User, VhostSpec, filter_is_within_globs,
};
pub use arguments::age_ms;
pub use arrivals::ReadyWaiter;
pub use background::Threads;
pub use broker::{Broker, Clock, LoginError, OpenError, Options};
pub use burst::Burst;
pub use connections::{ConnectionId, ConnectionInfo, TlsInfo, WeakProbe};
pub use durability::DurableWaiter;
pub use error::{DefinitionError, ErrorKind};
pub use ferry_core::limits::NOTE_KEYS;
pub use ferry_core::queue::{Choice, MessageId, Outcome, Settled, StreamOffset, SyncPolicy};
pub use ferry_core::routing::{Binding, Destination, Exchange, ExchangeKind, SETTLE_EXCHANGE};
pub use ferry_core::view::{MessageView, NoView};
pub use ferry_log::Position;
pub use format::{Amendment, Basics, Formats, MessageFormat};
pub use gather::{
    GATHER_COUNT_MAX, GATHER_TIMEOUT_MS_DEFAULT, GATHER_TIMEOUT_MS_MAX, GatherError, GatherSpec,
    Gathering,
};
pub use handle::QueueHandle;
pub use import::{Import, ImportError, ImportedBinding, ImportedUser};
pub use inspect::{
    Acted, Browse, Filter, InvalidRef, LeaseHolder, Listed, MessageRef, MoveTo, OperateError, Page,
    Standing, What,
};
pub use intercept::{Origin, RuleBroken};
pub use json::arguments_as_json;
pub use kept::{Kept, KeptFor};
pub use limits::{
    Admitted, ChannelLimit, ConnectError, LimitError, LimitName, LimitsOf, LimitsSet, Seat,
};
pub use measure::{
    BOUNDS, DeadLetters, Deliveries, Distribution, Edges, Histogram, Measured, QueueTimes, Spoken,
};
pub use metrics::Metrics;
pub use outlet::{Delivery, Lease, Outlet};
pub use overview::{LogState, PartitionUse};
pub use parameters::{CLUSTER_ID, CLUSTER_NAME, ParameterError, ParameterSet};
pub use passport::{Event, Hop, HopSink, PASSPORT_BYTES_DEFAULT, TraceContext};
pub use policies::{ApplyTo, Policy, PolicyError, PolicySet, is_about_copies};
pub use pressure::{BlockReason, Pressure, PressureWaiter};
pub use promise::Promise;
pub use properties::{Properties, PropertyError};
pub use publisher::{PublishError, Published, Publisher};
pub use rates::{ConnectionLimits, Hold, RateOf, RateWaiter, ThrottleCount};
pub use replay::{Edit, JobId, JobState, MayWrite, Progress, ReplayJob, ReplaySpec, Selection};
pub use retained::{
    RETAINED_BYTES_MAX_DEFAULT, RETAINED_LEVELS_MAX, RETAINED_QUEUE, RETAINED_TOPICS_MAX_DEFAULT,
    RetainError, Retained, RetainedCursor, RetainedPage,
};
pub use room::NoRoom;
pub use self_check::{SelfCheck, SelfCheckError};
pub use stats::{ChannelInfo, ConsumerInfo, MessageStats, Probe, Tally, Traffic, VhostSums};
pub use subscriptions::{ConsumeError, ConsumerHandle, ConsumerSpec};
pub use ticket::{ConfirmTag, Ticket, TicketWaiter};
pub use transaction::CommitError;
pub use vhost::{BindingSpec, QueueDeclared, QueueSpec, Vhost, predeclared};

/// The RabbitMQ whose observable behaviour we follow, as told to clients: they choose by it what
/// they ask for.
pub const RABBITMQ_VERSION: &str = "4.0.5";
