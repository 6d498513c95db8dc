//! The packet at the end of what has come, of which not all is here.
//!
//! A long one counts as whole from its beginning, so that all that have begun can come to their
//! end; while publishers are held none begins: its socket is not read.
//!
//! Invariants
//! - What is not here yet is only waited for if it is counted, or short.

use std::sync::Arc;

use ferry_broker::{Broker, Kept, KeptFor};

/// A longer packet is likely to be a publish, and waits as one, in bytes.
const SHORT_BYTES_MAX: usize = 64 << 10;

/// The packet of one connection.
#[derive(Debug)]
pub(crate) struct Arriving {
    kept: Kept,
    waits: bool,
}

impl Arriving {
    /// None so far.
    pub(crate) fn new(broker: &Arc<Broker>) -> Arriving {
        Arriving {
            kept: Kept::new(broker, KeptFor::Arriving),
            waits: false,
        }
    }

    /// Whether the socket should be left alone.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Whether a long packet counts as whole, and is to come to its end.
    pub(crate) fn is_counted(&self) -> bool {
        !self.waits && self.kept.bytes() > SHORT_BYTES_MAX as u64
    }

    /// Publishers are free again, or not.
    pub(crate) fn go_on(&mut self, free: bool) {
        self.waits &= !free;
    }

    /// Looks at what is left of what has come; `begins` if it is of another packet than before.
    pub(crate) fn note(&mut self, rest: &[u8], begins: bool) {
        let bytes = mqtt::announced_bytes(rest);
        let counted = !begins && self.kept.bytes() == bytes as u64;
        let short = bytes <= SHORT_BYTES_MAX;
        // As it is now: the event that tells of it may not have come.
        self.waits = !counted && !short && self.kept.memory().blocked().is_some();
        let bytes = if self.waits { rest.len() } else { bytes };
        self.kept.set(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::for_tests::broker;

    /// The first bytes of a publish that is a mebibyte longer, and of one that is not long.
    const LONG: [u8; 4] = [0x30, 0x80, 0x80, 0x40];
    const SHORT: [u8; 3] = [0x30, 0xE8, 0x07];

    #[test]
    fn all_that_have_begun_go_on_and_nobody_begins_while_publishers_are_held() {
        let broker = broker(1 << 20);
        let used = || broker.memory().used_bytes();
        let [mut one, mut two] = [(); 2].map(|()| Arriving::new(&broker));
        let whole = (1 << 20) + LONG.len() as u64;
        one.note(&[0x30], true);
        assert_eq!(used(), 1, "its length is not known");
        one.note(&LONG, false);
        assert_eq!(used(), whole, "all of it counts");
        assert!(broker.memory().blocked().is_some());
        two.note(&LONG, true);
        assert!(two.waits() && !one.waits());
        one.note(&[&LONG[..], &[0; 100]].concat(), false);
        assert!(!one.waits(), "it goes on");
        two.note(&SHORT, true);
        assert!(!two.waits(), "a short one is worth no wait");
        two.note(&LONG, true);
        one.note(&[], true);
        assert!(broker.memory().blocked().is_none());
        two.go_on(false);
        assert!(two.waits());
        two.go_on(true);
        assert!(!two.waits());
        two.note(&LONG, false);
        assert_eq!(used(), whole);
        drop(two);
        assert_eq!(used(), 0);
    }
}
