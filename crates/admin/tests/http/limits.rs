//! Limits over HTTP: statuses and bodies as RabbitMQ's clients know them.

use crate::support::{Door, GUEST};
use serde_json::json;

#[tokio::test]
async fn limits_are_set_shown_and_cleared_and_outlive_the_node() {
    for (base, of, first, second) in [
        (
            "vhost-limits",
            ("vhost", "/", "%2F"),
            "max-connections",
            "max-queues",
        ),
        (
            "user-limits",
            ("user", "guest", "guest"),
            "max-connections",
            "max-channels",
        ),
    ] {
        let mut door = Door::open().await;
        let (all, one) = (format!("/api/{base}"), format!("/api/{base}/{}", of.2));
        let put = async |door: &Door, limit: &str, value: i64| {
            let body = json!({ "value": value }).to_string();
            let answer = door.change("PUT", &format!("{one}/{limit}"), &body).await;
            (answer.status, answer.body)
        };
        assert_eq!(door.get(&all).await.json(), json!([]));
        assert_eq!(door.get(&one).await.json(), json!([]));
        let done = (204, String::new());
        for (limit, value) in [
            (first, 5),
            (first, 6),
            (second, -1),
            ("publish-byte-rate", 1000),
        ] {
            assert_eq!(put(&door, limit, value).await, done, "{limit}");
        }
        let shown = json!([{
            of.0: of.1, "value": { first: 6, second: -1, "publish-byte-rate": 1000 },
        }]);
        for round in 0..2 {
            for path in [&all, &one] {
                assert_eq!(door.get(path).await.json(), shown, "{round}");
            }
            door = door.killed().await;
        }
        door.broker.checkpoint().unwrap();
        door = door.killed().await;
        assert_eq!(door.get(&all).await.json(), shown);
        for limit in [first, second, second, "bogus", "publish-byte-rate"] {
            let cleared = door.change("DELETE", &format!("{one}/{limit}"), "").await;
            assert_eq!(
                (cleared.status, cleared.body.as_str()),
                (204, ""),
                "{limit}"
            );
        }
        door = door.killed().await;
        assert_eq!(door.get(&one).await.json(), json!([]));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_limit_is_told() {
    let door = Door::open().await;
    let vhost = "/api/vhost-limits/%2F";
    let user = "/api/user-limits/guest";
    let framed = |why: &str| format!("Validation failed\n\n{why}\n");
    let number = "max-connections should be a number, actually was";
    let rates = "publish-rate, publish-byte-rate, deliver-rate, deliver-byte-rate, \
                 connection-publish-rate, connection-publish-byte-rate, connection-deliver-rate, \
                 connection-deliver-byte-rate";
    for (path, body, reason) in [
        (vhost, "", "[{key_missing,value}]".to_owned()),
        (user, "{}", "[{key_missing,value}]".to_owned()),
        (vhost, "[]", "not_json".to_owned()),
        (user, "{\"value", "not_json".to_owned()),
        (
            vhost,
            r#"{"value":"x"}"#,
            framed(&format!("{number} <<\"x\">>")),
        ),
        (vhost, r#"{"value":1.5}"#, framed(&format!("{number} 1.5"))),
        (user, r#"{"value":true}"#, format!("{number} true")),
        (user, r#"{"value":null}"#, format!("{number} null")),
    ] {
        let refused = door
            .change("PUT", &format!("{path}/max-connections"), body)
            .await;
        let expected = json!({ "error": "bad_request", "reason": reason });
        assert_eq!(
            (refused.status, refused.json()),
            (400, expected),
            "{path} {body}"
        );
    }
    for (path, name, expected) in [
        (
            vhost,
            "max-channels",
            framed(&format!(
                "Unrecognised terms [{{<<\"max-channels\">>,5}}] in limits; known: \
                 max-connections, max-queues, {rates}"
            )),
        ),
        (
            user,
            "bogus",
            format!(
                "Unrecognised terms [{{<<\"bogus\">>,5}}] in user-limits; known: \
                 max-connections, max-channels, {rates}"
            ),
        ),
    ] {
        let refused = door
            .change("PUT", &format!("{path}/{name}"), r#"{"value":5}"#)
            .await;
        assert_eq!(
            (refused.status, refused.json()["reason"].as_str()),
            (400, Some(&*expected))
        );
    }
    assert_eq!(door.get("/api/vhost-limits").await.json(), json!([]));
}

#[tokio::test]
async fn who_is_not_there_has_no_limits() {
    let door = Door::open().await;
    let body = r#"{"value":5}"#;
    let vhost = door
        .change("PUT", "/api/vhost-limits/none/max-queues", body)
        .await;
    let expected = json!({ "error": "not_found", "reason": "vhost_not_found" });
    assert_eq!((vhost.status, vhost.json()), (404, expected));
    let user = door
        .change("PUT", "/api/user-limits/none/max-channels", body)
        .await;
    let expected = json!({ "error": "bad_request", "reason": ["no_such_user", "none"] });
    assert_eq!((user.status, user.json()), (400, expected));
    for (method, path, who, status) in [
        ("GET", "/api/vhost-limits/none", GUEST, 404),
        ("GET", "/api/user-limits/none", GUEST, 404),
        ("DELETE", "/api/vhost-limits/none/max-queues", GUEST, 404),
        ("DELETE", "/api/user-limits/none/max-channels", GUEST, 404),
        ("GET", "/api/vhost-limits/%2F/max-queues", GUEST, 405),
        ("POST", "/api/user-limits/guest/max-channels", GUEST, 405),
        ("GET", "/api/vhost-limits", "", 401),
        ("GET", "/api/user-limits/guest", "", 401),
        ("PUT", "/api/user-limits/guest/max-channels", "", 401),
        ("DELETE", "/api/vhost-limits/%2F/max-queues", "", 401),
    ] {
        let answer = door.request(method, path, who).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn waits_for_rates_are_counted() {
    let door = Door::open().await;
    let page = door.request("GET", "/metrics", "").await.body;
    for name in [
        "ferrymq_publishes_throttled_total",
        "ferrymq_deliveries_throttled_total",
    ] {
        for limit in ["connection", "user", "vhost", "queue"] {
            let line = format!("{name}{{limit=\"{limit}\"}} 0");
            assert!(page.lines().any(|found| found == line), "{line}");
        }
    }
}
