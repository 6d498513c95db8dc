//! A house of conversations in memory, and what an AMQP client says first in each of them.

#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amqp091::method::{basic, channel, confirm, connection, queue};
use amqp091::{Method, RawTable, ShortStr, frame};
use ferry_broker::{Broker, Clock, Options, SyncPolicy};
use ferry_gateway::GatewayConfig;
use ferry_gateway::testing::{Conversation, House, Protocol};
use ferry_log::testing::FaultyDisk;

/// Turns after which somebody counts as woken for ever.
const TURNS_MAX: u32 = 10_000;

/// A clock that stands until it is moved.
pub struct Standing(AtomicU64);

impl Clock for Standing {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A node without threads, sockets and a clock of its own.
pub struct Node {
    pub house: House,
    pub broker: Arc<Broker>,
    pub disk: FaultyDisk,
    clock: Arc<Standing>,
}

impl Node {
    pub fn new() -> Node {
        Node::with(GatewayConfig::default())
    }

    pub fn with(config: GatewayConfig) -> Node {
        let clock = Arc::new(Standing(AtomicU64::new(1_700_000_000_000)));
        let disk = FaultyDisk::new(1);
        let options = Options {
            disk: Arc::new(disk.clone()),
            log: ferry_log::Options::default(),
            clock: Arc::clone(&clock) as _,
            formats: ferry_gateway::formats(),
            sync: SyncPolicy::Sync,
            memory_high_bytes: 64 << 20,
            disk_free_bytes_min: 0,
        };
        let broker = Broker::open(options).unwrap();
        Node {
            house: House::open(Arc::clone(&broker), config),
            broker,
            disk,
            clock,
        }
    }

    pub fn connect(&self, protocol: Protocol) -> Conversation {
        self.house.connect(protocol, Some("guest"))
    }

    /// A client of AMQP with channel 1 open.
    pub fn open_amqp(&self) -> Conversation {
        let mut client = self.connect(Protocol::Amqp091);
        client.send(&opening());
        self.settle([&mut client]);
        assert!(client.waiting() > 0);
        let _greetings = client.take(usize::MAX);
        client
    }

    /// Everybody gets turns until nobody wants one.
    pub fn settle<'c>(&self, conversations: impl IntoIterator<Item = &'c mut Conversation>) {
        let mut all: Vec<_> = conversations.into_iter().collect();
        let now = self.house.now();
        for _ in 0..TURNS_MAX {
            let mut more = false;
            for one in &mut all {
                more |= one.turn(now);
            }
            if !more {
                return;
            }
        }
        panic!("somebody is woken for ever");
    }

    /// Time passes.
    pub fn advance(&mut self, time_ms: u64) {
        self.clock.0.fetch_add(time_ms, Ordering::Relaxed);
        self.house.advance(Duration::from_millis(time_ms));
        self.broker.tick();
    }
}

/// Everything from the protocol header to an open channel 1 that confirms publishes.
pub fn opening() -> Vec<u8> {
    let start = connection::StartOk {
        mechanism: ShortStr::lit("EXTERNAL"),
        locale: ShortStr::lit("en_US"),
        ..connection::StartOk::default()
    };
    opening_with(start, 0)
}

/// The same by another log-in, and with a heartbeat of so many seconds.
pub fn opening_with(start: connection::StartOk<'_>, heartbeat: u16) -> Vec<u8> {
    let mut out = amqp091::handshake::REPLY.to_vec();
    let tune = connection::TuneOk {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat,
    };
    let open = connection::Open {
        virtual_host: ShortStr::lit("/"),
        ..connection::Open::default()
    };
    for (number, method) in [
        (0, Method::from(start)),
        (0, tune.into()),
        (0, open.into()),
        (1, channel::Open::default().into()),
        (1, confirm::Select::default().into()),
    ] {
        method.write_frame(&mut out, number);
    }
    out
}

/// Declares a durable queue on channel 1.
pub fn declare(name: &str) -> Vec<u8> {
    frames([queue::Declare {
        queue: ShortStr::lit(name),
        durable: true,
        ..queue::Declare::default()
    }])
}

/// Consumes from a queue on channel 1.
pub fn consume(name: &str) -> Vec<u8> {
    frames([basic::Consume {
        queue: ShortStr::lit(name),
        consumer_tag: ShortStr::lit("c"),
        arguments: RawTable::EMPTY,
        ..basic::Consume::default()
    }])
}

/// Publishes a persistent message to a queue on channel 1.
pub fn publish(name: &str, body: &[u8]) -> Vec<u8> {
    let mut out = frames([basic::Publish {
        routing_key: ShortStr::lit(name),
        ..basic::Publish::default()
    }]);
    // Delivery mode 2.
    frame::write_header(&mut out, 1, 60, body.len() as u64, &[0x10, 0, 2]);
    frame::write_body(&mut out, 1, body, 131_072);
    out
}

/// Methods on channel 1.
pub fn frames<'a, M: Into<Method<'a>>>(methods: impl IntoIterator<Item = M>) -> Vec<u8> {
    let mut out = Vec::new();
    for method in methods {
        method.into().write_frame(&mut out, 1);
    }
    out
}

/// The methods among what came, by their names in RabbitMQ's texts.
pub fn names(bytes: &[u8]) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut rest = bytes;
    while let Some(frame) = frame::parse(rest, 131_072).unwrap() {
        if frame.kind == amqp091::FrameKind::Method {
            names.push(Method::decode(frame.payload).unwrap().name());
        }
        rest = &rest[frame.size..];
    }
    assert!(rest.is_empty(), "whole frames");
    names
}

/// The CONNECT of MQTT 3.1.1 for a session that stays.
pub fn connect(client_id: &str) -> Vec<u8> {
    let connect = mqtt::Connect {
        version: mqtt::Version::V4,
        clean_start: false,
        keep_alive_seconds: 0,
        client_id,
        properties: mqtt::Properties::EMPTY,
        will: None,
        user_name: None,
        password: None,
    };
    let mut out = Vec::new();
    connect.write(&mut out);
    out
}

/// A PUBLISH of QoS 1.
pub fn publish_once(topic: &str, packet_id: u16) -> Vec<u8> {
    let publish = mqtt::Publish {
        topic: topic.as_bytes(),
        qos: mqtt::Qos::AtLeastOnce,
        packet_id,
        dup: false,
        retain: false,
        properties: mqtt::Properties::EMPTY,
        payload: b"once",
    };
    let mut out = Vec::new();
    publish.write(&mut out, mqtt::Version::V4).unwrap();
    out
}
