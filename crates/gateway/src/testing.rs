//! Conversations in memory: real sessions on real links, with sockets, time and threads that are
//! in the hands of whoever drives them.
//!
//! ```text
//! client's bytes --send--> memory --> connection --> session --> broker
//!                                         ^ turn()                  | deliveries, confirms
//! client's bytes <--take-- memory <----- link <---------------------'
//! ```
//!
//! Invariants
//! - A connection does what it does on TCP, by the same code: only its socket and its clock differ.
//! - It gets a turn only after something has woken it: a wake-up that is lost is a conversation
//!   that stands still.
//! - No runtime, no thread and no clock: what would be done aside, or later, waits in the agenda of
//!   this thread until [`House::advance`].
//!
//! Not here: TLS, PROXY headers, the request for a WebSocket (the door's own tests).

mod agenda;
mod conversation;
mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_broker::Broker;

pub(crate) use self::agenda::{Planned, is_simulated, plan};
pub use self::conversation::Conversation;
pub(crate) use self::memory::Memory;
use crate::GatewayConfig;
pub use crate::connection::Protocol;
use crate::shared::Shared;
use crate::websocket::Entered;

/// A gateway without listeners. There is one at a time in a thread.
pub struct House {
    shared: Arc<Shared>,
    now: Instant,
}

impl House {
    /// Nobody is connected yet.
    #[must_use]
    pub fn open(broker: Arc<Broker>, config: GatewayConfig) -> House {
        let now = Instant::now();
        agenda::begin(now);
        let shared = Arc::new(Shared::new(broker, config));
        shared.watch();
        // As on the broker's own threads: what is written here is flushed here.
        crate::worker::after_work();
        House { shared, now }
    }

    /// A client connects from this machine, as `user` by its certificate if one is named.
    #[must_use]
    pub fn connect(&self, protocol: Protocol, user: Option<&str>) -> Conversation {
        Conversation::new(&self.shared, protocol, user, None, self.now)
    }

    /// The same by a WebSocket: a page of this machine, whose request was granted.
    #[must_use]
    pub fn connect_page(&self, protocol: Protocol, user: Option<&str>) -> Conversation {
        let entered = Entered::granted(&self.shared, protocol);
        Conversation::new(&self.shared, protocol, user, Some(entered), self.now)
    }

    /// Time passes, and what was planned for it is done. Who is connected hears of it by
    /// [`Conversation::turn`].
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
        agenda::work(self.now);
    }

    /// What [`Conversation::turn`] is given.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Tells every client to go.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Publishes the wills that wait, as the last that a gateway does.
    pub fn close(&self) {
        self.shared.mqtt.wills.publish_all();
    }
}
