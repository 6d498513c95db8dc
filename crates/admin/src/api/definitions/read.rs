//! A definitions file read: from JSON to what the broker is asked for.
//!
//! Files of RabbitMQ 3.6 to 4.1 and of LavinMQ are taken as they are.
//!
//! Invariants
//! - Broken JSON is refused with its line and column, a wrong field with its place.
//! - What is for something that we do not have (shovels, federation) is left out with a warning.

use ferry_broker::{Broker, Import};
use serde_json::{Map, Value};

use super::super::ApiError;
use super::item::Warnings;
use super::sections::{self, Reader};

/// What stands at the top of a file, besides the sections.
const HEAD: &[&str] = &[
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_cluster_name",
    "original_vhost_name",
    "explanation",
];

/// Sections that are about the whole node.
const OF_NODE: &[&str] = &[
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "global_parameters",
];

/// Sections that a file of one virtual host has, too.
const OF_VHOST: &[&str] = &[
    "parameters",
    "policies",
    "operator_policies",
    "exchanges",
    "queues",
    "bindings",
];

/// What a file of one virtual host says of that itself; it stays as it is, as in RabbitMQ.
const ABOUT_VHOST: &[&str] = &[
    "metadata",
    "description",
    "tags",
    "default_queue_type",
    "limits",
];

/// Reads a file of a whole node.
pub(super) fn all(broker: &Broker, file: &[u8]) -> Result<(Import, Vec<String>), ApiError> {
    let file = object(file)?;
    let mut import = Import::default();
    let mut warnings = Warnings::default();
    warn_unknown(&file, &[HEAD, OF_NODE, OF_VHOST], &mut warnings);
    let version = file.get("rabbit_version").and_then(Value::as_str);
    let mut reader = Reader {
        file: &file,
        vhost: None,
        import: &mut import,
        warnings: &mut warnings,
    };
    sections::users(&mut reader, broker, version.unwrap_or(""))?;
    sections::vhosts(&mut reader)?;
    sections::permissions(&mut reader)?;
    sections::global_parameters(&mut reader)?;
    of_both(&mut reader)?;
    import.set_default_queue_types(broker);
    Ok((import, warnings.into_texts()))
}

/// Reads a file for one virtual host, whatever virtual host it speaks of.
pub(super) fn of_vhost(
    broker: &Broker,
    file: &[u8],
    vhost: &str,
) -> Result<(Import, Vec<String>), ApiError> {
    let file = object(file)?;
    let mut import = Import::default();
    let mut warnings = Warnings::default();
    warn_unknown(
        &file,
        &[HEAD, OF_NODE, OF_VHOST, ABOUT_VHOST],
        &mut warnings,
    );
    for section in OF_NODE
        .iter()
        .filter(|section| file.contains_key(**section))
    {
        warnings.add(format!(
            "{section}: passed over, as the import is for virtual host '{vhost}' alone"
        ));
    }
    let mut reader = Reader {
        file: &file,
        vhost: Some(vhost),
        import: &mut import,
        warnings: &mut warnings,
    };
    of_both(&mut reader)?;
    import.set_default_queue_types(broker);
    Ok((import, warnings.into_texts()))
}

fn of_both(reader: &mut Reader<'_>) -> Result<(), ApiError> {
    sections::parameters(reader)?;
    sections::policies(reader)?;
    sections::exchanges(reader)?;
    sections::queues(reader)?;
    sections::bindings(reader)
}

/// An empty file asks for nothing, as in RabbitMQ.
fn object(file: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let refused = |why: &str| Err(ApiError::BadRequest(format!("failed_to_parse_json: {why}")));
    if file.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(file) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => refused("a definitions file is one object"),
        Err(error) => refused(&error.to_string()),
    }
}

fn warn_unknown(file: &Map<String, Value>, known: &[&[&str]], warnings: &mut Warnings) {
    for key in file.keys() {
        if !known.iter().any(|known| known.contains(&key.as_str())) {
            warnings.add(format!("'{key}' is not known and was passed over"));
        }
    }
}
