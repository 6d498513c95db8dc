//! Lines: a connection to each door, from the first byte to the last, for clients that are about
//! something else.
//!
//! Invariants
//! - A line says and hears for itself what every connection begins and ends with; all else is for
//!   its client.

mod amqp;
mod mqtt;

pub(super) use self::amqp::{AmqpLine, Heard, short};
pub(super) use self::mqtt::{Arriving, MqttLine};

use super::pipe::Pipe;

/// What is read once all of it has come.
#[derive(Default)]
struct Unread(Vec<u8>);

impl Unread {
    /// What is there to be read by now; what stays is given back to `keep`.
    fn with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.0);
        all.extend_from_slice(bytes);
        all
    }

    /// What stays.
    fn keep(&mut self, mut all: Vec<u8>, read: usize) {
        self.0 = all.split_off(read);
    }
}

/// The end of a connection, or none where there is none.
pub(super) fn pipe_of<L>(line: &mut Option<L>, of: fn(&mut L) -> &mut Pipe) -> Option<&mut Pipe> {
    line.as_mut().map(of)
}
