//! The AMQP 0-9-1 adapter: RabbitMQ's words for what the broker does.
//!
//! ```text
//! session    one connection: handshake, frames to channels, close in every direction
//!  channel   one channel: method to module
//!   publish  queue  exchange  basic  tx  reply_to  settlement
//!    headers  delay  what a publish says of itself
//!  deliver   from a partition into the outbox      lane, unacked   what deliveries leave behind
//!  confirm   what the client is owed once the disk has caught up
//!  throttle  publishes that wait for memory or disk, or for a rate
//! ```
//!
//! Not here: bytes (`amqp091`, the codec), sockets (`connection`, `link`), what a queue does.

mod access;
mod amend;
pub(crate) mod arguments;
mod basic;
mod channel;
mod channels;
mod confirm;
mod delay;
mod deliver;
mod errors;
mod exchange;
pub(crate) mod expiration;
pub(crate) mod format;
mod gather;
mod handshake;
mod headers;
mod lane;
pub(crate) mod plain;
mod publish;
mod queue;
mod reply_to;
mod running;
mod session;
mod settlement;
mod streams;
mod tally;
mod throttle;
mod turn;
mod tx;
mod unacked;
mod wire;

pub use format::Amqp091Format;
pub(crate) use session::Session;

use amqp091::Method;
use amqp091::method::basic as methods;

/// Appends `basic.ack` to a publisher.
fn write_ack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    Method::BasicAck(methods::Ack {
        delivery_tag,
        multiple,
    })
    .write_frame(out, channel);
}

/// Appends `basic.nack` to a publisher.
fn write_nack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    Method::BasicNack(methods::Nack {
        delivery_tag,
        multiple,
        requeue: false,
    })
    .write_frame(out, channel);
}
