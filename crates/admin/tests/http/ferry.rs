//! The data plane and the workbench, on a clock and a log that are moved by hand.

use std::time::Duration;

use ferry_core::arguments::{Arguments, Value as Argument};
use ferry_log::testing::Fault;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Door, GUEST};

const PUBLISH: &str = "/api/ferry/publish/%2F/amq.default?routing_key=q";
const LEASE: &str = "/api/ferry/lease/%2F/q";
const SETTLE: &str = "/api/ferry/settle/%2F/q";

/// A request as guest, with a body of JSON.
fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{GUEST}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn ask(door: &Door, method: &str, path: &str, body: &str) -> Answer {
    let text = request(method, path, body);
    let answer = door.send(&text);
    tokio::pin!(answer);
    loop {
        match tokio::time::timeout(Duration::from_millis(5), &mut answer).await {
            Ok(answer) => return answer,
            Err(_) => door.broker.commit_log().unwrap(),
        }
    }
}

async fn with_queue() -> Door {
    let door = Door::open().await;
    door.declare("q", Arguments::new());
    door.broker.commit_log().unwrap();
    door
}

fn token(answer: &Answer) -> String {
    let json = answer.json();
    json["messages"][0]["lease"].as_str().unwrap().to_owned()
}

fn settling(token: &str, outcome: &str) -> String {
    json!({ "leases": [{ "lease": token, "outcome": outcome }] }).to_string()
}

#[tokio::test]
async fn a_publish_and_a_settle_are_answered_when_they_are_safe() {
    let door = with_queue().await;
    let early = Duration::from_millis(150);
    let text = request("POST", PUBLISH, "body");
    let answer = door.send(&text);
    tokio::pin!(answer);
    assert!(tokio::time::timeout(early, &mut answer).await.is_err());
    door.broker.commit_log().unwrap();
    let answer = answer.await;
    let expected = json!({ "routed": true, "durable": true });
    assert_eq!((answer.status, answer.json()), (201, expected));

    let lease = token(&door.send(&request("POST", LEASE, "{}")).await);
    let text = request("POST", SETTLE, &settling(&lease, "accept"));
    let answer = door.send(&text);
    tokio::pin!(answer);
    assert!(tokio::time::timeout(early, &mut answer).await.is_err());
    door.broker.commit_log().unwrap();
    assert_eq!(answer.await.json()["results"][0]["settled"], true);
}

#[tokio::test]
async fn who_is_held_is_told_when_to_come_again() {
    let door = with_queue().await;
    door.broker.memory().account(2 << 20);
    door.broker.commit_log().unwrap();
    for path in [PUBLISH, "/api/ferry/request/%2F/amq.default?routing_key=q"] {
        let answer = ask(&door, "POST", path, "body").await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (429, &json!("publishers_held"))
        );
        assert!(answer.head.contains("retry-after: 2"), "{}", answer.head);
    }
    let alarms = door.get("/api/ferry/alarms").await.json();
    assert_eq!(
        (&alarms[0]["name"], alarms.as_array().unwrap().len()),
        (&json!("memory"), 1)
    );
    assert_eq!(alarms[0]["since"], door.broker.now());
    door.broker.memory().account(-(2 << 20));
    door.broker.commit_log().unwrap();
    assert_eq!(ask(&door, "POST", PUBLISH, "body").await.status, 201);
    assert_eq!(door.get("/api/ferry/alarms").await.json(), json!([]));
}

#[tokio::test]
async fn nothing_is_taken_when_nothing_can_be_stored() {
    let door = Door::open().await;
    door.declare("q", Arguments::new());
    door.disk.fail_call(door.disk.calls() + 1, Fault::Io, true);
    door.broker.commit_log().unwrap_err();
    let answer = door.send(&request("POST", PUBLISH, "body")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (503, &json!("unavailable"))
    );
    let alarms = door.get("/api/ferry/alarms").await.json();
    assert_eq!(alarms[0]["name"], "log_failed");
}

#[tokio::test]
async fn a_lease_ends_with_its_time_and_is_extended_before() {
    let door = with_queue().await;
    door.publish("q", None);
    let first = token(&ask(&door, "POST", LEASE, "{}").await);
    door.pass(29_000);
    let body = json!({ "leases": [first], "lease_ms": 5_000 }).to_string();
    let extended = ask(&door, "POST", "/api/ferry/extend/%2F/q", &body)
        .await
        .json();
    assert_eq!(extended["results"][0]["until"], 1_034_000);
    door.pass(4_000);
    assert_eq!(
        ask(&door, "POST", LEASE, "{}").await.json()["messages"],
        json!([])
    );
    door.pass(1_000);
    let second = ask(&door, "POST", LEASE, "{\"lease_ms\":100}").await;
    assert_eq!(second.json()["messages"][0]["delivery_count"], 1);
    for (lease, outcome, expected) in [
        (&first, "accept", json!("ended")),
        (&token(&second), "accept", Value::Null),
        (&token(&second), "accept", Value::Null),
        (&token(&second), "reject", json!("settled")),
        (&first[1..].to_owned(), "accept", json!("unknown")),
    ] {
        let answer = ask(&door, "POST", SETTLE, &settling(lease, outcome)).await;
        assert_eq!(answer.json()["results"][0]["why"], expected, "{outcome}");
    }
}

#[tokio::test]
async fn the_lease_time_of_a_queue_counts_where_none_is_asked_for() {
    let door = Door::open().await;
    let arguments = Arguments::from_iter([("x-lease-timeout", Argument::I32(700))]);
    door.declare("q", arguments);
    door.publish("q", None);
    let answer = ask(&door, "POST", LEASE, "{}").await;
    assert_eq!(answer.json()["messages"][0]["until"], 1_000_700);
}

#[tokio::test]
async fn leases_of_before_a_start_are_told_apart() {
    let door = with_queue().await;
    door.publish("q", None);
    door.broker.commit_log().unwrap();
    let lease = token(&ask(&door, "POST", LEASE, "{}").await);
    let door = door.killed().await;
    let answer = ask(&door, "POST", SETTLE, &settling(&lease, "accept")).await;
    let why = answer.json()["results"][0]["why"].clone();
    assert!(why == "restarted" || why == "unknown", "{why}");
    assert_eq!(
        ask(&door, "POST", LEASE, "{}").await.json()["messages"][0]["redelivered"],
        true
    );
}

#[tokio::test]
async fn who_waits_is_woken_by_a_message_and_by_the_end() {
    let door = with_queue().await;
    for wake in [
        (|door: &Door| door.publish("q", None)) as fn(&Door),
        |door| door.admin.set_ready(false),
    ] {
        let text = request("POST", LEASE, "{\"wait_ms\":60000}");
        let answer = door.send(&text);
        tokio::pin!(answer);
        let early = Duration::from_millis(150);
        assert!(tokio::time::timeout(early, &mut answer).await.is_err());
        wake(&door);
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        assert_eq!(answer.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_subscription_ends_with_the_node_and_gives_back() {
    let door = with_queue().await;
    door.publish("q", None);
    let mut stream = TcpStream::connect(door.admin.local_addr()).await.unwrap();
    let path = "/api/ferry/subscribe/%2F/q?ack=manual";
    let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{GUEST}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("event: message") {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(seen.contains("content-type: text/event-stream"), "{seen}");
    door.admin.set_ready(false);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    let queue = door.broker.vhost("/").unwrap().any_queue("q").unwrap();
    for _ in 0..500 {
        if (queue.ready(), queue.consumers()) == (1, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} ready, {} consumers", queue.ready(), queue.consumers());
}

#[tokio::test]
async fn nothing_is_shown_or_done_without_a_log_in_or_for_another_page() {
    let door = with_queue().await;
    let document = door.request("GET", "/api/ferry/openapi.json", "").await;
    assert_eq!(document.status, 200);
    let document = document.json();
    let foreign = format!("{GUEST}Origin: https://elsewhere.example\r\n");
    let mut count = 0;
    for (template, methods) in document["paths"].as_object().unwrap() {
        let path = template.replace("{vhost}", "%2F").replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            if template.ends_with("openapi.json") {
                continue;
            }
            let bare = door.request(&method, &path, "").await;
            assert_eq!(bare.status, 401, "{method} {path}");
            if method != "GET" {
                let answer = door.request(&method, &path, &foreign).await;
                assert_eq!(answer.status, 403, "{method} {path}");
            }
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

#[tokio::test]
async fn an_act_is_noted_with_what_came_of_it() {
    let door = with_queue().await;
    door.publish("q", None);
    let page = door.get("/api/ferry/queues/%2F/q/messages").await.json();
    let path = format!(
        "/api/ferry/queues/%2F/q/messages/{}",
        page["items"][0]["ref"].as_str().unwrap()
    );
    assert_eq!(ask(&door, "DELETE", &path, "").await.status, 204);
    assert_eq!(ask(&door, "DELETE", &path, "").await.status, 404);
    assert_eq!(ask(&door, "POST", PUBLISH, "body").await.status, 201);
    let acts = door.get("/api/ferry/audit").await.json();
    let told: Vec<_> = acts
        .as_array()
        .unwrap()
        .iter()
        .map(|act| &act["status"])
        .collect();
    assert_eq!(told, [&json!(404), &json!(204)]);
    assert_eq!(
        (&acts[0]["path"], &acts[0]["user"]),
        (&json!(path), &json!("guest"))
    );
}
