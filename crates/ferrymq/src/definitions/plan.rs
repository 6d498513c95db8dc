//! What makes a node different from a file.
//!
//! Invariants
//! - The order is that of the sections, then of the names: the same two give the same plan.
//! - Of a password only a hash of the same kind can be compared; another kind is no difference,
//!   since a node hashes anew what it imported.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::File;

/// What would have to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// The node does not have it.
    Add,
    /// The node has it otherwise, and takes it as it is in the file.
    Change,
    /// The node has it otherwise, and only who deletes it can make it anew.
    Differ,
    /// The file does not have it.
    Remove,
}

impl Op {
    /// How it is written in a table.
    pub fn sign(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Change => "~",
            Op::Differ => "!",
            Op::Remove => "-",
        }
    }

    /// How it is written in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Change => "change",
            Op::Differ => "differ",
            Op::Remove => "remove",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub op: Op,
    /// What it is, in the singular: `queue`, `user`.
    pub kind: &'static str,
    /// The object as the file has it, or as the node has it if that is to go.
    pub object: Value,
    /// Fields that differ: the node's value and the file's.
    pub fields: Vec<(&'static str, Value, Value)>,
}

impl Change {
    /// Its virtual host, if it is in one.
    pub fn vhost(&self) -> &str {
        self.object["vhost"].as_str().unwrap_or("")
    }

    /// What tells it from others of its kind and virtual host.
    pub fn name(&self) -> String {
        let text = |field: &str| self.object[field].as_str().unwrap_or("").to_owned();
        match self.kind {
            "binding" => {
                let (from, to) = (text("source"), text("destination"));
                format!(
                    "{from} -> {} {to} ({})",
                    text("destination_type"),
                    text("routing_key")
                )
            }
            "permission" => text("user"),
            "topic permission" => format!("{} on {}", text("user"), text("exchange")),
            "parameter" => format!("{}/{}", text("component"), text("name")),
            _ => text("name"),
        }
    }

    /// The fields that differ, for a table.
    pub fn details(&self) -> String {
        let details = self.fields.iter();
        let details = details.map(|(field, node, file)| format!("{field}: {node} -> {file}"));
        details.collect::<Vec<_>>().join("; ")
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let fields = self.fields.iter();
        let fields =
            fields.map(|(field, node, file)| json!({ "field": field, "node": node, "file": file }));
        json!({
            "op": self.op.word(),
            "kind": self.kind,
            "vhost": self.object.get("vhost"),
            "name": self.name(),
            "fields": fields.collect::<Value>(),
        })
    }
}

/// How the objects of a section are compared.
struct Kind {
    section: &'static str,
    name: &'static str,
    /// Fields that tell one object from another.
    key: &'static [&'static str],
    /// Fields that are compared, with what stands for them if they are left out.
    fields: &'static [(&'static str, Default)],
    /// Whether an object that is there takes other values.
    changes: bool,
}

#[derive(Clone, Copy)]
enum Default {
    True,
    False,
    Zero,
    Text(&'static str),
    Table,
    List,
    Null,
}

impl Default {
    fn value(self) -> Value {
        match self {
            Default::True => json!(true),
            Default::False => json!(false),
            Default::Zero => json!(0),
            Default::Text(text) => json!(text),
            Default::Table => json!({}),
            Default::List => json!([]),
            Default::Null => Value::Null,
        }
    }
}

const KINDS: &[Kind] = &[
    Kind {
        section: "vhosts",
        name: "vhost",
        key: &["name"],
        fields: &[
            ("description", Default::Text("")),
            ("tags", Default::List),
            ("default_queue_type", Default::Null),
        ],
        changes: true,
    },
    Kind {
        section: "users",
        name: "user",
        key: &["name"],
        fields: &[
            ("tags", Default::List),
            ("limits", Default::Table),
            ("password_hash", Default::Text("")),
        ],
        changes: true,
    },
    Kind {
        section: "permissions",
        name: "permission",
        key: &["vhost", "user"],
        fields: &[
            ("configure", Default::Text("")),
            ("write", Default::Text("")),
            ("read", Default::Text("")),
        ],
        changes: true,
    },
    Kind {
        section: "topic_permissions",
        name: "topic permission",
        key: &["vhost", "user", "exchange"],
        fields: &[("write", Default::Text("")), ("read", Default::Text(""))],
        changes: true,
    },
    Kind {
        section: "global_parameters",
        name: "global parameter",
        key: &["name"],
        fields: &[("value", Default::Null)],
        changes: true,
    },
    Kind {
        section: "parameters",
        name: "parameter",
        key: &["vhost", "component", "name"],
        fields: &[("value", Default::Null)],
        changes: true,
    },
    Kind {
        section: "policies",
        name: "policy",
        key: &["vhost", "name"],
        fields: &[
            ("pattern", Default::Text("")),
            ("apply-to", Default::Text("all")),
            ("definition", Default::Table),
            ("priority", Default::Zero),
        ],
        changes: true,
    },
    Kind {
        section: "exchanges",
        name: "exchange",
        key: &["vhost", "name"],
        fields: &[
            ("type", Default::Text("")),
            ("durable", Default::True),
            ("auto_delete", Default::False),
            ("internal", Default::False),
            ("arguments", Default::Table),
        ],
        changes: false,
    },
    Kind {
        section: "queues",
        name: "queue",
        key: &["vhost", "name"],
        fields: &[
            ("durable", Default::True),
            ("auto_delete", Default::False),
            ("arguments", Default::Table),
        ],
        changes: false,
    },
    Kind {
        section: "bindings",
        name: "binding",
        key: &[
            "vhost",
            "source",
            "destination_type",
            "destination",
            "routing_key",
            "arguments",
        ],
        fields: &[],
        changes: false,
    },
];

/// Everything in which the node differs from the file.
pub(crate) fn plan(file: &File, node: &File) -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in KINDS {
        let Some(wanted) = file.section(kind.section) else {
            continue;
        };
        let wanted = by_key(kind, wanted);
        let there = by_key(kind, node.all(kind.section));
        for (key, object) in &wanted {
            match there.get(key) {
                None => changes.push(change(Op::Add, kind, object, Vec::new())),
                Some(other) => {
                    let fields = differing(kind, other, object);
                    let op = match kind.changes {
                        true => Op::Change,
                        false => Op::Differ,
                    };
                    if !fields.is_empty() {
                        changes.push(change(op, kind, object, fields));
                    }
                }
            }
        }
        let gone = there.iter().filter(|(key, _)| !wanted.contains_key(*key));
        changes.extend(gone.map(|(_, object)| change(Op::Remove, kind, object, Vec::new())));
    }
    without_vhosts_that_go(changes)
}

fn change(
    op: Op,
    kind: &Kind,
    object: &Value,
    fields: Vec<(&'static str, Value, Value)>,
) -> Change {
    Change {
        op,
        kind: kind.name,
        object: object.clone(),
        fields,
    }
}

/// What is in a virtual host that is to go goes with it.
fn without_vhosts_that_go(mut changes: Vec<Change>) -> Vec<Change> {
    let going: Vec<String> = changes
        .iter()
        .filter(|change| change.op == Op::Remove && change.kind == "vhost")
        .map(Change::name)
        .collect();
    changes.retain(|change| {
        change.op != Op::Remove || !going.iter().any(|vhost| vhost == change.vhost())
    });
    changes
}

/// Objects by what tells them apart. What every node has is left out.
fn by_key<'a>(kind: &Kind, objects: &'a [Value]) -> BTreeMap<Vec<String>, &'a Value> {
    let given = objects.iter().filter(|object| match kind.section {
        "exchanges" => {
            let name = object["name"].as_str().unwrap_or("");
            !name.is_empty() && !name.starts_with("amq.")
        }
        "bindings" => object["source"] != "",
        // One node's name for itself is not another's.
        "global_parameters" => object["name"] != "internal_cluster_id",
        _ => true,
    });
    let key = |object: &Value| {
        let parts = kind.key.iter();
        parts
            .map(|field| match &object[*field] {
                Value::String(text) => text.clone(),
                // A table may be left out, or be an empty list.
                Value::Null => String::new(),
                value if is_empty(value) => String::new(),
                value => value.to_string(),
            })
            .collect()
    };
    given.map(|object| (key(object), object)).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn differing(kind: &Kind, node: &Value, file: &Value) -> Vec<(&'static str, Value, Value)> {
    let fields = kind.fields.iter();
    let values = fields.map(|(field, default)| {
        let [node, file] = [node, file].map(|object| value(kind, object, field, *default));
        (*field, node, file)
    });
    let mut differing: Vec<_> = values.filter(|(_, node, file)| node != file).collect();
    if kind.section == "users" && !comparable(node, file) {
        differing.retain(|(field, ..)| *field != "password_hash");
    }
    // Nobody has to see hashes to know that they differ.
    for (field, node, file) in &mut differing {
        if *field == "password_hash" {
            (*node, *file) = (json!("one hash"), json!("another"));
        }
    }
    differing
}

/// Whether two hashes of passwords are of one kind, and the file says anything.
fn comparable(node: &Value, file: &Value) -> bool {
    let given = file.get("password_hash").is_some_and(Value::is_string);
    let kind = |user: &Value| match &user["hashing_algorithm"] {
        Value::String(name) => name.clone(),
        _ => "rabbit_password_hashing_sha256".to_owned(),
    };
    given && kind(node) == kind(file)
}

fn value(kind: &Kind, object: &Value, field: &str, default: Default) -> Value {
    let own = object.get(field);
    let found = match (kind.section, own) {
        ("vhosts", None) => object["metadata"].get(field),
        (_, own) => own,
    };
    let mut value = match found {
        None | Some(Value::Null) => return default.value(),
        Some(value) => value.clone(),
    };
    match (kind.section, field) {
        (_, "tags") => value = words(&value),
        ("vhosts", "default_queue_type") if value == "undefined" => value = Value::Null,
        // Which is what a queue is if it does not say.
        ("queues", "arguments") if value["x-queue-type"] == "classic" => {
            value.as_object_mut().map(|map| map.remove("x-queue-type"));
        }
        (_, "arguments" | "definition" | "limits") if is_empty(&value) => value = json!({}),
        _ => {}
    }
    value
}

/// Words in a list, or with commas between.
fn words(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let words = text.split(',').map(str::trim);
            words.filter(|word| !word.is_empty()).collect()
        }
        other => other.clone(),
    }
}
