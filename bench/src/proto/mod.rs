//! One module per protocol; each brings set-up, clean-up, and a codec for either side.
//!
//! Invariants
//! - Whatever a run declares is named `bench.*` and is deleted by `cleanup`.
//! - Only set-up uses blocking sockets; a running load goes through `codec::Codec`.

pub mod amqp;
pub mod mqtt;
mod nats;
mod raw;
mod redis;

use std::net::TcpStream;

use crate::Res;
use crate::codec::Codec;
use crate::conn::{CROWD_MIN, Conn};
use crate::openers::{self, OPENERS};
use crate::scenario::Load;
use crate::target::{Proto, Target};

/// A socket after its handshake, and what to do with its bytes.
type Opened = (TcpStream, Box<dyn Codec>);

/// Declares what the load needs.
pub fn setup(target: &Target, load: &Load) -> Res<()> {
    match target.proto {
        Proto::Amqp => amqp::setup(target, load),
        Proto::Nats => nats::setup(target, load),
        Proto::Redis => redis::setup(target, load),
        Proto::Mqtt | Proto::Raw | Proto::RawLog => Ok(()),
    }
}

/// Deletes what the load needed. What can not be deleted is told, not hidden.
pub fn cleanup(target: &Target, load: &Load) {
    let done = match target.proto {
        Proto::Amqp => amqp::cleanup(target, load),
        Proto::Nats => nats::cleanup(target, load),
        Proto::Redis => redis::cleanup(target, load),
        Proto::Mqtt => mqtt::cleanup(target, load),
        Proto::Raw | Proto::RawLog => Ok(()),
    };
    if let Err(error) = done {
        eprintln!("clean-up of {} at {}: {error}", load.scenario, target.name);
    }
}

/// Many are opened several at a time; few, one after the other, in their order.
fn threads(connections: usize) -> usize {
    if connections < CROWD_MIN { 1 } else { OPENERS }
}

/// Opens the consumers of a load.
pub fn open_consumers(target: &Target, load: &Load) -> Res<Vec<Conn>> {
    let open = |index| match target.proto {
        Proto::Amqp => amqp::consumer(target, load, index),
        Proto::Mqtt => mqtt::consumer(target, load, index),
        Proto::Nats => nats::consumer(target, load, index),
        Proto::Redis => redis::consumer(target, load, index),
        Proto::Raw | Proto::RawLog => raw::consumer(target, load),
    };
    let opened = openers::all(load.consumers, threads(load.consumers), open)?;
    let conn = |(socket, codec)| Conn::new(socket, codec, false, load.consumers);
    opened.into_iter().map(conn).collect()
}

/// Opens the producers of a load.
pub fn open_producers(target: &Target, load: &Load) -> Res<Vec<Conn>> {
    let open = |index| match target.proto {
        Proto::Amqp => amqp::producer(target, load, index),
        Proto::Mqtt => mqtt::producer(target, load, index),
        Proto::Nats => nats::producer(target, load, index),
        Proto::Redis => redis::producer(target, load, index),
        Proto::Raw | Proto::RawLog => raw::producer(target, load),
    };
    (0..load.producers)
        .map(|index| {
            open(index).and_then(|(socket, codec)| Conn::new(socket, codec, true, load.producers))
        })
        .collect()
}

/// A connection after its handshake that does nothing further; `index` tells it from others.
pub fn idle(target: &Target, index: usize) -> Res<TcpStream> {
    match target.proto {
        Proto::Amqp => Ok(amqp::Client::connect(target)?.into_socket()),
        Proto::Mqtt => {
            let client = mqtt::Client::connect(target, &format!("bench-idle{index}"), true)?;
            Ok(client.into_socket())
        }
        Proto::Nats => Ok(nats::connect(target)?.0),
        Proto::Redis => redis::connect(target),
        Proto::Raw | Proto::RawLog => target.connect(),
    }
}

/// The product and version that the broker tells of itself, if its protocol has a word for it.
pub fn version(target: &Target) -> Option<String> {
    match target.proto {
        Proto::Amqp => Some(amqp::Client::connect(target).ok()?.product),
        Proto::Nats => Some(nats::connect(target).ok()?.1),
        Proto::Redis => redis::version(target).ok(),
        Proto::Mqtt => mqtt::version(target),
        Proto::Raw | Proto::RawLog => None,
    }
}

/// An input/output error as text.
fn io_text(error: std::io::Error) -> String {
    error.to_string()
}
