//! Packets that are right, by proptest: as bytes, for a version, from a side.

use mqtt::*;
use proptest::prelude::*;

/// A packet's bytes.
#[derive(Clone, Debug)]
pub struct Sample {
    pub version: Version,
    pub from_client: bool,
    pub bytes: Vec<u8>,
}

impl Sample {
    fn of(version: Version, from_client: bool, packet: Packet<'_>) -> Self {
        let mut bytes = Vec::new();
        packet.write(&mut bytes, version).unwrap();
        Self {
            version,
            from_client,
            bytes,
        }
    }
}

/// A block of properties as it may be in `place`.
pub fn block(place: For) -> impl Strategy<Value = Vec<u8>> {
    let property = (any::<u8>(), any::<u32>(), text(), text());
    prop::collection::vec(property, 0..6).prop_map(move |wanted| {
        let allowed = PropertyId::ALL.iter().filter(|id| id.is_allowed(place));
        let allowed: Vec<_> = allowed.copied().collect();
        let mut there = Vec::new();
        let mut out = Vec::new();
        for (pick, number, one, two) in wanted {
            let id = allowed[usize::from(pick) % allowed.len()];
            if !there.contains(&id) || id.may_repeat(place) {
                there.push(id);
                put(&mut out, id, number, &one, &two);
            }
        }
        let method = PropertyId::AuthenticationMethod;
        let has_data = there.contains(&PropertyId::AuthenticationData);
        if (has_data || place == For::Auth) && !there.contains(&method) {
            put(&mut out, method, 0, "method", "");
        }
        out
    })
}

fn put(out: &mut Vec<u8>, id: PropertyId, number: u32, one: &str, two: &str) {
    use PropertyId as Id;
    write_properties(out, |w| {
        let flag = number.is_multiple_of(2);
        let small = number as u16 | 1;
        match id {
            Id::PayloadFormatIndicator => w.payload_format(flag),
            Id::MessageExpiryInterval => w.message_expiry(number),
            Id::ContentType => w.content_type(one),
            Id::ResponseTopic => w.response_topic("answer/here"),
            Id::CorrelationData => w.correlation_data(one.as_bytes()),
            Id::SubscriptionIdentifier => w.subscription_identifier(number % VARINT_MAX + 1),
            Id::SessionExpiryInterval => w.session_expiry(number),
            Id::AssignedClientIdentifier => w.assigned_client_identifier(one),
            Id::ServerKeepAlive => w.server_keep_alive(small),
            Id::AuthenticationMethod => w.authentication_method(one),
            Id::AuthenticationData => w.authentication_data(two.as_bytes()),
            Id::RequestProblemInformation => w.request_problem_information(flag),
            Id::WillDelayInterval => w.will_delay(number),
            Id::RequestResponseInformation => w.request_response_information(flag),
            Id::ResponseInformation => w.response_information(one),
            Id::ServerReference => w.server_reference(one),
            Id::ReasonString => w.reason_string(one),
            Id::ReceiveMaximum => w.receive_maximum(small),
            Id::TopicAliasMaximum => w.topic_alias_maximum(small),
            Id::TopicAlias => w.topic_alias(small),
            Id::MaximumQos => w.maximum_qos(flag),
            Id::RetainAvailable => w.retain_available(flag),
            Id::UserProperty => w.user(one, two),
            Id::MaximumPacketSize => w.maximum_packet_size(number | 1),
            Id::WildcardSubscriptionAvailable => w.wildcard_subscription_available(flag),
            Id::SubscriptionIdentifierAvailable => w.subscription_identifier_available(flag),
            Id::SharedSubscriptionAvailable => w.shared_subscription_available(flag),
        };
    });
}

pub fn text() -> impl Strategy<Value = String> {
    "[ -~é日]{0,12}"
}

pub fn name() -> impl Strategy<Value = String> {
    "[a-z/$. *é]{1,10}"
}

pub fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof!["[a-z*.]{0,3}", Just("+".to_owned())];
    (prop::collection::vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, many)| {
        if many {
            levels.push("#".to_owned());
        }
        let filter = levels.join("/");
        if filter.is_empty() {
            "/".to_owned()
        } else {
            filter
        }
    })
}

pub fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::V3, Version::V4, Version::V5])
}

fn qos() -> impl Strategy<Value = Qos> {
    (0..3u8).prop_map(|bits| Qos::from_bits(bits).unwrap())
}

fn reason(packet_type: PacketType, from_client: bool) -> impl Strategy<Value = ReasonCode> {
    let codes = (0..=u8::MAX).filter_map(ReasonCode::from_byte);
    let codes = codes.filter(move |code| match from_client {
        true => code.is_of_client(packet_type),
        false => code.is_of_server(packet_type),
    });
    prop::sample::select(codes.collect::<Vec<_>>())
}

fn connect() -> impl Strategy<Value = Sample> {
    let will = (qos(), any::<bool>(), name(), text(), block(For::Will));
    let will = prop::option::of(will);
    let credentials = prop::option::of((text(), prop::option::of(text())));
    let fixed = (version(), any::<bool>(), any::<u16>(), "[a-z]{1,23}");
    (fixed, block(For::Connect), will, credentials).prop_map(|(fixed, block, will, credentials)| {
        let (version, clean_start, keep_alive_seconds, client_id) = &fixed;
        let will = will
            .as_ref()
            .map(|(qos, retain, topic, payload, block)| Will {
                qos: *qos,
                retain: *retain,
                topic,
                payload: payload.as_bytes(),
                properties: Properties::from_checked(block),
            });
        let password = credentials
            .as_ref()
            .and_then(|(_, password)| password.as_deref());
        let connect = Connect {
            version: *version,
            clean_start: *clean_start,
            keep_alive_seconds: *keep_alive_seconds,
            client_id,
            properties: Properties::from_checked(&block),
            will,
            user_name: credentials.as_ref().map(|(user_name, _)| &user_name[..]),
            password: password.map(str::as_bytes),
        };
        Sample::of(*version, true, Packet::Connect(connect))
    })
}

fn publish(from_client: bool) -> impl Strategy<Value = Sample> {
    let place = if from_client {
        For::Publish
    } else {
        For::Delivery
    };
    let flags = (any::<bool>(), any::<bool>(), 1..=u16::MAX);
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    (version(), qos(), flags, name(), block(place), payload).prop_map(
        move |(version, qos, (dup, retain, packet_id), topic, block, payload)| {
            let has_id = qos != Qos::AtMostOnce;
            let publish = Publish {
                topic: topic.as_bytes(),
                qos,
                packet_id: if has_id { packet_id } else { 0 },
                dup: dup && has_id,
                retain,
                properties: Properties::from_checked(&block),
                payload: &payload,
            };
            Sample::of(version, from_client, Packet::Publish(publish))
        },
    )
}

fn ack(from_client: bool) -> impl Strategy<Value = Sample> {
    let kinds = [
        PacketType::Puback,
        PacketType::Pubrec,
        PacketType::Pubrel,
        PacketType::Pubcomp,
    ];
    prop::sample::select(kinds.to_vec())
        .prop_flat_map(move |kind| {
            (
                version(),
                1..=u16::MAX,
                reason(kind, from_client),
                block(For::PublishAck),
            )
                .prop_map(move |fields| (kind, fields))
        })
        .prop_map(move |(kind, (version, packet_id, reason, block))| {
            let properties = Properties::from_checked(&block);
            let packet = match kind {
                PacketType::Puback => Packet::Puback(Puback {
                    packet_id,
                    reason,
                    properties,
                }),
                PacketType::Pubrec => Packet::Pubrec(Pubrec {
                    packet_id,
                    reason,
                    properties,
                }),
                PacketType::Pubrel => Packet::Pubrel(Pubrel {
                    packet_id,
                    reason,
                    properties,
                }),
                _ => Packet::Pubcomp(Pubcomp {
                    packet_id,
                    reason,
                    properties,
                }),
            };
            Sample::of(version, from_client, packet)
        })
}

fn lists() -> impl Strategy<Value = Sample> {
    let wanted = (filter(), any::<(bool, bool)>(), qos(), 0..3u8);
    let wanted = prop::collection::vec(wanted, 1..5);
    let fields = (version(), 1..=u16::MAX, any::<bool>());
    (
        fields,
        block(For::Subscribe),
        block(For::Unsubscribe),
        wanted,
    )
        .prop_map(
            |((version, packet_id, unsubscribes), subscribe, unsubscribe, wanted)| {
                let mut list = Vec::new();
                if unsubscribes {
                    let filters = wanted.iter().map(|wanted| &wanted.0[..]);
                    let packet = Unsubscribe {
                        packet_id,
                        properties: Properties::from_checked(&unsubscribe),
                        filters: NameList::write(&mut list, filters),
                    };
                    return Sample::of(version, true, Packet::Unsubscribe(packet));
                }
                let subscriptions =
                    wanted
                        .iter()
                        .map(|(filter, (local, retain), qos, handling)| {
                            let byte = qos.bits() | u8::from(*local) << 2 | u8::from(*retain) << 3;
                            Subscription {
                                filter,
                                options: SubscribeOptions::from_byte(byte | handling << 4).unwrap(),
                            }
                        });
                let packet = Subscribe {
                    packet_id,
                    properties: Properties::from_checked(&subscribe),
                    filters: FilterList::write(&mut list, subscriptions),
                };
                Sample::of(version, true, Packet::Subscribe(packet))
            },
        )
}

fn granted() -> impl Strategy<Value = Sample> {
    let fields = (
        version(),
        1..=u16::MAX,
        block(For::SubscribeAck),
        any::<bool>(),
    );
    let suback = prop::collection::vec(reason(PacketType::Suback, false), 1..5);
    let unsuback = prop::collection::vec(reason(PacketType::Unsuback, false), 1..5);
    (fields, suback, unsuback).prop_map(
        |((version, packet_id, block, unsubscribed), suback, unsuback)| {
            let properties = Properties::from_checked(&block);
            let mut list = Vec::new();
            let packet = if unsubscribed {
                let reasons = ReasonList::write(&mut list, unsuback);
                Packet::Unsuback(Unsuback {
                    packet_id,
                    properties,
                    reasons,
                })
            } else {
                let reasons = ReasonList::write(&mut list, suback);
                Packet::Suback(Suback {
                    packet_id,
                    properties,
                    reasons,
                })
            };
            Sample::of(version, false, packet)
        },
    )
}

fn end(from_client: bool) -> impl Strategy<Value = Sample> {
    let place = if from_client {
        For::Disconnect
    } else {
        For::ServerDisconnect
    };
    let disconnect = (reason(PacketType::Disconnect, from_client), block(place));
    let auth = (reason(PacketType::Auth, from_client), block(For::Auth));
    (any::<bool>(), disconnect, auth).prop_map(move |(is_auth, disconnect, auth)| {
        let (reason, block) = if is_auth { &auth } else { &disconnect };
        let (reason, properties) = (*reason, Properties::from_checked(block));
        let packet = if is_auth {
            Packet::Auth(Auth { reason, properties })
        } else {
            Packet::Disconnect(Disconnect { reason, properties })
        };
        Sample::of(Version::V5, from_client, packet)
    })
}

fn connack() -> impl Strategy<Value = Sample> {
    let reason = reason(PacketType::Connack, false);
    (version(), any::<bool>(), reason, block(For::Connack)).prop_map(
        |(version, session_present, reason, block)| {
            let connack = Connack {
                session_present,
                reason,
                properties: Properties::from_checked(&block),
            };
            Sample::of(version, false, Packet::Connack(connack))
        },
    )
}

/// Any packet.
pub fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        3 => connect(),
        2 => publish(true),
        2 => publish(false),
        1 => ack(true),
        1 => ack(false),
        2 => lists(),
        1 => granted(),
        1 => end(true),
        1 => end(false),
        1 => connack(),
    ]
}
