//! Packets that wait while publishers are held for memory or disk, or by a rate.
//!
//! A publish waits, and what must not overtake it: the release of a publish, and the client's
//! farewell. All else goes on: acknowledgements make room, and who subscribes takes messages away.
//!
//! Invariants
//! - Held packets are kept as they came, in order, and are read again when publishers are free.
//! - They are bounded by [`held_bytes_max`]; past it the socket is not read.

use std::sync::Arc;

use ferry_broker::{Broker, Kept, KeptFor};
use mqtt::{Frame, PacketType};

use crate::held::held_bytes_max;

/// The packets of one connection that wait.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    kept: Kept,
}

impl Held {
    /// Holds nothing so far.
    pub(crate) fn new(broker: &Arc<Broker>) -> Held {
        Held {
            bytes: Vec::new(),
            kept: Kept::new(broker, KeptFor::Held),
        }
    }

    /// Whether the socket should be left alone.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= held_bytes_max(&self.kept)
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a packet has to wait while publishers are held.
    pub(crate) fn waits(&self, frame: &Frame<'_>) -> bool {
        match frame.packet_type {
            PacketType::Publish => true,
            PacketType::Pubrel | PacketType::Disconnect => !self.is_empty(),
            _ => false,
        }
    }

    /// Keeps a packet for later.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.kept.set(self.bytes.len() as u64);
    }

    /// Everything, to be worked off.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.kept.set(0);
        std::mem::take(&mut self.bytes)
    }

    /// What was not worked off comes before what was held meanwhile.
    pub(crate) fn put_back(&mut self, rest: &[u8]) {
        let after = std::mem::replace(&mut self.bytes, rest.to_vec());
        self.bytes.extend_from_slice(&after);
        self.kept.set(self.bytes.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::for_tests::broker;

    fn frame(bytes: &[u8]) -> Frame<'_> {
        mqtt::frame(bytes, 100).unwrap().unwrap()
    }

    #[test]
    fn publishes_wait_and_what_must_not_overtake_them() {
        let publish = [0x30, 3, 0, 1, b'a'];
        let mut held = Held::new(&broker(1 << 30));
        let waits = |held: &Held, first: u8| held.waits(&frame(&[first, 2, 0, 1]));
        assert!(held.waits(&frame(&publish)));
        assert!(!waits(&held, 0x62) && !held.waits(&frame(&[0xE0, 0])));
        held.keep(&publish);
        assert!(waits(&held, 0x62) && held.waits(&frame(&[0xE0, 0])));
        for goes_on in [0x40, 0x50, 0x70] {
            assert!(!waits(&held, goes_on), "{goes_on:#x}");
        }
    }

    #[test]
    fn what_is_put_back_stays_first() {
        let mut held = Held::new(&broker(1 << 30));
        held.keep(b"ab");
        let taken = held.take();
        held.keep(b"c");
        held.put_back(&taken[1..]);
        assert_eq!(held.take(), b"bc");
        assert!(held.is_empty() && !held.is_full());
    }
}
