//! Lines: a connection to each door, from the first byte to the last, for clients that are about
//! something else.
//!
//! Invariants
//! - A line says and hears for itself what every connection begins and ends with; all else is for
//!   its client.

mod amqp;
mod json;
mod mqtt;

pub(super) use self::amqp::{
    AmqpLine, CHANNEL, Heard, LIMITS, control, frame_of, method_of, number_of, short,
    take_confirmed, take_tags,
};
pub(super) use self::json::{Answer, Arrived, JsonLine, Told};
pub(super) use self::mqtt::{Arriving, MqttLine};

use super::desk::Desk;
use super::pipe::Pipe;
use crate::Checked;

/// What every connection has.
pub(super) struct End {
    pub(super) pipe: Pipe,
    /// The number of the connection.
    pub(super) life: u64,
    /// What the other side has closed it for.
    pub(super) closed: Option<String>,
    pub(super) unread: Unread,
}

impl End {
    fn new(pipe: Pipe, life: u64) -> End {
        End {
            pipe,
            life,
            closed: None,
            unread: Unread::default(),
        }
    }
}

/// A connection, as everything that is not about its protocol knows it.
pub(super) trait Line {
    fn end(&self) -> &End;

    fn end_mut(&mut self) -> &mut End;

    fn into_end(self) -> End
    where
        Self: Sized;

    /// Why it was closed from the other side, if it was.
    fn closed(&self) -> Option<&str> {
        self.end().closed.as_deref()
    }

    /// Whether its client may do as it likes.
    fn is_open(&self) -> bool;

    /// Whether it has said goodbye, and has heard it.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A line, or none.
pub(super) trait MaybeLine {
    fn line(&self) -> Option<&dyn Line>;

    fn line_mut(&mut self) -> Option<&mut dyn Line>;

    /// From now on there is none.
    fn let_go(&mut self) -> Option<Pipe>;
}

impl<L: Line + 'static> MaybeLine for Option<L> {
    fn line(&self) -> Option<&dyn Line> {
        self.as_ref().map(|line| line as _)
    }

    fn line_mut(&mut self) -> Option<&mut dyn Line> {
        self.as_mut().map(|line| line as _)
    }

    fn let_go(&mut self) -> Option<Pipe> {
        self.take().map(|line| line.into_end().pipe)
    }
}

/// A line that tells its client one thing after the other.
pub(super) trait Telling: Line {
    type Heard<'a>;

    /// The next that is for the client, behind `at`.
    fn next<'a>(&mut self, all: &'a [u8], at: &mut usize) -> Checked<Option<Self::Heard<'a>>>;
}

/// A client of such a line.
pub(super) trait Listener {
    type Line: Telling;

    fn telling(&mut self) -> Option<&mut Self::Line>;

    fn hear_one(
        &mut self,
        heard: <Self::Line as Telling>::Heard<'_>,
        desk: &mut Desk<'_>,
    ) -> Checked;
}

/// Reads what has come.
pub(super) fn listen<L: Listener>(client: &mut L, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
    let Some(line) = client.telling() else {
        return Ok(());
    };
    let (all, mut at) = (line.end_mut().unread.with(bytes), 0);
    while let Some(line) = client.telling() {
        let Some(heard) = line.next(&all, &mut at)? else {
            break;
        };
        client.hear_one(heard, desk)?;
    }
    if let Some(line) = client.telling() {
        line.end_mut().unread.keep(all, at);
    }
    Ok(())
}

/// What is read once all of it has come.
#[derive(Default)]
pub(super) struct Unread(Vec<u8>);

impl Unread {
    /// What is there to be read by now; what stays is given back to `keep`.
    pub(super) fn with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.0);
        all.extend_from_slice(bytes);
        all
    }

    /// What stays.
    pub(super) fn keep(&mut self, mut all: Vec<u8>, read: usize) {
        self.0 = all.split_off(read);
    }
}
