//! Bodies held against JSON schemas.
//!
//! Invariants
//! - A schema refers to itself alone: nothing is fetched, from a network or a disk.
//! - Patterns are matched in a time linear in the text.
//! - A body is bounded in size and depth before it is parsed.
//! - A value of a body is looked at so many times at most (`cost`).

use std::error::Error;

use ferry_core::arguments::Value;
use ferry_core::view::MessageView;
use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use serde_json::Value as Json;

use super::cost;
use super::keys::{BODY_SCHEMA, BODY_SCHEMAS};
use super::{Broken, broken, clipped, text};
use crate::json::arguments_as_json;

/// The header that names the schema of a message.
const SCHEMA_ID: &str = "x-schema-id";
/// Largest schema, in bytes of JSON.
const SCHEMA_BYTES_MAX: usize = 64 << 10;
/// Largest body that is held against a schema, if no other limit is set.
const BODY_BYTES_MAX_DEFAULT: u64 = 1 << 20;
/// How deep a body may nest.
pub(super) const BODY_DEPTH_MAX: usize = 32;
/// Largest program that a pattern in a schema may become.
const PROGRAM_BYTES_MAX: usize = 256 << 10;
/// Longest place in a body that a refusal names, in bytes.
const PLACE_BYTES_MAX: usize = 64;

/// A schema made ready for use.
#[derive(Debug)]
pub(super) struct Schema(Validator);

/// Refuses whatever a schema asks for.
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Json, Box<dyn Error + Send + Sync>> {
        Err("a schema may refer to itself alone".into())
    }
}

impl Schema {
    /// Reads a schema, or says what is wrong with it and where.
    pub fn read(value: &Value) -> Result<Schema, String> {
        let Value::Table(table) = value else {
            return Err(format!("expected an object, got {}", value.type_name()));
        };
        let schema = arguments_as_json(table);
        let bytes = schema.to_string().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(format!("{bytes} bytes are more than {SCHEMA_BYTES_MAX}"));
        }
        cost::check(&schema)?;
        let patterns = PatternOptions::regex().size_limit(PROGRAM_BYTES_MAX);
        let options = jsonschema::options()
            .with_pattern_options(patterns)
            .with_retriever(Nowhere);
        options.build(&schema).map(Schema).map_err(|error| {
            let place = error.instance_path().to_string();
            format!("at '{place}': {error}")
        })
    }

    /// The first thing that is wrong with a body.
    fn check(&self, body: &Json) -> Result<(), String> {
        self.0.validate(body).map_err(|error| {
            let place = clipped(error.instance_path().to_string(), PLACE_BYTES_MAX);
            format!("at '{place}': {}", error.masked())
        })
    }
}

/// The schemas of an exchange.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    /// That of all messages.
    pub all: Option<Schema>,
    /// Those that a message may name, in order of their ids.
    pub by_id: Option<Vec<(String, Schema)>>,
}

impl Schemas {
    pub fn any(&self) -> bool {
        self.all.is_some() || self.by_id.is_some()
    }

    /// Holds a body against the schema of all messages and the one that it names.
    pub fn check(
        &self,
        body: &[u8],
        bytes_max: Option<u64>,
        view: &dyn MessageView,
    ) -> Result<(), Broken> {
        let chosen = match &self.by_id {
            Some(by_id) => choose(by_id, view)?,
            None => None,
        };
        let all = self.all.as_ref().map(|schema| (BODY_SCHEMA, schema));
        let chosen = chosen.map(|schema| (BODY_SCHEMAS, schema));
        let Some((rule, _)) = all.or(chosen) else {
            return Ok(());
        };
        let bytes_max = bytes_max.unwrap_or(BODY_BYTES_MAX_DEFAULT);
        let body = parse(body, bytes_max).map_err(|why| broken(rule, why))?;
        for (rule, schema) in [all, chosen].into_iter().flatten() {
            schema.check(&body).map_err(|why| broken(rule, why))?;
        }
        Ok(())
    }
}

/// The schema that a message names, if it does.
fn choose<'a>(
    by_id: &'a [(String, Schema)],
    view: &dyn MessageView,
) -> Result<Option<&'a Schema>, Broken> {
    let Ok(id) = text(view, SCHEMA_ID) else {
        return Err(broken(BODY_SCHEMAS, format!("{SCHEMA_ID} is no text")));
    };
    let Some(id) = id else {
        return Ok(None);
    };
    match by_id.binary_search_by(|(known, _)| known.as_str().cmp(&id)) {
        Ok(found) => Ok(Some(&by_id[found].1)),
        Err(_) => {
            let id = clipped(id.into_owned(), PLACE_BYTES_MAX);
            let why = format!("there is no schema with {SCHEMA_ID} '{id}'");
            Err(broken(BODY_SCHEMAS, why))
        }
    }
}

fn parse(body: &[u8], bytes_max: u64) -> Result<Json, String> {
    if body.len() as u64 > bytes_max {
        let bytes = body.len();
        return Err(format!(
            "a body of {bytes} bytes is not looked at, {bytes_max} are the most"
        ));
    }
    if depth(body) > BODY_DEPTH_MAX {
        return Err(format!("the body nests deeper than {BODY_DEPTH_MAX}"));
    }
    serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))
}

/// How deep JSON nests; something or other for what is no JSON.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
