//! A client, whatever it speaks.

use ferry_gateway::testing::{Conversation, Protocol};

use super::amqp::AmqpClient;
use super::desk::Desk;
use super::mqtt::MqttClient;
use super::pipe::Pipe;
use crate::Checked;

/// A client.
pub(super) enum Client {
    Amqp(Box<AmqpClient>),
    Mqtt(Box<MqttClient>),
}

/// Has whichever it is do the same.
macro_rules! either {
    ($client:expr, $one:ident => $does:expr) => {
        match $client {
            Client::Amqp($one) => $does,
            Client::Mqtt($one) => $does,
        }
    };
}

impl Client {
    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Client::Amqp(_) => Protocol::Amqp091,
            Client::Mqtt(_) => Protocol::Mqtt,
        }
    }

    pub(super) fn name(&self) -> String {
        either!(self, client => client.name())
    }

    /// Begins with a connection.
    pub(super) fn connect(&mut self, conversation: Conversation, life: u64, desk: &mut Desk<'_>) {
        either!(self, client => client.connect(conversation, life, desk));
    }

    pub(super) fn pipe(&mut self) -> Option<&mut Pipe> {
        either!(self, client => client.pipe())
    }

    /// The number of its connection.
    pub(super) fn life(&self) -> Option<u64> {
        either!(self, client => client.life())
    }

    /// Its connection is lost; gives its end of it.
    pub(super) fn lose(&mut self) -> Option<Pipe> {
        either!(self, client => client.lose())
    }

    /// Whether it may do as it likes.
    pub(super) fn is_open(&self) -> bool {
        either!(self, client => client.is_open())
    }

    /// Why its connection was closed from the other side, if it was.
    pub(super) fn closed(&self) -> Option<&str> {
        either!(self, client => client.closed())
    }

    /// Whether it has said goodbye, and has heard it.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Client::Amqp(client) => client.is_gone(),
            Client::Mqtt(_) => false,
        }
    }

    /// What is due to it and what it owes; none if all is said.
    pub(super) fn open_ends(&self) -> Option<String> {
        either!(self, client => client.open_ends())
    }

    /// Whether what it publishes to is there for good.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Client::Amqp(client) => client.has_declared,
            Client::Mqtt(client) => client.has_subscribed,
        }
    }

    /// Reads what has come.
    pub(super) fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        either!(self, client => client.hear(bytes, desk))
    }

    pub(super) fn publish(&mut self, desk: &mut Desk<'_>) {
        either!(self, client => client.publish(desk));
    }

    /// Settles something.
    pub(super) fn settle(&mut self, desk: &mut Desk<'_>) {
        either!(self, client => client.settle(desk));
    }

    /// Accepts everything.
    pub(super) fn settle_all(&mut self, desk: &mut Desk<'_>) {
        either!(self, client => client.settle_all(desk));
    }

    /// Asks for something.
    pub(super) fn ask(&mut self, desk: &mut Desk<'_>) {
        match self {
            Client::Amqp(client) => client.get(desk),
            Client::Mqtt(client) => client.ping(),
        }
    }

    /// Begins to consume, if it can.
    pub(super) fn consume(&mut self, desk: &mut Desk<'_>) {
        if let Client::Amqp(client) = self {
            client.consume(desk);
        }
    }

    /// Ends a consumer or a channel, if it has one.
    pub(super) fn cancel(&mut self, desk: &mut Desk<'_>) {
        if let Client::Amqp(client) = self {
            client.cancel(desk);
        }
    }

    /// The other side is about to end its connection.
    pub(super) fn brace(&mut self, desk: &mut Desk<'_>) {
        if let Client::Amqp(client) = self {
            client.brace(desk);
        }
    }
}
