//! Definitions over HTTP: out, in, out again; and files that are refused whole.

mod files;
mod random;
mod refusals;

use serde_json::{Value, json};

use crate::support::Door;
use files::{exchange, queue, whole};

const SECTIONS: [&str; 11] = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
    "rabbit_version",
];

async fn post(door: &Door, body: &Value) -> (u16, Value) {
    post_to(door, "/api/definitions", body).await
}

async fn post_to(door: &Door, path: &str, body: &Value) -> (u16, Value) {
    let answer = door.change("POST", path, &body.to_string()).await;
    let reason = match answer.body.is_empty() {
        true => Value::Null,
        false => answer.json()["reason"].clone(),
    };
    (answer.status, reason)
}

async fn export(door: &Door) -> Value {
    door.get("/api/definitions").await.json()
}

/// Sections with their lists in one order, so that only what is in them counts.
fn sorted(definitions: &Value) -> Value {
    let mut sections = json!({});
    for section in SECTIONS {
        let mut value = definitions[section].clone();
        if let Some(list) = value.as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
        sections[section] = value;
    }
    sections
}

#[tokio::test]
async fn what_was_exported_is_exported_again_by_the_next_node() {
    let (first, second) = (Door::open().await, Door::open().await);
    assert_eq!(post(&first, &whole()).await, (204, Value::Null));
    let exported = export(&first).await;
    assert_eq!(post(&second, &exported).await, (204, Value::Null));
    let (mut again, mut exported) = (export(&second).await, exported);
    assert_eq!(again, exported);
    // Nothing is lost of what the file had.
    let file = whole();
    for section in ["policies", "queues", "exchanges", "bindings", "parameters"] {
        let (found, wanted) = (sorted(&exported), sorted(&file));
        assert_eq!(found[section], wanted[section], "{section}");
    }
    assert_eq!(exported["original_cluster_name"], "boats");
    assert_eq!(exported["users"][0]["tags"], json!(["management", "mine"]));
    let hash = &file["users"][0]["password_hash"];
    assert_eq!(exported["users"][0]["password_hash"], *hash);
    let v1 = exported["vhosts"].as_array().unwrap();
    let v1 = v1.iter().find(|vhost| vhost["name"] == "v1").unwrap();
    assert_eq!(
        v1["metadata"],
        json!({ "description": "one", "tags": ["a"] })
    );
    // Once more changes nothing.
    assert_eq!(post(&second, &exported).await.0, 204);
    for field in ["users", "bindings", "queues"] {
        exported[field].take();
        again[field].take();
    }
    assert_eq!(again, exported);
}

#[tokio::test]
async fn exclusive_queues_and_what_every_node_has_are_not_exported() {
    let door = Door::open().await;
    let vhost = door.broker.vhost("/").unwrap();
    let spec = |name: &str, exclusive| ferry_broker::QueueSpec {
        name: name.to_owned(),
        durable: true,
        exclusive,
        auto_delete: false,
        arguments: ferry_core::arguments::Arguments::new(),
    };
    for (name, exclusive) in [("mine", true), ("all", false)] {
        vhost
            .declare_queue(spec(name, exclusive), door.connection)
            .unwrap();
        door.bind(name, "key");
    }
    let exported = export(&door).await;
    let names = |section: &str| -> Vec<String> {
        let list = exported[section].as_array().unwrap().iter();
        list.map(|one| {
            one["name"]
                .as_str()
                .or(one["destination"].as_str())
                .unwrap()
                .to_owned()
        })
        .collect()
    };
    assert_eq!(names("queues"), ["all"]);
    assert_eq!(names("exchanges"), ["events"]);
    assert_eq!(names("bindings"), ["all"]);
}

#[tokio::test]
async fn what_is_there_stays_and_what_can_change_changes() {
    let door = Door::open().await;
    assert_eq!(post(&door, &whole()).await.0, 204);
    let file = json!({
        "queues": [queue("v1", "q1", json!({ "x-max-length": 9 }))],
        "exchanges": [exchange("v1", "dead", "topic", json!({}))],
        "policies": [{
            "vhost": "v1", "name": "dlx", "pattern": "^z", "definition": { "max-length": 1 },
        }],
        "parameters": [{
            "vhost": "v1", "component": "vhost-limits", "name": "limits",
            "value": { "max-queues": 11 },
        }],
    });
    assert_eq!(post(&door, &file).await.0, 204);
    let now = export(&door).await;
    let q1 = now["queues"].as_array().unwrap().iter();
    let q1: Vec<_> = q1
        .filter(|one| one["name"] == "q1" && one["vhost"] == "v1")
        .collect();
    assert_eq!(q1, [&whole()["queues"][0]]);
    assert_eq!(now["exchanges"][0]["type"], "fanout");
    assert_eq!(now["policies"][0]["pattern"], "^z");
    assert_eq!(now["parameters"][0]["value"], json!({ "max-queues": 11 }));
}

#[tokio::test]
async fn one_virtual_host_is_moved_into_another() {
    let door = Door::open().await;
    assert_eq!(post(&door, &whole()).await.0, 204);
    let mut one = door.get("/api/definitions/v1").await.json();
    assert_eq!(one["rabbitmq_definition_format"], "single_virtual_host");
    for section in ["queues", "exchanges", "bindings", "policies", "parameters"] {
        let list = one[section].as_array().unwrap();
        assert!(!list.is_empty(), "{section}");
        assert!(
            list.iter().all(|item| item.get("vhost").is_none()),
            "{section}"
        );
    }
    let (status, _) = post_to(&door, "/api/definitions/%2F", &one).await;
    assert_eq!(status, 204);
    let mut there = door.get("/api/definitions/%2F").await.json();
    for object in [&mut one, &mut there] {
        let map = object.as_object_mut().unwrap();
        // What is said of the virtual host itself stays.
        for field in [
            "explanation",
            "original_vhost_name",
            "description",
            "metadata",
        ] {
            map.remove(field);
        }
    }
    assert_eq!(there, one);
}

#[tokio::test]
async fn what_a_file_asks_for_in_vain_is_named() {
    let door = Door::open().await;
    let file = json!({
        "bogus": 1,
        "users": [{ "name": "u", "tags": "", "password_hash": "x", "hashing_algorithm": "bcrypt" }],
        "parameters": [{ "vhost": "/", "component": "shovel", "name": "s", "value": {} }],
        "policies": [
            {
                "vhost": "/", "name": "ha", "pattern": "",
                "definition": { "ha-mode": "exactly", "ha-params": 2 },
            },
            {
                "vhost": "/", "name": "fed", "pattern": "",
                "definition": { "federation-upstream-set": "all" },
            },
        ],
        "queues": [
            { "name": "a", "vhost": "/", "policy": "p" },
            { "name": "b", "vhost": "/", "policy": "p", "exclusive": true },
        ],
    });
    let answer = door
        .change("POST", "/api/ferry/definitions/check", &file.to_string())
        .await;
    let expected = json!({ "warnings": [
        "'bogus' is not known and was passed over",
        "users[0] 'u': hashes of 'bcrypt' can not be checked here: give the user a new password, \
         until then no log-in is right",
        "parameters[0] 's': left out, component shovel is not offered",
        "policies[0] 'ha': ha-mode, ha-params is kept and has no effect, a node has one copy of a \
         queue, on its disk",
        "policies[1] 'fed': federation-upstream-set is left out, there is no federation",
        "policies[1] 'fed': left out, nothing remains of it; see which policy counts for its \
         queues now",
        "queues[1] 'b': left out, an exclusive queue belongs to a connection",
        "queues[0] 'a' and 1 more: field 'policy' is not known and was passed over",
    ] });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(export(&door).await["queues"], json!([]));
    assert_eq!(post(&door, &file).await.0, 204);
    let exported = export(&door).await;
    assert_eq!(exported["policies"].as_array().unwrap().len(), 1);
    assert_eq!(exported["queues"].as_array().unwrap().len(), 1);
    let users = exported["users"].as_array().unwrap();
    let user = users.iter().find(|user| user["name"] == "u").unwrap();
    assert_eq!(user["password_hash"], "");
}

#[tokio::test]
async fn types_of_queues_are_read_as_every_version_writes_them() {
    let door = Door::open().await;
    for (written, expected) in [
        ("quorum", json!("quorum")),
        ("rabbit_stream_queue", json!("stream")),
        ("undefined", Value::Null),
    ] {
        let vhost = json!({ "name": "v", "metadata": { "default_queue_type": written } });
        let arguments = json!({ "vhosts": [vhost], "queues": [
            { "name": written, "vhost": "v" },
            { "name": format!("{written}-own"), "vhost": "v",
              "arguments": { "x-queue-type": "classic" } },
        ] });
        assert_eq!(post(&door, &arguments).await.0, 204, "{written}");
        let exported = export(&door).await;
        let queues = exported["queues"].as_array().unwrap();
        let kind = |name: &str| {
            let queue = queues.iter().find(|queue| queue["name"] == name).unwrap();
            queue["arguments"]
                .get("x-queue-type")
                .cloned()
                .unwrap_or(Value::Null)
        };
        assert_eq!(kind(written), expected, "{written}");
        assert_eq!(kind(&format!("{written}-own")), "classic");
    }
    let bad = json!({ "vhosts": [{ "name": "v", "default_queue_type": "none" }] });
    let reason = "vhosts[0] 'v': default_queue_type is none of classic, quorum, stream";
    assert_eq!(post(&door, &bad).await, (400, json!(reason)));
}

#[tokio::test]
async fn a_browser_is_told_the_name_of_the_file() {
    let door = Door::open().await;
    for (query, header) in [
        ("", None),
        ("?download=a.json", Some("attachment; filename=\"a.json\"")),
        ("?download=", Some("attachment")),
        (
            "?download=a%0d%0aX:%20%22%2F..%5c",
            Some("attachment; filename=\"ax:..\""),
        ),
    ] {
        let head = door.get(&format!("/api/definitions{query}")).await.head;
        let found = head
            .lines()
            .find_map(|line| line.strip_prefix("content-disposition: "));
        assert_eq!(found, header, "{query}");
    }
}
