//! One object of a definitions file: its fields by name, and what is wrong with them by place.
//!
//! Invariants
//! - A refusal names the place in the file and the field.
//! - Of a field that is not known there is one warning for each section, however many have it.

use std::collections::BTreeMap;

use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::{Map, Value};

use super::super::{ApiError, values};

/// What is to be told about a file that is taken.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    texts: Vec<String>,
    /// By section and field: where the field is first, and how often.
    unknown: BTreeMap<(String, String), (String, usize)>,
}

impl Warnings {
    pub fn add(&mut self, text: String) {
        self.texts.push(text);
    }

    pub fn into_texts(self) -> Vec<String> {
        let unknown = self.unknown.into_iter();
        let unknown = unknown.map(|((_, field), (place, count))| match count {
            1 => format!("{place}: field '{field}' is not known and was passed over"),
            _ => format!(
                "{place} and {} more: field '{field}' is not known and was passed over",
                count - 1
            ),
        });
        self.texts.into_iter().chain(unknown).collect()
    }
}

/// An object in the file.
pub(super) struct Item<'a> {
    section: &'a str,
    index: usize,
    fields: &'a Map<String, Value>,
}

/// A list of the file; one that is not there is empty.
pub(super) fn section<'a>(
    file: &'a Map<String, Value>,
    section: &'a str,
) -> Result<Vec<Item<'a>>, ApiError> {
    let list = match file.get(section) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => {
            return bad(format!(
                "{section} should be a list, actually was {}",
                kind(other)
            ));
        }
    };
    let item = |(index, value): (usize, &'a Value)| match value {
        Value::Object(fields) => Ok(Item {
            section,
            index,
            fields,
        }),
        other => bad(format!(
            "{section}[{index}] should be an object, actually was {}",
            kind(other)
        )),
    };
    list.iter().enumerate().map(item).collect()
}

fn bad<T>(reason: String) -> Result<T, ApiError> {
    Err(ApiError::BadRequest(reason))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'a> Item<'a> {
    /// Where it is, for people.
    pub fn place(&self) -> String {
        let place = format!("{}[{}]", self.section, self.index);
        match self.fields.get("name") {
            Some(Value::String(name)) => format!("{place} '{name}'"),
            _ => place,
        }
    }

    fn wrong<T>(&self, field: &str, wanted: &str, value: &Value) -> Result<T, ApiError> {
        let (place, kind) = (self.place(), kind(value));
        bad(format!(
            "{place}: {field} should be {wanted}, actually was {kind}"
        ))
    }

    /// A refusal in words of its own.
    pub fn refuse<T>(&self, why: &str) -> Result<T, ApiError> {
        bad(format!("{}: {why}", self.place()))
    }

    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    pub fn text(&self, field: &str) -> Result<&'a str, ApiError> {
        match self.optional_text(field)? {
            Some(text) => Ok(text),
            None => self.refuse(&format!("{field} is missing")),
        }
    }

    pub fn optional_text(&self, field: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => self.wrong(field, "text", other),
        }
    }

    pub fn flag(&self, field: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            // As tools write it that know no types.
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => self.wrong(field, "true or false", other),
        }
    }

    /// Words in a list, or with commas between.
    pub fn words(&self, field: &str) -> Result<Vec<String>, ApiError> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(value) => match words(value) {
                Some(words) => Ok(words),
                None => self.wrong(field, "a list of words", value),
            },
        }
    }

    /// An object; old files write an empty one as an empty list.
    pub fn table(&self, field: &str) -> Result<Arguments, ApiError> {
        match self.get(field) {
            None => Ok(Arguments::new()),
            Some(Value::Array(list)) if list.is_empty() => Ok(Arguments::new()),
            Some(Value::Object(map)) => match values::argument(Value::Object(map.clone())) {
                Some(Argument::Table(table)) => Ok(table),
                _ => self.refuse(&format!("{field} nests too deep")),
            },
            Some(other) => self.wrong(field, "an object", other),
        }
    }

    /// All fields as they are.
    pub fn whole(&self) -> Result<Arguments, ApiError> {
        match values::argument(Value::Object(self.fields.clone())) {
            Some(Argument::Table(table)) => Ok(table),
            _ => self.refuse("it nests too deep"),
        }
    }

    /// Has every field named that is none of `known`.
    pub fn expect(&self, known: &[&str], warnings: &mut Warnings) {
        for field in self.fields.keys() {
            if !known.contains(&field.as_str()) {
                let key = (self.section.to_owned(), field.clone());
                let found = warnings.unknown.entry(key);
                found.or_insert_with(|| (self.place(), 0)).1 += 1;
            }
        }
    }
}

/// Words in a list, or with commas between.
pub(super) fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => {
            let words = text.split(',').map(str::trim);
            Some(
                words
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned)
                    .collect(),
            )
        }
        Value::Array(list) => list
            .iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}
