//! Whole sessions out of arbitrary bytes: what they say is mostly right, cut anywhere, by three
//! clients of one node on a disk in memory.
//!
//! The bytes are read as a tape: an operation, then what it needs. An operator changes rules amid
//! that. Whatever is on the tape, nobody panics, what is heard can be read, nothing is left when
//! everybody has gone, and the node goes on.

#![allow(dead_code, clippy::unwrap_used)]

mod amqp;
mod json;
mod mqtt;
mod operator;
mod tape;
mod words;

use std::sync::Arc;

use ferry_broker::{QueueHandle, RETAINED_QUEUE};
use ferry_gateway::GatewayConfig;
use ferry_gateway::testing::{Conversation, Protocol};

pub use self::amqp::check_amqp091;
pub use self::json::check_json;
pub use self::mqtt::check_mqtt;
use self::operator::Operator;
use self::tape::Tape;
use crate::house::{self, Node};

/// Clients of a play.
const CLIENTS: usize = 3;
/// Operations that are looked at.
const OPERATIONS_MAX: usize = 300;
/// Longer than anything waits for a client, in milliseconds.
const TIMEOUT_MS: u64 = 100_000;
/// Most that a client says at once without the other side having a turn, in bytes.
const SAID_BYTES_MAX: usize = 64 << 10;

/// A client, and what it has heard.
struct Client {
    conversation: Conversation,
    said: Vec<u8>,
    heard: Vec<u8>,
}

/// A node and its clients.
struct Play {
    node: Node,
    protocol: Protocol,
    clients: Vec<Client>,
    /// Connections whose clients have gone.
    gone: Vec<Conversation>,
    at: usize,
    operator: Operator,
    /// What a client says first: those of the beginning have one each, in order.
    openings: Vec<Vec<u8>>,
    /// That what was heard can be read.
    check_heard: fn(&[u8]),
}

impl Play {
    fn new(protocol: Protocol, openings: Vec<Vec<u8>>, check_heard: fn(&[u8])) -> Play {
        let node = Node::with(GatewayConfig {
            message_bytes_max: 1 << 20,
            outbox_bytes_max: 2 << 10,
            ..GatewayConfig::default()
        });
        let mut play = Play {
            node,
            protocol,
            clients: Vec::new(),
            gone: Vec::new(),
            at: 0,
            operator: Operator::default(),
            openings,
            check_heard,
        };
        for opening in 0..CLIENTS {
            let client = play.client(opening);
            play.clients.push(client);
        }
        play
    }

    fn client(&self, opening: usize) -> Client {
        let conversation = self.node.connect(self.protocol);
        Client {
            conversation,
            said: self.openings[opening % self.openings.len()].clone(),
            heard: Vec::new(),
        }
    }

    /// What the current client says next.
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.clients[self.at].said
    }

    /// Plays a tape; `say` does what the protocol has for an operation.
    fn run(mut self, bytes: &[u8], mut say: impl FnMut(&mut Tape<'_>, &mut Vec<u8>)) {
        let mut tape = Tape::new(bytes);
        for _ in 0..OPERATIONS_MAX {
            let Some(operation) = tape.next() else {
                break;
            };
            match operation % 16 {
                0 => self.at = tape.below(CLIENTS),
                1 => drop(self.node.broker.commit_log()),
                2 => self.node.advance(100 * u64::from(tape.byte())),
                3 => self.leave(tape.byte()),
                4 => {
                    let room = usize::from(tape.byte());
                    let conversation = &self.clients[self.at].conversation;
                    conversation.set_room((room > 0).then_some(room));
                }
                5 => self.hear(),
                6 => {
                    let raw = tape.bytes();
                    self.out().extend_from_slice(raw);
                }
                7 => self.send(usize::from(tape.byte())),
                8 => self.operator.act(&self.node, &mut tape),
                _ => say(&mut tape, self.out()),
            }
            if self.out().len() > SAID_BYTES_MAX {
                self.send(usize::MAX);
            }
            self.settle();
        }
        self.end();
    }

    /// The current client sends what it has said, or the beginning of it.
    fn send(&mut self, count: usize) {
        let client = &mut self.clients[self.at];
        let count = count.wrapping_sub(1).min(client.said.len());
        let rest = client.said.split_off(count);
        client.conversation.send(&client.said);
        client.said = rest;
    }

    fn hear(&mut self) {
        let client = &mut self.clients[self.at];
        client.heard.extend(client.conversation.take(usize::MAX));
    }

    /// The current client goes, and another one comes.
    fn leave(&mut self, how: u8) {
        self.hear();
        let next = self.client(usize::from(how / 2));
        let client = std::mem::replace(&mut self.clients[self.at], next);
        (self.check_heard)(&client.heard);
        match how % 2 {
            0 => client.conversation.reset(),
            _ => client.conversation.hang_up(),
        }
        self.gone.push(client.conversation);
        self.settle();
    }

    fn settle(&mut self) {
        let clients = self.clients.iter_mut().map(|one| &mut one.conversation);
        self.node.settle(clients.chain(&mut self.gone));
    }

    /// Everybody goes, and somebody else is served as ever.
    fn end(mut self) {
        self.operator.make_room(&self.node);
        for at in 0..CLIENTS {
            self.at = at;
            self.send(usize::MAX);
            self.settle();
            self.leave(at as u8);
        }
        let left = self.clients.drain(..).map(|client| client.conversation);
        self.gone.extend(left);
        self.gone.iter().for_each(Conversation::reset);
        // Who waits for the log, or for its time, does not look at its socket before.
        for _ in 0..3 {
            self.node.broker.commit_log().unwrap();
            self.node.advance(TIMEOUT_MS);
            self.settle();
        }
        let stays = self.gone.iter().filter(|gone| !gone.is_over()).count();
        assert_eq!(stays, 0, "who has gone is let go");
        let connected = self.node.house.connections();
        assert_eq!(connected, 0, "nobody is connected any more");
        let queues = self.node.broker.vhost("/").unwrap().queues();
        // What is retained is the broker's own to consume.
        let of_clients = |queue: &Arc<QueueHandle>| queue.name() != RETAINED_QUEUE;
        for queue in queues.into_iter().filter(of_clients) {
            let left = (queue.unsettled(), queue.consumers());
            assert_eq!(left, (0, 0), "nobody has anything of {}", queue.name());
        }
        self.operator.permit_all(&self.node);
        let mut canary = self.node.open_amqp();
        canary.send(&[house::declare("canary"), house::publish("canary", b"!")].concat());
        self.node.settle([&mut canary]);
        self.node.broker.commit_log().unwrap();
        self.node.settle([&mut canary]);
        let told = house::names(&canary.take(usize::MAX));
        assert_eq!(told, ["queue.declare_ok", "basic.ack"], "the node goes on");
    }
}
