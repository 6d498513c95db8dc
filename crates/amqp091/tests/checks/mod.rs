//! What must hold for any bytes at all. Shared by the corpus test and the fuzz targets.

use amqp091::content::{ContentLimits, Input};
use amqp091::properties::{self, Edit};
use amqp091::{ChannelInput, ContentHeader, Method, Properties, RawTable, frame};
use amqp091::{FrameKind, parse_publish_fast};

const FRAME_BYTES_MAX: u32 = 8192;
const LIMITS: ContentLimits = ContentLimits {
    message_bytes_max: 1 << 20,
    body_bytes_max: 1 << 30,
};

/// Frames one after another go through a channel; the fast publish agrees with it.
pub fn check_frames(bytes: &[u8]) {
    let mut rest = bytes;
    let mut input = ChannelInput::new();
    while let Ok(Some(found)) = frame::parse(rest, FRAME_BYTES_MAX) {
        assert_eq!(
            found.size,
            found.payload.len() + frame::FRAME_OVERHEAD_BYTES
        );
        if input.is_idle() {
            check_publish_fast(rest);
        }
        if input.accept(found, LIMITS).is_err() {
            assert!(input.is_idle());
        }
        assert!(input.buffered_bytes() <= 3 * bytes.len() + 64);
        rest = &rest[found.size..];
    }
    check_publish_fast(rest);
}

fn check_publish_fast(bytes: &[u8]) {
    let Ok(Some(fast)) = parse_publish_fast(bytes, FRAME_BYTES_MAX) else {
        return;
    };
    let mut input = ChannelInput::new();
    let mut rest = &bytes[..fast.size];
    let message = loop {
        let found = frame::parse(rest, FRAME_BYTES_MAX)
            .expect("it was read")
            .expect("it is here");
        assert_eq!(found.channel, fast.channel);
        rest = &rest[found.size..];
        match input.accept(found, LIMITS).expect("the fast path took it") {
            Input::Incomplete => {}
            Input::Message(message) => break message,
            other => panic!("a publish became {other:?}"),
        }
    };
    assert!(rest.is_empty());
    let Ok(Method::BasicPublish(publish)) = message.method() else {
        panic!("a publish is not a publish: {message:?}");
    };
    assert_eq!(publish.exchange.as_bytes(), fast.exchange);
    assert_eq!(publish.routing_key.as_bytes(), fast.routing_key);
    assert_eq!(
        (publish.mandatory, publish.immediate),
        (fast.mandatory, fast.immediate)
    );
    assert_eq!(
        (&message.properties[..], &message.body[..]),
        (fast.properties, fast.body)
    );
}

/// A method that decodes is the same after a second trip.
pub fn check_method(payload: &[u8]) {
    match Method::decode(payload) {
        Ok(method) => {
            let mut encoded = Vec::new();
            method.write_frame(&mut encoded, 1);
            let found = frame::parse(&encoded, u32::MAX)
                .expect("a frame")
                .expect("all of it");
            assert_eq!(found.kind, FrameKind::Method);
            assert_eq!(Method::decode(found.payload), Ok(method));
            assert_eq!(
                Method::name_of(method.class_method().0, method.class_method().1),
                { Some(method.name()) }
            );
        }
        Err(error) => assert!(error.reply_code().is_hard() && !error.to_string().is_empty()),
    }
}

/// A table that decodes is the same after a second trip, and every way of reading agrees.
pub fn check_table(entries: &[u8]) {
    let raw = RawTable::new(entries);
    let decoded = raw.decode();
    assert_eq!(raw.validate().err(), decoded.as_ref().err().copied());
    assert!(raw.iter().count() <= entries.len());
    let Ok(table) = decoded else {
        return;
    };
    let encoded = table.to_bytes();
    assert_eq!(encoded.len(), entries.len());
    let again = RawTable::new(&encoded).decode().expect("we encoded it");
    // Not `table == again`: a value that is not a number is not equal to itself.
    assert_eq!(again.to_bytes(), encoded);
    for (name, _) in table.iter() {
        assert!(raw.get(name).is_some() && again.get(name).is_some());
    }
}

/// A property block that parses is untouched by an edit that changes nothing.
pub fn check_properties(block: &[u8]) {
    if let Some(header) = ContentHeader::parse(block) {
        assert_eq!(header.properties, &block[12..]);
    }
    let Ok(parsed) = Properties::parse(block) else {
        return;
    };
    let mut same = Vec::new();
    properties::edit(&parsed, &Edit::default(), &mut same);
    assert_eq!(same, block);
    let headers_ok = parsed
        .headers()
        .is_none_or(|headers| headers.decode().is_ok());
    assert_eq!(parsed.validate_headers().is_ok(), headers_ok);
    let clear = Edit {
        headers: properties::Change::Clear,
        ..Edit::default()
    };
    let mut without = Vec::new();
    properties::edit(&parsed, &clear, &mut without);
    let without = Properties::parse(&without).expect("we wrote it");
    assert!(without.headers().is_none());
    assert_eq!(without.message_id(), parsed.message_id());
    assert_eq!(without.timestamp(), parsed.timestamp());
}
