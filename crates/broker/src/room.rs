//! Whether there is memory for one more queue, exchange, binding, consumer or connection.
//!
//! What these take is in no account: nobody would ever free the publishers who are held for it. It
//! is bounded by what the whole process takes instead, as the system counts it, with what a
//! checkpoint of all definitions takes more while it is made.
//!
//! ```text
//!  0 ........ memory_high ................ definitions ........... clients ........... limit
//!             publishers are held          nothing is declared     nobody comes in
//! ```
//!
//! Invariants
//! - What is there already can be declared again, used and deleted.
//! - The system is asked by how many come, and not by a clock; while there is no room, each time.
//!
//! Not here: what messages take (`pressure`), what clients bring of them (`kept`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Broker;
use crate::definitions::ImageBytes;

/// How many come in before the system is asked again. Each may bring a frame of arguments.
const LOOK_EVERY: u64 = 32;

/// Use has to fall by so large a part before anybody is let in again.
const RELIEF_PART: u64 = 16;

/// There is no memory for anything new of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "memory is short: the node needs {used_bytes} bytes, and there are no new {what} until it is \
     less than {below_bytes}; delete what is not needed, or give the node more memory"
)]
pub struct NoRoom {
    /// `queues, exchanges and bindings` or `consumers and connections`.
    pub what: &'static str,
    /// What the process takes with a checkpoint of its definitions, in bytes.
    pub used_bytes: u64,
    /// Below how much something new is let in, in bytes.
    pub below_bytes: u64,
}

/// What comes in, by how long there is room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newcomer {
    /// A queue, an exchange or a binding.
    Definition,
    /// A consumer or a connection: they take messages away, so there is room for them for longer.
    Client,
}

impl Newcomer {
    fn what(self) -> &'static str {
        match self {
            Newcomer::Definition => "queues, exchanges and bindings",
            Newcomer::Client => "consumers and connections",
        }
    }
}

/// How much memory the process takes and may take, if that is watched.
#[derive(Default)]
pub(crate) struct Room(OnceLock<Watched>);

struct Watched {
    definitions: Mark,
    clients: Mark,
    /// How many came.
    came: AtomicU64,
    used_bytes: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

/// From where on newcomers of a kind are refused.
struct Mark {
    bytes: u64,
    is_out: AtomicBool,
}

impl Mark {
    fn new(bytes: u64) -> Mark {
        let is_out = AtomicBool::new(false);
        Mark { bytes, is_out }
    }
}

impl Watched {
    fn admit(&self, newcomer: Newcomer, image_bytes: &ImageBytes) -> Result<(), NoRoom> {
        let mark = match newcomer {
            Newcomer::Definition => &self.definitions,
            Newcomer::Client => &self.clients,
        };
        let was_out = mark.is_out.load(Ordering::Relaxed);
        let came = self.came.fetch_add(1, Ordering::Relaxed);
        if !came.is_multiple_of(LOOK_EVERY) && !was_out {
            return Ok(());
        }
        let below_bytes = match was_out {
            true => mark.bytes - mark.bytes / RELIEF_PART,
            false => mark.bytes,
        };
        // A system that does not say refuses nothing.
        let used_bytes = (self.used_bytes)().map_or(0, |bytes| bytes + image_bytes.get());
        let is_out = used_bytes >= below_bytes;
        let what = newcomer.what();
        if mark.is_out.swap(is_out, Ordering::Relaxed) != is_out {
            report(is_out, what, used_bytes, below_bytes);
        }
        match is_out {
            true => Err(NoRoom {
                what,
                used_bytes,
                below_bytes,
            }),
            false => Ok(()),
        }
    }
}

/// Tells the operator.
fn report(is_out: bool, what: &str, used_bytes: u64, below_bytes: u64) {
    if is_out {
        tracing::warn!(
            used_bytes,
            below_bytes,
            "new {what} are refused: the node needs nearly all memory. Delete what is not needed, \
             close what is idle, or give the node more"
        );
    } else {
        tracing::info!(used_bytes, below_bytes, "new {what} are let in again");
    }
}

impl Broker {
    /// Lets one more in, or says why not.
    pub(crate) fn admit(&self, newcomer: Newcomer) -> Result<(), NoRoom> {
        let watched = self.room.0.get();
        watched.map_or(Ok(()), |watched| {
            watched.admit(newcomer, &self.durability.image_bytes)
        })
    }

    /// From now on nothing new is let in that the memory of the process has no room for. It may
    /// take `limit_bytes`: new queues, exchanges and bindings leave a third of what messages leave
    /// of that, new consumers and connections a sixth. `used_bytes` asks the system what the
    /// process takes; without an answer nothing is refused. Only the first call counts.
    pub fn watch_memory(
        &self,
        limit_bytes: u64,
        used_bytes: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let left_bytes = limit_bytes.saturating_sub(self.pressure.high_bytes());
        // Whoever lets messages take all of it has room for nothing else, and is not watched.
        if left_bytes > 0 {
            self.room.0.get_or_init(|| Watched {
                definitions: Mark::new(limit_bytes - left_bytes / 3),
                clients: Mark::new(limit_bytes - left_bytes / 6),
                came: AtomicU64::new(0),
                used_bytes: Box::new(used_bytes),
            });
        }
    }
}
