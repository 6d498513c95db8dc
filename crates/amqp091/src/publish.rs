//! `basic.publish` with its whole content, read in one go when it is all in one buffer.
//!
//! Invariants
//! - What is recognised here is what [`crate::ChannelInput`] would make of the same frames.
//! - Anything unusual is `None`: more than one body frame, an empty body frame, a frame that is
//!   not all here.

use crate::content::ContentHeader;
use crate::frame::{self, FrameError, FrameKind};
use crate::method::basic;
use crate::wire::{Field, Reader};

/// A publish whose frames lie next to each other, borrowed from the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastPublish<'a> {
    /// The channel it came on.
    pub channel: u16,
    /// Name of the exchange; not checked to be UTF-8.
    pub exchange: &'a [u8],
    /// Routing key; not checked to be UTF-8.
    pub routing_key: &'a [u8],
    /// Whether it comes back when no queue takes it.
    pub mandatory: bool,
    /// Whether a consumer must be ready; RabbitMQ refuses it.
    pub immediate: bool,
    /// Flags and values as on the wire, not looked at.
    pub properties: &'a [u8],
    /// The body.
    pub body: &'a [u8],
    /// Bytes that it takes up in the buffer.
    pub size: usize,
}

/// Reads a publish off the front of `bytes`: its method frame, its header frame, and one body
/// frame, or none if the body is empty. `None` when there is anything else; the slow path then
/// decides.
///
/// The caller makes sure that the channel is open and has no content under way.
///
/// # Errors
/// As [`frame::parse`] on each of the frames.
#[inline]
pub fn parse_publish_fast(
    bytes: &[u8],
    frame_bytes_max: u32,
) -> Result<Option<FastPublish<'_>>, FrameError> {
    const IDS: [u8; 4] = [
        0,
        basic::Publish::CLASS_ID as u8,
        0,
        basic::Publish::METHOD_ID as u8,
    ];
    // Turns away other frames at the cost of two loads.
    if bytes.first() != Some(&(FrameKind::Method as u8)) || bytes.get(7..11) != Some(&IDS[..]) {
        return Ok(None);
    }
    let Some(method) = frame::parse(bytes, frame_bytes_max)? else {
        return Ok(None);
    };
    let mut reader = Reader::new(&method.payload[IDS.len()..]);
    let publish = <basic::Publish<'_> as Field<'_>>::read(&mut reader);
    let Some(publish) = publish.filter(|_| reader.is_empty()) else {
        return Ok(None);
    };
    let Some(header) = frame::parse(&bytes[method.size..], frame_bytes_max)? else {
        return Ok(None);
    };
    if header.kind != FrameKind::Header || header.channel != method.channel {
        return Ok(None);
    }
    let Some(content) = ContentHeader::parse(header.payload) else {
        return Ok(None);
    };
    if content.class_id != basic::Publish::CLASS_ID || content.weight != 0 {
        return Ok(None);
    }
    let mut size = method.size + header.size;
    let mut body = &[][..];
    if content.body_bytes > 0 {
        let Some(frame) = frame::parse(&bytes[size..], frame_bytes_max)? else {
            return Ok(None);
        };
        let is_all = frame.payload.len() as u64 == content.body_bytes;
        if frame.kind != FrameKind::Body || frame.channel != method.channel || !is_all {
            return Ok(None);
        }
        body = frame.payload;
        size += frame.size;
    }
    Ok(Some(FastPublish {
        channel: method.channel,
        exchange: publish.exchange.as_bytes(),
        routing_key: publish.routing_key.as_bytes(),
        mandatory: publish.mandatory,
        immediate: publish.immediate,
        properties: content.properties,
        body,
        size,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;
    use crate::wire::ShortStr;

    fn publish(body: &[u8], frame_bytes_max: u32) -> Vec<u8> {
        let method = basic::Publish {
            exchange: ShortStr::lit("ex"),
            routing_key: ShortStr::lit("key"),
            mandatory: true,
            ..basic::Publish::default()
        };
        let mut out = Vec::new();
        Method::from(method).write_frame(&mut out, 5);
        frame::write_header(&mut out, 5, 60, body.len() as u64, &[0x10, 0, 2]);
        frame::write_body(&mut out, 5, body, frame_bytes_max);
        out
    }

    #[test]
    fn a_publish_in_one_buffer_is_read_at_once() {
        for body in [&b""[..], b"x", &[7; 4088]] {
            let mut bytes = publish(body, 4096);
            let size = bytes.len();
            bytes.extend_from_slice(b"what follows");
            let fast = parse_publish_fast(&bytes, 4096).unwrap().unwrap();
            let expected = FastPublish {
                channel: 5,
                exchange: b"ex",
                routing_key: b"key",
                mandatory: true,
                immediate: false,
                properties: &[0x10, 0, 2],
                body,
                size,
            };
            assert_eq!(fast, expected);
        }
    }

    #[test]
    fn anything_else_is_left_to_the_slow_path() {
        let whole = publish(b"body", 4096);
        for end in 0..whole.len() {
            assert_eq!(
                parse_publish_fast(&whole[..end], 4096),
                Ok(None),
                "{end} bytes"
            );
        }
        let mut other_channel = whole.clone();
        let header_at = frame::parse(&whole, 4096).unwrap().unwrap().size;
        other_channel[header_at + 2] = 6;
        let mut other_class = whole.clone();
        other_class[header_at + 8] = 50;
        let mut trailing = Vec::new();
        frame::write_method(&mut trailing, 5, |out| {
            out.extend_from_slice(&[0, 60, 0, 40, 0, 0, 0, 0, 0, 99]);
        });
        trailing.extend_from_slice(&whole[header_at..]);
        let mut heartbeat = Vec::new();
        frame::write_heartbeat(&mut heartbeat);
        for (bytes, what) in [
            (publish(&[0; 5000], 4096), "two body frames"),
            (other_channel, "a header on another channel"),
            (other_class, "a header of another class"),
            (trailing, "a method with a byte too many"),
            (heartbeat, "a heartbeat"),
        ] {
            assert_eq!(parse_publish_fast(&bytes, 4096), Ok(None), "{what}");
        }
    }

    #[test]
    fn a_broken_frame_is_an_error_at_once() {
        let mut bytes = publish(b"body", 4096);
        *bytes.last_mut().unwrap() = 0;
        assert!(parse_publish_fast(&bytes, 4096).is_err());
    }
}
