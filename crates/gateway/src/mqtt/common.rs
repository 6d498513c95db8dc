//! What all parts of an open connection share, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use ferry_broker::{Broker, ConnectionId, ConnectionLimits, Origin, User, Vhost};
use mqtt::{ReasonCode, Version};

use super::wire::Link;
use crate::shared::Shared;

/// The exchange that all messages go through.
pub(crate) const TOPIC_EXCHANGE: &str = "amq.topic";

/// What client and broker have told each other of what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Publishes of QoS 1 and 2 that the client takes at a time.
    pub(crate) receive_max_out: u16,
    /// The same that we take.
    pub(crate) receive_max_in: u16,
    /// Largest packet that the client takes, in bytes.
    pub(crate) packet_bytes_max_out: u32,
    /// The same that we take.
    pub(crate) packet_bytes_max_in: u32,
    /// Topic aliases that the client takes.
    pub(crate) alias_max_out: u16,
    /// The same that we take.
    pub(crate) alias_max_in: u16,
    /// Whether the client wants to be told more than reason codes.
    pub(crate) problem_information: bool,
}

/// What all parts of an open connection share.
pub(crate) struct Common {
    /// What all connections share.
    pub(crate) shared: Arc<Shared>,
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// The connection, as other threads see it.
    pub(crate) link: Arc<Link>,
    /// The virtual host that it is in.
    pub(crate) vhost: Arc<Vhost>,
    /// Who is logged in, as the client of that id.
    pub(crate) user: Arc<User>,
    /// Who that is to the rules of an exchange.
    pub(crate) origin: Arc<Origin>,
    /// Its number at the broker.
    pub(crate) connection: ConnectionId,
    /// What bounds it.
    pub(crate) limits: Arc<ConnectionLimits>,
    /// Where it comes from.
    pub(crate) peer: SocketAddr,
    /// The protocol's version.
    pub(crate) version: Version,
    /// The client's id.
    pub(crate) client_id: Arc<str>,
    /// The same as messages carry it.
    pub(crate) digest: u64,
    /// What was agreed.
    pub(crate) terms: Terms,
}

/// Who ends a connection, and what becomes of the will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndKind {
    /// The client, which takes its will back.
    ByClient,
    /// The client, which wants its will published.
    WithWill,
    /// We do, and say why where the version has a packet for that.
    Refused,
    /// We do, without a word.
    Silent,
}

/// How an open connection comes to its end.
#[derive(Debug)]
pub(crate) struct End {
    /// Why.
    pub(crate) reason: ReasonCode,
    /// The same for the log, and for clients that want to know.
    pub(crate) text: String,
    /// Who ends it.
    pub(crate) kind: EndKind,
    /// For how many seconds the session is kept, if the client has said so at its end.
    pub(crate) expiry_s: Option<u32>,
}

impl End {
    /// We end it for that reason.
    pub(crate) fn refused(reason: ReasonCode, text: impl Into<String>) -> End {
        End {
            reason,
            text: text.into(),
            kind: EndKind::Refused,
            expiry_s: None,
        }
    }
}

impl From<mqtt::DecodeError> for End {
    fn from(error: mqtt::DecodeError) -> End {
        End::refused(error.reason, error.to_string())
    }
}
