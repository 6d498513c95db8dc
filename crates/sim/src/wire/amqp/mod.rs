//! A client of AMQP 0-9-1: one channel to publish with confirms, one to consume.
//!
//! ```text
//! greeting --start--> tuning --tune--> entering --open-ok--> open
//! open --close--> leaving --close-ok--> gone
//! channel 2: opening --> open --our close--> closing --> opening
//!                          '---our mistake--> doomed --its close--> opening
//! ```
//!
//! Invariants
//! - It says only what a client may, but for the mistakes that it makes on purpose.
//! - Every answer is the one that is due: answers come in order, tags are consecutive, a confirm
//!   is for something that was published and not confirmed, and what could not be routed is
//!   returned before.
//!
//! Not here: what it says (`say`), what it hears (`hear`).

mod hear;
mod say;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amqp091::ChannelInput;
use ferry_gateway::testing::Protocol;

use super::client::Client;
use super::desk::{Desk, QUEUES};
use super::ledger::Place;
use super::line::{AmqpLine, CHANNEL, Line, MaybeLine};
use super::pipe::Pipe;
use crate::Checked;

/// The channel to publish on: the one that its line opens.
const PUBLISHES: u16 = CHANNEL;

/// The channel to consume on.
const CONSUMES: u16 = 2;

/// An answer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    /// The method of that name.
    Method(&'static str),
    /// A message of that place, or that there is none.
    Get(Place),
    /// That this consumer is there.
    Consume(String),
    /// That it is not.
    Cancel(String),
}

/// The channel to publish on.
#[derive(Default)]
struct Publishing {
    ready: bool,
    input: ChannelInput,
    due: VecDeque<Due>,
    /// Publishes so far, which is the tag of the last.
    tag: u64,
    /// What is not confirmed: messages by tag.
    unconfirmed: BTreeMap<u64, u64>,
    /// What is to be returned.
    returning: BTreeSet<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Channel {
    #[default]
    Opening,
    Open,
    /// We have said that it is closed.
    Closing,
    /// We have said what it must be closed for.
    Doomed,
}

/// The channel to consume on.
#[derive(Default)]
struct Consuming {
    channel: Channel,
    input: ChannelInput,
    due: VecDeque<Due>,
    /// The last delivery tag.
    tag: u64,
    /// What is not settled, by delivery tag.
    held: BTreeMap<u64, (Place, u64)>,
    /// Where each consumer's messages come from.
    consumers: BTreeMap<String, Place>,
    /// Consumers that are to end.
    ending: BTreeSet<String>,
    /// Something may be on its way to it without an acknowledgement.
    takes_unacked: bool,
    /// Consumers so far.
    named: u64,
}

/// A connection.
struct Connection {
    line: AmqpLine,
    publishing: Publishing,
    consuming: Consuming,
}

impl MaybeLine for Option<Connection> {
    fn line(&self) -> Option<&dyn Line> {
        self.as_ref().map(|connection| &connection.line as _)
    }

    fn line_mut(&mut self) -> Option<&mut dyn Line> {
        self.as_mut().map(|connection| &mut connection.line as _)
    }

    fn let_go(&mut self) -> Option<Pipe> {
        self.take()
            .map(|connection| connection.line.into_end().pipe)
    }
}

/// A client.
pub(super) struct AmqpClient {
    number: usize,
    connection: Option<Connection>,
    /// Everything was declared once, and that was safe.
    has_declared: bool,
}

impl AmqpClient {
    pub(super) fn new(number: usize) -> AmqpClient {
        AmqpClient {
            number,
            connection: None,
            has_declared: false,
        }
    }
}

impl Client for AmqpClient {
    fn protocol(&self) -> Protocol {
        Protocol::Amqp091
    }

    fn name(&self) -> String {
        format!("amqp {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        self.connection = Some(Connection {
            line: AmqpLine::new(pipe, life),
            publishing: Publishing::default(),
            consuming: Consuming::default(),
        });
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.connection
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.connection
    }

    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        if let Some(connection) = &mut self.connection {
            connection.leak(desk);
        }
        self.connection.let_go()
    }

    fn open_ends(&self) -> Option<String> {
        let Some(connection) = &self.connection else {
            return Some("no connection".to_owned());
        };
        let Connection {
            line,
            publishing,
            consuming,
        } = connection;
        let all_said = line.is_open()
            && publishing.ready
            && publishing.unconfirmed.is_empty()
            && publishing.returning.is_empty()
            && consuming.channel == Channel::Open
            && consuming.due.is_empty()
            && consuming.held.is_empty();
        (!all_said).then(|| {
            let (unconfirmed, returning) = (&publishing.unconfirmed, &publishing.returning);
            let Consuming {
                channel, due, held, ..
            } = consuming;
            format!(
                "unconfirmed {unconfirmed:?}, to be returned {returning:?}, \
                 {channel:?}, \
                 due {due:?}, held {held:?}"
            )
        })
    }

    fn is_ready(&self) -> bool {
        self.has_declared
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        self.hear_bytes(bytes, desk)
    }

    fn publish(&mut self, desk: &mut Desk<'_>) {
        self.publish_some(desk);
    }

    fn settle(&mut self, desk: &mut Desk<'_>) {
        if let Some(connection) = self.consuming() {
            connection.settle(desk);
        }
    }

    fn settle_all(&mut self, desk: &mut Desk<'_>) {
        self.accept_all(desk);
    }

    fn ask(&mut self, desk: &mut Desk<'_>) {
        self.get(desk);
    }

    fn consume(&mut self, desk: &mut Desk<'_>) {
        let place = desk.random.below(QUEUES as u64) as usize;
        let prefetch_count = [0, 1, 3, 20][desk.random.below(4) as usize];
        self.consume_from(place, prefetch_count);
    }

    fn consume_all(&mut self, _desk: &mut Desk<'_>) {
        for place in 0..QUEUES {
            if !self.consumes(place) {
                self.consume_from(place, 0);
            }
        }
    }

    fn cancel(&mut self, desk: &mut Desk<'_>) {
        self.end_something(desk);
    }

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        self.close(desk)
    }

    fn brace(&mut self, desk: &mut Desk<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.end_channel(Channel::Closing, desk);
        }
    }
}

fn queue_name(place: Place) -> String {
    assert!(place < QUEUES);
    format!("w{place}")
}
