//! Any message of one protocol in the other, and back.

use amqp091::properties::Properties as Basic;
use mqtt::{For, Properties};

use super::to_amqp::{Arrival, properties};
use super::to_mqtt::translated;
use crate::mqtt::block::Block;

/// Room for headers: as much as nobody needs here.
const ROOM_BYTES: usize = 1 << 20;

/// The first byte says what the others are: a block of MQTT, or properties of AMQP and a body.
pub fn check_map(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    match what % 2 {
        0 => check_block(rest),
        _ => check_basic(rest),
    }
}

/// A block becomes well-formed properties of AMQP in whatever room there is, and all that is kept
/// comes back.
fn check_block(bytes: &[u8]) {
    let Some(block) = Block::check(bytes) else {
        return;
    };
    let key = bytes.get(13..).unwrap_or_default();
    let arrival = Arrival {
        routing_key: key,
        published_ms: 1_000_000,
    };
    for room in [0, 64, 256, ROOM_BYTES] {
        for arrival in [None, Some(arrival)] {
            check_headers(&properties(&block, arrival, room), room);
        }
    }
    if block.headers.is_empty() {
        check_there_and_back(&block);
    }
}

/// They are well-formed, have no name twice and fit; one more header may count what does not.
fn check_headers(block: &[u8], room: usize) {
    let basic = Basic::parse(block).expect("what is written can be read");
    let headers = basic.headers().expect("there is always one");
    assert_eq!(headers.validate(), Ok(()));
    assert!(headers.as_bytes().len() <= room + 32);
    let names: Vec<_> = headers.iter().map_while(Result::ok).collect();
    for (at, (name, _)) in names.iter().enumerate() {
        let before = names[..at].iter().any(|(other, _)| other == name);
        assert!(!before, "{name:?} is there twice");
    }
}

/// What `docs/message-map.md` says of there and back.
fn check_there_and_back(block: &Block<'_>) {
    let there = properties(block, None, ROOM_BYTES);
    let basic = Basic::parse(&there).expect("what is written can be read");
    let text_says_so = match block.properties.payload_format() {
        Some(true) => &b"text"[..],
        _ => b"\xFF",
    };
    let back = translated(&basic, text_says_so);
    let back = Properties::parse(&back, For::Publish).expect("what is written can be read");
    let was = block.properties;
    assert_eq!(back.content_type(), was.content_type());
    assert_eq!(back.correlation_data(), was.correlation_data());
    assert_eq!(back.response_topic(), was.response_topic());
    assert_eq!(
        back.payload_format() == Some(true),
        was.payload_format() == Some(true)
    );
    assert_eq!(sorted(back), sorted(was));
}

/// User properties by name, those of a name in their order.
fn sorted(properties: Properties<'_>) -> Vec<(String, String)> {
    let pairs = properties.user_properties();
    let mut pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    pairs
}

/// Whatever AMQP publishes becomes properties that a PUBLISH may have; once there, going through
/// AMQP once more changes nothing.
fn check_basic(bytes: &[u8]) {
    let Ok(basic) = Basic::parse(bytes) else {
        return;
    };
    let there = translated(&basic, bytes);
    let parsed = Properties::parse(&there, For::Publish).expect("a PUBLISH may have them");
    let block = Block {
        retain: false,
        is_replay: false,
        qos: 1,
        v5: true,
        publisher: 0,
        properties: parsed,
        headers: amqp091::RawTable::EMPTY,
    };
    check_there_and_back(&block);
}
