//! Parameters, the name of the cluster, health checks and features over HTTP.

use serde_json::{Value, json};

use crate::support::{Door, GUEST};

async fn put(door: &Door, path: &str, body: &Value) -> (u16, Value) {
    let answer = door
        .change("PUT", &format!("/api/{path}"), &body.to_string())
        .await;
    let reason = match answer.body.is_empty() {
        true => Value::Null,
        false => answer.json()["reason"].clone(),
    };
    (answer.status, reason)
}

async fn get(door: &Door, path: &str) -> (u16, Value) {
    let answer = door.get(&format!("/api/{path}")).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn global_parameters_outlive_the_node() {
    let mut door = Door::open().await;
    let (_, first) = get(&door, "global-parameters").await;
    let id = first[0].clone();
    assert_eq!(id["name"], "internal_cluster_id");
    for (value, status) in [
        (json!({ "a": [1, 1.5, null] }), 201),
        (json!("text"), 204),
        (json!([{ "deep": { "er": true } }]), 204),
    ] {
        let set = put(&door, "global-parameters/mine", &json!({ "value": value })).await;
        assert_eq!(set, (status, Value::Null), "{value}");
    }
    let expected = json!([id, { "name": "mine", "value": [{ "deep": { "er": true } }] }]);
    for round in 0..3 {
        assert_eq!(
            get(&door, "global-parameters").await,
            (200, expected.clone()),
            "{round}"
        );
        if round == 1 {
            door.broker.checkpoint().unwrap();
        }
        door = door.killed().await;
    }
    let path = "/api/global-parameters/mine";
    assert_eq!(door.change("DELETE", path, "").await.status, 204);
    assert_eq!(door.change("DELETE", path, "").await.status, 404);
    door = door.killed().await;
    assert_eq!(get(&door, "global-parameters").await.1, json!([id]));
    assert_eq!(get(&door, "global-parameters/mine").await.0, 404);
}

#[tokio::test]
async fn the_cluster_has_the_name_that_it_is_given() {
    let door = Door::open().await;
    let node = json!({ "name": "ferrymq@test" });
    assert_eq!(get(&door, "cluster-name").await.1, node);
    for (body, expected) in [
        (json!({ "name": "boats" }), (204, Value::Null)),
        (json!({}), (400, json!("[{key_missing,name}]"))),
        (
            json!({ "name": 5 }),
            (
                400,
                json!("global parameter 'cluster_name': should be text, actually was 5"),
            ),
        ),
    ] {
        assert_eq!(put(&door, "cluster-name", &body).await, expected, "{body}");
    }
    assert_eq!(
        get(&door, "cluster-name").await.1,
        json!({ "name": "boats" })
    );
    assert_eq!(get(&door, "overview").await.1["cluster_name"], "boats");
    let cleared = door
        .change("DELETE", "/api/global-parameters/cluster_name", "")
        .await;
    assert_eq!(cleared.status, 204);
    assert_eq!(get(&door, "cluster-name").await.1, node);
}

type Row = (&'static str, Value, (u16, Value));

const LIMITS: &str = "parameters/vhost-limits/%2F/limits";
const OPERATOR: &str = "parameters/operator_policy/%2F/cap";

fn policy() -> Value {
    json!({
        "pattern": "^a", "apply-to": "queues", "priority": 1, "definition": { "max-length": 1 },
    })
}

/// What is put, and what is answered.
fn puts() -> Vec<Row> {
    let (limits, operator, policy) = (LIMITS, OPERATOR, policy());
    let value = |value: &Value| json!({ "value": value });
    let invalid = |why: &str| (400, json!(format!("Validation failed\n\n{why}\n")));
    vec![
        (
            limits,
            value(&json!({ "max-queues": 5, "max-connections": 7 })),
            (201, Value::Null),
        ),
        (
            limits,
            value(&json!({ "max-queues": 6 })),
            (204, Value::Null),
        ),
        (operator, value(&policy), (201, Value::Null)),
        (operator, value(&policy), (204, Value::Null)),
        (limits, json!({}), (400, json!("[{key_missing,value}]"))),
        (
            limits,
            value(&json!(5)),
            invalid("limits should be an object"),
        ),
        (
            "parameters/vhost-limits/%2F/other",
            value(&json!({})),
            invalid("a parameter of vhost-limits is named limits"),
        ),
        (
            "parameters/shovel/%2F/s",
            value(&json!({})),
            invalid("component shovel not found"),
        ),
        (
            "parameters/federation-upstream/%2F/s",
            value(&json!({})),
            invalid("component federation-upstream not found"),
        ),
        (
            "parameters/policy/%2F/s",
            value(&policy),
            (400, json!("policies may not be set using this method")),
        ),
        (
            "parameters/policy/none/s",
            value(&policy),
            (404, json!("vhost_not_found")),
        ),
    ]
}

#[tokio::test]
async fn parameters_of_virtual_hosts_are_their_limits_and_policies() {
    let door = Door::open().await;
    let (limits, operator, policy) = (LIMITS, OPERATOR, policy());
    for (path, body, expected) in puts() {
        assert_eq!(put(&door, path, &body).await, expected, "{path} {body}");
    }
    let limit = json!({
        "vhost": "/", "component": "vhost-limits", "name": "limits",
        "value": { "max-queues": 6 },
    });
    let cap = json!({
        "vhost": "/", "component": "operator_policy", "name": "cap", "value": policy,
    });
    for (path, expected) in [
        ("parameters", (200, json!([limit, cap]))),
        ("parameters/vhost-limits", (200, json!([limit]))),
        ("parameters/operator_policy/%2F", (200, json!([cap]))),
        (limits, (200, limit.clone())),
        ("parameters/bogus", (200, json!([]))),
        ("parameters/bogus/%2F", (200, json!([]))),
    ] {
        assert_eq!(get(&door, path).await, expected, "{path}");
    }
    for (path, status) in [
        ("parameters/bogus/none", 404),
        ("parameters/bogus/%2F/x", 404),
        ("parameters/operator_policy/%2F/none", 404),
    ] {
        assert_eq!(get(&door, path).await.0, status, "{path}");
    }
    for path in [limits, operator] {
        let path = format!("/api/{path}");
        assert_eq!(door.change("DELETE", &path, "").await.status, 204, "{path}");
        assert_eq!(door.change("DELETE", &path, "").await.status, 404, "{path}");
    }
    assert_eq!(get(&door, "parameters").await.1, json!([]));
}

#[tokio::test]
async fn health_is_told_in_the_words_of_rabbitmq() {
    let door = Door::open().await;
    let ok = json!({ "status": "ok" });
    let alone = json!({ "status": "ok", "reason": "single node cluster" });
    let bad = |reason: &str| (400, json!({ "error": "bad_request", "reason": reason }));
    let unheard = |protocol: &str| {
        let said = json!({
            "status": "failed", "reason": "No active listener", "missing": protocol,
            "protocols": ["amqp", "http"],
        });
        (503, said)
    };
    for (check, expected) in [
        ("alarms", (200, ok.clone())),
        ("local-alarms", (200, ok.clone())),
        ("virtual-hosts", (200, ok.clone())),
        ("is-in-service", (200, ok.clone())),
        ("ready-to-serve-clients", (200, ok.clone())),
        ("metadata-store/initialized", (200, ok.clone())),
        ("node-is-quorum-critical", (200, alone.clone())),
        ("node-is-mirror-sync-critical", (200, alone)),
        (
            "quorum-queues-without-elected-leaders/vhost/%2F",
            (200, ok.clone()),
        ),
        ("certificate-expiration/1/days", (200, ok.clone())),
        (
            "certificate-expiration/x/days",
            bad("Invalid expiration value."),
        ),
        (
            "certificate-expiration/1/hours",
            bad("Time unit not recognised. Supported units: days, weeks, months, years."),
        ),
        (
            "port-listener/6199",
            (200, json!({ "status": "ok", "port": 6199 })),
        ),
        ("port-listener/x", bad("Invalid port")),
        (
            "protocol-listener/AMQP091",
            (200, json!({ "status": "ok", "protocol": "amqp" })),
        ),
        ("protocol-listener/amqps", unheard("amqp/ssl")),
        ("protocol-listener/web-mqtt", unheard("http/web-mqtt")),
    ] {
        assert_eq!(
            get(&door, &format!("health/checks/{check}")).await,
            expected,
            "{check}"
        );
    }
    for path in ["bogus", "quorum-queues-without-elected-leaders/vhost/none"] {
        assert_eq!(
            get(&door, &format!("health/checks/{path}")).await.0,
            404,
            "{path}"
        );
    }
    assert_eq!(get(&door, "aliveness-test/%2F").await, (200, ok.clone()));
    assert_eq!(get(&door, "aliveness-test/none").await.0, 404);
    let queue = get(&door, "queues/%2F/aliveness-test").await.1;
    assert_eq!(queue["messages"], 0);
}

#[tokio::test]
async fn features_are_listed_and_acts_of_clusters_answered() {
    let door = Door::open().await;
    let (_, flags) = get(&door, "feature-flags").await;
    let names: Vec<_> = flags
        .as_array()
        .unwrap()
        .iter()
        .map(|flag| &flag["name"])
        .collect();
    assert!(names.contains(&&json!("quorum_queue")));
    for (method, path, status) in [
        ("PUT", "feature-flags/quorum_queue/enable", 204),
        ("PUT", "feature-flags/khepri_db/enable", 400),
        ("DELETE", "reset", 204),
        ("DELETE", "reset/ferrymq@test", 204),
        ("DELETE", "reset/other@test", 404),
        ("POST", "rebalance/queues", 204),
    ] {
        let answer = door.change(method, &format!("/api/{path}"), "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        let nobody = door.request(method, &format!("/api/{path}"), "").await;
        assert_eq!(nobody.status, 401, "{method} {path}");
    }
    assert_eq!(
        get(&door, "extensions").await,
        (200, json!([{ "javascript": "dispatcher.js" }]))
    );
    let used = "/api/deprecated-features/used";
    assert_eq!(door.request("GET", used, GUEST).await.json(), json!([]));
}
