//! A blocking client for what comes before and after a load.
//!
//! Invariants
//! - A reply is read octet by octet, so that nothing behind it is taken from the load.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::target::Target;

use super::super::io_text;
use super::wire::{self, CONNACK, SUBACK, Version, Welcome};

/// The longest reply that set-up reads.
const REPLY_BYTES_MAX: usize = 4096;
/// Filters in one SUBSCRIBE.
const FILTERS_MAX: usize = 200;

/// A client after its handshake.
pub struct Client {
    /// What the broker said.
    pub welcome: Welcome,
    /// What is spoken.
    pub version: Version,
    socket: TcpStream,
}

impl Client {
    /// Connects under a client id.
    pub fn connect(target: &Target, id: &str, clean: bool) -> Res<Client> {
        let version = Version::of(target)?;
        let mut socket = target.connect()?;
        let mut out = Vec::new();
        wire::put_connect(&mut out, target, id, clean)?;
        socket.write_all(&out).map_err(io_text)?;
        let welcome = wire::welcome(version, &reply(&mut socket, CONNACK)?)?;
        Ok(Client {
            welcome,
            version,
            socket,
        })
    }

    /// Subscribes to all of `filters`, each granted in full.
    pub fn subscribe(&mut self, filters: &[String], qos: u8) -> Res<()> {
        for some in filters.chunks(FILTERS_MAX) {
            let mut out = Vec::new();
            wire::put_subscribe(&mut out, self.version, 1, some, qos);
            self.socket.write_all(&out).map_err(io_text)?;
            let body = reply(&mut self.socket, SUBACK)?;
            wire::granted(self.version, &body, some.len(), qos)?;
        }
        Ok(())
    }

    /// The socket, for a load.
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }
}

fn reply(socket: &mut TcpStream, kind: u8) -> Res<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut octet = [0u8; 1];
    while bytes.len() < REPLY_BYTES_MAX {
        socket.read_exact(&mut octet).map_err(io_text)?;
        bytes.push(octet[0]);
        if let Some(packet) = wire::packet(&bytes)? {
            let came = packet.kind();
            if came != kind {
                return Err(format!("a packet of type {came} came, not {kind}"));
            }
            return Ok(packet.body.to_vec());
        }
    }
    Err("the reply is too long".into())
}
