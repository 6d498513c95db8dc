//! Frames: what every byte on a connection, after the first eight, is part of.
//!
//! ```text
//!  0      1         3      7           7 + size
//!  | kind | channel | size | payload   | 0xCE |      integers are big-endian
//! ```
//!
//! Invariants
//! - A parsed method frame has a payload of at least 4 bytes, a header frame of at least 12, a
//!   heartbeat none.
//! - A frame that announces too much is refused as soon as its head is here.
//! - `frame_bytes_max` counts the whole frame; below [`FRAME_BYTES_MIN`] (as the 0 of an
//!   unlimited peer) it counts as that.
//! - A parser takes payloads up to `frame_bytes_max`, 8 bytes over the rule: RabbitMQ does, for
//!   clients that forget the frame around the payload. A writer keeps to the rule.

use std::fmt;

use crate::error::ErlangBinary;
use crate::reply::ReplyCode;
use crate::wire::length_u32;

/// The last byte of a frame.
pub const FRAME_END: u8 = 0xCE;
/// Bytes of a frame around its payload.
pub const FRAME_OVERHEAD_BYTES: usize = 8;
/// The smallest limit that may be negotiated, and the one before any is.
pub const FRAME_BYTES_MIN: u32 = 4096;
/// Bytes before the payload.
const HEAD_BYTES: usize = 7;
/// How much of a refused frame its error shows.
const SNIPPET_BYTES: usize = 16;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A method.
    Method = 1,
    /// A content header.
    Header = 2,
    /// A part of a body.
    Body = 3,
    /// Nothing but a sign of life.
    Heartbeat = 8,
}

/// A whole frame, borrowed from the buffer it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// The channel it belongs to; 0 is the connection itself.
    pub channel: u16,
    /// What is between head and end byte.
    pub payload: &'a [u8],
    /// Bytes of the whole frame on the wire.
    pub size: usize,
}

/// Why the bytes are no frame. The stream cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More is announced than the connection allows.
    #[error(
        "type {kind}, all octets = <<>>: {{frame_too_large,{payload_bytes},{payload_bytes_max}}}"
    )]
    TooLarge {
        /// The frame's first byte.
        kind: u8,
        /// Its channel.
        channel: u16,
        /// Announced bytes of payload.
        payload_bytes: u32,
        /// Allowed bytes of payload.
        payload_bytes_max: u32,
    },
    /// The byte after the payload is not [`FRAME_END`].
    #[error("type {kind}, {snippet}: {{invalid_frame_end_marker,{end}}}")]
    BadEnd {
        /// The frame's first byte.
        kind: u8,
        /// Its channel.
        channel: u16,
        /// The byte that is there.
        end: u8,
        /// The start of the payload.
        snippet: Snippet,
    },
    /// No such type of frame, or a payload that no frame of its type has.
    #[error("type {kind}, {snippet}: unknown_frame")]
    Unknown {
        /// The frame's first byte.
        kind: u8,
        /// Its channel.
        channel: u16,
        /// The start of the payload.
        snippet: Snippet,
    },
}

impl FrameError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn reply_code(&self) -> ReplyCode {
        ReplyCode::FrameError
    }
}

/// The first bytes of a payload, for an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet {
    bytes: [u8; SNIPPET_BYTES],
    length: usize,
    is_all: bool,
}

impl Snippet {
    pub(crate) fn of(payload: &[u8]) -> Self {
        let length = payload.len().min(SNIPPET_BYTES);
        let mut bytes = [0; SNIPPET_BYTES];
        bytes[..length].copy_from_slice(&payload[..length]);
        Self {
            bytes,
            length,
            is_all: payload.len() <= SNIPPET_BYTES,
        }
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how_many = if self.is_all { "all" } else { "first 16" };
        let shown = ErlangBinary {
            bytes: &self.bytes[..self.length],
            as_text: true,
        };
        write!(f, "{how_many} octets = {shown}")
    }
}

/// Reads the frame at the start of `bytes`; `None` while it is not all here.
///
/// # Errors
/// Bytes that are not a frame; nothing after them can be read.
#[inline(always)]
pub fn parse(bytes: &[u8], frame_bytes_max: u32) -> Result<Option<Frame<'_>>, FrameError> {
    let Some((&[kind, c0, c1, s0, s1, s2, s3], rest)) = bytes.split_first_chunk::<HEAD_BYTES>()
    else {
        return Ok(None);
    };
    let channel = u16::from_be_bytes([c0, c1]);
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if size > frame_bytes_max.max(FRAME_BYTES_MIN) {
        return Err(too_large(kind, channel, size, frame_bytes_max));
    }
    let payload_bytes = size as usize;
    let Some(&end) = rest.get(payload_bytes) else {
        return Ok(None);
    };
    let payload = &rest[..payload_bytes];
    if end != FRAME_END {
        return Err(FrameError::BadEnd {
            kind,
            channel,
            end,
            snippet: Snippet::of(payload),
        });
    }
    let known = match kind {
        1 if payload_bytes >= 4 => FrameKind::Method,
        2 if payload_bytes >= 12 => FrameKind::Header,
        3 => FrameKind::Body,
        8 if payload_bytes == 0 => FrameKind::Heartbeat,
        _ => {
            return Err(FrameError::Unknown {
                kind,
                channel,
                snippet: Snippet::of(payload),
            });
        }
    };
    let size = payload_bytes + FRAME_OVERHEAD_BYTES;
    Ok(Some(Frame {
        kind: known,
        channel,
        payload,
        size,
    }))
}

#[cold]
fn too_large(kind: u8, channel: u16, payload_bytes: u32, frame_bytes_max: u32) -> FrameError {
    let payload_bytes_max = payload_bytes_max(frame_bytes_max);
    FrameError::TooLarge {
        kind,
        channel,
        payload_bytes,
        payload_bytes_max,
    }
}

/// The most payload that one of our frames may carry.
#[inline]
#[must_use]
pub const fn payload_bytes_max(frame_bytes_max: u32) -> u32 {
    let bytes = if frame_bytes_max < FRAME_BYTES_MIN {
        FRAME_BYTES_MIN
    } else {
        frame_bytes_max
    };
    bytes - FRAME_OVERHEAD_BYTES as u32
}

/// Appends a frame's head.
#[inline]
pub(crate) fn put_head(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload_bytes: u32) {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = payload_bytes.to_be_bytes();
    out.extend_from_slice(&[kind as u8, c0, c1, s0, s1, s2, s3]);
}

/// Appends a frame whose payload is what `fill` appends.
#[inline]
fn write_with(out: &mut Vec<u8>, kind: FrameKind, channel: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    put_head(out, kind, channel, 0);
    let start = out.len();
    fill(out);
    let size = length_u32(out.len() - start).to_be_bytes();
    out[start - size.len()..start].copy_from_slice(&size);
    out.push(FRAME_END);
}

/// Appends a method frame; `fill` appends ids and fields.
#[inline]
pub fn write_method(out: &mut Vec<u8>, channel: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    write_with(out, FrameKind::Method, channel, fill);
}

/// Appends a content header frame; `properties` are flags and values as on the wire.
pub fn write_header(
    out: &mut Vec<u8>,
    channel: u16,
    class_id: u16,
    body_bytes: u64,
    properties: &[u8],
) {
    write_with(out, FrameKind::Header, channel, |out| {
        out.extend_from_slice(&class_id.to_be_bytes());
        out.extend_from_slice(&[0, 0]); // weight, always zero
        out.extend_from_slice(&body_bytes.to_be_bytes());
        out.extend_from_slice(properties);
    });
}

/// Appends a body as as many frames as it needs; an empty one needs none.
#[inline]
pub fn write_body(out: &mut Vec<u8>, channel: u16, body: &[u8], frame_bytes_max: u32) {
    for part in body.chunks(payload_bytes_max(frame_bytes_max) as usize) {
        put_head(out, FrameKind::Body, channel, length_u32(part.len()));
        out.extend_from_slice(part);
        out.push(FRAME_END);
    }
}

/// Bytes that [`write_body`] appends.
#[inline]
#[must_use]
pub const fn body_frames_bytes(body_bytes: usize, frame_bytes_max: u32) -> usize {
    let frames = body_bytes.div_ceil(payload_bytes_max(frame_bytes_max) as usize);
    body_bytes + frames * FRAME_OVERHEAD_BYTES
}

/// Appends a heartbeat.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    write_with(out, FrameKind::Heartbeat, 0, |_| {});
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_frames_parse_and_are_written_alike() {
        let mut heartbeat = Vec::new();
        write_heartbeat(&mut heartbeat);
        assert_eq!(heartbeat, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
        let mut body = Vec::new();
        write_body(&mut body, 0x0102, b"hi", 4096);
        assert_eq!(body, [3, 1, 2, 0, 0, 0, 2, b'h', b'i', 0xCE]);
        let mut header = Vec::new();
        write_header(&mut header, 1, 60, 2, &[0, 0]);
        let expected = [
            2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xCE,
        ];
        assert_eq!(header, expected);
        let frame = parse(&body, 4096).unwrap().unwrap();
        let kind = FrameKind::Body;
        assert_eq!(
            frame,
            Frame {
                kind,
                channel: 0x0102,
                payload: b"hi",
                size: 10
            }
        );
    }

    #[test]
    fn a_frame_cut_short_waits_for_more() {
        let mut bytes = Vec::new();
        write_body(&mut bytes, 7, b"some body", 4096);
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end], 4096), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_with_rabbitmqs_text() {
        let too_large = [3, 0, 1, 0, 2, 0, 1];
        for (bytes, expected) in [
            (
                &too_large[..],
                "type 3, all octets = <<>>: {frame_too_large,131073,131064}",
            ),
            (
                &[1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 11, 7],
                "type 1, all octets = <<0,10,0,11>>: {invalid_frame_end_marker,7}",
            ),
            (
                &[9, 0, 0, 0, 0, 0, 2, b'h', b'i', 0xCE],
                "type 9, all octets = <<\"hi\">>: unknown_frame",
            ),
            (
                &[1, 0, 0, 0, 0, 0, 1, 0, 0xCE],
                "type 1, all octets = <<0>>: unknown_frame",
            ),
            (
                &[2, 0, 0, 0, 0, 0, 1, 0, 0xCE],
                "type 2, all octets = <<0>>: unknown_frame",
            ),
            (
                &[8, 0, 0, 0, 0, 0, 1, 0, 0xCE],
                "type 8, all octets = <<0>>: unknown_frame",
            ),
        ] {
            let error = parse(bytes, 131_072).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.reply_code(), ReplyCode::FrameError);
        }
        let long = [[9, 0, 0, 0, 0, 0, 17].to_vec(), vec![0; 17], vec![0xCE]].concat();
        let text = parse(&long, 4096).unwrap_err().to_string();
        assert!(
            text.starts_with("type 9, first 16 octets = <<0,0,"),
            "{text}"
        );
    }

    #[test]
    fn eight_bytes_over_the_limit_are_let_pass() {
        let frame = |payload: usize| {
            let mut out = Vec::new();
            write_body(&mut out, 1, &vec![0; payload], u32::MAX);
            out
        };
        assert!(parse(&frame(4096), 4096).unwrap().is_some());
        assert!(
            parse(&frame(4096), 0).unwrap().is_some(),
            "a limit of 0 is the smallest one"
        );
        assert!(parse(&frame(4097), 4096).is_err());
    }

    #[test]
    fn a_body_is_split_to_fit_and_its_size_foretold() {
        for (body_bytes, frame_bytes_max, frames) in [
            (0, 4096, 0),
            (1, 4096, 1),
            (4088, 4096, 1),
            (4089, 4096, 2),
            (10_000, 0, 3),
        ] {
            let body: Vec<u8> = (0..body_bytes).map(|index| index as u8).collect();
            let mut out = Vec::new();
            write_body(&mut out, 1, &body, frame_bytes_max);
            assert_eq!(out.len(), body_frames_bytes(body_bytes, frame_bytes_max));
            let (mut rest, mut joined, mut count) = (&out[..], Vec::new(), 0);
            while let Some(frame) = parse(rest, frame_bytes_max).unwrap() {
                assert!(frame.size <= 4096);
                joined.extend_from_slice(frame.payload);
                rest = &rest[frame.size..];
                count += 1;
            }
            assert_eq!(
                (joined, count),
                (body, frames),
                "{body_bytes} in {frame_bytes_max}"
            );
        }
    }
}
