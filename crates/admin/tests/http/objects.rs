//! Declaring, binding, publishing and getting over HTTP, and what wrong requests get.

use crate::support::Door;
use ferry_core::arguments::Arguments;
use serde_json::{Value, json};

const EXCHANGE: &str = "/api/exchanges/%2F/events";
const BINDINGS: &str = "/api/bindings/%2F/e/events/q/jobs";

/// Plays a script: in each line a request, `=>`, and the status and a part of the answer.
async fn play(door: &Door, script: &str) {
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (request, wanted) = line.split_once(" => ").unwrap();
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let (status, part) = wanted.split_once(' ').unwrap_or((wanted, ""));
        let answer = door.change(method, &format!("/api/{path}"), body).await;
        assert_eq!(answer.status.to_string(), status, "{line}: {}", answer.body);
        assert!(answer.body.contains(part), "{line}: {}", answer.body);
    }
}

#[tokio::test]
async fn queues_and_exchanges_come_and_go() {
    let door = Door::open().await;
    let script = r#"
        PUT queues/%2F/jobs {"durable":"true","arguments":[]} => 201
        PUT queues/%2F/jobs => 204
        PUT queues/%2F/jobs {"durable":false} => 400 inequivalent arg 'durable' for queue 'jobs'
        PUT queues/%2F/jobs {"durable":"yes"} => 400 ["not_boolean","yes"]
        PUT queues/%2F/jobs {"exclusive":true} => 400 belongs to a connection
        PUT queues/%2F/jobs {"arguments":5} => 400 arguments is no object
        PUT queues/%2F/jobs {"node":"other@host"} => 400 Node other@host could not be contacted
        PUT queues/%2F/jobs [] => 400 not_json
        PUT queues/none/jobs => 404 vhost_not_found
        PUT queues/%2F/amq.mine => 401 Access refused.
        PUT queues/%2F/a%0Ab => 400 line breaks
        PUT exchanges/%2F/events {"type":"topic"} => 201
        PUT exchanges/%2F/events {"type":"topic"} => 204
        PUT exchanges/%2F/events {"type":"fanout"} => 400 inequivalent arg 'type'
        PUT exchanges/%2F/events {"type":"none"} => 400 unknown exchange type 'none'
        PUT exchanges/%2F/amq.default => 401 Access refused.
        DELETE exchanges/%2F/amq.topic => 401 Access refused.
        DELETE exchanges/%2F/ferry.settle => 401 Access refused.
        DELETE exchanges/%2F/none => 404 Not Found
        POST queues/%2F/jobs/actions {"action":"sync"} => 204
        POST queues/%2F/jobs/actions {"action":"x"} => 400 ["unknown","x"]
        POST queues/%2F/jobs/actions {} => 400 [{key_missing,action}]
        POST rebalance/queues => 204
        DELETE queues/%2F/jobs?if-unused=true&if-empty=true => 204
        DELETE queues/%2F/jobs => 404 Not Found
        DELETE exchanges/%2F/events => 204
    "#;
    play(&door, script).await;
    door.declare("full", Arguments::new());
    door.publish("full", None);
    play(
        &door,
        "DELETE queues/%2F/full?if-empty=true => 400 queue 'full' in vhost '/' not empty",
    )
    .await;
    let name = "x".repeat(256);
    play(&door, &format!("PUT queues/%2F/{name} => 400 255 bytes")).await;
}

#[tokio::test]
async fn bindings_have_the_keys_that_rabbitmq_gives_them() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    door.change("PUT", EXCHANGE, r#"{"type":"topic"}"#).await;
    for (body, key, location) in [
        (r#"{"routing_key":"a.*"}"#, "a.%2A", "jobs/a.%252A"),
        ("{}", "~", "jobs/~"),
        (
            r#"{"routing_key":"b.*","arguments":{"s":"x","k":1}}"#,
            "b.%2A~VtiozQ",
            "jobs/b.%252A~VtiozQ",
        ),
        (
            r#"{"routing_key":"é/ x~"}"#,
            "%C3%A9%2F+x%7E",
            "jobs/%25C3%25A9%252F%2Bx%257E",
        ),
    ] {
        let bound = door.change("POST", BINDINGS, body).await;
        assert_eq!(bound.status, 201, "{body}: {}", bound.body);
        let location = format!("location: {}\r", location.to_lowercase());
        assert!(bound.head.contains(&location), "{}", bound.head);
        let quoted = key.replace('%', "%25").replace('+', "%2B");
        let path = format!("{BINDINGS}/{quoted}");
        let found = door.get(&path).await.json();
        assert_eq!(found["properties_key"], key, "{path}");
        assert_eq!(door.change("DELETE", &path, "").await.status, 204);
        assert_eq!(door.change("DELETE", &path, "").await.status, 404);
    }
    let script = r#"
        POST bindings/%2F/e/none/q/jobs {} => 404 no exchange 'none' in vhost '/'
        POST bindings/%2F/e/events/q/none {} => 404 no queue 'none' in vhost '/'
        POST bindings/none/e/events/q/jobs {} => 404 vhost_not_found
        POST bindings/%2F/e/amq.default/q/jobs {} => 401 Access refused.
        POST bindings/%2F/e/ferry.settle/q/jobs {} => 401 Access refused.
        POST bindings/%2F/e/events/q/jobs {"routing_key":[]} => 400 routing_key
        POST bindings/%2F/e/events/q/jobs {"arguments":"x"} => 400 arguments is no object
        DELETE bindings/%2F/e/events/e/none/x => 404 Not Found
    "#;
    play(&door, script).await;
}

const PUBLISH: &str = "/api/exchanges/%2F/amq.default/publish";
const GET: &str = "/api/queues/%2F/jobs/get";

fn message(changes: Value) -> String {
    let mut message = json!({
        "properties": {}, "routing_key": "jobs", "payload": "hello", "payload_encoding": "string",
    });
    for (name, value) in changes.as_object().unwrap() {
        message[name] = value.clone();
    }
    message.to_string()
}

#[tokio::test]
async fn a_message_is_published_got_and_kept_or_taken() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    let routed = |body: String| door.change_owned("POST", PUBLISH, body);
    assert_eq!(
        routed(message(json!({}))).await.json(),
        json!({ "routed": true })
    );
    let lost = routed(message(json!({ "routing_key": "none" }))).await;
    assert_eq!(lost.json(), json!({ "routed": false }));
    let get = |mode: &str, more: &str| {
        let body = format!(r#"{{"count":5,"ackmode":"{mode}","encoding":"auto"{more}}}"#);
        door.change_owned("POST", GET, body)
    };
    let shown = json!([{
        "payload_bytes": 5, "redelivered": false, "exchange": "", "routing_key": "jobs",
        "message_count": 0, "properties": [], "payload": "hello", "payload_encoding": "string",
    }]);
    assert_eq!(get("ack_requeue_true", "").await.json(), shown);
    let again = get("reject_requeue_true", r#","truncate":2"#).await.json();
    assert_eq!(
        (&again[0]["payload"], &again[0]["redelivered"]),
        (&json!("he"), &json!(true))
    );
    assert_eq!(
        get("ack_requeue_false", "").await.json()[0]["payload"],
        "hello"
    );
    assert_eq!(get("ack_requeue_false", "").await.json(), json!([]));
    routed(message(
        json!({ "payload": "/wA=", "payload_encoding": "base64" }),
    ))
    .await;
    let binary = get("reject_requeue_false", "").await.json();
    assert_eq!(
        (&binary[0]["payload"], &binary[0]["payload_encoding"]),
        (&json!("/wA="), &json!("base64"))
    );
    let stats = door.get("/api/queues/%2F/jobs").await.json()["message_stats"].clone();
    for (name, expected) in [
        ("publish", 2),
        ("get", 3),
        ("get_no_ack", 1),
        ("get_empty", 5),
        ("redeliver", 2),
        ("deliver_get", 4),
        ("deliver", 0),
        ("ack", 0),
    ] {
        assert_eq!(stats[name], expected, "{name}: {stats}");
    }
    let overview = door.get("/api/overview").await.json()["message_stats"].clone();
    assert_eq!(
        (&overview["publish"], &overview["drop_unroutable"]),
        (&json!(3), &json!(1))
    );
    let vhost = door.get("/api/vhosts/%2F").await.json()["message_stats"].clone();
    assert_eq!((&vhost["publish"], &vhost["get"]), (&json!(3), &json!(3)));
    let exchange = door.get("/api/exchanges/%2F/amq.default").await.json();
    let stats = &exchange["message_stats"];
    assert_eq!(
        (&stats["publish_in"], &stats["publish_out"]),
        (&json!(3), &json!(2))
    );
}

#[tokio::test]
async fn what_can_not_be_published_or_got_is_refused() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    let publish = |changes: Value, wanted: &str| {
        let body = message(changes);
        format!("POST exchanges/%2F/amq.default/publish {body} => 400 {wanted}\n")
    };
    let mut script = [
        (json!({ "payload": 5 }), "payload_not_string"),
        (json!({ "routing_key": 5 }), "routing_key_not_string"),
        (
            json!({ "payload": "!", "payload_encoding": "base64" }),
            "not_base64",
        ),
        (json!({ "payload_encoding": "x" }), "unsupported_encoding"),
        (json!({ "properties": "x" }), "properties is no object"),
        (
            json!({ "properties": { "user_id": "me" } }),
            "406 PRECONDITION_FAILED - user_id property set to 'me' but authenticated user was",
        ),
        (
            json!({ "properties": { "headers": { "x-delay": 5 } } }),
            "'x-delay'",
        ),
    ]
    .map(|(changes, wanted)| publish(changes, wanted))
    .concat();
    let (plain, direct) = (message(json!({})), "POST exchanges/%2F/amq.default/publish");
    let get = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
    script += &format!(
        r#"
        {direct} {{"payload":"x"}} => 400 [{{key_missing,routing_key}},{{key_missing,properties}}
        POST exchanges/%2F/none/publish {plain} => 400 404 NOT_FOUND - no exchange 'none'
        POST exchanges/none/x/publish {plain} => 404 vhost_not_found
        POST queues/%2F/jobs/get {{}} => 400 [{{key_missing,count}},{{key_missing,ackmode}},
        POST queues/%2F/jobs/get x => 400 not_json
        POST queues/%2F/none/get {get} => 404 NOT_FOUND - no queue 'none' in vhost '/'
        "#
    );
    play(&door, &script).await;
}
