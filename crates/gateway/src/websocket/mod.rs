//! WebSocket (RFC 6455): the same protocols where a browser can reach them.
//!
//! ```text
//! socket -> (TLS) -> deframer -> the session's read buffer
//! outbox -> framed -> (TLS) -> socket
//! ```
//!
//! Invariants
//! - A session knows nothing of it: plain bytes go in and come out.
//! - A stream of bytes is not gathered: what came of a frame is passed on, however long the frame.
//! - Nothing that a page carries without asking its user, where it runs or a certificate, logs it
//!   in anywhere but at home.
//!
//! Not here: TLS (`sealed`), the listener for HTTP (`ferry-admin`), what is said in the frames.

mod deframer;
mod door;
mod framed;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod request;

pub(crate) use self::deframer::Deframer;
pub(crate) use self::door::{Entered, enter};
pub use self::door::{Guest, WebSockets};
pub(crate) use self::framed::{Content, Framed};
pub(crate) use tungstenite::protocol::frame::coding::CloseCode;
