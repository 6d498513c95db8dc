//! Asking for the way of a message.

use std::sync::Arc;

use ferry_broker::{
    Basics, Burst, Formats, MessageFormat, MessageId, MessageView, Properties, PropertyError,
    Publisher,
};
use ferry_core::arguments::{Arguments, Value as Argument};
use ferry_core::message::{Draft, FORMAT_AMQP091, Message};
use ferry_core::view::{Operand, Property};
use serde_json::json;

use crate::support::{Door, GUEST};
use std::borrow::Cow;

/// Properties that are the message's id and nothing else.
struct Named;

struct Id<'a>(&'a [u8]);

impl MessageView for Id<'_> {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Owned(Arguments::new())
    }

    fn header(&self, _: &str) -> Option<Operand<'_>> {
        None
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        (property == Property::MessageId).then_some(Operand::Text(self.0))
    }
}

impl MessageFormat for Named {
    fn basics(&self, _properties: &[u8]) -> Option<Basics> {
        Some(Basics {
            persistent: true,
            ..Basics::default()
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        look(&Id(message.properties()));
    }

    fn headers(&self, _properties: &[u8]) -> Arguments {
        Arguments::new()
    }

    fn rewrite(&self, properties: &[u8], _headers: &Arguments, _clear: bool) -> Vec<u8> {
        properties.to_vec()
    }

    fn identity(&self, _properties: &[u8]) -> Option<MessageId> {
        None
    }

    fn expiration(&self, _properties: &[u8]) -> Option<String> {
        None
    }

    fn describe(&self, properties: &[u8]) -> Properties {
        let id = String::from_utf8_lossy(properties).into_owned();
        Properties {
            message_id: Some(id).filter(|id| !id.is_empty()),
            ..Properties::default()
        }
    }

    fn compose(&self, properties: &Properties) -> Result<Vec<u8>, PropertyError> {
        Ok(properties
            .message_id
            .clone()
            .unwrap_or_default()
            .into_bytes())
    }
}

pub fn formats() -> Formats {
    let mut formats = Formats::default();
    formats.add(FORMAT_AMQP091, Arc::new(Named));
    formats
}

fn publish(door: &Door, queue: &str, id: &[u8]) {
    let draft = Draft {
        format: FORMAT_AMQP091,
        published_ms: door.broker.now(),
        routing_key: queue.as_bytes(),
        properties: id,
        body: b"body",
        ..Draft::default()
    };
    let vhost = door.broker.vhost("/").unwrap();
    let mut publisher = Publisher::of(vhost, door.connection);
    let mut burst = Burst::new();
    let published = burst.publish(&door.broker, &mut publisher, &draft, &Id(id), None);
    published.unwrap();
    burst.submit(&door.broker);
}

#[tokio::test]
async fn the_way_of_a_message_is_shown_to_who_logs_in() {
    let door = Door::open().await;
    let arguments = Arguments::from_iter([("x-passport", Argument::Bool(true))]);
    door.declare("noted", arguments);
    door.declare("plain", Arguments::new());
    let ids: [(&[u8], &str); 5] = [
        (b"m-1", "m-1"),
        (b"a/b c", "a%2Fb%20c"),
        ("é".as_bytes(), "%C3%A9"),
        (b"\xff\0%", "%ff%00%25"),
        (b"{}", "%7b%7d"),
    ];
    publish(&door, "plain", b"other");
    for (id, path) in ids {
        publish(&door, "noted", id);
        let path = format!("/api/ferry/passport/%2F/{path}");
        assert_eq!(door.request("GET", &path, "").await.status, 401);
        let answer = door.request("GET", &path, GUEST).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let now = door.broker.now();
        let expected = json!([
            { "time": now, "what": "published", "exchange": "", "routing_key": "noted",
              "user": "guest", "connection": "127.0.0.1:4242", "bytes": 4 },
            { "time": now, "what": "entered", "queue": "noted" },
        ]);
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn what_is_not_noted_is_not_found_with_a_reason() {
    let door = Door::open().await;
    door.declare("plain", Arguments::new());
    publish(&door, "plain", b"other");
    for (path, error) in [
        ("%2F/other", "not_noted"),
        ("%2F/unknown", "not_noted"),
        ("%2F/%ff", "not_noted"),
        ("none/other", "Object Not Found"),
        ("%ff/other", "Object Not Found"),
        ("%2F", "Object Not Found"),
        ("%2F/", "Object Not Found"),
    ] {
        let answer = door.get(&format!("/api/ferry/passport/{path}")).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert_eq!(answer.json()["error"], error, "{path}");
        assert!(answer.json()["reason"].is_string());
    }
    let answer = door.get("/api/ferry/passport/%2F/%zz").await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(answer.json()["error"], "bad_request");
}
