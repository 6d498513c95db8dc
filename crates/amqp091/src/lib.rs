//! AMQP 0-9-1 as RabbitMQ speaks it: bytes to typed values and back. No I/O, no clock, no task.
//!
//! The layers, each in its own module:
//!
//! ```text
//! handshake    the eight bytes that open a connection
//! frame        | kind u8 | channel u16 | size u32 | payload | 0xCE |
//! method       a method frame's payload: class u16, method u16, fields
//! content      a header frame's payload, and how method + header + bodies become one message
//! properties   the flags and values inside a content header
//! table        name-value tables inside methods and properties
//! publish      basic.publish read in one go; deliver: deliver/get-ok/return written in one go
//! reply        reply codes and texts
//! ```
//!
//! Invariants
//! - Decoding borrows from the input and never panics, whatever the bytes.
//! - An announced length is compared with what is there; it is never an allocation size.
//! - Recursion on input is limited to [`table::DEPTH_MAX`].
//!
//! Not here: sockets, buffers that are read into, what a method means.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod content;
pub mod deliver;
mod error;
pub mod frame;
pub mod handshake;
pub mod method;
pub mod properties;
pub mod publish;
pub mod reply;
pub mod table;
pub mod wire;

pub use content::{ChannelInput, ContentHeader, InputError};
pub use error::{DecodeError, ErlangBinary};
pub use frame::{Frame, FrameError, FrameKind};
pub use method::Method;
pub use properties::Properties;
pub use publish::{FastPublish, parse_publish_fast};
pub use reply::ReplyCode;
pub use table::{RawTable, RawValue, Table, TableError, Value};
pub use wire::{LongStr, ShortStr};
