//! What a channel's frames become, and RabbitMQ's texts for those that may not come.

use super::*;
use crate::frame;
use crate::method::{basic, channel};
use crate::wire::ShortStr;

const LIMITS: ContentLimits = ContentLimits {
    message_bytes_max: 100,
    body_bytes_max: 1000,
};

/// A frame that the tables below are written with.
enum Part<'a> {
    Publish,
    Ack,
    Header(u16, u64),
    Weight,
    Body(&'a [u8]),
    Heartbeat,
}

fn bytes_of(part: &Part<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match part {
        Part::Publish => {
            let routing_key = ShortStr::lit("key");
            let method = basic::Publish {
                routing_key,
                ..Default::default()
            };
            Method::from(method).write_frame(&mut out, 1);
        }
        Part::Ack => Method::from(basic::Ack::default()).write_frame(&mut out, 1),
        Part::Header(class_id, body_bytes) => {
            frame::write_header(&mut out, 1, *class_id, *body_bytes, &[0, 0]);
        }
        Part::Weight => {
            frame::write_header(&mut out, 1, 60, 1, &[0, 0]);
            out[10] = 1;
        }
        Part::Body(b"") => out.extend_from_slice(&[3, 0, 1, 0, 0, 0, 0, 0xCE]),
        Part::Body(body) => frame::write_body(&mut out, 1, body, 4096),
        Part::Heartbeat => frame::write_heartbeat(&mut out),
    }
    out
}

/// Feeds all parts; the last one's outcome, all before it being incomplete.
fn feed(input: &mut ChannelInput, parts: &[Part<'_>]) -> Result<Input<'static>, InputError> {
    let mut last = Ok(Input::Incomplete);
    for part in parts {
        assert_eq!(last, Ok(Input::Incomplete));
        let bytes = bytes_of(part);
        let frame = frame::parse(&bytes, 4096).unwrap().unwrap();
        last = match input.accept(frame, LIMITS) {
            Ok(Input::Method(method)) => {
                assert_eq!(method, Method::from(basic::Ack::default()));
                Ok(Input::Method(basic::Ack::default().into()))
            }
            Ok(Input::Incomplete) => Ok(Input::Incomplete),
            Ok(Input::Message(message)) => Ok(Input::Message(message)),
            Ok(Input::Oversized {
                class_method,
                body_bytes,
            }) => Ok(Input::Oversized {
                class_method,
                body_bytes,
            }),
            Err(error) => Err(error),
        };
    }
    last
}

#[test]
fn method_header_and_bodies_make_a_message() {
    for (parts, body) in [
        (&[Part::Publish, Part::Header(60, 0)][..], &b""[..]),
        (
            &[Part::Publish, Part::Header(60, 4), Part::Body(b"body")],
            b"body",
        ),
        (
            &[
                Part::Publish,
                Part::Header(60, 4),
                Part::Body(b"bo"),
                Part::Body(b"dy"),
            ],
            b"body",
        ),
        (
            &[
                Part::Publish,
                Part::Header(60, 1),
                Part::Body(b""),
                Part::Body(b"b"),
            ],
            b"b", // an empty body frame changes nothing
        ),
    ] {
        let mut input = ChannelInput::new();
        let Ok(Input::Message(message)) = feed(&mut input, parts) else {
            panic!("no message with {body:?}");
        };
        assert_eq!(message.body, body);
        assert_eq!(message.properties, [0, 0]);
        let Ok(Method::BasicPublish(publish)) = message.method() else {
            panic!("{:?}", message.method());
        };
        assert_eq!(publish.routing_key.as_bytes(), b"key");
        assert!(input.is_idle());
        assert_eq!(input.buffered_bytes(), 0);
    }
}

#[test]
fn a_method_without_content_passes_through() {
    let mut input = ChannelInput::new();
    let expected = Ok(Input::Method(basic::Ack::default().into()));
    assert_eq!(feed(&mut input, &[Part::Ack]), expected);
    assert!(input.is_idle());
}

#[test]
fn frames_out_of_order_get_rabbitmqs_words() {
    let no_method = "expected method frame, got non method frame instead";
    let no_header = "expected content header for class 60, got non content header frame instead";
    let other_class = "expected content header for class 60, got one for class 50 instead";
    let no_body = "expected content body, got non content body frame instead";
    for (parts, text, method) in [
        (&[Part::Body(b"x")][..], no_method, (0, 0)),
        (&[Part::Header(60, 1)], no_method, (0, 0)),
        (&[Part::Publish, Part::Ack], no_header, (60, 40)),
        (&[Part::Publish, Part::Body(b"x")], no_header, (60, 40)),
        (&[Part::Publish, Part::Weight], no_header, (60, 40)),
        (&[Part::Publish, Part::Header(50, 1)], other_class, (60, 40)),
        (
            &[Part::Publish, Part::Header(60, 1), Part::Ack],
            no_body,
            (60, 40),
        ),
        (&[Part::Heartbeat], "type 8, all octets = <<>>", (0, 0)),
    ] {
        assert_refused(parts, ReplyCode::UnexpectedFrame, text, method);
    }
}

#[test]
fn a_size_that_is_not_kept_or_too_large_is_a_frame_error() {
    for (parts, text) in [
        (
            &[Part::Publish, Part::Header(60, 1), Part::Body(b"xy")][..],
            "content body frame exceeds remaining content size",
        ),
        (
            &[Part::Publish, Part::Header(60, u64::MAX)],
            "content body size 18446744073709551615 exceeds maximum allowed size 1000",
        ),
    ] {
        assert_refused(parts, ReplyCode::FrameError, text, (60, 40));
    }
}

fn assert_refused(parts: &[Part], code: ReplyCode, text: &str, method: (u16, u16)) {
    let error = feed(&mut ChannelInput::new(), parts).unwrap_err();
    assert_eq!(error.to_string(), text);
    assert_eq!(
        (error.reply_code(), error.failed_method()),
        (code, method),
        "{text}"
    );
}

#[test]
fn a_body_over_the_message_limit_is_read_but_not_kept() {
    let mut input = ChannelInput::new();
    let head = [Part::Publish, Part::Header(60, 101), Part::Body(&[7; 100])];
    assert_eq!(feed(&mut input, &head), Ok(Input::Incomplete));
    assert!(input.buffered_bytes() < 64);
    let expected = Input::Oversized {
        class_method: (60, 40),
        body_bytes: 101,
    };
    assert_eq!(feed(&mut input, &[Part::Body(b"x")]), Ok(expected));
    assert!(input.is_idle());
}

#[test]
fn an_announced_size_reserves_nothing() {
    let mut input = ChannelInput::new();
    let limits = ContentLimits {
        message_bytes_max: u64::MAX,
        body_bytes_max: u64::MAX,
    };
    for part in [Part::Publish, Part::Header(60, u64::MAX), Part::Body(b"x")] {
        let bytes = bytes_of(&part);
        let frame = frame::parse(&bytes, 4096).unwrap().unwrap();
        assert_eq!(input.accept(frame, limits), Ok(Input::Incomplete));
    }
    assert!(input.buffered_bytes() < 128);
    input.reset();
    assert!(input.is_idle());
}

#[test]
fn a_method_that_cannot_be_decoded_is_the_channels_error() {
    let mut bytes = Vec::new();
    Method::from(channel::CloseOk).write_frame(&mut bytes, 1);
    bytes[10] = 99;
    let frame = frame::parse(&bytes, 4096).unwrap().unwrap();
    let error = ChannelInput::new().accept(frame, LIMITS).unwrap_err();
    assert_eq!(error.reply_code(), ReplyCode::NotImplemented);
    assert_eq!(error.failed_method(), (20, 99));
}
