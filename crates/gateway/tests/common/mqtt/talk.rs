//! What a client says and hears of messages.

use mqtt::{
    FilterList, NameList, Packet, Properties, Puback, Pubcomp, PublishHead, Pubrec, Pubrel, Qos,
    ReasonCode, Subscribe, SubscribeOptions, Subscription, Unsubscribe, publish_bytes,
    write_properties, write_publish,
};

use super::{Came, Connect, Mqtt, Version, hello};
use crate::common::Node;

/// A message to publish.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    pub topic: &'a str,
    pub qos: u8,
    pub id: u16,
    pub dup: bool,
    pub retain: bool,
    pub properties: Properties<'a>,
    pub payload: &'a str,
}

impl<'a> Post<'a> {
    pub fn new(topic: &'a str, qos: u8, id: u16, payload: &'a str) -> Post<'a> {
        Post {
            topic,
            qos,
            id,
            dup: false,
            retain: false,
            properties: Properties::EMPTY,
            payload,
        }
    }

    pub fn retained(topic: &'a str, payload: &'a str) -> Post<'a> {
        Post {
            retain: true,
            ..Post::new(topic, 1, 1, payload)
        }
    }

    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let head = PublishHead {
            topic: self.topic.as_bytes(),
            qos: Qos::from_bits(self.qos).unwrap(),
            packet_id: self.id,
            dup: self.dup,
            retain: self.retain,
        };
        let mut forward = mqtt::Forward::of(self.properties);
        forward.message_expiry = self.properties.message_expiry();
        forward.topic_alias = self.properties.topic_alias();
        let payload = self.payload.as_bytes();
        let mut out = Vec::new();
        assert!(publish_bytes(version, &head, &forward, payload.len()).is_some());
        write_publish(&mut out, version, &head, &forward, payload, u32::MAX).unwrap();
        out
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub topic: String,
    pub qos: u8,
    pub id: u16,
    pub dup: bool,
    pub retain: bool,
    pub subscriptions: Vec<u32>,
    pub payload: String,
}

impl Got {
    fn of(came: &Came) -> Got {
        match came.packet() {
            Packet::Publish(publish) => Got {
                topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                qos: publish.qos.bits(),
                id: publish.packet_id,
                dup: publish.dup,
                retain: publish.retain,
                subscriptions: publish.properties.subscription_identifiers().collect(),
                payload: String::from_utf8(publish.payload.to_vec()).unwrap(),
            },
            other => panic!("a message was to come: {other:?}"),
        }
    }

    /// Payload, QoS, and whether it may have come before.
    pub fn brief(&self) -> (&str, u8, bool) {
        (&self.payload, self.qos, self.dup)
    }
}

/// A subscription to ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sub {
    pub options: SubscribeOptions,
    pub id: Option<u32>,
}

impl Sub {
    pub fn qos(qos: u8) -> Sub {
        Sub {
            options: SubscribeOptions {
                qos: Qos::from_bits(qos).unwrap(),
                ..SubscribeOptions::default()
            },
            id: None,
        }
    }
}

/// A session that lasts.
pub fn lasting<'a>(version: Version, client_id: &'a str, block: &'a mut Vec<u8>) -> Connect<'a> {
    Connect {
        clean_start: false,
        properties: write_properties(block, |writer| {
            writer.session_expiry(600);
        }),
        ..hello(version, client_id)
    }
}

impl Mqtt {
    /// Opens a session that lasts; it was there or not.
    pub fn lasting(node: &Node, version: Version, client_id: &str, present: bool) -> Mqtt {
        let mut block = Vec::new();
        let mut client = Mqtt::begin(node, &lasting(version, client_id, &mut block));
        assert_eq!(client.connack(), (present, ReasonCode::Success));
        client
    }

    pub fn publish(&mut self, post: &Post<'_>) {
        let bytes = post.bytes(self.version);
        self.send_bytes(&bytes);
    }

    /// Publishes, as far as it goes without an error.
    pub fn publish_whole(&mut self, post: &Post<'_>) {
        self.publish(post);
        match post.qos {
            0 => {}
            1 => assert!(!self.acked("PUBACK", post.id).is_error()),
            _ => {
                assert!(!self.acked("PUBREC", post.id).is_error());
                self.pubrel(post.id);
                self.acked("PUBCOMP", post.id);
            }
        }
    }

    pub fn puback(&mut self, id: u16) {
        self.send(&Packet::Puback(Puback::new(id, ReasonCode::Success)));
    }

    pub fn pubrec(&mut self, id: u16) {
        self.send(&Packet::Pubrec(Pubrec::new(id, ReasonCode::Success)));
    }

    pub fn pubrel(&mut self, id: u16) {
        self.send(&Packet::Pubrel(Pubrel::new(id, ReasonCode::Success)));
    }

    pub fn pubcomp(&mut self, id: u16) {
        self.send(&Packet::Pubcomp(Pubcomp::new(id, ReasonCode::Success)));
    }

    /// The next packet is this answer to that id; gives its reason.
    pub fn acked(&mut self, kind: &str, id: u16) -> ReasonCode {
        let came = self.next().unwrap();
        let (found, of, reason) = match came.packet() {
            Packet::Puback(ack) => ("PUBACK", ack.packet_id, ack.reason),
            Packet::Pubrec(ack) => ("PUBREC", ack.packet_id, ack.reason),
            Packet::Pubrel(ack) => ("PUBREL", ack.packet_id, ack.reason),
            Packet::Pubcomp(ack) => ("PUBCOMP", ack.packet_id, ack.reason),
            other => panic!("{kind} {id} was to come: {other:?}"),
        };
        assert_eq!((found, of), (kind, id));
        reason
    }

    /// The next packet is a message.
    pub fn got(&mut self) -> Got {
        Got::of(&self.next().unwrap())
    }

    /// The same, acknowledged as far as it goes.
    pub fn got_whole(&mut self) -> Got {
        let got = self.got();
        match got.qos {
            0 => {}
            1 => self.puback(got.id),
            _ => {
                self.pubrec(got.id);
                self.acked("PUBREL", got.id);
                self.pubcomp(got.id);
            }
        }
        got
    }

    pub fn send_subscribe(&mut self, filter: &str, sub: Sub) {
        let (mut block, mut list) = (Vec::new(), Vec::new());
        let options = sub.options;
        let filters = FilterList::write(&mut list, [Subscription { filter, options }]);
        let properties = write_properties(&mut block, |writer| {
            if let Some(id) = sub.id {
                writer.subscription_identifier(id);
            }
        });
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: 7,
            properties,
            filters,
        }));
    }

    /// Subscribes; the answer is the next packet.
    pub fn subscribe(&mut self, filter: &str, sub: Sub) -> ReasonCode {
        self.send_subscribe(filter, sub);
        let came = self.next().unwrap();
        match came.packet() {
            Packet::Suback(suback) => suback.reasons.iter().next().unwrap(),
            other => panic!("a SUBACK was to come: {other:?}"),
        }
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        let mut list = Vec::new();
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: 8,
            properties: Properties::EMPTY,
            filters: NameList::write(&mut list, [filter]),
        }));
        let came = self.next().unwrap();
        assert!(matches!(came.packet(), Packet::Unsuback(_)), "{came:?}");
    }

    /// That nothing more comes: a PINGRESP is the next packet.
    pub fn has_all(&mut self) {
        self.ping();
    }
}
