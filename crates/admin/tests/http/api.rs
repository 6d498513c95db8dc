//! The management API: who is let in, what is shown, and how it refuses.

use crate::support::{Door, GUEST};
use ferry_broker::{Exchange, ExchangeKind};
use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::json;

#[tokio::test]
async fn only_who_logs_in_is_answered() {
    let door = Door::open().await;
    for (path, authorization, status) in [
        ("/api/whoami", GUEST, 200),
        ("/api/whoami", "", 401),
        ("/api/whoami", "Authorization: Basic Z3Vlc3Q6bm8=\r\n", 401),
        ("/api/queues/%2F/none-such", "", 401),
        ("/api/overview", "Authorization: Bearer x\r\n", 401),
        ("/metrics", "", 200),
        ("/health/live", "", 200),
        ("/health/ready", "", 200),
        ("/", "", 200),
    ] {
        let answer = door.request("GET", path, authorization).await;
        assert_eq!(
            answer.status, status,
            "{path} {authorization:?}: {}",
            answer.body
        );
        if status == 401 {
            assert!(
                answer.head.contains("www-authenticate: basic "),
                "{}",
                answer.head
            );
            assert_eq!(answer.json()["error"], "not_authorized");
        }
    }
    assert_eq!(door.get("/api/whoami").await.json()["name"], "guest");
}

#[tokio::test]
async fn what_is_not_there_or_not_offered_is_refused() {
    let door = Door::open().await;
    for (method, path, status) in [
        ("GET", "/api/none-such", 404),
        ("GET", "/none-such", 404),
        ("GET", "/api/vhosts/none", 404),
        ("GET", "/api/queues/none", 404),
        ("GET", "/api/queues/%2F/none", 404),
        ("GET", "/api/exchanges/%2F/none", 404),
        ("GET", "/api/queues/%2F/none/bindings", 404),
        ("GET", "/api/exchanges/%2F/none/bindings/source", 404),
        ("GET", "/api/bindings/%2F/e/events/q/jobs/none", 404),
        ("GET", "/api/channels/none", 404),
        ("GET", "/api/channels/127.0.0.1:1%20(x)", 404),
        ("GET", "/api/consumers/none", 404),
        ("GET", "/api/vhosts/none/connections", 404),
        ("GET", "/api/vhosts/none/channels", 404),
        ("DELETE", "/api/connections/none", 404),
        ("GET", "/api/nodes/none/memory", 404),
        ("GET", "/api/connections/none", 404),
        ("GET", "/api/nodes/none", 404),
        ("DELETE", "/api/overview", 405),
        ("POST", "/api/queues", 405),
        ("GET", "/api/queues?page=2", 400),
        ("GET", "/api/queues?page=1&page_size=501", 400),
        ("GET", "/api/queues?page=x", 400),
        ("GET", "/api/queues?page=0", 400),
        ("GET", "/api/queues?page=1&name=(&use_regex=true", 400),
        ("GET", "/api/queues/%ff", 400),
        ("GET", "/api/health/checks/port-listener/x", 400),
    ] {
        let answer = door.request(method, path, GUEST).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    let refused = door.get("/api/queues/%2F/none").await;
    assert_eq!(
        refused.json(),
        json!({ "error": "Object Not Found", "reason": "Not Found" })
    );
    let refused = door.request("DELETE", "/api/overview", GUEST).await;
    assert!(refused.head.contains("allow: get,head"), "{}", refused.head);
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let door = Door::open().await;
    door.declare("jobs/", Arguments::new());
    for (path, status) in [
        ("/api/queues/", 200),
        ("/api/queues/%2F/?page=1", 200),
        ("/api/queues/%2F/jobs%2F", 200),
        ("/api/queues/%2F/jobs", 404),
        ("/api/queues//", 404),
        ("/api/", 404),
    ] {
        assert_eq!(door.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_queue_is_shown_with_what_it_was_declared_with() {
    let door = Door::open().await;
    door.declare(
        "jobs/a b",
        Arguments::from_iter([("x-max-priority", Argument::U8(5))]),
    );
    door.declare("safe", Arguments::from_iter([("x-queue-type", "quorum")]));
    let queue = door.get("/api/queues/%2F/jobs%2Fa%20b").await.json();
    let expected = json!({
        "name": "jobs/a b", "vhost": "/", "type": "classic", "node": "ferrymq@test",
        "durable": true, "auto_delete": false, "exclusive": false, "state": "running",
        "arguments": { "x-max-priority": 5 },
        "policy": null, "operator_policy": null, "effective_policy_definition": {},
        "messages": 0, "messages_ready": 0, "messages_unacknowledged": 0,
        "messages_delayed": 0, "messages_dead_letter_pending": 0,
        "message_bytes_ready": 0, "consumers": 0, "single_active_consumer_tag": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&queue[field], value, "{field}");
    }
    door.declare("log", Arguments::from_iter([("x-queue-type", "stream")]));
    for (name, kind) in [("safe", "quorum"), ("log", "stream")] {
        let queue = door.get(&format!("/api/queues/%2F/{name}")).await.json();
        assert_eq!(
            (&queue["type"], &queue["leader"]),
            (&json!(kind), &json!("ferrymq@test"))
        );
    }
    let purged = door
        .change("DELETE", "/api/queues/%2F/log/contents", "")
        .await;
    assert_eq!(purged.status, 400, "a stream is not emptied");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_cut_into_pages() {
    let door = Door::open().await;
    for number in 0..5 {
        door.declare(&format!("q{number}"), Arguments::new());
    }
    door.declare("other", Arguments::new());
    let names = async |query: &str| -> Vec<String> {
        let list = door.get(&format!("/api/queues/%2F?{query}")).await.json();
        let items = list
            .as_array()
            .or(list["items"].as_array())
            .unwrap()
            .clone();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for (query, expected) in [
        ("", &["other", "q0", "q1", "q2", "q3", "q4"][..]),
        (
            "name=q&sort=name&sort_reverse=true",
            &["q4", "q3", "q2", "q1", "q0", "other"],
        ),
        (
            "page_size=2&sort=none",
            &["other", "q0", "q1", "q2", "q3", "q4"],
        ),
        (
            "page=1&name=Q[13]$&use_regex=true&sort=name&sort_reverse=true",
            &["q3", "q1"],
        ),
        ("page=1&name=q[13]$", &[]),
        ("page=1&name=Q3", &["q3"]),
        (
            "page=1&sort=message_stats.publish_details.rate&page_size=1",
            &["other"],
        ),
        (
            "sort=effective_policy_definition",
            &["other", "q0", "q1", "q2", "q3", "q4"],
        ),
        ("page=1&page_size=2&name=q", &["q0", "q1"]),
        ("page=3&page_size=2&name=q", &["q4"]),
        ("page=1&name=%3Cnone%3E", &[]),
        ("columns=name", &["other", "q0", "q1", "q2", "q3", "q4"]),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    let page = door
        .get("/api/queues?page=2&page_size=2&name=q&columns=name,durable")
        .await
        .json();
    let expected = json!({
        "page": 2, "page_size": 2, "page_count": 3,
        "item_count": 2, "filtered_count": 5, "total_count": 6,
        "items": [{ "name": "q2", "durable": true }, { "name": "q3", "durable": true }],
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn bindings_are_shown_with_the_one_that_every_queue_has() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    door.bind("jobs", "a.*");
    let by_name = json!({
        "source": "", "vhost": "/", "destination": "jobs", "destination_type": "queue",
        "routing_key": "jobs", "arguments": {}, "properties_key": "jobs",
    });
    let declared = json!({
        "source": "events", "vhost": "/", "destination": "jobs", "destination_type": "queue",
        "routing_key": "a.*", "arguments": {}, "properties_key": "a.%2A",
    });
    for (path, expected) in [
        ("/api/bindings", json!([by_name, declared])),
        ("/api/bindings/%2F", json!([by_name, declared])),
        ("/api/queues/%2F/jobs/bindings", json!([by_name, declared])),
        ("/api/bindings/%2F/e/events/q/jobs", json!([declared])),
        ("/api/bindings/%2F/e/amq.default/q/jobs", json!([by_name])),
        ("/api/bindings/%2F/e/events/e/amq.topic", json!([])),
        ("/api/bindings/%2F/e/none/q/none", json!([])),
        (
            "/api/bindings/%2F/e/events/q/jobs/a.%252A",
            declared.clone(),
        ),
        (
            "/api/exchanges/%2F/events/bindings/source",
            json!([declared]),
        ),
        ("/api/exchanges/%2F/events/bindings/destination", json!([])),
    ] {
        assert_eq!(door.get(path).await.json(), expected, "{path}");
    }
    let exchange = door.get("/api/exchanges/%2F/events").await.json();
    assert_eq!(
        (&exchange["type"], &exchange["durable"]),
        (&json!("topic"), &json!(true))
    );
}

#[tokio::test]
async fn bindings_of_an_exchange_are_those_on_one_side_of_it() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    door.bind("jobs", "a.*");
    for to in ["amq.topic", "amq.fanout"] {
        let path = format!("/api/bindings/%2F/e/events/e/{to}");
        let body = json!({ "routing_key": to }).to_string();
        let made = door.change_owned("POST", &path, body).await;
        assert_eq!(made.status, 201, "{to}");
    }
    let keys = async |path: &str| -> Vec<String> {
        let listed = door.get(path).await.json();
        let listed = listed.as_array().expect("a list").clone();
        let key =
            |binding: serde_json::Value| binding["routing_key"].as_str().expect("text").to_owned();
        listed.into_iter().map(key).collect()
    };
    for (path, expected) in [
        (
            "exchanges/%2F/events/bindings/source",
            &["a.*", "amq.topic", "amq.fanout"][..],
        ),
        ("exchanges/%2F/events/bindings/destination", &[]),
        ("exchanges/%2F/amq.topic/bindings/source", &[]),
        (
            "exchanges/%2F/amq.topic/bindings/destination",
            &["amq.topic"],
        ),
        ("exchanges/%2F/amq.default/bindings/source", &["jobs"]),
        ("exchanges/%2F/amq.default/bindings/destination", &[]),
        ("bindings/%2F/e/events/e/amq.fanout", &["amq.fanout"]),
        ("bindings/%2F/e/amq.topic/e/amq.fanout", &[]),
        ("bindings/%2F/e/amq.default/e/amq.fanout", &[]),
    ] {
        assert_eq!(keys(&format!("/api/{path}")).await, expected, "{path}");
    }
}

#[tokio::test]
async fn an_exchange_is_shown_by_the_type_that_it_was_declared_with() {
    let door = Door::open().await;
    let delayed = Exchange {
        arguments: Arguments::from_iter([("x-delayed-type", "topic")]),
        ..Exchange::new("later", ExchangeKind::DelayedMessage)
    };
    let vhost = door.broker.vhost("/").unwrap();
    vhost.declare_exchange(delayed).unwrap();
    for (name, kind, arguments) in [
        (
            "later",
            "x-delayed-message",
            json!({ "x-delayed-type": "topic" }),
        ),
        ("ferry.settle", "direct", json!({})),
    ] {
        let expected = json!({
            "name": name, "vhost": "/", "type": kind, "durable": true, "auto_delete": false,
            "internal": false, "arguments": arguments,
        });
        let shown = door.get(&format!("/api/exchanges/%2F/{name}")).await.json();
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field}");
        }
    }
}

#[tokio::test]
async fn the_overview_counts_what_there_is() {
    let door = Door::open().await;
    door.declare("jobs", Arguments::new());
    let overview = door.get("/api/overview").await.json();
    let totals = json!({
        "connections": 1, "channels": 0, "exchanges": 8, "queues": 1, "consumers": 0,
    });
    assert_eq!(overview["object_totals"], totals);
    assert_eq!(overview["product_version"], "9.8.7");
    let kinds = overview["exchange_types"].as_array().unwrap();
    assert!(
        kinds
            .iter()
            .any(|kind| kind["name"] == "x-message-deduplication")
    );
    assert_eq!(overview["churn_rates"]["queue_created"], 1);
    let ports: Vec<u64> = overview["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|listener| listener["port"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [6199, u64::from(door.admin.local_addr().port())]);
    let node = &door.get("/api/nodes").await.json()[0];
    assert_eq!(
        (&node["mem_limit"], &node["mem_alarm"]),
        (&json!(1 << 20), &json!(false))
    );
    assert!(node["mem_used"].as_u64().unwrap() > 0 && node["disk_free"].as_u64().unwrap() > 0);
    let connection = &door.get("/api/connections").await.json()[0];
    assert_eq!(
        *connection,
        door.get("/api/connections/127.0.0.1%3A4242").await.json()
    );
    assert_eq!(connection["peer_port"], 4242);
    assert_eq!(door.get("/api/vhosts").await.json()[0]["name"], "/");
}
