//! Frames and fields of AMQP 0-9-1, written and read.
//!
//! Invariants
//! - Reading never panics: a field that is cut short reads as 0 or as nothing.
//! - A frame is handed out only when it is whole and ends in `FRAME_END`.

use crate::Res;

/// The only channel that the generator opens.
pub const CHANNEL: u16 = 1;
/// The largest frame that the generator agrees to.
pub const FRAME_BYTES_MAX: u32 = 131_072;
/// Header and end mark of a frame.
const FRAME_OVERHEAD_BYTES: usize = 8;
const FRAME_END: u8 = 0xCE;

/// Frame types.
pub const FRAME_METHOD: u8 = 1;
/// Frame types.
pub const FRAME_HEADER: u8 = 2;
/// Frame types.
pub const FRAME_BODY: u8 = 3;

/// A method by class and number.
pub type MethodId = (u16, u16);
/// `connection.close`.
pub const CONNECTION_CLOSE: MethodId = (10, 50);
/// `channel.close`.
pub const CHANNEL_CLOSE: MethodId = (20, 40);

/// A text of at most 255 bytes; names here are shorter by construction.
pub fn put_short(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("names of the generator are short");
    out.push(length);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes with a length of 32 bits.
pub fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A value of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Text.
    Text(String),
    /// An integer of 64 bits.
    Number(i64),
}

/// A table.
pub fn put_table(out: &mut Vec<u8>, entries: &[(&str, Field)]) {
    let mut table = Vec::new();
    for (key, value) in entries {
        put_short(&mut table, key);
        match value {
            Field::Text(text) => {
                table.push(b'S');
                put_long(&mut table, text.as_bytes());
            }
            Field::Number(number) => {
                table.push(b'l');
                table.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    put_long(out, &table);
}

fn put_frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(length as u32).to_be_bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
    out.push(FRAME_END);
}

/// A method frame.
pub fn put_method(out: &mut Vec<u8>, channel: u16, id: MethodId, args: &[u8]) {
    put_frame(
        out,
        FRAME_METHOD,
        channel,
        &[&id.0.to_be_bytes(), &id.1.to_be_bytes(), args],
    );
}

/// Content header and body frames; returns where the body's first byte is in `out`.
pub fn put_content(out: &mut Vec<u8>, body: &[u8], persistent: bool) -> usize {
    put_content_with(out, body, persistent, &[])
}

/// The same with headers.
pub fn put_content_with(
    out: &mut Vec<u8>,
    body: &[u8],
    persistent: bool,
    headers: &[(&str, Field)],
) -> usize {
    let mut header = Vec::new();
    header.extend_from_slice(&60u16.to_be_bytes());
    header.extend_from_slice(&0u16.to_be_bytes());
    header.extend_from_slice(&(body.len() as u64).to_be_bytes());
    if headers.is_empty() {
        header.extend_from_slice(&0x1000u16.to_be_bytes()); // only the delivery mode is set
    } else {
        header.extend_from_slice(&0x3000u16.to_be_bytes()); // and headers
        put_table(&mut header, headers);
    }
    header.push(if persistent { 2 } else { 1 });
    put_frame(out, FRAME_HEADER, CHANNEL, &[&header]);
    let body_at = out.len() + FRAME_OVERHEAD_BYTES - 1;
    for part in body.chunks(FRAME_BYTES_MAX as usize - FRAME_OVERHEAD_BYTES) {
        put_frame(out, FRAME_BODY, CHANNEL, &[part]);
    }
    body_at
}

/// A whole publish; returns where the body begins, counted from the start of the publish.
pub fn put_publish(
    out: &mut Vec<u8>,
    exchange: &str,
    key: &str,
    body: &[u8],
    persistent: bool,
    headers: &[(&str, Field)],
) -> usize {
    let start = out.len();
    let mut args = vec![0, 0];
    put_short(&mut args, exchange);
    put_short(&mut args, key);
    args.push(0);
    put_method(out, CHANNEL, (60, 40), &args);
    put_content_with(out, body, persistent, headers) - start
}

/// `basic.ack`, the one frame that is written per message.
#[inline]
pub fn put_ack(out: &mut Vec<u8>, tag: u64, multiple: bool) {
    let mut frame = *b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50\0\0\0\0\0\0\0\0\0\xCE";
    frame[11..19].copy_from_slice(&tag.to_be_bytes());
    frame[19] = u8::from(multiple);
    out.extend_from_slice(&frame);
}

/// A whole frame.
pub struct Frame<'a> {
    /// Its type.
    pub kind: u8,
    /// What is between header and end mark.
    pub payload: &'a [u8],
    /// Its length with both.
    pub bytes: usize,
}

impl Frame<'_> {
    /// Class and number of a method frame.
    #[inline]
    pub fn method(&self) -> MethodId {
        (u16_at(self.payload, 0), u16_at(self.payload, 2))
    }

    /// The error that a closing method stands for, if it is one.
    pub fn closing(&self) -> Res<()> {
        match self.method() {
            CONNECTION_CLOSE | CHANNEL_CLOSE => {
                let code = u16_at(self.payload, 4);
                let text = String::from_utf8_lossy(short_at(self.payload, 6)).into_owned();
                Err(format!("closed by the broker: {code} {text}"))
            }
            _ => Ok(()),
        }
    }
}

/// The first frame of `bytes`, if it is whole.
#[inline]
pub fn frame(bytes: &[u8]) -> Res<Option<Frame<'_>>> {
    if bytes.len() < FRAME_OVERHEAD_BYTES {
        return Ok(None);
    }
    let length = u32_at(bytes, 3);
    if length > FRAME_BYTES_MAX {
        return Err(format!(
            "a frame of {length} bytes, over the limit that was agreed"
        ));
    }
    let end = 7 + length as usize;
    let Some(mark) = bytes.get(end) else {
        return Ok(None);
    };
    if *mark != FRAME_END {
        return Err(format!("a frame ends in {mark:#04x}"));
    }
    Ok(Some(Frame {
        kind: bytes[0],
        payload: &bytes[7..end],
        bytes: end + 1,
    }))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

/// The number at an offset.
#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array_at(bytes, at))
}

/// The number at an offset.
#[inline]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

/// The number at an offset.
#[inline]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array_at(bytes, at))
}

/// The octet at an offset.
#[inline]
pub fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The short text at an offset.
#[inline]
pub fn short_at(bytes: &[u8], at: usize) -> &[u8] {
    bytes
        .get(at + 1..at + 1 + u8_at(bytes, at) as usize)
        .unwrap_or_default()
}

/// The text value of `key` in a table, looked for by its bytes.
pub fn text_in_table(table: &[u8], key: &str) -> Option<String> {
    let mut wanted = Vec::new();
    put_short(&mut wanted, key);
    wanted.push(b'S');
    let at = table
        .windows(wanted.len())
        .position(|window| window == wanted)?
        + wanted.len();
    let length = u32_at(table, at) as usize;
    let value = table.get(at + 4..)?.get(..length)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_method_header_and_body_frames() {
        for (size, bodies) in [(0, 0), (16, 1), (131_064, 1), (131_065, 2), (400_000, 4)] {
            let mut out = b"before".to_vec();
            let body_at = put_publish(&mut out, "x", "key", &vec![b'b'; size], true, &[]);
            let bytes = &out[6..];
            let (mut at, mut kinds) = (0, Vec::new());
            while at < bytes.len() {
                let frame = frame(&bytes[at..]).expect("well formed").expect("whole");
                assert!(frame.bytes <= FRAME_BYTES_MAX as usize);
                kinds.push(frame.kind);
                at += frame.bytes;
            }
            assert_eq!(kinds[..2], [FRAME_METHOD, FRAME_HEADER], "{size}");
            assert_eq!(kinds[2..], vec![FRAME_BODY; bodies], "{size}");
            if size > 0 {
                assert_eq!(bytes[body_at], b'b', "{size}");
                assert_ne!(bytes[body_at - 1], b'b', "{size}");
            }
        }
    }

    #[test]
    fn an_ack_names_its_tag() {
        let mut out = Vec::new();
        put_ack(&mut out, 0x0102_0304, true);
        let frame = frame(&out).expect("well formed").expect("whole");
        assert_eq!(frame.method(), (60, 80));
        assert_eq!(u64_at(frame.payload, 4), 0x0102_0304);
        assert_eq!((frame.payload[12], frame.bytes), (1, out.len()));
    }

    #[test]
    fn frames_cut_short_wait_and_broken_ones_are_refused() {
        let mut whole = Vec::new();
        put_method(&mut whole, 0, (10, 41), &[0]);
        for length in 0..whole.len() {
            assert!(matches!(frame(&whole[..length]), Ok(None)), "{length}");
        }
        *whole.last_mut().expect("not empty") = 0;
        assert!(frame(&whole).is_err());
        assert!(frame(&[1, 0, 0, 255, 255, 255, 255, 0]).is_err());
    }

    #[test]
    fn a_close_is_an_error_with_its_text() {
        let mut out = Vec::new();
        put_method(&mut out, 1, CHANNEL_CLOSE, b"\x01\x94\x09NOT_FOUND\0\0\0\0");
        let frame = frame(&out).expect("well formed").expect("whole");
        assert_eq!(
            frame.closing(),
            Err("closed by the broker: 404 NOT_FOUND".to_string())
        );
    }

    #[test]
    fn texts_are_found_in_tables() {
        let mut table = Vec::new();
        put_table(
            &mut table,
            &[
                ("product", Field::Text("P".into())),
                ("version", Field::Text("1.2".into())),
            ],
        );
        assert_eq!(text_in_table(&table, "version").as_deref(), Some("1.2"));
        assert_eq!(text_in_table(&table, "platform"), None);
        let cut = table.len() - 1;
        assert_eq!(text_in_table(&table[..cut], "version"), None);
    }
}
