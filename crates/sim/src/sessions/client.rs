//! A client that sends and takes every message exactly once, as MQTT's quality of service 2 has it.
//!
//! Invariants
//! - It forgets nothing when its connection or the node goes: it says again what was not answered.
//! - It takes a message when its publish comes and its packet id is free; the id is free again when
//!   the message is released.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Checked, violated};

/// Packet ids of a client's own publishes; few, so that they are used again soon.
const IDS: u16 = 5;

/// What a client and its door say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// Here is a message.
    Publish { pid: u16, id: u64 },
    /// The message of that packet id was received.
    Received(u16),
    /// Its id may be forgotten.
    Release(u16),
    /// Its id is forgotten.
    Complete(u16),
}

#[derive(Debug, Clone, Copy)]
struct Sending {
    id: u64,
    /// The other side has it.
    released: bool,
}

/// One client.
#[derive(Debug, Default)]
pub struct Client {
    sending: BTreeMap<u16, Sending>,
    /// What it has and was not told to release.
    held: BTreeMap<u16, u64>,
    /// All that it ever took.
    pub received: BTreeSet<u64>,
}

impl Client {
    /// Begins to send a message, if a packet id is free.
    pub fn publish(&mut self, id: u64) -> Option<Packet> {
        let pid = (1..=IDS).find(|pid| !self.sending.contains_key(pid))?;
        let released = false;
        self.sending.insert(pid, Sending { id, released });
        Some(Packet::Publish { pid, id })
    }

    /// What it says first on a new connection.
    pub fn say_again(&self) -> Vec<Packet> {
        let again = |(pid, sending): (&u16, &Sending)| match sending.released {
            true => Packet::Release(*pid),
            false => Packet::Publish {
                pid: *pid,
                id: sending.id,
            },
        };
        self.sending.iter().map(again).collect()
    }

    /// Takes a packet and answers it.
    pub fn take(&mut self, packet: Packet) -> Checked<Option<Packet>> {
        match packet {
            Packet::Publish { pid, id } => {
                match self.held.insert(pid, id) {
                    Some(known) if known == id => {}
                    Some(known) => return violated!("{pid} is of {known} and of {id}"),
                    None if self.received.insert(id) => {}
                    None => return violated!("message {id} came a second time, as {pid}"),
                }
                Ok(Some(Packet::Received(pid)))
            }
            Packet::Release(pid) => {
                self.held.remove(&pid);
                Ok(Some(Packet::Complete(pid)))
            }
            Packet::Received(pid) => match self.sending.get_mut(&pid) {
                Some(sending) => {
                    sending.released = true;
                    Ok(Some(Packet::Release(pid)))
                }
                None => violated!("{pid} was received, and is nothing"),
            },
            Packet::Complete(pid) => match self.sending.remove(&pid) {
                Some(Sending { released: true, .. }) => Ok(None),
                other => violated!("{pid} is complete, and was {other:?}"),
            },
        }
    }

    /// Whether it has nothing to send and nothing to release.
    pub fn is_quiet(&self) -> bool {
        self.sending.is_empty() && self.held.is_empty()
    }
}
