//! The consuming side of a load.
//!
//! Invariants
//! - A message of quality 2 counts once between its PUBLISH and its PUBREL; a packet id used for
//!   another one meanwhile ends the run.
//! - Without a fresh start the session must still be there, with its subscriptions.

use crate::Res;
use crate::codec::{Codec, Counters};
use crate::scenario::Load;
use crate::target::Target;

use super::super::Opened;
use super::client::Client;
use super::topics;
use super::wire::{self, DUP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Packet, Version};

fn consumer_id(index: usize) -> String {
    format!("bench-c{index}")
}

/// Packet ids of messages of quality 2 that are not released.
struct Held(Vec<u64>);

impl Held {
    fn place(id: [u8; 2]) -> (usize, u64) {
        let id = u16::from_be_bytes(id);
        (usize::from(id / 64), 1 << (id % 64))
    }

    /// False if it was held before.
    fn hold(&mut self, id: [u8; 2]) -> bool {
        let (word, bit) = Held::place(id);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    fn release(&mut self, id: [u8; 2]) {
        let (word, bit) = Held::place(id);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }
}

struct Consumer {
    version: Version,
    held: Held,
}

impl Consumer {
    fn new(version: Version) -> Consumer {
        Consumer {
            version,
            held: Held(Vec::new()),
        }
    }

    #[inline]
    fn publish(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
        counters: &mut Counters,
    ) -> Res<()> {
        let (id, payload) = packet.message(self.version)?;
        let Some(id) = id else {
            counters.deliver(payload);
            return Ok(());
        };
        let qos = packet.qos();
        if qos == 1 || self.held.hold(id) {
            counters.deliver(payload);
        } else if packet.first & DUP == 0 {
            let id = u16::from_be_bytes(id);
            return Err(format!("packet id {id} is used again before its PUBREL"));
        }
        wire::put_packet(out, if qos == 1 { PUBACK } else { PUBREC } << 4, &id);
        Ok(())
    }
}

impl Codec for Consumer {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(packet) = wire::packet(&bytes[at..])? {
            at += packet.bytes;
            match packet.kind() {
                PUBLISH => self.publish(&packet, out, counters)?,
                PUBREL => {
                    let id = packet.id()?;
                    self.held.release(id);
                    wire::put_packet(out, PUBCOMP << 4, &id);
                }
                kind => return Err(format!("a consumer got a packet of type {kind}")),
            }
        }
        Ok(at)
    }
}

/// Opens the load's `index`-th consumer.
pub fn consumer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let id = consumer_id(index);
    if load.durable && load.fresh {
        Client::connect(target, &id, true)?; // forget an older session
    }
    let mut client = Client::connect(target, &id, !load.durable)?;
    if load.fresh || !load.durable {
        client.subscribe(&topics::filters(load, index), load.qos)?;
    } else if !client.welcome.resumed {
        return Err(format!("the session {id} is lost"));
    }
    let codec = Consumer::new(client.version);
    Ok((client.into_socket(), Box::new(codec)))
}

/// Ends the sessions of a durable load.
pub fn cleanup(target: &Target, load: &Load) -> Res<()> {
    if load.durable {
        for index in 0..load.consumers {
            Client::connect(target, &consumer_id(index), true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(first: u8, version: Version) -> Vec<u8> {
        let mut body = b"\x00\x01t".to_vec();
        if first & 6 > 0 {
            body.extend_from_slice(&[0, 7]);
        }
        version.put_no_properties(&mut body);
        body.extend_from_slice(b"payload");
        let mut bytes = Vec::new();
        wire::put_packet(&mut bytes, first, &body);
        bytes
    }

    #[test]
    fn deliveries_are_answered_by_their_quality_of_service() {
        for version in [Version::V4, Version::V5] {
            for (first, expected) in [
                (0x30, &b""[..]),
                (0x32, &b"\x40\x02\x00\x07"[..]),
                (0x34, &b"\x50\x02\x00\x07"[..]),
            ] {
                let (bytes, mut out) = (message(first, version), Vec::new());
                let mut counters = Counters::default();
                let used = Consumer::new(version).feed(&bytes, &mut out, &mut counters);
                assert_eq!((used, counters.delivered), (Ok(bytes.len()), 1), "{first}");
                assert_eq!(out, expected, "{first}");
            }
        }
    }

    #[test]
    fn a_message_of_quality_2_counts_once_until_it_is_released() {
        const RELEASE: &[u8] = b"\x62\x02\x00\x07";
        let (new, again) = (message(0x34, Version::V4), message(0x3C, Version::V4));
        for (parts, expected) in [
            (&[&new[..], &again][..], Some(1)),
            (&[&new[..], &new][..], None),
            (&[&new[..], RELEASE, &new, RELEASE][..], Some(2)),
            (&[&again[..], RELEASE, RELEASE][..], Some(1)),
        ] {
            let (mut consumer, mut counters) = (Consumer::new(Version::V4), Counters::default());
            let used = consumer.feed(&parts.concat(), &mut Vec::new(), &mut counters);
            assert_eq!(used.ok().map(|_| counters.delivered), expected);
        }
    }

    #[test]
    fn what_a_broker_may_not_send_is_an_error() {
        for (version, bytes) in [
            (Version::V4, &b"\x32\x05\x00\x09top"[..]),
            (Version::V4, b"\x32\x04\x00\x01t\x00"),
            (Version::V4, b"\x30\x01\x00"),
            (Version::V5, b"\x30\x04\x00\x01t\x05"),
            (Version::V5, b"\x30\x03\x00\x01t"),
            (Version::V4, b"\x62\x01\x00"),
            (Version::V4, b"\xe0\x00"),
        ] {
            let mut counters = Counters::default();
            let used = Consumer::new(version).feed(bytes, &mut Vec::new(), &mut counters);
            assert!(used.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
