//! Files that are refused, and change nothing.

use serde_json::{Value, json};

use super::files::{binding, exchange, queue, whole};
use super::{export, post};
use crate::support::{Door, GUEST};

type Row = (&'static str, Value, &'static str);

/// Queues that make a file wrong.
fn bad_queues() -> Vec<Row> {
    vec![
        (
            "queues",
            json!({ "name": "b" }),
            "queues[4] 'b': vhost is missing",
        ),
        (
            "queues",
            json!([]),
            "queues[4] should be an object, actually was a list",
        ),
        (
            "queues",
            queue("v1", "b", json!({ "x-max-length": "x" })),
            "invalid arg 'x-max-length' for queue 'b' in vhost 'v1': \"expected integer, got \
             longstr\"",
        ),
        (
            "queues",
            json!({ "name": "b", "vhost": "v1", "durable": 5 }),
            "queues[4] 'b': durable should be true or false, actually was a number",
        ),
        (
            "queues",
            queue("none", "b", json!({})),
            "Please create virtual host \"none\" prior to importing definitions.",
        ),
        (
            "queues",
            queue("v1", "", json!({})),
            "queue: a name should have 1 to 255 bytes but has 0",
        ),
        (
            "queues",
            queue("v1", &"x".repeat(256), json!({})),
            "queue: a name should have 1 to 255 bytes but has 256",
        ),
    ]
}

/// What else makes a file wrong.
fn bad_items() -> Vec<Row> {
    vec![
        (
            "exchanges",
            exchange("v1", "b", "none", json!({})),
            "exchanges[3] 'b': invalid exchange type 'none'",
        ),
        (
            "bindings",
            binding("v1", "none", "queue", "q1", "", json!({})),
            "no exchange 'none' in vhost 'v1'",
        ),
        (
            "bindings",
            binding("v1", "dead", "queue", "none", "", json!({})),
            "no queue 'none' in vhost 'v1'",
        ),
        (
            "bindings",
            binding("v1", "dead", "none", "q1", "", json!({})),
            "bindings[5]: destination_type is neither queue nor exchange",
        ),
        (
            "users",
            json!({ "name": "x" }),
            "users[2] 'x': tags_not_present",
        ),
        (
            "permissions",
            json!({ "user": "x", "vhost": "v1", "configure": "", "write": "", "read": "" }),
            "permission of 'x' in vhost 'v1': no such user",
        ),
        (
            "parameters",
            json!({ "vhost": "v1", "component": "policy", "name": "x", "value": {} }),
            "parameters[2] 'x': policies may not be set using this method",
        ),
        (
            "global_parameters",
            json!({ "name": "cluster_name", "value": 5 }),
            "global parameter 'cluster_name': should be text, actually was 5",
        ),
        (
            "policies",
            json!({ "vhost": "v1", "name": "b", "pattern": "", "definition": { "none": 1 } }),
            "Validation failed\n\n[{<<\"none\">>,1}] are not recognised policy settings\n (v1/b)",
        ),
    ]
}

#[tokio::test]
async fn a_file_that_is_refused_changes_nothing() {
    let door = Door::open().await;
    let before = export(&door).await;
    for (section, bad, reason) in bad_queues().into_iter().chain(bad_items()) {
        let mut file = whole();
        file[section].as_array_mut().unwrap().push(bad.clone());
        let found = post(&door, &file).await;
        assert_eq!(found, (400, json!(reason)), "{bad}");
        assert_eq!(export(&door).await, before, "{bad}");
    }
    let mut file = whole();
    file["parameters"][0]["value"]["max-queues"] = json!(1);
    let (status, reason) = post(&door, &file).await;
    assert_eq!(status, 400);
    assert!(
        reason
            .as_str()
            .unwrap()
            .contains("would exceed the limit of 1 queue(s)")
    );
    assert_eq!(export(&door).await, before);
}

#[tokio::test]
async fn what_is_not_a_file_is_told_with_its_place() {
    let door = Door::open().await;
    for (body, reason) in [
        (
            "{ x",
            "failed_to_parse_json: key must be a string at line 1 column 3",
        ),
        (
            "{\n\"queues\": [,]}",
            "failed_to_parse_json: expected value at line 2 column 12",
        ),
        (
            "[]",
            "failed_to_parse_json: a definitions file is one object",
        ),
        (
            "{\"queues\":5}",
            "queues should be a list, actually was a number",
        ),
    ] {
        let answer = door.change("POST", "/api/definitions", body).await;
        let expected = json!({ "error": "bad_request", "reason": reason });
        assert_eq!((answer.status, answer.json()), (400, expected), "{body}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(
        door.change("POST", "/api/definitions", &deep).await.status,
        400
    );
    assert_eq!(
        door.change("POST", "/api/definitions", "").await.status,
        204
    );
    for (method, path, who, status) in [
        ("GET", "/api/definitions", "", 401),
        ("POST", "/api/definitions", "", 401),
        ("POST", "/api/ferry/definitions/check", "", 401),
        ("PUT", "/api/definitions", GUEST, 405),
        ("GET", "/api/definitions/none", GUEST, 400),
        ("POST", "/api/definitions/none", GUEST, 404),
    ] {
        let answer = door.request(method, path, who).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let head = format!("{GUEST}Content-Length: 20000001\r\n");
    let answer = door.request("POST", "/api/definitions", &head).await;
    assert_eq!(answer.status, 413);
    let head = format!("{GUEST}Content-Type: text/plain\r\n");
    assert_eq!(
        door.request("POST", "/api/definitions", &head).await.status,
        415
    );
}
