//! The rules of an exchange as a policy sets them.
//!
//! Invariants
//! - What can have no effect is refused: a rule is never taken and passed over.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::limits::NAME_BYTES_MAX;

use super::body::Schema;
use super::require::Field;
use super::{Interceptor, clipped};

pub(super) const SET_HEADERS: &str = "set-headers";
pub(super) const REMOVE_HEADERS: &str = "remove-headers";
pub(super) const STAMP_TIME: &str = "stamp-time";
pub(super) const STAMP_ID: &str = "stamp-id";
pub(super) const STAMP_ORIGIN: &str = "stamp-origin";
pub(super) const REQUIRE: &str = "require";
pub(super) const MAX_MESSAGE_BYTES: &str = "max-message-bytes";
pub(super) const BODY_SCHEMA: &str = "body-schema";
pub(super) const BODY_SCHEMAS: &str = "body-schemas";
pub(super) const KIND_STRICT: &str = "kind-strict";

/// Most headers or fields that one rule names.
const NAMES_COUNT_MAX: usize = 64;
/// Longest text that a header is set to, in bytes.
const TEXT_BYTES_MAX: usize = 4096;
/// Most schemas that a message may choose from.
const SCHEMAS_COUNT_MAX: usize = 256;
/// Longest reason for the refusal of a rule, in bytes.
const REFUSAL_BYTES_MAX: usize = 1024;

/// Headers that have had their effect when the rules of an exchange are asked.
const READ_BEFORE: &[&str] = &["CC", "BCC", "x-delay", "x-deliver-at"];

type Read<T> = Result<T, String>;

impl Interceptor {
    /// Reads one rule; false if there is none of that name.
    pub fn read(&mut self, name: &str, value: &Value) -> Read<bool> {
        let read = match name {
            SET_HEADERS => values(value).map(|set| self.set = set),
            REMOVE_HEADERS => headers(value).map(|removed| self.removed = removed),
            STAMP_TIME => truth(value).map(|stamp| self.stamp_time = stamp),
            STAMP_ID => truth(value).map(|stamp| self.stamp_id = stamp),
            STAMP_ORIGIN => truth(value).map(|stamp| self.stamp_origin = stamp),
            REQUIRE => fields(value).map(|required| self.required = required),
            MAX_MESSAGE_BYTES => bytes(value).map(|max| self.message_bytes_max = Some(max)),
            BODY_SCHEMA => Schema::read(value).map(|schema| self.schemas.all = Some(schema)),
            BODY_SCHEMAS => schemas(value).map(|by_id| self.schemas.by_id = Some(by_id)),
            KIND_STRICT => truth(value).map(|strict| self.kind_strict = strict),
            _ => return Ok(false),
        };
        read.map(|()| true).map_err(|why| {
            let why = clipped(why, REFUSAL_BYTES_MAX);
            format!("{name} is not valid: {why}")
        })
    }

    /// What is wrong with rules that are set together.
    pub fn contradiction(&self) -> Option<String> {
        let is_set = |name: &String| self.set.iter().any(|(set, _)| set == name);
        if let Some(name) = self.removed.iter().find(|name| is_set(name)) {
            return Some(format!(
                "{REMOVE_HEADERS} is not valid: '{name}' is in {SET_HEADERS}, too"
            ));
        }
        let removed = |field: &&Field| match field {
            Field::Header(name) => self.removed.contains(name),
            Field::Property(..) => false,
        };
        let field = self.required.iter().find(removed)?;
        Some(format!(
            "{REQUIRE} is not valid: {field} is in {REMOVE_HEADERS}"
        ))
    }
}

fn expected<T>(what: &str, got: &Value) -> Read<T> {
    Err(format!("expected {what}, got {}", got.type_name()))
}

fn truth(value: &Value) -> Read<bool> {
    match value.as_bool() {
        Some(truth) => Ok(truth),
        None => expected("true or false", value),
    }
}

fn bytes(value: &Value) -> Read<u64> {
    let bytes = value.as_integer().map(u64::try_from);
    match bytes {
        Some(Ok(bytes)) => Ok(bytes),
        _ => expected("an integer of at least 0", value),
    }
}

fn list<T>(value: &Value, each: impl Fn(&str) -> Read<T>) -> Read<Vec<T>> {
    let Value::Array(values) = value else {
        return expected("a list of names", value);
    };
    bounded(values.len(), NAMES_COUNT_MAX)?;
    let named = values.iter().map(|value| match value.as_str() {
        Some(name) => each(name),
        None => expected("a name", value),
    });
    named.collect()
}

fn bounded(count: usize, count_max: usize) -> Read<()> {
    match count <= count_max {
        true => Ok(()),
        false => Err(format!("{count} are more than {count_max}")),
    }
}

fn table(value: &Value, count_max: usize) -> Read<&Arguments> {
    let Value::Table(table) = value else {
        return expected("an object", value);
    };
    bounded(table.len(), count_max)?;
    Ok(table)
}

fn header(name: &str) -> Read<String> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        let bytes = name.len();
        return Err(format!(
            "a name of {bytes} bytes is not in 1..{NAME_BYTES_MAX}"
        ));
    }
    if READ_BEFORE.contains(&name) {
        return Err(format!("'{name}' has its effect before any rule"));
    }
    Ok(name.to_owned())
}

fn headers(value: &Value) -> Read<Vec<String>> {
    list(value, header)
}

fn fields(value: &Value) -> Read<Vec<Field>> {
    list(value, |name| {
        Field::from_name(name).ok_or_else(|| {
            format!("'{name}' is neither a property of AMQP 0-9-1 nor 'headers.NAME'")
        })
    })
}

fn values(value: &Value) -> Read<Vec<(String, Value)>> {
    let named = table(value, NAMES_COUNT_MAX)?.iter();
    named
        .map(|(name, value)| {
            let fits = match value {
                Value::Bool(_) | Value::I64(_) | Value::F64(_) => true,
                Value::Str(text) => text.len() <= TEXT_BYTES_MAX,
                _ => false,
            };
            match fits {
                true => Ok((header(name)?, value.clone())),
                false => expected(
                    &format!(
                        "'{name}' to be text of up to {TEXT_BYTES_MAX} bytes, a number of up to \
                         63 bits, true or false"
                    ),
                    value,
                ),
            }
        })
        .collect()
}

fn schemas(value: &Value) -> Read<Vec<(String, Schema)>> {
    let mut by_id = table(value, SCHEMAS_COUNT_MAX)?
        .iter()
        .map(|(id, schema)| {
            let schema = Schema::read(schema).map_err(|why| format!("'{id}': {why}"))?;
            Ok((id.to_owned(), schema))
        })
        .collect::<Read<Vec<_>>>()?;
    by_id.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(by_id)
}
