//! `ferrymq.json`: publish and subscribe in JSON, for pages without a library.
//!
//! ```text
//! text --request--> session --login--> open --burst--> ferry-broker
//!                                                          | deliveries, confirms
//!        text <-- link (outbox, what is owed, unsettled) <-'
//! ```
//!
//! `docs/websocket.md` says what goes in and out. Towards the WebSocket each text ends with a NUL.
//!
//! Invariants
//! - A request is answered if it has an id; one that goes wrong always.
//! - `ok` to a publish means that it is as safe as its queues make it.
//! - What is not understood is refused by name, and the connection goes on.
//!
//! Not here: frames (`websocket`), who may do what (`ferry-broker`).

mod answer;
mod deliver;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod open;
mod properties;
mod publish;
mod request;
mod session;
mod subscribe;
mod turn;
mod wire;

pub(crate) use self::session::Session;
