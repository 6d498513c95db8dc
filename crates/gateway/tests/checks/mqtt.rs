//! Sessions of MQTT 3.1.1 and 5.

use ferry_gateway::testing::Protocol;
use mqtt::{
    Auth, Connect, Disconnect, FilterList, NameList, Packet, Properties, Puback, Pubcomp, Publish,
    Pubrec, Pubrel, Qos, ReasonCode, RetainHandling, Subscribe, SubscribeOptions, Subscription,
    Unsubscribe, Version, Will, write_properties,
};

use super::{Play, Tape};

const TOPICS: [&str; 5] = ["a", "a/b", "$SYS/x", "", "a/b/c"];
const FILTERS: [&str; 7] = ["a", "a/#", "+/b", "#", "$share/g/a", "$share/g/#", "$SYS/#"];
const CLIENT_IDS: [&str; 3] = ["x", "y", ""];
const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
const HANDLING: [RetainHandling; 3] = [
    RetainHandling::Send,
    RetainHandling::SendIfNew,
    RetainHandling::DoNotSend,
];

/// Plays a tape. Its first byte says which version everybody speaks.
pub fn check_mqtt(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let version = [Version::V4, Version::V5][usize::from(first % 2)];
    let play = Play::new(Protocol::Mqtt, openings(version), check_heard);
    play.run(rest, |tape, out| say(tape, out, version));
}

/// Who comes with a session that stays, who with a new one, who knows a password, who has to prove
/// that, and who says nothing by itself.
fn openings(version: Version) -> Vec<Vec<u8>> {
    let (mut block, mut scram) = (Vec::new(), Vec::new());
    let (stays, proves) = match version.is_5() {
        true => (
            write_properties(&mut block, |writer| {
                writer.session_expiry(50).receive_maximum(3);
            }),
            write_properties(&mut scram, |writer| {
                let first = b"n,,n=guest,r=fyko+d2lbbFgONRv9qkxdawL";
                let method = writer.authentication_method("SCRAM-SHA-256");
                method.authentication_data(first);
            }),
        ),
        false => (Properties::EMPTY, Properties::EMPTY),
    };
    let plain = Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "",
        properties: Properties::EMPTY,
        will: None,
        user_name: None,
        password: None,
    };
    let connects = [
        Connect {
            clean_start: false,
            client_id: "x",
            properties: stays,
            ..plain
        },
        plain,
        Connect {
            clean_start: false,
            client_id: "y",
            properties: stays,
            ..plain
        },
        Connect {
            user_name: Some("guest"),
            password: Some(b"guest"),
            ..plain
        },
        Connect {
            properties: proves,
            ..plain
        },
    ];
    let written = connects.iter().map(|connect| {
        let mut out = Vec::new();
        connect.write(&mut out);
        out
    });
    written.chain([Vec::new()]).collect()
}

fn check_heard(heard: &[u8]) {
    let mut rest = heard;
    while let Some(frame) = mqtt::frame(rest, 1 << 24).unwrap() {
        rest = &rest[frame.size..];
    }
}

fn say(tape: &mut Tape<'_>, out: &mut Vec<u8>, version: Version) {
    let (mut block, mut numbered) = (Vec::new(), Vec::new());
    let packet_id = 1 + u16::from(tape.byte() % 6);
    let packet = match tape.below(12) {
        0 | 1 => return say_connect(tape, out, version),
        2..=4 => return say_publish(tape, out, version),
        5 => {
            let (filter, number) = (tape.one_of(&FILTERS), tape.byte());
            let options = SubscribeOptions {
                qos: tape.one_of(&QOS),
                // For a shared subscription it is an error.
                no_local: version.is_5() && number == 255,
                retain_as_published: version.is_5() && tape.flag(),
                retain_handling: match version.is_5() {
                    true => tape.one_of(&HANDLING),
                    false => RetainHandling::Send,
                },
            };
            let filters = FilterList::write(&mut block, [Subscription { filter, options }]);
            Packet::Subscribe(Subscribe {
                packet_id,
                properties: match version.is_5() && number % 4 == 1 {
                    true => write_properties(&mut numbered, |writer| {
                        writer.subscription_identifier(number.into());
                    }),
                    false => Properties::EMPTY,
                },
                filters,
            })
        }
        6 => Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: NameList::write(&mut block, [tape.one_of(&FILTERS)]),
        }),
        7 => Packet::Puback(Puback::success(packet_id)),
        8 => Packet::Pubrec(Pubrec::success(packet_id)),
        9 => match tape.flag() {
            true => Packet::Pubrel(Pubrel::success(packet_id)),
            false => Packet::Pubcomp(Pubcomp::success(packet_id)),
        },
        10 => Packet::Pingreq,
        _ => match tape.below(4) {
            0 => Packet::Auth(Auth {
                reason: ReasonCode::ReAuthenticate,
                properties: Properties::EMPTY,
            }),
            1 => Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWill)),
            2 if version.is_5() => Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: write_properties(&mut block, |writer| {
                    writer.session_expiry(tape.byte().into());
                }),
            }),
            _ => Packet::Disconnect(Disconnect::new(ReasonCode::Success)),
        },
    };
    let _too_large = packet.write(out, version);
}

fn say_connect(tape: &mut Tape<'_>, out: &mut Vec<u8>, version: Version) {
    let (mut block, mut delayed) = (Vec::new(), Vec::new());
    let (expiry_s, receive_max) = (tape.byte(), u16::from(tape.byte()));
    let (delay_s, alias_max) = (tape.byte(), tape.byte());
    let will = Will {
        qos: tape.one_of(&QOS),
        retain: tape.flag(),
        topic: tape.one_of(&TOPICS),
        payload: b"lost",
        properties: match version.is_5() {
            true => write_properties(&mut delayed, |writer| {
                writer.will_delay(delay_s.into());
            }),
            false => Properties::EMPTY,
        },
    };
    let connect = Connect {
        version,
        clean_start: tape.flag(),
        keep_alive_seconds: u16::from(tape.byte() % 20),
        client_id: tape.one_of(&CLIENT_IDS),
        properties: match version.is_5() {
            true => write_properties(&mut block, |writer| {
                writer
                    .session_expiry(expiry_s.into())
                    .receive_maximum(receive_max.max(1))
                    .topic_alias_maximum(alias_max.into());
            }),
            false => Properties::EMPTY,
        },
        will: tape.flag().then_some(will),
        user_name: None,
        password: None,
    };
    connect.write(out);
}

fn say_publish(tape: &mut Tape<'_>, out: &mut Vec<u8>, version: Version) {
    let mut block = Vec::new();
    let (alias, expiry_s) = (tape.byte() % 4, tape.byte());
    let qos = tape.one_of(&QOS);
    let payload = vec![tape.byte(); usize::from(tape.word() % 3_000)];
    let publish = Publish {
        topic: tape.one_of(&TOPICS).as_bytes(),
        qos,
        packet_id: match qos {
            Qos::AtMostOnce => 0,
            _ => 1 + u16::from(tape.byte() % 6),
        },
        dup: qos != Qos::AtMostOnce && tape.flag(),
        retain: tape.flag(),
        properties: match version.is_5() && alias > 0 {
            true => write_properties(&mut block, |writer| {
                writer
                    .topic_alias(alias.into())
                    .message_expiry(expiry_s.into());
                if expiry_s % 3 == 0 {
                    writer.response_topic("a/b").correlation_data(b"1");
                    writer.user("x-kind", "query").content_type("a");
                }
            }),
            false => Properties::EMPTY,
        },
        payload: &payload,
    };
    let _too_large = publish.write(out, version);
}
