//! What the log says of delays that are ignored; alone in its process, because the log is one.

mod common;

use std::fmt::Debug;
use std::sync::Mutex;

use amqp091::Value;
use common::Node;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Warnings;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        WARNINGS
            .lock()
            .expect("no test panics with it")
            .push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn an_ignored_delay_is_logged_once_per_connection() {
    tracing::subscriber::set_global_default(Warnings).unwrap();
    let node = Node::start();
    for (name, unit) in [
        ("x-delay", "in milliseconds;"),
        ("x-deliver-at", "in milliseconds since 1970;"),
    ] {
        let mut client = node.channel();
        client.declare(1, "q", false);
        for _ in 0..5 {
            client.publish_headers(("", "q"), &[(name, Value::from("5 s"))], b"now");
            client.get(1, "q", true).expect("a message at once");
        }
        client.close();
        let warnings = std::mem::take(&mut *WARNINGS.lock().unwrap());
        let told: Vec<_> = warnings
            .iter()
            .filter(|text| text.contains("is ignored"))
            .collect();
        assert_eq!(told.len(), 1, "{warnings:?}");
        assert!(told[0].contains(&format!("header {name} ")), "{told:?}");
        assert!(told[0].contains(unit), "{told:?}");
    }
    assert_eq!(node.counted("messages_delay_ignored"), 10);
}
