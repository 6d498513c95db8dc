//! The sections of a definitions file, one function for each.

use ferry_broker::{
    Account, Broker, Exchange, Import, ImportError, ImportedBinding, ImportedUser, Permission,
    Policy, PolicyError, QueueSpec, TopicPermission, VhostSpec, is_about_copies,
};
use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::{Map, Value};

use super::super::ApiError;
use super::item::{Item, Warnings, section, words};

/// Settings of policies that are left out: what they are for is not here.
const FOREIGN: &[(&str, &str)] = &[
    ("federation-upstream", "there is no federation"),
    ("federation-upstream-set", "there is no federation"),
    (
        "max-in-memory-length",
        "what is kept in memory follows the memory there is",
    ),
    (
        "max-in-memory-bytes",
        "what is kept in memory follows the memory there is",
    ),
    (
        "consumer-timeout",
        "`lease-timeout` is for that, and closes no channel",
    ),
    (
        "stream-filter-size-bytes",
        "filters of streams need no such index",
    ),
];

/// Ways to hash passwords that log-ins can be checked with.
const ALGORITHMS: &[&str] = &[
    ALGORITHM_DEFAULT,
    "rabbit_password_hashing_sha512",
    "rabbit_password_hashing_md5",
    "argon2id",
    "mosquitto",
];
const ALGORITHM_DEFAULT: &str = "rabbit_password_hashing_sha256";

/// How a RabbitMQ of that version has hashed, if a file does not say.
fn algorithm_of(version: &str) -> &'static str {
    let old = ["3.0.", "3.1.", "3.2.", "3.3.", "3.4.", "3.5."];
    match old.iter().any(|old| version.starts_with(old)) {
        true => "rabbit_password_hashing_md5",
        false => ALGORITHM_DEFAULT,
    }
}

/// What a file is read into.
pub(super) struct Reader<'a> {
    pub file: &'a Map<String, Value>,
    /// The only virtual host that is meant, whatever the file says.
    pub vhost: Option<&'a str>,
    pub import: &'a mut Import,
    pub warnings: &'a mut Warnings,
}

impl<'a> Reader<'a> {
    fn vhost_of(&self, item: &Item<'a>) -> Result<String, ApiError> {
        match self.vhost {
            Some(vhost) => Ok(vhost.to_owned()),
            None => Ok(item.text("vhost")?.to_owned()),
        }
    }
}

type Read = Result<(), ApiError>;

pub(super) fn users(reader: &mut Reader<'_>, broker: &Broker, version: &str) -> Read {
    for item in section(reader.file, "users")? {
        item.expect(
            &[
                "name",
                "password",
                "password_hash",
                "hashing_algorithm",
                "tags",
                "limits",
            ],
            reader.warnings,
        );
        let name = item.text("name")?;
        if item.get("tags").is_none() {
            return item.refuse("tags_not_present");
        }
        let hash = item.optional_text("password_hash")?;
        let algorithm = item.optional_text("hashing_algorithm")?;
        let algorithm = algorithm.unwrap_or(algorithm_of(version));
        let password_hash = match (item.optional_text("password")?, hash) {
            (Some(""), _) => None,
            (Some(password), _) => {
                let hash = broker.hash_password(password.as_bytes());
                Some(hash.or_else(|error| item.refuse(&error.to_string()))?)
            }
            (None, Some(hash)) if ALGORITHMS.contains(&algorithm) => {
                let hash = Account::imported_hash(algorithm, hash);
                hash.or_else(|error| item.refuse(&error.to_string()))?
            }
            (None, Some(_)) => {
                reader.warnings.add(format!(
                    "{}: hashes of '{algorithm}' can not be checked here: give the user a new \
                     password, until then no log-in is right",
                    item.place()
                ));
                None
            }
            (None, None) => None,
        };
        let limits = item.table("limits")?;
        reader.import.users.push(ImportedUser {
            account: Account {
                name: name.into(),
                password_hash,
                tags: item.words("tags")?,
            },
            limits: limits.into_iter().collect(),
        });
    }
    Ok(())
}

/// A type of queues as files name it, some by RabbitMQ's modules; none where there is none.
fn queue_type(name: &str) -> Result<Option<&'static str>, ()> {
    match name {
        "" | "undefined" => Ok(None),
        "classic" | "rabbit_classic_queue" => Ok(Some("classic")),
        "quorum" | "rabbit_quorum_queue" => Ok(Some("quorum")),
        "stream" | "rabbit_stream_queue" => Ok(Some("stream")),
        _ => Err(()),
    }
}

pub(super) fn vhosts(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "vhosts")? {
        item.expect(
            &[
                "name",
                "description",
                "tags",
                "default_queue_type",
                "metadata",
                "limits",
                "tracing",
                "cluster_state",
                "protected_from_deletion",
            ],
            reader.warnings,
        );
        if item.flag("tracing", false)? {
            let place = item.place();
            reader
                .warnings
                .add(format!("{place}: tracing is not offered"));
        }
        let metadata = match item.get("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => &Map::new(),
        };
        let text = |field: &str| metadata.get(field).and_then(Value::as_str);
        let tags = match item.get("tags") {
            Some(_) => item.words("tags")?,
            None => metadata.get("tags").and_then(words).unwrap_or_default(),
        };
        let kind = item.optional_text("default_queue_type")?;
        let kind = kind.or_else(|| text("default_queue_type"));
        let kind = match kind.map(queue_type) {
            None | Some(Ok(None)) => None,
            Some(Ok(kind)) => kind,
            Some(Err(())) => {
                return item.refuse("default_queue_type is none of classic, quorum, stream");
            }
        };
        let description = item.optional_text("description")?;
        let description = description.or_else(|| text("description"));
        reader.import.vhosts.push(VhostSpec {
            name: item.text("name")?.to_owned(),
            description: description.unwrap_or_default().to_owned(),
            tags,
            default_queue_type: kind.map(str::to_owned),
        });
    }
    Ok(())
}

pub(super) fn permissions(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "permissions")? {
        let known = ["user", "vhost", "configure", "write", "read"];
        item.expect(&known, reader.warnings);
        reader.import.permissions.push(Permission {
            user: item.text("user")?.into(),
            vhost: item.text("vhost")?.into(),
            configure: item.text("configure")?.to_owned(),
            write: item.text("write")?.to_owned(),
            read: item.text("read")?.to_owned(),
        });
    }
    for item in section(reader.file, "topic_permissions")? {
        let known = ["user", "vhost", "exchange", "write", "read"];
        item.expect(&known, reader.warnings);
        reader.import.topic_permissions.push(TopicPermission {
            user: item.text("user")?.into(),
            vhost: item.text("vhost")?.into(),
            exchange: item.text("exchange")?.into(),
            write: item.text("write")?.to_owned(),
            read: item.text("read")?.to_owned(),
        });
    }
    Ok(())
}

pub(super) fn global_parameters(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "global_parameters")? {
        item.expect(&["name", "value", "component"], reader.warnings);
        let Some(value) = item.get("value") else {
            return item.refuse("value is missing");
        };
        let name = item.text("name")?.to_owned();
        reader.import.global_parameters.push((name, value.clone()));
    }
    Ok(())
}

/// The parameters of virtual hosts: limits, and policies of the operator.
pub(super) fn parameters(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "parameters")? {
        item.expect(&["vhost", "component", "name", "value"], reader.warnings);
        let (vhost, name) = (reader.vhost_of(&item)?, item.text("name")?);
        match item.text("component")? {
            "vhost-limits" => {
                let limits = item.table("value")?.into_iter().collect();
                reader.import.vhost_limits.push((vhost, limits));
            }
            "operator_policy" => {
                let policy = policy(&item, vhost, name, &item.table("value")?, reader.warnings)?;
                reader.import.operator_policies.extend(policy);
            }
            "policy" => return item.refuse("policies may not be set using this method"),
            component => {
                let place = item.place();
                let text = format!("{place}: left out, component {component} is not offered");
                reader.warnings.add(text);
            }
        }
    }
    Ok(())
}

pub(super) fn policies(reader: &mut Reader<'_>) -> Read {
    const KNOWN: &[&str] = &[
        "vhost",
        "name",
        "pattern",
        "apply-to",
        "definition",
        "priority",
    ];
    for (name, of_operator) in [("policies", false), ("operator_policies", true)] {
        for item in section(reader.file, name)? {
            item.expect(KNOWN, reader.warnings);
            let vhost = reader.vhost_of(&item)?;
            let name = item.text("name")?;
            let policy = policy(&item, vhost, name, &item.whole()?, reader.warnings)?;
            match of_operator {
                false => reader.import.policies.extend(policy),
                true => reader.import.operator_policies.extend(policy),
            }
        }
    }
    Ok(())
}

/// A policy without what is not here; none if nothing is left of it.
fn policy(
    item: &Item<'_>,
    vhost: String,
    name: &str,
    said: &Arguments,
    warnings: &mut Warnings,
) -> Result<Option<Policy>, ApiError> {
    let refused = |error: PolicyError| ImportError::Policy {
        error: Box::new(error),
        vhost: vhost.clone(),
        name: name.to_owned(),
    };
    let mut policy = Policy::read(&vhost, name, said).map_err(refused)?;
    for (setting, why) in FOREIGN {
        if policy.definition.remove(setting).is_some() {
            let place = item.place();
            warnings.add(format!("{place}: {setting} is left out, {why}"));
        }
    }
    let copies: Vec<&str> = policy
        .definition
        .iter()
        .map(|(setting, _)| setting)
        .filter(|setting| is_about_copies(setting))
        .collect();
    if !copies.is_empty() {
        warnings.add(format!(
            "{}: {} is kept and has no effect, a node has one copy of a queue, on its disk",
            item.place(),
            copies.join(", ")
        ));
    }
    let said_something =
        matches!(said.get("definition"), Some(Argument::Table(all)) if !all.is_empty());
    if said_something && policy.definition.is_empty() {
        warnings.add(format!(
            "{}: left out, nothing remains of it; see which policy counts for its queues now",
            item.place()
        ));
        return Ok(None);
    }
    Ok(Some(policy))
}

pub(super) fn exchanges(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "exchanges")? {
        item.expect(
            &[
                "name",
                "vhost",
                "type",
                "durable",
                "auto_delete",
                "internal",
                "arguments",
            ],
            reader.warnings,
        );
        let (vhost, name) = (reader.vhost_of(&item)?, item.text("name")?);
        if name.is_empty() {
            continue;
        }
        let kind = item.text("type")?;
        let Ok(kind) = kind.parse() else {
            return item.refuse(&format!("invalid exchange type '{kind}'"));
        };
        let exchange = Exchange {
            durable: item.flag("durable", true)?,
            auto_delete: item.flag("auto_delete", false)?,
            internal: item.flag("internal", false)?,
            arguments: item.table("arguments")?,
            ..Exchange::new(name, kind)
        };
        reader.import.exchanges.push((vhost, exchange));
    }
    Ok(())
}

pub(super) fn queues(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "queues")? {
        item.expect(
            &[
                "name",
                "vhost",
                "type",
                "durable",
                "auto_delete",
                "exclusive",
                "arguments",
            ],
            reader.warnings,
        );
        let vhost = reader.vhost_of(&item)?;
        if item.flag("exclusive", false)? {
            let place = item.place();
            let text = format!("{place}: left out, an exclusive queue belongs to a connection");
            reader.warnings.add(text);
            continue;
        }
        let queue = QueueSpec {
            name: item.text("name")?.to_owned(),
            durable: item.flag("durable", true)?,
            exclusive: false,
            auto_delete: item.flag("auto_delete", false)?,
            arguments: item.table("arguments")?,
        };
        reader.import.queues.push((vhost, queue));
    }
    Ok(())
}

pub(super) fn bindings(reader: &mut Reader<'_>) -> Read {
    for item in section(reader.file, "bindings")? {
        item.expect(
            &[
                "source",
                "vhost",
                "destination",
                "destination_type",
                "routing_key",
                "arguments",
                "properties_key",
            ],
            reader.warnings,
        );
        let vhost = reader.vhost_of(&item)?;
        let (source, kind) = (item.text("source")?, item.text("destination_type")?);
        if source.is_empty() {
            // Every queue is bound to the default exchange anyway.
            continue;
        }
        let to_queue = match kind {
            "queue" => true,
            "exchange" => false,
            _ => return item.refuse("destination_type is neither queue nor exchange"),
        };
        reader.import.bindings.push(ImportedBinding {
            vhost,
            source: source.to_owned(),
            destination: item.text("destination")?.to_owned(),
            to_queue,
            routing_key: item.optional_text("routing_key")?.unwrap_or("").to_owned(),
            arguments: item.table("arguments")?,
        });
    }
    Ok(())
}
