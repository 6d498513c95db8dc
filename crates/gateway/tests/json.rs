//! `ferrymq.json`: JSON over WebSocket, as a page speaks it.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::Node;
use ferry_broker::{Account, Permission};
use ferry_gateway::{Door, GatewayConfig, MqttConfig};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

fn node() -> Node {
    let mqtt = MqttConfig {
        websocket: vec!["127.0.0.1:0".parse().unwrap()],
        ..MqttConfig::default()
    };
    let config = GatewayConfig {
        mqtt,
        message_bytes_max: 1 << 20,
        ..GatewayConfig::default()
    };
    Node::with(config, 1 << 30)
}

struct Page(WebSocket<TcpStream>);

impl Page {
    fn open(node: &Node) -> Page {
        let doors = node.gateway.as_ref().unwrap().doors();
        let found = doors.iter().find(|(door, _)| *door == Door::WebSocket);
        let address = found.unwrap().1;
        let stream = TcpStream::connect(address).unwrap();
        let timeout = Some(Duration::from_secs(10));
        stream.set_read_timeout(timeout).unwrap();
        let request = format!("ws://{address}/json")
            .into_client_request()
            .unwrap();
        Page(tungstenite::client::client(request, stream).unwrap().0)
    }

    fn log_in(node: &Node) -> Page {
        let mut page = Page::open(node);
        let login = json!({ "op": "login", "id": 0, "user": "guest", "password": "guest" });
        assert_eq!(page.ask(&login), json!({ "op": "ok", "id": 0 }));
        page
    }

    fn say(&mut self, what: &Value) {
        self.0.send(Message::text(what.to_string())).unwrap();
    }

    fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The answer to the request of that id, whatever comes before it.
    fn next_of(&mut self, id: u64) -> Value {
        loop {
            let said = self.next();
            if said["id"] == id {
                return said;
            }
        }
    }

    fn ask(&mut self, what: &Value) -> Value {
        self.say(what);
        self.next()
    }

    /// The code of an error that a request leads to.
    fn refused(&mut self, what: &Value) -> String {
        let answer = self.ask(what);
        assert_eq!(answer["op"], "error", "{what}: {answer}");
        assert_eq!(answer["id"], what["id"], "{answer}");
        answer["code"].as_str().unwrap().to_owned()
    }

    fn close_code(&mut self) -> CloseCode {
        loop {
            if let Message::Close(frame) = self.0.read().unwrap() {
                return frame.unwrap().code;
            }
        }
    }
}

fn wait_until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_queue_gives_its_messages_which_are_settled_by_tag() {
    let node = node();
    node.channel().declare(1, "q", true);
    let mut page = Page::log_in(&node);
    let publish = json!({ "op": "publish", "id": 1, "key": "q", "body": "one",
        "properties": { "message_id": "m", "headers": { "n": 7 } } });
    let ok = json!({ "op": "ok", "id": 1, "routed": true });
    assert_eq!(page.ask(&publish), ok);
    let subscribe = json!({ "op": "subscribe", "id": 2, "queue": "q", "prefetch": 1 });
    assert_eq!(page.ask(&subscribe), json!({ "op": "ok", "id": 2 }));
    let mut expected = json!({ "op": "message", "subscription": 2, "tag": 1, "exchange": "",
        "key": "q", "body": "one", "redelivered": false,
        "properties": { "delivery_mode": 2, "message_id": "m", "headers": { "n": 7 } } });
    assert_eq!(page.next(), expected);
    let binary = json!({ "op": "publish", "id": 3, "key": "q", "body_base64": "/wA=" });
    assert_eq!(page.ask(&binary)["id"], 3);
    assert_eq!(
        page.ask(&json!({ "op": "ping", "id": 4 }))["id"],
        4,
        "prefetch is 1"
    );
    page.say(&json!({ "op": "nack", "tag": 1 }));
    (expected["tag"], expected["redelivered"]) = (json!(2), json!(true));
    assert_eq!(page.next(), expected);
    page.say(&json!({ "op": "ack", "tag": 2 }));
    let second = page.next();
    assert_eq!(
        (&second["tag"], &second["body_base64"]),
        (&json!(3), &json!("/wA="))
    );
    assert_eq!(
        page.refused(&json!({ "op": "ack", "id": 5, "tag": 2 })),
        "unknown_tag"
    );
    let dropped = json!({ "op": "nack", "id": 6, "tag": 3, "requeue": false });
    assert_eq!(page.ask(&dropped), json!({ "op": "ok", "id": 6 }));
    wait_until(|| node.queue("q").unsettled() == 0 && node.queue("q").ready() == 0);
}

#[test]
fn a_topic_gives_what_its_filter_matches() {
    let node = node();
    let mut page = Page::log_in(&node);
    assert_eq!(
        page.ask(&json!({ "op": "subscribe", "id": 1, "topic": "a/+" }))["op"],
        "ok"
    );
    assert_eq!(
        page.ask(&json!({ "op": "subscribe", "id": 2, "topic": "+/*" }))["op"],
        "ok"
    );
    // The binding of the second lets it through, its filter does not.
    page.say(&json!({ "op": "publish", "topic": "a/b.c", "body": "x" }));
    let message = page.next();
    assert_eq!(message["topic"], "a/b.c");
    assert_eq!(
        (&message["key"], &message["exchange"]),
        (&json!("a.b/c"), &json!("amq.topic"))
    );
    assert_eq!(
        (&message["subscription"], &message["tag"]),
        (&json!(1), &Value::Null)
    );
    let done = page.ask(&json!({ "op": "unsubscribe", "id": 3, "subscription": 1 }));
    assert_eq!(done, json!({ "op": "ok", "id": 3 }));
    let lost = page.ask(&json!({ "op": "publish", "id": 4, "topic": "other", "body": "x" }));
    assert_eq!(lost, json!({ "op": "ok", "id": 4, "routed": false }));
    drop(page);
    let vhost = node.broker.vhost("/").unwrap();
    wait_until(|| vhost.queues().is_empty());
}

#[test]
fn what_is_wrong_is_said_and_the_connection_goes_on() {
    let node = node();
    node.channel().declare(1, "q", false);
    let mut page = Page::log_in(&node);
    page.0.send(Message::text("{")).unwrap();
    assert_eq!(page.next()["code"], "bad_request");
    let subscribed = json!({ "op": "subscribe", "id": 1, "queue": "q" });
    assert_eq!(page.ask(&subscribed)["op"], "ok");
    let login = json!({ "op": "login", "id": 9, "user": "guest", "password": "guest" });
    let long = "x".repeat((1 << 20) + 1);
    for (request, code) in [
        (json!({ "op": "fly", "id": 2 }), "bad_request"),
        (login, "bad_request"),
        (subscribed, "exists"),
        (
            json!({ "op": "subscribe", "id": 2, "queue": "none" }),
            "not_found",
        ),
        (
            json!({ "op": "subscribe", "id": 2, "topic": "a/#/b" }),
            "bad_request",
        ),
        (
            json!({ "op": "subscribe", "id": 2, "topic": "$share/g/a" }),
            "bad_request",
        ),
        (
            json!({ "op": "unsubscribe", "id": 2, "subscription": 5 }),
            "not_found",
        ),
        (
            json!({ "op": "publish", "id": 2, "exchange": "none", "key": "" }),
            "not_found",
        ),
        (
            json!({ "op": "publish", "id": 2, "body": "" }),
            "bad_request",
        ),
        (
            json!({ "op": "publish", "id": 2, "key": "q", "body": long }),
            "bad_request",
        ),
    ] {
        assert_eq!(page.refused(&request), code, "{request}");
    }
    assert_eq!(page.ask(&json!({ "op": "ping", "id": 3 }))["op"], "ok");
}

#[test]
fn who_does_not_log_in_gets_nothing() {
    let node = node();
    let mut page = Page::open(&node);
    assert_eq!(
        page.refused(&json!({ "op": "ping", "id": 1 })),
        "login_needed"
    );
    let wrong = json!({ "op": "login", "id": 2, "user": "guest", "password": "x" });
    assert_eq!(page.refused(&wrong), "access_refused");
    assert_eq!(page.close_code(), CloseCode::Policy);
    let mut page = Page::open(&node);
    let elsewhere = json!({ "op": "login", "id": 2, "user": "guest", "password": "guest",
        "vhost": "none" });
    assert_eq!(page.refused(&elsewhere), "access_refused");
    let mut page = Page::open(&node);
    page.0.send(Message::text("x".repeat(70_000))).unwrap();
    assert_eq!(page.close_code(), CloseCode::Size);
}

#[test]
fn frames_that_are_no_text_end_the_connection() {
    let node = node();
    for (bytes, code) in [
        (b"\x82\x80\0\0\0\0".as_slice(), CloseCode::Unsupported),
        (b"\x81\x81\0\0\0\0\xff", CloseCode::Invalid),
        (b"\x81\x81\0\0\0\0\0", CloseCode::Invalid),
        (b"\x81\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0", CloseCode::Size),
    ] {
        let mut page = Page::log_in(&node);
        std::io::Write::write_all(page.0.get_mut(), bytes).unwrap();
        assert_eq!(page.close_code(), code, "{bytes:?}");
    }
}

#[test]
fn rights_are_those_of_the_user() {
    let node = node();
    node.channel().declare(1, "secret", false);
    node.channel().declare(1, "open", false);
    let account = Account {
        name: "page".into(),
        password_hash: Some(node.broker.hash_password(b"pw").unwrap()),
        tags: Vec::new(),
    };
    node.broker.set_user(account).unwrap();
    let permission = Permission {
        user: "page".into(),
        vhost: "/".into(),
        configure: "^json-".to_owned(),
        write: "^(json-.*|amq\\.topic)$".to_owned(),
        read: "^(json-.*|amq\\.topic|open)$".to_owned(),
    };
    node.broker.set_permission(permission).unwrap();
    let mut page = Page::open(&node);
    page.ask(&json!({ "op": "login", "user": "page", "password": "pw", "id": 0 }));
    for (request, code) in [
        (
            json!({ "op": "subscribe", "id": 1, "queue": "secret" }),
            "access_refused",
        ),
        (
            json!({ "op": "publish", "id": 1, "key": "secret" }),
            "access_refused",
        ),
        (
            json!({ "op": "publish", "id": 1, "topic": "$SYS/x" }),
            "access_refused",
        ),
    ] {
        assert_eq!(page.refused(&request), code, "{request}");
    }
    assert_eq!(
        page.ask(&json!({ "op": "subscribe", "id": 2, "topic": "a" }))["op"],
        "ok"
    );
    assert_eq!(
        page.ask(&json!({ "op": "subscribe", "id": 3, "queue": "open" }))["op"],
        "ok"
    );
    node.broker.delete_user("page").unwrap();
    assert_eq!(page.close_code(), CloseCode::Policy);
}

#[test]
fn what_was_not_settled_goes_back_and_a_queue_that_goes_is_told() {
    let node = node();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.publish(1, "", "q", b"x");
    let mut page = Page::log_in(&node);
    page.ask(&json!({ "op": "subscribe", "id": 1, "queue": "q" }));
    assert_eq!(page.next()["tag"], 1);
    page.0.close(None).unwrap();
    node.wait_ready("q", 1);
    let mut page = Page::log_in(&node);
    page.ask(&json!({ "op": "subscribe", "id": 7, "queue": "q" }));
    assert_eq!(page.next()["redelivered"], true);
    let vhost = node.broker.vhost("/").unwrap();
    let nobody = ferry_broker::ConnectionId::NOBODY;
    vhost.delete_queue("q", false, false, nobody).unwrap();
    let ended = page.next();
    assert_eq!(
        (&ended["op"], &ended["subscription"]),
        (&json!("ended"), &json!(7))
    );
    assert_eq!(
        page.refused(&json!({ "op": "unsubscribe", "id": 8, "subscription": 7 })),
        "not_found"
    );
}

#[test]
fn publishes_are_refused_while_publishers_are_held() {
    let node = node();
    node.channel().declare(1, "q", true);
    let mut page = Page::log_in(&node);
    node.disk.set_capacity(Some(1 << 20));
    let body = "x".repeat(50_000);
    for _ in 0..60 {
        page.say(&json!({ "op": "publish", "key": "q", "body": body }));
    }
    wait_until(|| node.broker.memory().blocked().is_some());
    let mut publish = json!({ "op": "publish", "id": 1, "key": "q", "body": body });
    page.say(&publish);
    let refused = page.next_of(1);
    assert_eq!(
        (&refused["op"], &refused["code"]),
        (&json!("error"), &json!("held"))
    );
    node.disk.set_capacity(None);
    wait_until(|| node.broker.memory().blocked().is_none());
    publish["id"] = json!(2);
    page.say(&publish);
    assert_eq!(page.next_of(2)["op"], "ok");
}

#[test]
fn a_long_text_counts_and_is_not_waited_for_while_memory_is_short() {
    const TAKEN: i64 = 2 << 30;
    let node = node();
    let memory = node.broker.memory();
    // A text of 1 MiB.
    let mut part = b"\x81\xff\0\0\0\0\0\x10\0\0\0\0\0\0".to_vec();
    part.resize(part.len() + (100 << 10), b' ');
    let send_part = |page: &mut Page| std::io::Write::write_all(page.0.get_mut(), &part).unwrap();
    let mut early = Page::log_in(&node);
    send_part(&mut early);
    wait_until(|| memory.used_bytes() == 100 << 10);
    drop(early);
    wait_until(|| memory.used_bytes() == 0);
    memory.account(TAKEN);
    wait_until(|| {
        // What is published makes the broker look.
        node.channel().publish(1, "", "nowhere", b"");
        memory.is_short()
    });
    let mut late = Page::log_in(&node);
    send_part(&mut late);
    assert_eq!(late.close_code(), CloseCode::Again);
    memory.account(-TAKEN);
}
