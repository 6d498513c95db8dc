//! Files of definitions.

use serde_json::{Value, json};

/// Two virtual hosts with something of everything.
pub fn whole() -> Value {
    json!({
        "rabbit_version": "3.13.7",
        "users": [{
            "name": "ann", "tags": "management, mine", "limits": { "max-channels": 5 },
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "password_hash": "5GddalbJI/F/+T40O63cH18Fpn+gxXmLHCYwPYiPteCqMQoP",
        }, { "name": "bob", "tags": [], "password_hash": "" }],
        "vhosts": [
            { "name": "/" },
            { "name": "v1", "metadata": { "description": "one", "tags": ["a"] } },
            { "name": "v2", "description": "two", "tags": "b,c", "default_queue_type": "quorum" },
        ],
        "permissions": [
            { "user": "ann", "vhost": "v1", "configure": "^a", "write": ".*", "read": "" },
            { "user": "bob", "vhost": "v2", "configure": "", "write": "b|c", "read": ".*" },
        ],
        "topic_permissions": [{
            "user": "ann", "vhost": "v1", "exchange": "amq.topic",
            "write": "^{username}", "read": ".*",
        }],
        "global_parameters": [
            { "name": "cluster_name", "value": "boats" },
            { "name": "internal_cluster_id", "value": "id-1" },
            { "name": "mine", "value": { "a": [1, 1.5, null, "x"], "b": true } },
        ],
        "parameters": [
            {
                "vhost": "v1", "component": "vhost-limits", "name": "limits",
                "value": { "max-queues": 10, "max-connections": -1 },
            },
            {
                "vhost": "v1", "component": "operator_policy", "name": "cap",
                "value": {
                    "pattern": "", "apply-to": "queues", "priority": 1,
                    "definition": { "max-length": 1000 },
                },
            },
        ],
        "policies": [{
            "vhost": "v1", "name": "dlx", "pattern": "^q", "apply-to": "all", "priority": 2,
            "definition": { "dead-letter-exchange": "dead", "ha-mode": "all" },
        }],
        "exchanges": [
            exchange("v1", "dead", "fanout", json!({})),
            exchange("v1", "hash", "x-consistent-hash", json!({ "hash-header": "h" })),
            exchange("v2", "ev", "topic", json!({ "alternate-exchange": "amq.fanout" })),
        ],
        "queues": [
            queue("v1", "q1", json!({ "x-max-length": 5, "x-message-ttl": 60000 })),
            queue("v1", "q é", json!({ "x-queue-type": "stream", "x-max-age": "7D" })),
            queue("v2", "q1", json!({ "x-queue-type": "quorum" })),
            { "name": "t", "vhost": "v2", "durable": false, "auto_delete": true,
              "arguments": { "x-queue-type": "classic" } },
        ],
        "bindings": [
            binding("v1", "dead", "queue", "q1", "", json!({})),
            binding("v1", "hash", "queue", "q é", "10", json!({})),
            binding("v1", "amq.headers", "queue", "q1", "", json!({ "x-match": "any", "n": 1 })),
            binding("v1", "amq.headers", "queue", "q1", "", json!({ "x-match": "all", "n": 1 })),
            binding("v2", "ev", "exchange", "amq.direct", "a.#", json!({})),
        ],
    })
}

pub fn exchange(vhost: &str, name: &str, kind: &str, arguments: Value) -> Value {
    json!({
        "name": name, "vhost": vhost, "type": kind, "durable": true, "auto_delete": false,
        "internal": false, "arguments": arguments,
    })
}

pub fn queue(vhost: &str, name: &str, arguments: Value) -> Value {
    json!({
        "name": name, "vhost": vhost, "durable": true, "auto_delete": false,
        "arguments": arguments,
    })
}

pub fn binding(
    vhost: &str,
    source: &str,
    kind: &str,
    destination: &str,
    routing_key: &str,
    arguments: Value,
) -> Value {
    json!({
        "source": source, "vhost": vhost, "destination": destination,
        "destination_type": kind, "routing_key": routing_key, "arguments": arguments,
    })
}
