//! Who is connected, and what goes when a connection goes.
//!
//! Invariants
//! - A connection's exclusive queues are known here from their declaration to their end.

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ferry_core::Millis;
use ferry_core::arguments::Arguments;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{Probe, QueueHandle, Seat};

/// Names a connection; never used twice in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// That of no connection, for who acts without one: no exclusive queue is its own.
    pub const NOBODY: ConnectionId = ConnectionId(0);
}

/// What is known of a connection when it is opened.
#[derive(Debug, Clone, Default)]
pub struct ConnectionInfo {
    /// Its number, given when it is opened.
    pub id: ConnectionId,
    /// Address of the peer.
    pub peer: String,
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The protocol, for example `AMQP 0-9-1`.
    pub protocol: &'static str,
    /// Address that the peer has connected to; empty if there is none.
    pub local: String,
    /// How the user was authenticated.
    pub mechanism: String,
    /// What the client says of itself.
    pub client_properties: Arc<Arguments>,
    /// Most channels; 0 for no limit.
    pub channel_max: u16,
    /// Largest frame, in bytes.
    pub frame_bytes_max: u32,
    /// Seconds between heartbeats; 0 for none.
    pub heartbeat_s: u16,
    /// Its TLS; none on a plain socket.
    pub tls: Option<Arc<TlsInfo>>,
    /// When it was opened.
    pub connected_at: Millis,
    /// Tells how it does.
    pub probe: WeakProbe,
}

/// What is known of a connection's TLS, in RabbitMQ's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// `tlsv1.2` or `tlsv1.3`.
    pub protocol: &'static str,
    /// For example `ecdhe_rsa`, `any` in TLS 1.3.
    pub key_exchange: &'static str,
    /// For example `aes_256_gcm`.
    pub cipher: &'static str,
    /// `aead`, for all ciphers that are spoken.
    pub hash: &'static str,
    /// Subject of the client's certificate, if it has shown one.
    pub peer_cert_subject: Option<String>,
    /// Who has signed that.
    pub peer_cert_issuer: Option<String>,
    /// From when to when it is valid.
    pub peer_cert_validity: Option<String>,
}

impl ConnectionInfo {
    /// Its name for operators: from where to where.
    pub fn name(&self) -> String {
        match self.local.is_empty() {
            true => self.peer.clone(),
            false => format!("{} -> {}", self.peer, self.local),
        }
    }
}

/// The probe of a connection that may be gone.
#[derive(Clone, Default)]
pub struct WeakProbe(Option<Weak<dyn Probe>>);

impl WeakProbe {
    /// Does not keep the connection.
    pub fn new(probe: Weak<dyn Probe>) -> WeakProbe {
        WeakProbe(Some(probe))
    }

    /// The probe, unless the connection is gone or never had one.
    pub fn upgrade(&self) -> Option<Arc<dyn Probe>> {
        self.0.as_ref()?.upgrade()
    }
}

impl Debug for WeakProbe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("WeakProbe")
    }
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
    /// Each in a box: a table that has just grown is half empty.
    open: Mutex<HashMap<ConnectionId, Box<Open>, foldhash::fast::RandomState>>,
    next: AtomicU64,
}

impl Connections {
    pub fn open(&self, info: ConnectionInfo, seats: [Option<Seat>; 2]) -> ConnectionId {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let open = Box::new(Open {
            info: ConnectionInfo { id, ..info },
            exclusive: Vec::new(),
            _seats: seats,
        });
        self.open.lock().insert(id, open);
        id
    }

    /// Ends a connection; gives what was known of it, and which queues were its own.
    pub fn close(&self, id: ConnectionId) -> Option<(ConnectionInfo, Vec<Arc<QueueHandle>>)> {
        let open = *self.open.lock().remove(&id)?;
        Some((open.info, open.exclusive))
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

    /// What is known of one.
    pub fn get(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        Some(self.open.lock().get(&id)?.info.clone())
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
