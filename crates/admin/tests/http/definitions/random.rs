//! Definitions by chance, out and in again.

use serde_json::{Value, json};

use super::files::{binding, exchange, queue};
use super::{export, post};
use crate::support::Door;

/// Names, patterns and numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, max: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % max
    }

    fn one_of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn arguments(&mut self) -> Value {
        let mut arguments = json!({});
        for (name, value) in [
            ("x-max-length", json!(7)),
            ("x-message-ttl", json!(60_000)),
            ("x-expires", json!(1_000_000)),
            ("x-dead-letter-exchange", json!("")),
            (
                "x-own",
                json!({ "a": [1, "b", null, { "c": 0.5 }], "d": -1 }),
            ),
        ] {
            if self.below(3) == 0 {
                arguments[name] = value;
            }
        }
        arguments
    }

    fn file(&mut self) -> Value {
        const VHOSTS: &[&str] = &["/", "a", "b/c", "ü"];
        const NAMES: &[&str] = &["q", "q.1", "<b>", "a b", "日本", "%2F", "\"", "~"];
        let vhosts: Vec<Value> = VHOSTS.iter().map(|name| json!({ "name": name })).collect();
        let mut file = json!({
            "vhosts": vhosts, "exchanges": [], "queues": [], "bindings": [], "policies": [],
            "global_parameters": [{ "name": "internal_cluster_id", "value": "same" }],
        });
        let mut push = |section: &str, item: Value| {
            file[section].as_array_mut().unwrap().push(item);
        };
        for _ in 0..self.below(30) {
            let (vhost, name) = (self.one_of(VHOSTS), self.one_of(NAMES));
            let mut queue = queue(vhost, name, self.arguments());
            queue["durable"] = json!(self.below(4) > 0);
            push("queues", queue);
            let kind = self.one_of(&["direct", "fanout", "topic", "headers", "x-random"]);
            push("exchanges", exchange(vhost, name, kind, json!({})));
            let arguments = json!({ "n": self.below(3) });
            let kind = self.one_of(&["queue", "exchange"]);
            let key = self.one_of(NAMES);
            push(
                "bindings",
                binding(vhost, name, kind, name, key, arguments.clone()),
            );
            push(
                "bindings",
                binding(vhost, "amq.topic", kind, name, key, arguments),
            );
            push(
                "policies",
                json!({
                    "vhost": vhost, "name": name, "pattern": self.one_of(&["", "^q", "[a-z]+$"]),
                    "priority": self.below(5), "definition": { "max-length": self.below(100) },
                }),
            );
        }
        file
    }
}

#[tokio::test]
async fn random_definitions_go_round() {
    for seed in 0..25 {
        let file = Chance(seed).file();
        let (first, second) = (Door::open().await, Door::open().await);
        assert_eq!(post(&first, &file).await, (204, Value::Null), "seed {seed}");
        let exported = export(&first).await;
        assert_eq!(post(&second, &exported).await.0, 204, "seed {seed}");
        assert_eq!(export(&second).await, exported, "seed {seed}");
        for section in ["queues", "exchanges", "bindings", "policies"] {
            let found = exported[section].as_array().unwrap();
            for wanted in file[section].as_array().unwrap() {
                let same = |one: &&Value| {
                    [
                        "vhost",
                        "name",
                        "source",
                        "destination",
                        "destination_type",
                        "routing_key",
                    ]
                    .iter()
                    .all(|field| one[*field] == wanted[*field])
                };
                assert!(found.iter().any(|one| same(&one)), "seed {seed}: {wanted}");
            }
        }
    }
}
