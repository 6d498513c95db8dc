//! What a test asks for, and how the answers are read.

use amqp091::frame::{FrameKind, write_body, write_header};
use amqp091::method::{basic, confirm, connection, exchange, queue};
use amqp091::properties::Edit;
use amqp091::{Method, RawTable, ShortStr, Table};

use super::client::{Client, FRAME_BYTES_MAX, Got, Message};

impl Client {
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
        self.method(
            number,
            queue::Declare {
                ticket: 0,
                queue: ShortStr::lit(name),
                passive: false,
                durable,
                exclusive,
                auto_delete: false,
                no_wait: false,
                arguments: RawTable::new(&arguments),
            },
        );
    }

    pub fn expect_declared(&mut self, number: u16) -> (String, u32, u32) {
        let got = self.expect(number, "queue.declare_ok");
        let Method::QueueDeclareOk(ok) = got.method() else {
            unreachable!()
        };
        (
            ok.queue.as_str_lossy().into_owned(),
            ok.message_count,
            ok.consumer_count,
        )
    }

    pub fn passive_declare(&mut self, number: u16, name: &'static str) {
        self.method(
            number,
            queue::Declare {
                ticket: 0,
                queue: ShortStr::lit(name),
                passive: true,
                durable: false,
                exclusive: false,
                auto_delete: false,
                no_wait: false,
                arguments: RawTable::EMPTY,
            },
        );
    }

    /// Messages that are ready in a queue.
    pub fn ready(&mut self, number: u16, name: &'static str) -> u32 {
        self.passive_declare(number, name);
        self.expect_declared(number).1
    }

    pub fn declare_exchange(&mut self, number: u16, name: &'static str, kind: &'static str) {
        self.method(
            number,
            exchange::Declare {
                ticket: 0,
                exchange: ShortStr::lit(name),
                kind: ShortStr::lit(kind),
                passive: false,
                durable: false,
                auto_delete: false,
                internal: false,
                no_wait: false,
                arguments: RawTable::EMPTY,
            },
        );
    }

    pub fn bind(&mut self, number: u16, queue: &str, exchange: &'static str, key: &'static str) {
        self.method(
            number,
            queue::Bind {
                ticket: 0,
                queue: ShortStr::clipped(queue.as_bytes()),
                exchange: ShortStr::lit(exchange),
                routing_key: ShortStr::lit(key),
                no_wait: false,
                arguments: RawTable::EMPTY,
            },
        );
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
        self.send(&publish_frames(
            number, exchange, key, mandatory, properties, body,
        ));
    }

    pub fn consume(&mut self, number: u16, queue: &'static str, no_ack: bool) -> String {
        self.send_consume(number, queue, "", no_ack);
        let got = self.expect(number, "basic.consume_ok");
        let Method::BasicConsumeOk(ok) = got.method() else {
            unreachable!()
        };
        ok.consumer_tag.as_str_lossy().into_owned()
    }

    pub fn send_consume(
        &mut self,
        number: u16,
        queue: &'static str,
        tag: &'static str,
        no_ack: bool,
    ) {
        self.method(
            number,
            basic::Consume {
                ticket: 0,
                queue: ShortStr::lit(queue),
                consumer_tag: ShortStr::lit(tag),
                no_local: false,
                no_ack,
                exclusive: false,
                no_wait: false,
                arguments: RawTable::EMPTY,
            },
        );
    }

    pub fn send_get(&mut self, number: u16, queue: &'static str, no_ack: bool) {
        self.method(
            number,
            basic::Get {
                ticket: 0,
                queue: ShortStr::lit(queue),
                no_ack,
            },
        );
    }

    pub fn get(&mut self, number: u16, queue: &'static str, no_ack: bool) -> Option<Message> {
        self.send_get(number, queue, no_ack);
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
        self.method(
            number,
            basic::Ack {
                delivery_tag,
                multiple,
            },
        );
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
        self.method(
            0,
            connection::Close {
                reply_code: 200,
                reply_text: ShortStr::EMPTY,
                class_id: 0,
                method_id: 0,
            },
        );
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
    write_header(
        &mut out,
        number,
        basic::Publish::CLASS_ID,
        body.len() as u64,
        &properties.build(),
    );
    write_body(&mut out, number, body, FRAME_BYTES_MAX);
    out
}
