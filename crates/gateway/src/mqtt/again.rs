//! The last packet that a thread wrote twice, for all others who get the same message.
//!
//! A message that goes to a hundred sessions is one packet for all of them that speak MQTT 3 and
//! get it with QoS 0. It is made for the first two, and copied for the rest.
//!
//! Invariants
//! - A packet is copied only for a message that is, byte by byte, the one that it was made for.
//! - Of a message that goes to one session nothing is kept, and of a large one neither: there the
//!   body is what costs.

use std::cell::RefCell;

use ferry_core::message::Message;

/// The longest message that is kept, in bytes of its stored form.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What a thread keeps.
struct Again {
    /// Where the last message stood that was made into a packet: the next may be the same one.
    seen: (usize, usize),
    message: Vec<u8>,
    keeps_retain: bool,
    packet: Vec<u8>,
}

thread_local! {
    static LAST: RefCell<Again> = const {
        RefCell::new(Again {
            seen: (0, 0),
            message: Vec::new(),
            keeps_retain: false,
            packet: Vec::new(),
        })
    };
}

/// Appends the packet of a message if there is one, for a client of MQTT 3, which takes any size,
/// of which nothing else has to be known than whether messages keep the flag that they were
/// published with.
pub(super) fn copy<'a>(
    message: &Message<'_>,
    keeps_retain: Option<bool>,
    out: impl FnOnce() -> &'a mut Vec<u8>,
) -> bool {
    LAST.with_borrow(|last| {
        let is_same = keeps_retain == Some(last.keeps_retain) && last.message == message.bytes();
        if is_same {
            out().extend_from_slice(&last.packet);
        }
        is_same
    })
}

/// Notes the packet that a message was made into; it is kept the second time.
pub(super) fn note(message: &Message<'_>, keeps_retain: Option<bool>, packet: &[u8]) {
    let bytes = message.bytes();
    let Some(keeps_retain) = keeps_retain.filter(|_| bytes.len() <= MESSAGE_BYTES_MAX) else {
        return;
    };
    LAST.with_borrow_mut(|last| {
        let seen = (bytes.as_ptr() as usize, bytes.len());
        if last.seen != seen {
            last.seen = seen;
            return;
        }
        last.message.clear();
        last.message.extend_from_slice(bytes);
        last.packet.clear();
        last.packet.extend_from_slice(packet);
        last.keeps_retain = keeps_retain;
    });
}

#[cfg(test)]
mod tests {
    use ferry_core::message::{Draft, FORMAT_MQTT};

    use super::*;

    fn stored(body: &[u8]) -> Vec<u8> {
        let draft = Draft {
            format: FORMAT_MQTT,
            persistent: false,
            dead_lettered: false,
            priority: 0,
            ttl_ms: None,
            published_ms: 7,
            deliver_at: None,
            id: None,
            exchange: b"amq.topic",
            routing_key: b"a.b",
            properties: b"",
            body,
        };
        let mut out = Vec::new();
        draft.encode(&mut out);
        out
    }

    #[test]
    fn a_packet_is_copied_for_the_same_message_and_for_no_other() {
        let (mine, other) = (stored(b"mine"), stored(b"othr"));
        let same = mine.clone();
        let [mine, other, same] =
            [&mine, &other, &same].map(|bytes| Message::parse(bytes).unwrap());
        let copied = |message, keeps_retain| {
            let mut out = Vec::new();
            let copied = copy(message, keeps_retain, || &mut out);
            copied.then_some(out)
        };
        let packet = Some(b"packet".to_vec());
        note(&mine, Some(false), b"packet");
        assert_eq!(copied(&mine, Some(false)), None, "it came once");
        note(&mine, Some(false), b"packet");
        for (message, keeps_retain, expected, why) in [
            (&mine, Some(false), &packet, "it came twice"),
            (&same, Some(false), &packet, "wherever it stands"),
            (&mine, Some(true), &None, "its retain flag may differ"),
            (&mine, None, &None, "more has to be known"),
            (&other, Some(false), &None, "another message"),
        ] {
            assert_eq!(&copied(message, keeps_retain), expected, "{why}");
        }
        note(&other, Some(true), b"second");
        note(&other, Some(true), b"second");
        assert_eq!(copied(&other, Some(true)), Some(b"second".to_vec()));
        assert_eq!(copied(&mine, Some(false)), None, "only the last is kept");
    }

    #[test]
    fn a_large_message_is_not_kept() {
        let large = stored(&[7; MESSAGE_BYTES_MAX]);
        let large = Message::parse(&large).unwrap();
        note(&large, Some(false), b"packet");
        note(&large, Some(false), b"packet");
        let mut out = Vec::new();
        assert!(!copy(&large, Some(false), || &mut out));
    }
}
