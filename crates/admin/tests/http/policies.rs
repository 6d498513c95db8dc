//! Policies over HTTP: statuses and bodies as RabbitMQ's clients know them.

use crate::support::{Door, GUEST};
use ferry_core::arguments::Arguments;
use serde_json::json;

const BASE: &str = "/api/policies/%2F";

#[tokio::test]
async fn a_policy_is_set_changed_shown_and_cleared() {
    let door = Door::open().await;
    door.declare("q", Arguments::from_iter([("x-max-length", 3)]));
    let path = &format!("{BASE}/all%2Fq%20s");
    let put = async |body: serde_json::Value| door.change("PUT", path, &body.to_string()).await;
    let created = put(json!({ "pattern": "^q", "definition": { "max-length": 5 } })).await;
    assert_eq!((created.status, created.body.as_str()), (201, ""));
    let changed = put(json!({
        "pattern": "^q", "apply-to": "queues", "priority": -7, "name": "other", "vhost": "v",
        "definition": { "max-length": 9, "retry-factor": 1.5, "dead-letter-exchange": "dlx" },
    }))
    .await;
    assert_eq!((changed.status, changed.body.as_str()), (204, ""));
    let shown = json!({
        "vhost": "/", "name": "all/q s", "pattern": "^q", "apply-to": "queues", "priority": -7,
        "definition": { "max-length": 9, "retry-factor": 1.5, "dead-letter-exchange": "dlx" },
    });
    assert_eq!(door.get(path).await.json(), shown);
    for list in ["/api/policies", BASE] {
        assert_eq!(door.get(list).await.json(), json!([shown]));
    }
    let queue = door.get("/api/queues/%2F/q").await.json();
    assert_eq!(queue["policy"], "all/q s");
    assert_eq!(queue["operator_policy"], json!(null));
    assert_eq!(queue["effective_policy_definition"], shown["definition"]);

    assert_eq!(door.change("DELETE", path, "").await.status, 204);
    assert_eq!(door.change("DELETE", path, "").await.status, 404);
    assert_eq!(door.get(path).await.status, 404);
    let queue = door.get("/api/queues/%2F/q").await.json();
    assert_eq!(
        (&queue["policy"], &queue["effective_policy_definition"]),
        (&json!(null), &json!({}))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_told() {
    let door = Door::open().await;
    let invalid = |why: &str| format!("Validation failed\n\n{why}\n");
    for (body, reason) in [
        (
            "",
            "[{key_missing,pattern},{key_missing,definition}]".to_owned(),
        ),
        (
            "{\"pattern\":\"x\"}",
            "[{key_missing,definition}]".to_owned(),
        ),
        ("{\"pattern\":", "not_json".to_owned()),
        ("[]", "not_json".to_owned()),
        (
            r#"{"pattern":5,"definition":{"max-length":5}}"#,
            invalid("pattern should be a binary but was 5"),
        ),
        (
            r#"{"pattern":"x","definition":{}}"#,
            invalid("no policy provided"),
        ),
        (
            r#"{"pattern":"x","definition":{"max-length":-1}}"#,
            invalid("-1 is not a valid maximum length"),
        ),
        (
            r#"{"pattern":"x","definition":{"bogus":[1,2]}}"#,
            invalid("[{<<\"bogus\">>,[1,2]}] are not recognised policy settings"),
        ),
    ] {
        let refused = door.change("PUT", &format!("{BASE}/p"), body).await;
        let expected = json!({ "error": "bad_request", "reason": reason });
        assert_eq!((refused.status, refused.json()), (400, expected), "{body}");
    }
    let body = r#"{"pattern":"(","definition":{"max-length":5}}"#;
    let refused = door.change("PUT", &format!("{BASE}/p"), body).await.json();
    let reason = refused["reason"].as_str().unwrap();
    assert!(
        reason.contains("regular expression but is invalid: regex parse error"),
        "{reason}"
    );
    assert_eq!(door.get(BASE).await.json(), json!([]));
}

#[tokio::test]
async fn where_there_is_no_policy_and_who_may_set_one() {
    let door = Door::open().await;
    let body = r#"{"pattern":"x","definition":{"max-length":5}}"#;
    let elsewhere = door.change("PUT", "/api/policies/none/p", body).await;
    let expected = json!({ "error": "not_found", "reason": "vhost_not_found" });
    assert_eq!((elsewhere.status, elsewhere.json()), (404, expected));
    for (method, path, who, status) in [
        ("GET", "/api/policies/none", GUEST, 404),
        ("GET", "/api/policies/none/p", GUEST, 404),
        ("DELETE", "/api/policies/none/p", GUEST, 404),
        ("POST", "/api/policies/%2F/p", GUEST, 405),
        ("PUT", "/api/policies/%2F/p", "", 401),
        ("DELETE", "/api/policies/%2F/p", "", 401),
        ("GET", "/api/policies", "", 401),
    ] {
        let answer = door.request(method, path, who).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn policies_can_be_sorted_by_priority() {
    let door = Door::open().await;
    for (name, priority) in [("a", 5), ("b", -5), ("c", 0)] {
        let body = json!({
            "pattern": "x", "definition": { "max-length": 5 }, "priority": priority,
        });
        door.change("PUT", &format!("{BASE}/{name}"), &body.to_string())
            .await;
    }
    let list = door
        .get("/api/policies?sort=priority&columns=name")
        .await
        .json();
    assert_eq!(
        list,
        json!([{ "name": "b" }, { "name": "c" }, { "name": "a" }])
    );
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let door = Door::open().await;
    let long = "x".repeat(1 << 20);
    let path = format!("{BASE}/p");
    let announced = door
        .change("PUT", &path, &format!("{{\"pattern\":\"{long}\"}}"))
        .await;
    assert_eq!(announced.status, 413);
    let head = format!("PUT {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{GUEST}");
    let chunk = format!("{:x}\r\n{long}\r\n", long.len());
    let unannounced = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(door.send(&unannounced).await.status, 413);
}

#[tokio::test]
async fn an_operator_policy_is_set_shown_and_cleared() {
    const OPERATOR: &str = "/api/operator-policies/%2F";
    let door = Door::open().await;
    door.declare("q", Arguments::new());
    let path = &format!("{OPERATOR}/o");
    let put = async |body: serde_json::Value| door.change("PUT", path, &body.to_string()).await;
    let created = put(json!({ "pattern": "^q", "definition": { "max-length": 5 } })).await;
    assert_eq!((created.status, created.body.as_str()), (201, ""));
    let shown = json!({
        "vhost": "/", "name": "o", "pattern": "^q", "apply-to": "queues", "priority": 2,
        "definition": { "max-length": 4, "message-ttl": 60 },
    });
    assert_eq!(put(shown.clone()).await.status, 204);
    assert_eq!(door.get(path).await.json(), shown);
    for list in ["/api/operator-policies", OPERATOR] {
        assert_eq!(door.get(list).await.json(), json!([shown]));
    }
    assert_eq!(door.get(BASE).await.json(), json!([]));
    let body = json!({
        "pattern": "^q",
        "definition": { "max-length": 5, "message-ttl": 50, "overflow": "reject-publish" },
    });
    door.change("PUT", &format!("{BASE}/p"), &body.to_string())
        .await;
    let queue = door.get("/api/queues/%2F/q").await.json();
    assert_eq!(
        (&queue["policy"], &queue["operator_policy"]),
        (&json!("p"), &json!("o"))
    );
    assert_eq!(
        queue["effective_policy_definition"],
        json!({ "max-length": 4, "message-ttl": 50, "overflow": "reject-publish" })
    );
    assert_eq!(door.change("DELETE", path, "").await.status, 204);
    assert_eq!(door.change("DELETE", path, "").await.status, 404);
    assert_eq!(door.get(path).await.status, 404);
    let queue = door.get("/api/queues/%2F/q").await.json();
    assert_eq!(
        (&queue["policy"], &queue["operator_policy"]),
        (&json!("p"), &json!(null))
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_operator_policy_is_told() {
    let door = Door::open().await;
    let base = "/api/operator-policies";
    for (path, body, status, reason) in [
        (
            "%2F/o",
            r#"{"pattern":"x","definition":{"queue-mode":"lazy"}}"#,
            400,
            "Validation failed\n\n[{<<\"queue-mode\">>,<<\"lazy\">>}] are not recognised \
             policy settings\n",
        ),
        (
            "%2F/o",
            r#"{"definition":{}}"#,
            400,
            "[{key_missing,pattern}]",
        ),
        (
            "none/o",
            r#"{"pattern":"x","definition":{}}"#,
            404,
            "vhost_not_found",
        ),
    ] {
        let refused = door.change("PUT", &format!("{base}/{path}"), body).await;
        let found = refused.json()["reason"].clone();
        assert_eq!((refused.status, found), (status, json!(reason)), "{body}");
    }
    for (method, path) in [("PUT", "/%2F/o"), ("DELETE", "/%2F/o"), ("GET", "")] {
        let answer = door.request(method, &format!("{base}{path}"), "").await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
    assert_eq!(door.get("/api/operator-policies/none").await.status, 404);
}

#[tokio::test]
async fn an_exchange_shows_its_policy() {
    let door = Door::open().await;
    let body = json!({
        "pattern": "^$|^amq.t", "apply-to": "exchanges",
        "definition": { "alternate-exchange": "amq.fanout", "max-message-bytes": 5 },
    });
    let set = door
        .change("PUT", &format!("{BASE}/p"), &body.to_string())
        .await;
    assert_eq!(set.status, 201);
    assert_eq!(door.get(BASE).await.json()[0]["apply-to"], "exchanges");
    for (exchange, policy) in [
        ("amq.default", Some("p")),
        ("amq.topic", Some("p")),
        ("amq.fanout", None),
    ] {
        let shown = door
            .get(&format!("/api/exchanges/%2F/{exchange}"))
            .await
            .json();
        assert_eq!(
            shown.get("policy").map(|name| name.as_str().unwrap()),
            policy
        );
    }
    let body = json!({
        "pattern": "x", "definition": { "body-schema": { "items": { "type": "bogus" } } },
    });
    let refused = door
        .change("PUT", &format!("{BASE}/p"), &body.to_string())
        .await;
    let reason = refused.json()["reason"].as_str().unwrap().to_owned();
    let start = "Validation failed\n\nbody-schema is not valid: at '/items/type': ";
    assert_eq!(refused.status, 400);
    assert!(reason.starts_with(start), "{reason}");
}

#[tokio::test]
async fn what_rules_count_is_on_the_page_of_metrics() {
    let door = Door::open().await;
    let page = door.get("/metrics").await.body;
    for line in [
        "# TYPE ferrymq_messages_published_by_kind_total counter",
        "ferrymq_messages_published_by_kind_total{kind=\"command\"} 0",
        "ferrymq_messages_refused_total 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
}
