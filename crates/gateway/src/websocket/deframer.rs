//! What comes in: frames become a session's bytes, and what WebSocket itself asks is answered.
//!
//! Invariants
//! - Frames are opened where they were read to; a frame that is not complete keeps its head here,
//!   and nothing of its data.
//! - A head is checked before a byte of its frame is passed on. After a bad one, or the one that
//!   closes, nothing is; what came before it still is.
//! - A text that is complete is passed on with a NUL behind it, and has none in it.

use std::io::{self, Cursor};
use std::task::{Poll, ready};

use tokio::io::ReadBuf;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::framed::{CONTROL_BYTES_MAX, Content, Farewell, Framed};

/// The longest head of a frame, in bytes.
const HEAD_BYTES_MAX: usize = 14;
/// Most bytes of a message in a stream. It is not gathered: what it may do is bounded elsewhere.
const STREAM_MESSAGE_BYTES_MAX: u64 = 1 << 30;
/// Room in front of what is read: the NUL behind a text whose head came with an earlier read.
const SLACK_BYTES: usize = 1;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault {
    code: CloseCode,
    text: &'static str,
}

const fn fault(code: CloseCode, text: &'static str) -> Fault {
    Fault { code, text }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The other side has said so, or is gone.
    Orderly,
    Faulty(Fault),
}

/// What the rest of a frame's payload is for.
struct Frame {
    opcode: OpCode,
    is_final: bool,
    /// What masks the next byte is the first.
    mask: [u8; 4],
    left: u64,
}

/// A connection's way in.
pub(crate) struct Deframer {
    content: Content,
    /// What had come with the request.
    early: Vec<u8>,
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    frame: Option<Frame>,
    /// Bytes so far of a message that is not complete.
    message: Option<u64>,
    /// The payload so far of a control frame.
    control: Vec<u8>,
    ended: Option<Ended>,
}

impl Deframer {
    /// After a handshake that is done, with what had come behind it.
    pub(crate) fn new(content: Content, early: Vec<u8>) -> Deframer {
        Deframer {
            content,
            early,
            head: [0; HEAD_BYTES_MAX],
            head_bytes: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            ended: None,
        }
    }

    /// Whether it has met what is no frame.
    pub(crate) fn is_faulty(&self) -> bool {
        matches!(self.ended, Some(Ended::Faulty(_)))
    }

    /// Reads until there are bytes for the session in `out`; none when it has ended. `framed` is
    /// told what is to be answered; whether there is something is in `urges`.
    pub(crate) fn poll_read(
        &mut self,
        framed: &Framed,
        out: &mut ReadBuf<'_>,
        urges: &mut bool,
        mut read: impl FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.ended {
                Some(Ended::Orderly) => return Poll::Ready(Ok(())),
                Some(Ended::Faulty(Fault { text, .. })) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, text);
                    return Poll::Ready(Err(error));
                }
                None => {}
            }
            let buffer = out.initialize_unfilled();
            let room = buffer.len() - SLACK_BYTES;
            let count = match self.early.len().min(room) {
                0 => {
                    let mut raw = ReadBuf::new(&mut buffer[SLACK_BYTES..]);
                    ready!(read(&mut raw))?;
                    raw.filled().len()
                }
                count => {
                    let early = self.early.drain(..count);
                    buffer[SLACK_BYTES..][..count].copy_from_slice(early.as_slice());
                    count
                }
            };
            if self.early.is_empty() {
                self.early = Vec::new();
            }
            if count == 0 {
                self.ended = Some(Ended::Orderly);
                continue;
            }
            let opened = self.open(&mut buffer[..SLACK_BYTES + count], framed, urges);
            out.advance(opened);
            if opened > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Opens what stands behind the slack in `bytes`; the session's bytes are then at the front.
    fn open(&mut self, bytes: &mut [u8], framed: &Framed, urges: &mut bool) -> usize {
        let (mut from, mut to) = (SLACK_BYTES, 0);
        while self.ended.is_none() {
            if self.frame.is_none() {
                match self.take_head(&bytes[from..]) {
                    Ok(used) => from += used,
                    Err(fault) => self.fail(fault, framed, urges),
                }
            }
            let Some(frame) = &mut self.frame else {
                break;
            };
            let count = (bytes.len() - from).min(usize::try_from(frame.left).unwrap_or(usize::MAX));
            let payload = &mut bytes[from..from + count];
            unmask(payload, &mut frame.mask);
            frame.left -= count as u64;
            let is_whole = frame.left == 0;
            match frame.opcode {
                OpCode::Control(_) => self.control.extend_from_slice(payload),
                OpCode::Data(_) if self.content != Content::Stream && payload.contains(&0) => {
                    let what = fault(CloseCode::Invalid, "a NUL is in no JSON");
                    self.fail(what, framed, urges);
                    break;
                }
                OpCode::Data(_) => {
                    bytes.copy_within(from..from + count, to);
                    to += count;
                }
            }
            from += count;
            if !is_whole {
                break;
            }
            to += self.end_frame(&mut bytes[to..], framed, urges);
        }
        to
    }

    /// The frame is complete; whether a NUL was put into `out`, as a count.
    fn end_frame(&mut self, out: &mut [u8], framed: &Framed, urges: &mut bool) -> usize {
        let Some(frame) = self.frame.take() else {
            return 0;
        };
        match frame.opcode {
            OpCode::Data(_) if frame.is_final => {
                self.message = None;
                if self.content != Content::Stream {
                    out[0] = 0;
                    return 1;
                }
            }
            OpCode::Data(_) => {}
            OpCode::Control(Control::Ping) => {
                framed.pong(&self.control);
                *urges = true;
            }
            OpCode::Control(Control::Close) => match farewell(&self.control) {
                Ok(farewell) => {
                    framed.echo(farewell);
                    *urges = true;
                    self.ended = Some(Ended::Orderly);
                }
                Err(fault) => self.fail(fault, framed, urges),
            },
            OpCode::Control(_) => {}
        }
        self.control = Vec::new();
        0
    }

    fn fail(&mut self, fault: Fault, framed: &Framed, urges: &mut bool) {
        framed.close(fault.code, fault.text);
        *urges = true;
        self.ended = Some(Ended::Faulty(fault));
    }

    /// Takes the head of a frame; how many of these bytes were of it.
    fn take_head(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let before = self.head_bytes;
        let count = bytes.len().min(HEAD_BYTES_MAX - before);
        self.head[before..before + count].copy_from_slice(&bytes[..count]);
        let mut cursor = Cursor::new(&self.head[..before + count]);
        let parsed = FrameHeader::parse(&mut cursor);
        let parsed = parsed.map_err(|_| fault(CloseCode::Protocol, "the opcode is reserved"))?;
        let Some((header, length)) = parsed else {
            self.head_bytes += count;
            return Ok(count);
        };
        let used = cursor.position() as usize;
        self.head_bytes = 0;
        self.begin_frame(&header, length, used)?;
        Ok(used - before)
    }

    fn begin_frame(&mut self, header: &FrameHeader, length: u64, used: usize) -> Result<(), Fault> {
        let bad = |text| Err(fault(CloseCode::Protocol, text));
        let Some(mask) = header.mask else {
            return bad("a client masks its frames");
        };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return bad("a reserved bit is set");
        }
        if header.len(length) != used {
            return bad("the length takes more bytes than it needs");
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return bad("a control frame is in fragments");
            }
            OpCode::Control(_) if length > CONTROL_BYTES_MAX as u64 => {
                return bad("a control frame is too long");
            }
            OpCode::Control(_) => {}
            OpCode::Data(data) => self.begin_data(data, length)?,
        }
        self.frame = Some(Frame {
            opcode: header.opcode,
            is_final: header.is_final,
            mask,
            left: length,
        });
        Ok(())
    }

    fn begin_data(&mut self, data: Data, length: u64) -> Result<(), Fault> {
        let bad = |text| Err(fault(CloseCode::Protocol, text));
        let unfit = |text| Err(fault(CloseCode::Unsupported, text));
        let so_far = match (self.message, data, self.content) {
            (None, Data::Continue, _) => return bad("there is no message to continue"),
            (Some(so_far), Data::Continue, _) => so_far,
            (Some(_), ..) => return bad("the message before is not complete"),
            (None, Data::Binary, Content::Stream) | (None, Data::Text, Content::Texts { .. }) => 0,
            (None, _, Content::Stream) => return unfit("messages are binary here"),
            (None, _, Content::Texts { .. }) => return unfit("messages are texts here"),
        };
        let most = match self.content {
            Content::Stream => STREAM_MESSAGE_BYTES_MAX,
            Content::Texts { bytes_max } => bytes_max,
        };
        let whole = so_far.saturating_add(length);
        if whole > most {
            return Err(fault(CloseCode::Size, "the message is too long"));
        }
        self.message = Some(whole);
        Ok(())
    }
}

/// What a frame that closes says.
fn farewell(payload: &[u8]) -> Result<Farewell, Fault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(fault(CloseCode::Protocol, "half a code is none")),
        };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() {
        return Err(fault(CloseCode::Protocol, "nobody may send this code"));
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok(Some((code, reason.to_owned()))),
        Err(_) => Err(fault(CloseCode::Invalid, "the reason is no text")),
    }
}

/// Takes the mask off, and turns it to what comes next.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let masked: &mut [u8; 8] = chunk.try_into().expect("chunks have eight bytes");
        *masked = (u64::from_ne_bytes(*masked) ^ word).to_ne_bytes();
    }
    for (byte, mask) in chunks
        .into_remainder()
        .iter_mut()
        .zip([a, b, c, d, a, b, c])
    {
        *byte ^= mask;
    }
    mask.rotate_left(bytes.len() % 4);
}

#[cfg(test)]
mod tests;
