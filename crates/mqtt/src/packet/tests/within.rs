//! Packets that must not be larger than the peer takes.

use super::*;

fn written(packet: Packet<'_>, max: u32) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    let found = packet.write_within(&mut out, Version::V5, max);
    assert_eq!(&out[..6], b"before");
    assert_eq!(found.is_err(), out.len() == 6);
    found.ok().map(|()| out[6..].to_vec())
}

/// Written whole if there is room, else as `short`, else not at all.
fn assert_shortened(packet: Packet<'_>, short: &[u8]) {
    let whole = written(packet, u32::MAX).unwrap();
    let size = u32::try_from(whole.len()).unwrap();
    assert_eq!(written(packet, size).unwrap(), whole);
    assert_eq!(written(packet, size - 1).unwrap(), short, "{packet:?}");
    let size = u32::try_from(short.len()).unwrap();
    assert_eq!(written(packet, size).unwrap(), short);
    assert_eq!(written(packet, size - 1), None);
}

macro_rules! assert_acks_shortened {
    ($properties:ident: $($name:ident, $short:expr;)+) => {$(
        let packet = $name {
            properties: $properties,
            ..$name::success(1)
        };
        assert_shortened(Packet::$name(packet), $short);
    )+};
}

#[test]
fn explanations_are_left_out_of_what_would_be_too_large() {
    let mut block = Vec::new();
    let properties = write_properties(&mut block, |w| {
        w.reason_string("because").user("more", "words");
    });
    assert_acks_shortened! {
        properties:
        Puback, &[0x40, 2, 0, 1];
        Pubrec, &[0x50, 2, 0, 1];
        Pubrel, &[0x62, 2, 0, 1];
        Pubcomp, &[0x70, 2, 0, 1];
    }
    let connack = Connack {
        properties,
        ..Connack::refusal(ReasonCode::ServerBusy)
    };
    assert_shortened(Packet::Connack(connack), &[0x20, 3, 0, 0x89, 0]);
    let reason = ReasonCode::Success;
    let disconnect = Disconnect { reason, properties };
    assert_shortened(Packet::Disconnect(disconnect), &[0xE0, 0]);
    assert_shortened(Packet::Auth(Auth { reason, properties }), &[0xF0, 0]);
    let mut list = Vec::new();
    let reasons = ReasonList::write(&mut list, [reason]);
    let suback = Suback {
        packet_id: 1,
        properties,
        reasons,
    };
    assert_shortened(Packet::Suback(suback), &[0x90, 4, 0, 1, 0, 0]);
    let unsuback = Unsuback {
        packet_id: 1,
        properties,
        reasons,
    };
    assert_shortened(Packet::Unsuback(unsuback), &[0xB0, 4, 0, 1, 0, 0]);
}

#[test]
fn what_is_no_explanation_stays() {
    let mut block = Vec::new();
    let properties = write_properties(&mut block, |w| {
        w.reason_string("because").server_keep_alive(9);
    });
    let connack = Connack {
        session_present: false,
        reason: ReasonCode::Success,
        properties,
    };
    let found = written(Packet::Connack(connack), 10).unwrap();
    assert_eq!(found, [0x20, 6, 0, 0, 3, 0x13, 0, 9]);
    assert_eq!(written(Packet::Pingresp, 1), None);
}
