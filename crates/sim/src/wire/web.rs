//! A client's end of a WebSocket: what it says goes in frames, what it hears comes in them.
//!
//! Invariants
//! - Texts are each ended by a NUL, as a session has them; where a stream is cut means nothing.
//! - The other side's frames are whole, not masked, of the right kind and in order; a pong answers
//!   a ping that was said, no older than the one before; nothing follows the frame that closes.
//!
//! Not here: the request (the door's own tests).

use ferry_log::testing::Random;

use crate::{Checked, violated};

/// Kinds of frames.
const CONTINUES: u8 = 0;
const TEXT: u8 = 1;
const BYTES: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The frame is the last of its message.
const FINAL: u8 = 0x80;

/// The payload is masked.
const MASKED: u8 = 0x80;

/// What says that two bytes have the length.
const LONG: u8 = 126;

/// "A normal end".
const NORMAL: u16 = 1000;
/// The node goes down.
const AWAY: u16 = 1001;
/// The node can not go on, and why.
const ERROR: u16 = 1011;
const LOG_FAILED: &[u8] = b"the message log has failed";

/// What it is answered with: the other side's own words have a reason.
const ECHO: &str = "1000 ";

/// How many frames have a ping behind them, in percent.
const PING_PERCENT: u64 = 4;

/// Most frames of a message.
const FRAGMENTS_MAX: u64 = 4;

/// A client's end of a WebSocket.
pub(super) struct Web {
    random: Random,
    /// What is carried: texts, or a stream of bytes.
    texts: bool,
    /// A frame that has not come to its end.
    unread: Vec<u8>,
    /// The message whose frames come has not ended.
    in_message: bool,
    /// The number of the last ping that was said, and of the last that was answered.
    pinged: u32,
    ponged: u32,
    /// It has said that it closes.
    closing: bool,
    /// What the other side has closed it with.
    closed: Option<String>,
}

impl Web {
    pub(super) fn new(texts: bool, random: &mut Random) -> Web {
        Web {
            random: Random::new(random.any()),
            texts,
            unread: Vec::new(),
            in_message: false,
            pinged: 0,
            ponged: 0,
            closing: false,
            closed: None,
        }
    }

    /// What the other side has closed it with, if it has.
    pub(super) fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// Whether that is the answer to a goodbye, and so to all that was said before.
    pub(super) fn is_echoed(&self) -> bool {
        self.closing && self.closed.as_deref() == Some(ECHO)
    }

    /// Whether the other side has answered the last ping.
    pub(super) fn is_answered(&self) -> bool {
        self.pinged == self.ponged
    }

    /// Puts into frames what is said.
    pub(super) fn wrap(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        if self.texts {
            for text in plain
                .split(|byte| *byte == 0)
                .filter(|text| !text.is_empty())
            {
                self.say(TEXT, text, out);
            }
        } else if !plain.is_empty() {
            let (before, behind) = plain.split_at(self.random.below(plain.len() as u64) as usize);
            for part in [before, behind] {
                self.say(BYTES, part, out);
            }
        }
    }

    /// A message, in one frame or several.
    fn say(&mut self, kind: u8, mut rest: &[u8], out: &mut Vec<u8>) {
        let fragments = match self.random.chance(25) {
            true => 1 + self.random.below(FRAGMENTS_MAX),
            false => 1,
        };
        for nth in 1..=fragments {
            let count = match nth == fragments {
                true => rest.len(),
                false => self.random.below(rest.len() as u64 + 1) as usize,
            };
            let (part, behind) = rest.split_at(count);
            let kind = if nth == 1 { kind } else { CONTINUES };
            let end = if nth == fragments { FINAL } else { 0 };
            self.frame(end | kind, part, out);
            if self.random.chance(PING_PERCENT) {
                self.pinged += 1;
                self.frame(FINAL | PING, &self.pinged.to_be_bytes(), out);
            }
            rest = behind;
        }
    }

    fn frame(&mut self, head: u8, payload: &[u8], out: &mut Vec<u8>) {
        out.push(head);
        match payload.len() {
            count @ 0..126 => out.push(MASKED | count as u8),
            count @ 126..=0xffff => {
                out.push(MASKED | LONG);
                out.extend_from_slice(&(count as u16).to_be_bytes());
            }
            count => unreachable!("clients say nothing of {count} bytes at once"),
        }
        let mask = self.random.bytes(4);
        out.extend_from_slice(&mask);
        let masked = payload.iter().zip(mask.iter().cycle());
        out.extend(masked.map(|(byte, mask)| byte ^ mask));
    }

    /// Says that it closes.
    pub(super) fn say_close(&mut self, out: &mut Vec<u8>) {
        self.frame(FINAL | CLOSE, &NORMAL.to_be_bytes(), out);
        self.closing = true;
    }

    /// Takes out of frames what is heard.
    pub(super) fn unwrap(&mut self, bytes: &[u8]) -> Checked<Vec<u8>> {
        self.unread.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.unread);
        let (mut at, mut plain) = (0, Vec::new());
        while let Some((head, payload)) = next_frame(&all[at..])? {
            at += 2 + usize::from(payload.len() > 125) * 2 + payload.len();
            self.hear(head, payload, &mut plain)?;
        }
        self.unread = all[at..].to_vec();
        Ok(plain)
    }

    fn hear(&mut self, head: u8, payload: &[u8], plain: &mut Vec<u8>) -> Checked {
        let (is_final, kind) = (head & FINAL != 0, head & !FINAL);
        let own_kind = if self.texts { TEXT } else { BYTES };
        if let Some(closed) = &self.closed {
            return violated!("a frame of kind {kind} behind {closed:?}");
        }
        match kind {
            PONG => {
                let number = payload.try_into().map(u32::from_be_bytes);
                match number {
                    Ok(number) if self.ponged < number && number <= self.pinged => {
                        self.ponged = number;
                    }
                    _ => return violated!("a pong {payload:?}, after that of {}", self.ponged),
                }
            }
            CLOSE => {
                let (code, text) = payload.split_at(payload.len().min(2));
                let code = code.try_into().map_or(0, u16::from_be_bytes);
                // The node may have come to its end at the same time.
                let is_its_own = code == AWAY || (code == ERROR && text == LOG_FAILED);
                if self.closing && code != NORMAL && !is_its_own {
                    return violated!("a goodbye is answered with {code}");
                }
                self.closed = Some(format!("{code} {}", text.escape_ascii()));
            }
            kind if (kind == CONTINUES) == self.in_message
                && [CONTINUES, own_kind].contains(&kind) =>
            {
                plain.extend_from_slice(payload);
                self.in_message = !is_final;
                if is_final && self.texts {
                    plain.push(0);
                }
            }
            kind => return violated!("a frame of kind {kind}, in a message: {}", self.in_message),
        }
        Ok(())
    }
}

/// The next frame, if it is whole: its first byte and its payload.
fn next_frame(bytes: &[u8]) -> Checked<Option<(u8, &[u8])>> {
    let [head, length, rest @ ..] = bytes else {
        return Ok(None);
    };
    if *length > LONG {
        return violated!("a frame with a mask, or too long: {length}");
    }
    let (count, rest) = match (*length, rest) {
        (LONG, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), rest),
        (LONG, _) => return Ok(None),
        (count, rest) => (u16::from(count), rest),
    };
    if *length == LONG && count < u16::from(LONG) {
        return violated!("a length of {count} in two bytes");
    }
    Ok(rest
        .get(..usize::from(count))
        .map(|payload| (*head, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(texts: bool) -> Web {
        Web::new(texts, &mut Random::new(7))
    }

    #[test]
    fn frames_that_may_not_be_are_told() {
        for (texts, bytes, heard) in [
            (
                true,
                &b"\x81\x02{}\x01\x01a\x80\x01b"[..],
                Some(&b"{}\0ab\0"[..]),
            ),
            (false, b"\x82\x02ab\x82\x01c", Some(b"abc")),
            (false, b"\x82\x05ab", Some(b"")),
            (true, b"\x88\x02\x03\xe8", Some(b"")),
            (true, b"\x82\x01a", None),
            (false, b"\x81\x01a", None),
            (false, b"\x80\x01a", None),
            (false, b"\x02\x01a\x82\x01b", None),
            (false, b"\x82\x81\0\0\0\0a", None),
            (false, b"\xc2\x01a", None),
            (false, b"\x82\x7e\0\x01a", None),
            (false, b"\x8a\x04\0\0\0\x01", None),
            (false, b"\x88\0\x82\x01a", None),
        ] {
            assert_eq!(
                open(texts).unwrap(bytes).ok().as_deref(),
                heard,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_is_said_is_in_its_frames() {
        let (mut web, mut out) = (open(true), Vec::new());
        web.wrap(b"{\"a\":1}\0[]\0", &mut out);
        web.say_close(&mut out);
        let (mut at, mut texts) = (0, Vec::new());
        while let [head, length, rest @ ..] = &out[at..] {
            let (mask, count) = (&rest[..4], usize::from(length & !MASKED));
            let payload = rest[4..4 + count].iter().zip(mask.iter().cycle());
            if head & 8 == 0 {
                texts.extend(payload.map(|(byte, mask)| byte ^ mask));
            }
            at += 2 + 4 + count;
        }
        assert_eq!(texts, b"{\"a\":1}[]");
        assert_eq!(at, out.len());
    }
}
