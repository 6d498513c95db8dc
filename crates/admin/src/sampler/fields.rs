//! Which counts a sample holds, by place.

use ferry_broker::MessageStats;

/// A field by its place in a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub name: &'static str,
    pub at: usize,
}

const STATS: usize = MessageStats::NAMES.len();

/// What a sample of any object holds, behind the counts of messages.
pub(crate) struct Object {
    pub ready: Field,
    pub unacknowledged: Field,
    pub received: Field,
    pub sent: Field,
}

const fn field(name: &'static str, at: usize) -> Field {
    Field { name, at }
}

pub(crate) const OBJECT: Object = Object {
    ready: field("messages_ready", STATS),
    unacknowledged: field("messages_unacknowledged", STATS + 1),
    received: field("recv_oct", STATS + 2),
    sent: field("send_oct", STATS + 3),
};

pub(super) const OBJECT_FIELDS: usize = STATS + 4;

/// What comes and goes at a node, behind the fields of any object.
pub(crate) const CHURN: [Field; 7] = [
    field("connection_created", OBJECT_FIELDS),
    field("connection_closed", OBJECT_FIELDS + 1),
    field("channel_created", OBJECT_FIELDS + 2),
    field("channel_closed", OBJECT_FIELDS + 3),
    field("queue_declared", OBJECT_FIELDS + 4),
    field("queue_created", OBJECT_FIELDS + 5),
    field("queue_deleted", OBJECT_FIELDS + 6),
];

/// What a node uses.
pub(crate) const USED: [Field; 4] = [
    field("mem_used", OBJECT_FIELDS + 7),
    field("fd_used", OBJECT_FIELDS + 8),
    field("sockets_used", OBJECT_FIELDS + 9),
    field("disk_free", OBJECT_FIELDS + 10),
];

pub(super) const NODE_FIELDS: usize = OBJECT_FIELDS + 11;
