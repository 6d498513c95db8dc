//! A node with a gateway on a disk in memory, and a client that speaks frames over a real socket.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amqp091::frame::{FrameKind, write_body, write_header};
use amqp091::method::{basic, channel, confirm, connection, exchange, queue};
use amqp091::properties::Edit;
use amqp091::{LongStr, Method, RawTable, ShortStr, Table, Value};
use ferry_broker::{Broker, Clock, Options, SyncPolicy, Threads};
use ferry_gateway::{Gateway, GatewayConfig};
use ferry_log::testing::FaultyDisk;

const FRAME_BYTES_MAX: u32 = 131_072;

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
    }
}

/// A running node.
pub struct Node {
    pub broker: Arc<Broker>,
    pub address: SocketAddr,
    pub disk: FaultyDisk,
    pub gateway: Option<Gateway>,
    pub runtime: tokio::runtime::Runtime,
    threads: Option<Threads>,
}

impl Node {
    pub fn start() -> Node {
        Node::with(GatewayConfig::default(), 1 << 30)
    }

    pub fn with(config: GatewayConfig, memory_high_bytes: u64) -> Node {
        let disk = FaultyDisk::new(1);
        let broker = Broker::open(Options {
            disk: Arc::new(disk.clone()),
            log: ferry_log::Options::default(),
            clock: Arc::new(WallClock),
            formats: ferry_gateway::formats(),
            sync: SyncPolicy::Sync,
            memory_high_bytes,
        })
        .unwrap();
        let threads = Threads::start(&broker).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let amqp = vec!["127.0.0.1:0".parse().unwrap()];
        let gateway = {
            let _inside = runtime.enter();
            Gateway::start(Arc::clone(&broker), GatewayConfig { amqp, ..config }).unwrap()
        };
        let address = gateway.local_addrs()[0];
        Node { broker, address, disk, gateway: Some(gateway), runtime, threads: Some(threads) }
    }

    pub fn connect(&self) -> Client {
        let mut client = Client::raw(self.address);
        client.log_in(&["connection.blocked", "consumer_cancel_notify"]);
        client
    }

    /// A client with channel 1 open.
    pub fn channel(&self) -> Client {
        let mut client = self.connect();
        client.open_channel(1);
        client
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            self.runtime.block_on(gateway.shutdown());
        }
        if let Some(threads) = self.threads.take() {
            let _ = threads.stop();
        }
    }
}

/// A frame that came.
#[derive(Debug, Clone)]
pub struct Got {
    pub kind: FrameKind,
    pub channel: u16,
    pub payload: Vec<u8>,
}

impl Got {
    pub fn method(&self) -> Method<'_> {
        assert_eq!(self.kind, FrameKind::Method, "{self:?}");
        Method::decode(&self.payload).unwrap()
    }
}

/// A message that came, by `deliver`, `get_ok` or `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub name: &'static str,
    pub tag: u64,
    pub redelivered: bool,
    pub routing_key: String,
    pub consumer: String,
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
    pub left: u32,
}

/// A client that knows only frames.
pub struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn raw(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Client { socket, buffer: Vec::new() }
    }

    pub fn log_in(&mut self, capabilities: &[&'static str]) {
        self.send(&amqp091::handshake::REPLY);
        self.expect(0, "connection.start");
        let mut can = Table::new();
        capabilities.iter().for_each(|name| can.push(ShortStr::lit(name), true));
        let mut properties = Table::new();
        properties.push(ShortStr::lit("capabilities"), Value::from(can));
        let properties = properties.to_bytes();
        self.method(0, connection::StartOk {
            client_properties: RawTable::new(&properties),
            mechanism: ShortStr::lit("PLAIN"),
            response: LongStr::new(b"\0guest\0guest"),
            locale: ShortStr::lit("en_US"),
        });
        self.expect(0, "connection.tune");
        let frame_max = FRAME_BYTES_MAX;
        self.method(0, connection::TuneOk { channel_max: 2047, frame_max, heartbeat: 0 });
        self.open("/");
        self.expect(0, "connection.open_ok");
    }

    pub fn open(&mut self, vhost: &'static str) {
        self.method(0, connection::Open {
            virtual_host: ShortStr::lit(vhost),
            capabilities: ShortStr::EMPTY,
            insist: false,
        });
    }

    pub fn open_channel(&mut self, number: u16) {
        self.method(number, channel::Open { out_of_band: ShortStr::EMPTY });
        self.expect(number, "channel.open_ok");
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends, and does not mind a closed socket.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    pub fn method<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        let mut out = Vec::new();
        method.into().write_frame(&mut out, channel);
        self.send(&out);
    }

    /// The next frame but heartbeats; none when the socket was closed.
    pub fn next(&mut self) -> Option<Got> {
        loop {
            let parsed = amqp091::frame::parse(&self.buffer, FRAME_BYTES_MAX).unwrap();
            if let Some(frame) = parsed {
                let (kind, channel, size) = (frame.kind, frame.channel, frame.size);
                let payload = frame.payload.to_vec();
                self.buffer.drain(..size);
                if kind != FrameKind::Heartbeat {
                    return Some(Got { kind, channel, payload });
                }
                continue;
            }
            let mut chunk = [0; 65_536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing comes: {error}"),
            }
        }
    }

    /// Raw bytes up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.buffer);
        let _ = self.socket.read_to_end(&mut all);
        all
    }

    /// Whether nothing comes for a while.
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut chunk = [0; 4096];
        let quiet = match self.socket.read(&mut chunk) {
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                false
            }
            Err(_) => true,
        };
        self.socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        quiet
    }

    pub fn expect(&mut self, channel: u16, name: &str) -> Got {
        let got = self.next().unwrap_or_else(|| panic!("{name} expected, the socket was closed"));
        assert_eq!((got.channel, got.method().name()), (channel, name), "{:?}", got.method());
        got
    }

    /// The code and text of the close that comes next.
    pub fn expect_close(&mut self, channel: u16) -> (u16, String) {
        let got = self.next().expect("a close");
        assert_eq!(got.channel, channel, "{got:?}");
        match got.method() {
            Method::ChannelClose(close) => {
                (close.reply_code, close.reply_text.as_str_lossy().into_owned())
            }
            Method::ConnectionClose(close) => {
                (close.reply_code, close.reply_text.as_str_lossy().into_owned())
            }
            other => panic!("a close, not {other:?}"),
        }
    }

    /// Takes a channel error, and opens the channel again.
    pub fn expect_channel_error(&mut self, number: u16) -> (u16, String) {
        let close = self.expect_close(number);
        self.method(number, channel::CloseOk {});
        self.open_channel(number);
        close
    }

    pub fn declare(&mut self, number: u16, name: &'static str, durable: bool) -> String {
        self.send_declare(number, name, durable, false, &Table::new());
        self.expect_declared(number).0
    }

    pub fn send_declare(
        &mut self,
        number: u16,
        name: &'static str,
        durable: bool,
        exclusive: bool,
        arguments: &Table,
    ) {
        let arguments = arguments.to_bytes();
        self.method(number, queue::Declare {
            ticket: 0,
            queue: ShortStr::lit(name),
            passive: false,
            durable,
            exclusive,
            auto_delete: false,
            no_wait: false,
            arguments: RawTable::new(&arguments),
        });
    }

    pub fn expect_declared(&mut self, number: u16) -> (String, u32, u32) {
        let got = self.expect(number, "queue.declare_ok");
        let Method::QueueDeclareOk(ok) = got.method() else { unreachable!() };
        (ok.queue.as_str_lossy().into_owned(), ok.message_count, ok.consumer_count)
    }

    pub fn passive_declare(&mut self, number: u16, name: &'static str) {
        self.method(number, queue::Declare {
            ticket: 0,
            queue: ShortStr::lit(name),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: RawTable::EMPTY,
        });
    }

    /// Messages that are ready in a queue.
    pub fn ready(&mut self, number: u16, name: &'static str) -> u32 {
        self.passive_declare(number, name);
        self.expect_declared(number).1
    }

    pub fn declare_exchange(&mut self, number: u16, name: &'static str, kind: &'static str) {
        self.method(number, exchange::Declare {
            ticket: 0,
            exchange: ShortStr::lit(name),
            kind: ShortStr::lit(kind),
            passive: false,
            durable: false,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: RawTable::EMPTY,
        });
    }

    pub fn bind(&mut self, number: u16, queue: &str, exchange: &'static str, key: &'static str) {
        self.method(number, queue::Bind {
            ticket: 0,
            queue: ShortStr::clipped(queue.as_bytes()),
            exchange: ShortStr::lit(exchange),
            routing_key: ShortStr::lit(key),
            no_wait: false,
            arguments: RawTable::EMPTY,
        });
    }

    pub fn publish(&mut self, number: u16, exchange: &str, key: &str, body: &[u8]) {
        self.publish_with(number, exchange, key, false, &Edit::default(), body);
    }

    pub fn publish_with(
        &mut self,
        number: u16,
        exchange: &str,
        key: &str,
        mandatory: bool,
        properties: &Edit<'_>,
        body: &[u8],
    ) {
        self.send(&publish_frames(number, exchange, key, mandatory, properties, body));
    }

    pub fn consume(&mut self, number: u16, queue: &'static str, no_ack: bool) -> String {
        self.send_consume(number, queue, "", no_ack);
        let got = self.expect(number, "basic.consume_ok");
        let Method::BasicConsumeOk(ok) = got.method() else { unreachable!() };
        ok.consumer_tag.as_str_lossy().into_owned()
    }

    pub fn send_consume(
        &mut self,
        number: u16,
        queue: &'static str,
        tag: &'static str,
        no_ack: bool,
    ) {
        self.method(number, basic::Consume {
            ticket: 0,
            queue: ShortStr::lit(queue),
            consumer_tag: ShortStr::lit(tag),
            no_local: false,
            no_ack,
            exclusive: false,
            no_wait: false,
            arguments: RawTable::EMPTY,
        });
    }

    pub fn get(&mut self, number: u16, queue: &'static str, no_ack: bool) -> Option<Message> {
        self.method(number, basic::Get { ticket: 0, queue: ShortStr::lit(queue), no_ack });
        let got = self.next().expect("an answer to get");
        if got.method().name() == "basic.get_empty" {
            return None;
        }
        Some(self.message(number, &got))
    }

    /// The next message of whatever kind.
    pub fn next_message(&mut self, number: u16) -> Message {
        let got = self.next().expect("a message");
        self.message(number, &got)
    }

    fn message(&mut self, number: u16, got: &Got) -> Message {
        assert_eq!(got.channel, number);
        let mut message = Message {
            name: got.method().name(),
            tag: 0,
            redelivered: false,
            routing_key: String::new(),
            consumer: String::new(),
            properties: Vec::new(),
            body: Vec::new(),
            left: 0,
        };
        match got.method() {
            Method::BasicDeliver(deliver) => {
                message.tag = deliver.delivery_tag;
                message.redelivered = deliver.redelivered;
                message.routing_key = deliver.routing_key.as_str_lossy().into_owned();
                message.consumer = deliver.consumer_tag.as_str_lossy().into_owned();
            }
            Method::BasicGetOk(get_ok) => {
                message.tag = get_ok.delivery_tag;
                message.redelivered = get_ok.redelivered;
                message.routing_key = get_ok.routing_key.as_str_lossy().into_owned();
                message.left = get_ok.message_count;
            }
            Method::BasicReturn(returned) => {
                message.tag = u64::from(returned.reply_code);
                message.consumer = returned.reply_text.as_str_lossy().into_owned();
                message.routing_key = returned.routing_key.as_str_lossy().into_owned();
            }
            other => panic!("a message, not {other:?}"),
        }
        let header = self.next().expect("a header");
        assert_eq!((header.kind, header.channel), (FrameKind::Header, number));
        let content = amqp091::ContentHeader::parse(&header.payload).unwrap();
        message.properties = content.properties.to_vec();
        while (message.body.len() as u64) < content.body_bytes {
            let part = self.next().expect("a body");
            assert_eq!((part.kind, part.channel), (FrameKind::Body, number));
            message.body.extend_from_slice(&part.payload);
        }
        message
    }

    pub fn ack(&mut self, number: u16, delivery_tag: u64, multiple: bool) {
        self.method(number, basic::Ack { delivery_tag, multiple });
    }

    pub fn confirm_select(&mut self, number: u16) {
        self.method(number, confirm::Select { no_wait: false });
        self.expect(number, "confirm.select_ok");
    }

    /// Reads acks until all up to `last` are confirmed; gives the tags that were nacked.
    pub fn wait_confirmed(&mut self, number: u16, last: u64) -> Vec<u64> {
        let mut nacked = Vec::new();
        loop {
            let got = self.next().expect("a confirm");
            assert_eq!(got.channel, number);
            let tag = match got.method() {
                Method::BasicAck(ack) => ack.delivery_tag,
                Method::BasicNack(nack) => {
                    nacked.push(nack.delivery_tag);
                    nack.delivery_tag
                }
                other => panic!("a confirm, not {other:?}"),
            };
            if tag >= last {
                return nacked;
            }
        }
    }

    pub fn close(mut self) {
        self.method(0, connection::Close {
            reply_code: 200,
            reply_text: ShortStr::EMPTY,
            class_id: 0,
            method_id: 0,
        });
        while let Some(got) = self.next() {
            if got.channel == 0 && got.method().name() == "connection.close_ok" {
                return;
            }
        }
        panic!("the connection was closed without a word");
    }
}

/// The frames of a publish.
pub fn publish_frames(
    number: u16,
    exchange: &str,
    key: &str,
    mandatory: bool,
    properties: &Edit<'_>,
    body: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    let publish = basic::Publish {
        ticket: 0,
        exchange: ShortStr::clipped(exchange.as_bytes()),
        routing_key: ShortStr::clipped(key.as_bytes()),
        mandatory,
        immediate: false,
    };
    Method::from(publish).write_frame(&mut out, number);
    write_header(&mut out, number, basic::Publish::CLASS_ID, body.len() as u64, &properties.build());
    write_body(&mut out, number, body, FRAME_BYTES_MAX);
    out
}
