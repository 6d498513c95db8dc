//! Deliveries written in one go: method, header and body frames with one reservation.
//!
//! Invariants
//! - The bytes are those of [`crate::Method::write_frame`], [`frame::write_header`] and
//!   [`frame::write_body`].
//! - The size is known before the first byte is written, so the buffer grows at most once.

use crate::frame::{self, FRAME_OVERHEAD_BYTES};
use crate::method::{Method, basic};
use crate::wire::ShortStr;

/// Ids of class and method.
const METHOD_ID_BYTES: usize = 4;
/// Class, weight and body size of a content header.
const HEADER_FIXED_BYTES: usize = 12;

/// A message on its way out, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Flags and values as on the wire.
    pub properties: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl Content<'_> {
    /// Bytes of all frames, for a method with `fields_bytes` of fields.
    #[inline]
    const fn frames_bytes(&self, fields_bytes: usize, frame_bytes_max: u32) -> usize {
        FRAME_OVERHEAD_BYTES
            + METHOD_ID_BYTES
            + fields_bytes
            + FRAME_OVERHEAD_BYTES
            + HEADER_FIXED_BYTES
            + self.properties.len()
            + frame::body_frames_bytes(self.body.len(), frame_bytes_max)
    }
}

/// Appends any method that carries content, and the content. `fields_bytes` is what the fields
/// take.
#[inline]
fn write_content(
    out: &mut Vec<u8>,
    channel: u16,
    method: Method<'_>,
    fields_bytes: usize,
    content: Content<'_>,
    frame_bytes_max: u32,
) {
    let expected = out.len() + content.frames_bytes(fields_bytes, frame_bytes_max);
    out.reserve(expected - out.len());
    method.write_frame(out, channel);
    let class_id = basic::Deliver::CLASS_ID;
    frame::write_header(
        out,
        channel,
        class_id,
        content.body.len() as u64,
        content.properties,
    );
    frame::write_body(out, channel, content.body, frame_bytes_max);
    debug_assert_eq!(out.len(), expected);
}

/// Appends `basic.deliver` with its content.
#[inline]
pub fn write_deliver(
    out: &mut Vec<u8>,
    channel: u16,
    deliver: basic::Deliver<'_>,
    content: Content<'_>,
    frame_bytes_max: u32,
) {
    let names = [deliver.consumer_tag, deliver.exchange, deliver.routing_key];
    let fields_bytes = names_bytes(&names) + size_of::<u64>() + 1;
    write_content(
        out,
        channel,
        deliver.into(),
        fields_bytes,
        content,
        frame_bytes_max,
    );
}

/// Appends `basic.get_ok` with its content.
#[inline]
pub fn write_get_ok(
    out: &mut Vec<u8>,
    channel: u16,
    get_ok: basic::GetOk<'_>,
    content: Content<'_>,
    frame_bytes_max: u32,
) {
    let names = [get_ok.exchange, get_ok.routing_key];
    let fields_bytes = names_bytes(&names) + size_of::<u64>() + 1 + size_of::<u32>();
    write_content(
        out,
        channel,
        get_ok.into(),
        fields_bytes,
        content,
        frame_bytes_max,
    );
}

/// Appends `basic.return` with its content.
#[inline]
pub fn write_return(
    out: &mut Vec<u8>,
    channel: u16,
    returned: basic::Return<'_>,
    content: Content<'_>,
    frame_bytes_max: u32,
) {
    let names = [returned.reply_text, returned.exchange, returned.routing_key];
    let fields_bytes = names_bytes(&names) + size_of::<u16>();
    write_content(
        out,
        channel,
        returned.into(),
        fields_bytes,
        content,
        frame_bytes_max,
    );
}

#[inline]
fn names_bytes(names: &[ShortStr<'_>]) -> usize {
    names.iter().map(|name| 1 + name.as_bytes().len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameKind;

    /// Each frame of `bytes`, all of which are frames.
    fn frames(mut bytes: &[u8]) -> Vec<(FrameKind, &[u8])> {
        let mut found = Vec::new();
        while let Some(frame) = frame::parse(bytes, 4096).unwrap() {
            assert_eq!(frame.channel, 3);
            found.push((frame.kind, frame.payload));
            bytes = &bytes[frame.size..];
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn deliveries_are_frames_of_foretold_size() {
        let exchange = ShortStr::lit("exchange");
        let routing_key = ShortStr::lit("key");
        let deliver = basic::Deliver {
            consumer_tag: ShortStr::lit("tag"),
            delivery_tag: 77,
            redelivered: true,
            exchange,
            routing_key,
        };
        let get_ok = basic::GetOk {
            delivery_tag: 1,
            redelivered: false,
            exchange,
            routing_key,
            message_count: 9,
        };
        let reply_text = ShortStr::lit("NO_ROUTE");
        let returned = basic::Return {
            reply_code: 312,
            reply_text,
            exchange,
            routing_key,
        };
        for body_bytes in [0, 1, 4088, 4089, 20_000] {
            let body = vec![7; body_bytes];
            let content = Content {
                properties: &[0x10, 0, 2],
                body: &body,
            };
            for method in [Method::from(deliver), get_ok.into(), returned.into()] {
                let mut out = Vec::new();
                match method {
                    Method::BasicDeliver(method) => {
                        write_deliver(&mut out, 3, method, content, 4096);
                    }
                    Method::BasicGetOk(method) => write_get_ok(&mut out, 3, method, content, 4096),
                    Method::BasicReturn(method) => write_return(&mut out, 3, method, content, 4096),
                    other => panic!("{other:?}"),
                }
                let found = frames(&out);
                assert_eq!(Method::decode(found[0].1), Ok(method));
                assert_eq!(found[1].0, FrameKind::Header);
                assert_eq!(found[1].1[12..], [0x10, 0, 2]);
                let joined: Vec<u8> = found[2..].iter().flat_map(|part| part.1).copied().collect();
                assert_eq!(joined, body);
            }
        }
    }
}
