//! Who is connected, and what goes when a connection goes.
//!
//! Invariants
//! - A connection's exclusive queues are known here from their declaration to their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{QueueHandle, Seat};

/// Names a connection; never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// That of no connection, for who acts without one: no exclusive queue is its own.
    pub const NOBODY: ConnectionId = ConnectionId(0);
}

/// What is known of a connection when it is opened.
#[derive(Debug, Clone, Default)]
pub struct ConnectionInfo {
    /// Address of the peer.
    pub peer: String,
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The protocol, for example `AMQP 0-9-1`.
    pub protocol: &'static str,
}

struct Open {
    info: ConnectionInfo,
    exclusive: Vec<Arc<QueueHandle>>,
    /// Its places in its virtual host and its user, given back when it goes.
    _seats: [Option<Seat>; 2],
}

/// All connections.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<HashMap<ConnectionId, Open, foldhash::fast::RandomState>>,
    next: AtomicU64,
}

impl Connections {
    pub fn open(&self, info: ConnectionInfo, seats: [Option<Seat>; 2]) -> ConnectionId {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        self.open.lock().insert(
            id,
            Open {
                info,
                exclusive: Vec::new(),
                _seats: seats,
            },
        );
        id
    }

    /// Ends a connection and says which queues were its own.
    pub fn close(&self, id: ConnectionId) -> Vec<Arc<QueueHandle>> {
        self.open
            .lock()
            .remove(&id)
            .map(|open| open.exclusive)
            .unwrap_or_default()
    }

    pub fn own(&self, id: ConnectionId, queue: &Arc<QueueHandle>) {
        if let Some(open) = self.open.lock().get_mut(&id) {
            open.exclusive.push(Arc::clone(queue));
        }
    }

    pub fn disown(&self, id: ConnectionId, queue: &QueueHandle) {
        if let Some(open) = self.open.lock().get_mut(&id) {
            open.exclusive.retain(|owned| owned.id() != queue.id());
        }
    }

    /// Who uses a connection, and the name of it.
    pub fn user_and_peer(&self, id: ConnectionId) -> Option<(String, String)> {
        let open = self.open.lock();
        let info = &open.get(&id)?.info;
        Some((info.user.clone(), info.peer.clone()))
    }

    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    pub fn list(&self) -> Vec<ConnectionInfo> {
        let mut list: Vec<_> = self
            .open
            .lock()
            .iter()
            .map(|(id, open)| (*id, open.info.clone()))
            .collect();
        list.sort_unstable_by_key(|(id, _)| *id);
        list.into_iter().map(|(_, info)| info).collect()
    }
}
