//! What goes out: a session's bytes in frames, and what WebSocket itself has to say.
//!
//! Invariants
//! - The lock here is a leaf: nothing else is locked while it is held.
//! - Frames are made by the outbox's writer alone, so they leave in the order of their making.
//! - At most one pong is owed, to the last ping, so no flood of pings fills anything.
//! - Nothing follows the frame that closes.

use parking_lot::Mutex;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Most bytes in one frame: what a length of two bytes can say.
const FRAME_BYTES_MAX: usize = 65_535;
/// Most bytes in the payload of a control frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;
/// Bytes of a code in front of a reason.
const CODE_BYTES: usize = 2;

/// What messages carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A stream of bytes: where messages begin and end means nothing.
    Stream,
    /// Texts of at most so many bytes, each a message; towards the session a NUL ends each.
    Texts {
        /// The most.
        bytes_max: u64,
    },
}

/// Why a connection is closed, if it is said.
pub(super) type Farewell = Option<(CloseCode, String)>;

#[derive(Default)]
struct Owed {
    /// What the last ping carried that is not answered yet.
    pong: Option<Vec<u8>>,
    farewell: Option<Farewell>,
    closed: bool,
}

/// A connection's way out.
pub(crate) struct Framed {
    content: Content,
    owed: Mutex<Owed>,
}

impl Framed {
    /// After a handshake that is done.
    pub(crate) fn new(content: Content) -> Framed {
        Framed {
            content,
            owed: Mutex::default(),
        }
    }

    /// Writes what is owed, and these bytes in frames, behind `out`.
    pub(crate) fn frame(&self, plain: &[u8], out: &mut Vec<u8>) {
        let mut owed = self.owed.lock();
        if owed.closed {
            return;
        }
        if let Some(payload) = owed.pong.take() {
            write_frame(OpCode::Control(Control::Pong), true, &payload, out);
        }
        match self.content {
            Content::Stream => {
                for part in plain.chunks(FRAME_BYTES_MAX) {
                    write_frame(OpCode::Data(Data::Binary), true, part, out);
                }
            }
            Content::Texts { .. } => write_texts(plain, out),
        }
        if let Some(farewell) = owed.farewell.take() {
            let payload = farewell.map_or_else(Vec::new, |(code, reason)| {
                let room = reason.floor_char_boundary(CONTROL_BYTES_MAX - CODE_BYTES);
                let code = u16::from(code).to_be_bytes();
                [&code[..], &reason.as_bytes()[..room]].concat()
            });
            write_frame(OpCode::Control(Control::Close), true, &payload, out);
            owed.closed = true;
        }
    }

    /// A ping is to be answered.
    pub(super) fn pong(&self, payload: &[u8]) {
        self.owed.lock().pong = Some(payload.to_vec());
    }

    /// The other side closes, and is answered in its own words.
    pub(super) fn echo(&self, farewell: Farewell) {
        self.owed.lock().farewell.get_or_insert(farewell);
    }

    /// The last word, behind all that was to be sent; who has said it first is right.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        let farewell = Some((code, reason.to_owned()));
        self.owed.lock().farewell.get_or_insert(farewell);
    }
}

/// Each text that a NUL ends becomes a message.
fn write_texts(plain: &[u8], out: &mut Vec<u8>) {
    for text in plain
        .split(|byte| *byte == 0)
        .filter(|text| !text.is_empty())
    {
        let count = text.len().div_ceil(FRAME_BYTES_MAX);
        for (at, part) in text.chunks(FRAME_BYTES_MAX).enumerate() {
            let data = if at == 0 { Data::Text } else { Data::Continue };
            write_frame(OpCode::Data(data), at + 1 == count, part, out);
        }
    }
}

fn write_frame(opcode: OpCode, is_final: bool, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        is_final,
        opcode,
        ..FrameHeader::default()
    };
    let written = header.format(payload.len() as u64, out);
    written.expect("a vector takes all that is written");
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(content: Content, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Framed::new(content).frame(plain, &mut out);
        out
    }

    #[test]
    fn a_stream_is_cut_into_binary_frames_of_bounded_size() {
        assert_eq!(framed(Content::Stream, b""), b"");
        assert_eq!(framed(Content::Stream, b"ab"), b"\x82\x02ab");
        let long = vec![7; FRAME_BYTES_MAX + 1];
        let out = framed(Content::Stream, &long);
        assert_eq!(out[..4], [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(out[4 + FRAME_BYTES_MAX..], [0x82, 1, 7]);
    }

    #[test]
    fn each_text_is_a_message_and_a_long_one_has_fragments() {
        let texts = Content::Texts { bytes_max: 10 };
        assert_eq!(framed(texts, b"{}\0[1]\0"), b"\x81\x02{}\x81\x03[1]");
        let mut long = vec![b'x'; FRAME_BYTES_MAX + 2];
        long.push(0);
        let out = framed(texts, &long);
        assert_eq!(out[..4], [0x01, 126, 0xFF, 0xFF]);
        assert_eq!(out[4 + FRAME_BYTES_MAX..], [0x80, 2, b'x', b'x']);
    }

    #[test]
    fn only_the_last_ping_is_answered() {
        let framed = Framed::new(Content::Stream);
        framed.pong(b"one");
        framed.pong(b"two");
        let mut out = Vec::new();
        framed.frame(b"x", &mut out);
        framed.frame(b"", &mut out);
        assert_eq!(out, b"\x8a\x03two\x82\x01x");
    }

    #[test]
    fn the_first_farewell_counts_and_nothing_follows_it() {
        let framed = Framed::new(Content::Stream);
        framed.close(CloseCode::Policy, "no");
        framed.close(CloseCode::Normal, "");
        framed.echo(None);
        let mut out = Vec::new();
        framed.frame(b"x", &mut out);
        framed.pong(b"late");
        framed.frame(b"late", &mut out);
        assert_eq!(out, b"\x82\x01x\x88\x04\x03\xf0no");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let framed = Framed::new(Content::Stream);
        framed.close(CloseCode::Error, &"\u{e4}".repeat(100));
        let mut out = Vec::new();
        framed.frame(b"", &mut out);
        assert_eq!(out.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
