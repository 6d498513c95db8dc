//! Users, permissions and virtual hosts over HTTP, and what each user sees and may do.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, Door};

/// Asks as a user whose password is the name.
async fn ask(door: &Door, user: &str, method: &str, path: &str) -> Answer {
    let token = BASE64_STANDARD.encode(format!("{user}:{user}"));
    let more = format!("Authorization: Basic {token}\r\n");
    door.request(method, path, &more).await
}

async fn set(door: &Door, path: &str, body: Value) -> u16 {
    door.change("PUT", path, &body.to_string()).await.status
}

async fn add_user(door: &Door, name: &str, tags: &str) {
    let body = json!({ "password": name, "tags": tags });
    assert_eq!(set(door, &format!("/api/users/{name}"), body).await, 201);
}

fn rights(configure: &str, write: &str, read: &str) -> Value {
    json!({ "configure": configure, "write": write, "read": read })
}

#[tokio::test]
async fn users_are_set_shown_and_deleted() {
    let door = Door::open().await;
    let hash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    for (name, body, status) in [
        (
            "ann",
            json!({ "password": "ann", "tags": "management, mine" }),
            201,
        ),
        (
            "ann",
            json!({ "password": "ann", "tags": ["management", "mine"] }),
            204,
        ),
        ("old", json!({ "password_hash": hash, "tags": [] }), 201),
        ("none", json!({ "tags": "" }), 201),
        ("x", json!({ "password": "x" }), 400),
        ("x", json!({ "password": 5, "tags": "" }), 400),
        ("x", json!({ "password": "x", "tags": 5 }), 400),
        ("x", json!({ "password_hash": "zzz", "tags": "" }), 400),
        (
            "x",
            json!({ "password_hash": hash, "hashing_algorithm": "nonsense", "tags": "" }),
            400,
        ),
        (
            "x",
            json!({ "password": "x".repeat(2000), "tags": "" }),
            400,
        ),
    ] {
        let found = set(&door, &format!("/api/users/{name}"), body.clone()).await;
        assert_eq!(found, status, "{body}");
    }
    let ann = door.get("/api/users/ann").await.json();
    assert_eq!(ann["tags"], json!(["management", "mine"]));
    assert_eq!(ann["hashing_algorithm"], "argon2id");
    let old = door.get("/api/users/old").await.json();
    let expected = json!({
        "name": "old", "password_hash": hash, "tags": [], "limits": {},
        "hashing_algorithm": "rabbit_password_hashing_sha256",
    });
    assert_eq!(old, expected);
    assert_eq!(door.get("/api/users/x").await.status, 404);
}

/// The names of the users in a list.
fn names(answer: &Answer) -> Vec<String> {
    let users = answer.json();
    let users = users.as_array().unwrap().iter();
    users
        .map(|user| user["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn users_are_listed_and_deleted_together() {
    let door = Door::open().await;
    for name in ["ann", "none", "old"] {
        add_user(&door, name, "").await;
    }
    let all = door.get("/api/users").await;
    assert_eq!(names(&all), ["ann", "guest", "none", "old"]);
    let without = door.get("/api/users/without-permissions").await;
    assert_eq!(names(&without), ["ann", "none", "old"]);
    for (body, status) in [
        (json!({ "users": ["ann", "nobody"] }), 400),
        (json!({ "users": 5 }), 400),
        (json!({}), 400),
        (json!({ "users": ["ann", "none"] }), 204),
    ] {
        let found = door
            .change("POST", "/api/users/bulk-delete", &body.to_string())
            .await;
        assert_eq!(found.status, status, "{body}");
    }
    assert_eq!(names(&door.get("/api/users").await), ["guest", "old"]);
    assert_eq!(
        door.change("DELETE", "/api/users/old", "").await.status,
        204
    );
    assert_eq!(
        door.change("DELETE", "/api/users/old", "").await.status,
        404
    );
}

#[tokio::test]
async fn permissions_are_set_shown_and_cleared() {
    let door = Door::open().await;
    add_user(&door, "ann", "management").await;
    for (path, body, status) in [
        ("permissions/%2F/ann", rights("^a", "^b", "^c"), 201),
        ("permissions/%2F/ann", rights("", "", "^d"), 204),
        ("permissions/%2F/ann", rights("", "", "("), 400),
        (
            "permissions/%2F/ann",
            json!({ "configure": "", "write": "" }),
            400,
        ),
        (
            "permissions/%2F/ann",
            json!({ "configure": 1, "write": "", "read": "" }),
            400,
        ),
        ("permissions/%2F/nobody", rights("", "", ""), 400),
        ("permissions/none/ann", rights("", "", ""), 400),
        (
            "topic-permissions/%2F/ann",
            json!({ "exchange": "e", "write": "^w", "read": "^r" }),
            201,
        ),
        (
            "topic-permissions/%2F/ann",
            json!({ "exchange": "e", "write": "(", "read": "" }),
            400,
        ),
        (
            "topic-permissions/%2F/ann",
            json!({ "write": "", "read": "" }),
            400,
        ),
    ] {
        let found = set(&door, &format!("/api/{path}"), body.clone()).await;
        assert_eq!(found, status, "{path} {body}");
    }
    let expected = json!({
        "user": "ann", "vhost": "/", "configure": "", "write": "", "read": "^d",
    });
    for path in [
        "users/ann/permissions",
        "vhosts/%2F/permissions",
        "permissions",
    ] {
        let found = door.get(&format!("/api/{path}")).await.json();
        assert_eq!(found[0], expected, "{path}");
    }
    assert_eq!(door.get("/api/permissions/%2F/ann").await.json(), expected);
    let topic = json!([
        { "user": "ann", "vhost": "/", "exchange": "e", "write": "^w", "read": "^r" },
    ]);
    for path in [
        "users/ann/topic-permissions",
        "vhosts/%2F/topic-permissions",
        "topic-permissions",
        "topic-permissions/%2F/ann",
    ] {
        let found = door.get(&format!("/api/{path}")).await.json();
        assert_eq!(found, topic, "{path}");
    }
}

#[tokio::test]
async fn permissions_are_cleared_once() {
    let door = Door::open().await;
    add_user(&door, "ann", "").await;
    let topic = json!({ "exchange": "e", "write": "", "read": "" });
    for (path, body) in [
        ("permissions/%2F/ann", rights("", "", "")),
        ("topic-permissions/%2F/ann", topic),
    ] {
        assert_eq!(set(&door, &format!("/api/{path}"), body).await, 201);
    }
    for (path, status) in [
        ("permissions/%2F/ann", 204),
        ("permissions/%2F/ann", 404),
        ("permissions/%2F/nobody", 404),
        ("topic-permissions/%2F/ann/other", 404),
        ("topic-permissions/%2F/ann/e", 204),
        ("topic-permissions/%2F/ann", 404),
    ] {
        let found = door.change("DELETE", &format!("/api/{path}"), "").await;
        assert_eq!(found.status, status, "{path}");
    }
    for path in [
        "users/nobody/permissions",
        "vhosts/none/permissions",
        "permissions/%2F/nobody",
        "topic-permissions/%2F/nobody",
    ] {
        assert_eq!(
            door.get(&format!("/api/{path}")).await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn virtual_hosts_are_made_described_and_deleted() {
    let door = Door::open().await;
    let described = json!({
        "description": "orders", "tags": "a,b", "default_queue_type": "quorum",
    });
    for (name, body, status) in [
        ("v", json!({}), 201),
        ("v", described, 204),
        ("x", json!({ "default_queue_type": "nope" }), 400),
        ("x", json!({ "description": 5 }), 400),
        ("x", json!({ "tracing": true }), 400),
    ] {
        let found = set(&door, &format!("/api/vhosts/{name}"), body.clone()).await;
        assert_eq!(found, status, "{body}");
    }
    let found = door.get("/api/vhosts/v").await.json();
    for (field, expected) in [
        ("description", json!("orders")),
        ("tags", json!(["a", "b"])),
        ("default_queue_type", json!("quorum")),
        (
            "metadata",
            json!({ "description": "orders", "tags": ["a", "b"], "default_queue_type": "quorum" }),
        ),
    ] {
        assert_eq!(found[field], expected, "{field}");
    }
    let own = door.get("/api/vhosts/v/permissions").await.json();
    assert_eq!(own[0]["user"], "guest");
    for (path, status) in [
        ("vhosts/v/start/ferrymq@test", 204),
        ("vhosts/v/start/other", 400),
        ("vhosts/none/start/ferrymq@test", 400),
    ] {
        let found = door.change("POST", &format!("/api/{path}"), "").await;
        assert_eq!(found.status, status, "{path}");
    }
    assert_eq!(door.change("DELETE", "/api/vhosts/v", "").await.status, 204);
    assert_eq!(door.change("DELETE", "/api/vhosts/v", "").await.status, 404);
    assert_eq!(door.get("/api/vhosts/v").await.status, 404);
}

/// A node with a virtual host `v`, and a user for each tag who may enter it, but for `adm`.
async fn peopled() -> Door {
    let door = Door::open().await;
    assert_eq!(set(&door, "/api/vhosts/v", json!({})).await, 201);
    for (name, tags) in [
        ("plain", ""),
        ("man", "management"),
        ("pol", "policymaker"),
        ("mon", "monitoring"),
        ("adm", "administrator"),
    ] {
        add_user(&door, name, tags).await;
        if name != "adm" {
            let all = rights("", "", "");
            let path = format!("/api/permissions/v/{name}");
            assert_eq!(set(&door, &path, all).await, 201);
        }
    }
    door
}

#[tokio::test]
async fn everybody_sees_what_is_in_reach() {
    let door = peopled().await;
    let unauthorised = "User not authorised to access virtual host";
    for (path, expected) in [
        ("whoami", [401, 200, 200, 200, 200]),
        ("auth", [200, 200, 200, 200, 200]),
        ("exchanges/v", [401, 200, 200, 200, 200]),
        ("exchanges/%2F", [401, 401, 401, 401, 200]),
        ("exchanges/none", [401, 404, 404, 404, 404]),
        ("nodes", [401, 401, 401, 200, 200]),
        ("policies/v/p", [401, 401, 404, 401, 404]),
        ("operator-policies/v/p", [401, 401, 401, 401, 404]),
        ("users", [401, 401, 401, 401, 200]),
        ("vhosts/v", [401, 401, 401, 401, 200]),
        ("vhost-limits/%2F", [401, 401, 401, 200, 200]),
        ("user-limits", [401, 200, 200, 200, 200]),
        ("auth/attempts/ferrymq@test", [401, 401, 401, 200, 200]),
        ("queues/%2F", [401, 401, 401, 401, 200]),
        ("consumers/%2F", [401, 401, 401, 401, 200]),
        ("feature-flags", [401, 200, 200, 200, 200]),
        ("parameters/policy/v", [401, 401, 200, 401, 200]),
        ("parameters/policy/%2F", [401, 401, 401, 401, 200]),
        ("ferry/alarms", [401, 200, 200, 200, 200]),
        ("ferry/log", [401, 401, 401, 200, 200]),
        ("ferry/passport/%2F/m", [401, 401, 401, 401, 404]),
        ("ferry/passport/%2F/%FF", [401, 401, 401, 401, 404]),
        ("queues/%2F/%zz", [400, 400, 400, 400, 400]),
    ] {
        for (user, status) in ["plain", "man", "pol", "mon", "adm"].iter().zip(expected) {
            let answer = ask(&door, user, "GET", &format!("/api/{path}")).await;
            assert_eq!(answer.status, status, "{user} {path}: {}", answer.body);
            if status == 401 {
                assert_eq!(answer.json()["error"], "not_authorised", "{user} {path}");
                assert!(!answer.head.contains("www-authenticate"), "{user} {path}");
            }
        }
    }
    let refused = ask(&door, "man", "GET", "/api/exchanges/%2F").await;
    assert_eq!(refused.json()["reason"], unauthorised);
}

#[tokio::test]
async fn lists_show_what_is_in_reach() {
    let door = peopled().await;
    for vhost in ["v", "%2F"] {
        let path = format!("/api/queues/{vhost}/q");
        assert_eq!(set(&door, &path, json!({})).await, 201);
    }
    for (user, vhosts, exchanges) in [("man", 1, 1), ("mon", 2, 1), ("adm", 2, 2)] {
        let found = ask(&door, user, "GET", "/api/vhosts").await.json();
        assert_eq!(found.as_array().unwrap().len(), vhosts, "{user}");
        let found = ask(&door, user, "GET", "/api/queues").await.json();
        assert_eq!(found.as_array().unwrap().len(), exchanges, "{user}");
        let found = ask(&door, user, "GET", "/api/exchanges?columns=vhost")
            .await
            .json();
        let mut names: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        names.dedup();
        assert_eq!(names.len(), exchanges, "{user}");
    }
    for (user, connections) in [("man", 0), ("mon", 1), ("adm", 1), ("guest", 1)] {
        let found = ask(&door, user, "GET", "/api/connections").await.json();
        assert_eq!(found.as_array().unwrap().len(), connections, "{user}");
        let one = ask(&door, user, "GET", "/api/connections/127.0.0.1:4242").await;
        assert_eq!(
            one.status,
            if connections == 1 { 200 } else { 401 },
            "{user}"
        );
    }
}

#[tokio::test]
async fn acts_need_the_rights_that_they_need_in_amqp() {
    let door = Door::open().await;
    door.declare("q", Default::default());
    add_user(&door, "ann", "administrator").await;
    let path = "/api/queues/%2F/q/contents";
    let purge = || ask(&door, "ann", "DELETE", path);
    let refused = purge().await;
    assert_eq!(
        (refused.status, refused.json()),
        (
            401,
            json!({ "error": "not_authorised", "reason": "Access refused." })
        )
    );
    assert_eq!(
        set(&door, "/api/permissions/%2F/ann", rights("", "", "^q$")).await,
        201
    );
    assert_eq!(purge().await.status, 204);
}

#[tokio::test]
async fn log_ins_are_counted_and_too_many_wrong_ones_have_to_wait() {
    let door = Door::open().await;
    add_user(&door, "ann", "management").await;
    let wrong = format!(
        "Authorization: Basic {}\r\n",
        BASE64_STANDARD.encode("ann:wrong")
    );
    for _ in 0..22 {
        assert_eq!(door.request("GET", "/api/whoami", &wrong).await.status, 401);
    }
    assert_eq!(ask(&door, "ann", "GET", "/api/whoami").await.status, 401);
    door.pass(4_000);
    assert_eq!(ask(&door, "ann", "GET", "/api/whoami").await.status, 200);
    let path = "/api/auth/attempts/ferrymq@test";
    let counted = door.get(path).await.json();
    assert_eq!(counted[0]["protocol"], "http");
    assert_eq!(counted[0]["auth_attempts_failed"], 23);
    assert_eq!(door.change("DELETE", path, "").await.status, 204);
    assert_eq!(door.get(path).await.json()[0]["auth_attempts"], 1);
    assert_eq!(door.get("/api/auth/attempts/other").await.status, 404);
}
