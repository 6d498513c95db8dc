//! Messages with headers, and settling by publish.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp091::properties::{Change, Edit, Properties};
use amqp091::{RawTable, ShortStr, Table, Value};
use ferry_broker::QueueHandle;

use super::Node;
use super::client::{Client, Message};
use super::requests::publish_frames;

pub const SETTLE: &str = "ferry.settle";

/// The table of these headers, as bytes.
pub fn headers(entries: &[(&'static str, Value)]) -> Vec<u8> {
    let mut table = Table::new();
    for (name, value) in entries {
        table.push(ShortStr::lit(name), value.clone());
    }
    table.to_bytes()
}

/// The frames of a publish that settles.
pub fn settle_frames(number: u16, mandatory: bool, entries: &[(&'static str, Value)]) -> Vec<u8> {
    let table = headers(entries);
    let properties = Edit {
        headers: Change::Set(RawTable::new(&table)),
        ..Edit::default()
    };
    publish_frames(number, SETTLE, "key", mandatory, &properties, b"body")
}

/// Whether less than that has passed; the broker counts in whole milliseconds.
pub fn is_early(start: Instant, wait_ms: u64) -> bool {
    start.elapsed() < Duration::from_millis(wait_ms - 1)
}

impl Message {
    pub fn header(&self, name: &str) -> Option<Value> {
        let properties = Properties::parse(&self.properties).unwrap();
        let value = properties.headers()?.get(name.as_bytes())?;
        Some(value.decode().unwrap())
    }

    /// What a return says.
    pub fn refusal(&self) -> (u64, &str) {
        assert_eq!(self.name, "basic.return", "{self:?}");
        (self.tag, &self.consumer)
    }
}

impl Client {
    pub fn publish_headers(
        &mut self,
        (exchange, key): (&str, &str),
        entries: &[(&'static str, Value)],
        body: &[u8],
    ) {
        let table = headers(entries);
        let properties = Edit {
            headers: Change::Set(RawTable::new(&table)),
            ..Edit::default()
        };
        self.publish_with(1, exchange, key, false, &properties, body);
    }

    pub fn settle(&mut self, tag: u64, outcome: &'static str, delay_ms: Option<i64>) {
        let mut entries = vec![
            ("delivery-tag", Value::I64(tag as i64)),
            ("outcome", Value::from(outcome)),
        ];
        entries.extend(delay_ms.map(|delay_ms| ("delay", Value::I64(delay_ms))));
        self.send(&settle_frames(1, false, &entries));
    }

    /// Expects a return and says what it says.
    pub fn expect_return(&mut self) -> (u64, String) {
        let message = self.next_message(1);
        let (code, text) = message.refusal();
        (code, text.to_owned())
    }
}

impl Node {
    pub fn counted(&self, name: &str) -> u64 {
        let all = self.broker.metrics().all();
        let found = all.iter().find(|(counter, _)| *counter == name);
        found.unwrap_or_else(|| panic!("a counter {name}")).1
    }

    /// Messages that were settled as done.
    pub fn acknowledged(&self) -> u64 {
        let kinds = self.broker.deliveries();
        kinds.iter().map(|(_, counts)| counts.acknowledged).sum()
    }

    pub fn queue(&self, name: &str) -> Arc<QueueHandle> {
        let queues = self.broker.vhost("/").unwrap().queues();
        let found = queues.into_iter().find(|queue| queue.name() == name);
        found.unwrap_or_else(|| panic!("a queue {name}"))
    }

    /// Messages of a queue that wait for their time.
    pub fn delayed(&self, queue: &str) -> u64 {
        self.queue(queue).delayed()
    }

    /// Waits until a queue has so many ready messages.
    pub fn wait_ready(&self, queue: &str, ready: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.queue(queue).ready() != ready {
            assert!(Instant::now() < deadline, "{:?}", self.queue(queue));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
