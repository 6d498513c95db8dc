//! The MQTT door: packets of 3.1, 3.1.1 and 5 for what the broker does.
//!
//! ```text
//! session    one connection: CONNECT, log-in, take-over, keep alive, will, every way out
//!  running   an open connection: packet to module
//!   publish  subscribe  acknowledge  events  leave
//!  store     what of a session outlives its connection: a queue, its bindings, its notes
//!  deliver, send   from a partition into the outbox
//!  flights   packet ids   subscriptions   who gets what
//!  wire      what the client is owed once the disk has caught up
//! block, format   how a publish is stored
//! ```
//!
//! Not here: bytes (`mqtt`, the codec), sockets (`connection`, `link`), what a queue does, what
//! messages look like to other protocols (`map`).

mod again;
mod alias;
mod answer;
mod arriving;
pub(crate) mod block;
mod clients;
mod common;
mod compose;
mod config;
mod connack;
mod connect;
mod deliver;
mod end;
mod entering;
mod flights;
mod format;
mod held;
mod info;
mod login_name;
mod opening;
mod publish;
mod registry;
mod retained;
mod running;
mod sasl;
mod send;
mod session;
mod store;
mod subscriptions;
mod sys;
mod turn;
mod who;
mod will;
mod wills;
mod wire;

pub use config::{MQTT_PACKET_BYTES_MAX, MqttConfig};
pub use format::MqttFormat;
pub use login_name::{MqttClient, MqttLogin, MqttLoginError, MqttProof, MqttVhosts, mqtt_login};
pub(crate) use registry::Registry;
pub(crate) use session::Session;
