//! The schemas that stand in a JSON schema, and those that it refers to.
//!
//! Invariants
//! - What stands where no schema is (in a constant, under a name that means nothing) is no schema.
//! - A reference leads to a part of the same schema or is refused: nothing has an address of its
//!   own but the whole.

use std::collections::HashMap;

use serde_json::Value as Json;

/// Which values a schema within another is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// None, by itself: it can be referred to.
    Definition,
    /// The very value.
    SameValue,
    /// The member of that name.
    Name(&'a str),
    /// Members that are not named.
    OtherNames,
    AnyName,
    /// The item of the same place in the list.
    FirstItems,
    /// Items behind those.
    OtherItems,
    AnyItem,
}

/// The schemas that stand in this one, in their order.
pub(super) fn parts(schema: &Json) -> Vec<(Place<'_>, &Json)> {
    let mut parts = Vec::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let (place, is_named) = match keyword.as_str() {
            "$defs" | "definitions" => (Place::Definition, true),
            "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" => {
                (Place::SameValue, false)
            }
            "dependentSchemas" | "dependencies" => (Place::SameValue, true),
            "properties" => {
                let named = value.as_object().into_iter().flatten();
                parts.extend(named.map(|(name, part)| (Place::Name(name), part)));
                continue;
            }
            "patternProperties" => (Place::AnyName, true),
            "propertyNames" => (Place::AnyName, false),
            "additionalProperties" | "unevaluatedProperties" => (Place::OtherNames, false),
            "prefixItems" => (Place::FirstItems, false),
            "items" if value.is_array() => (Place::FirstItems, false),
            "items" | "additionalItems" | "unevaluatedItems" => (Place::OtherItems, false),
            "contains" => (Place::AnyItem, false),
            _ => continue,
        };
        match value {
            Json::Object(named) if is_named => {
                parts.extend(named.values().map(|part| (place, part)));
            }
            Json::Array(list) => parts.extend(list.iter().map(|part| (place, part))),
            one => parts.push((place, one)),
        }
    }
    // Names of other members in a dependency are no schemas.
    parts.retain(|(_, part)| part.is_object() || part.is_boolean());
    parts
}

/// Where a schema refers to.
pub(super) fn references(schema: &Json) -> impl Iterator<Item = &str> {
    let keywords = ["$ref", "$dynamicRef", "$recursiveRef"];
    keywords
        .into_iter()
        .filter_map(|keyword| schema.get(keyword)?.as_str())
}

/// The parts that have a name.
pub(super) type Anchors<'a> = HashMap<&'a str, Vec<&'a Json>>;

/// Finds what has a name; refuses what has an address.
pub(super) fn survey(schema: &Json) -> Result<Anchors<'_>, String> {
    let dialect = schema.get("$schema").and_then(Json::as_str);
    let is_fourth = dialect.is_some_and(|dialect| dialect.contains("draft-04"));
    let id = if is_fourth { "id" } else { "$id" };
    if let Some(address) = inner_address(schema, id) {
        return Err(format!(
            "a part of it has the {id} '{address}': only the whole may"
        ));
    }
    let mut anchors = Anchors::new();
    let mut open = vec![schema];
    while let Some(part) = open.pop() {
        open.extend(parts(part).into_iter().map(|(_, part)| part));
        for keyword in ["$anchor", "$dynamicAnchor", id] {
            if let Some(name) = part.get(keyword).and_then(Json::as_str) {
                let name = name.strip_prefix('#').unwrap_or(name);
                anchors.entry(name).or_default().push(part);
            }
        }
    }
    Ok(anchors)
}

/// An address that something below the whole has, wherever it stands: what is referred to there
/// would be another thing.
fn inner_address<'a>(schema: &'a Json, id: &str) -> Option<&'a str> {
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Json::Object(map) => {
                let address = map.get(id).and_then(Json::as_str);
                let address = address.filter(|address| !address.starts_with('#'));
                if address.is_some() && !std::ptr::eq(value, schema) {
                    return address;
                }
                open.extend(map.values());
            }
            Json::Array(list) => open.extend(list),
            _ => {}
        }
    }
    None
}

/// The parts that a reference may mean.
pub(super) fn resolve<'a>(
    schema: &'a Json,
    anchors: &Anchors<'a>,
    reference: &str,
) -> Result<Vec<&'a Json>, String> {
    let whole = ["$id", "id"].map(|id| schema.get(id).and_then(Json::as_str));
    let mut whole = whole
        .into_iter()
        .flatten()
        .map(|id| id.trim_end_matches('#'));
    let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    if !address.is_empty() && !whole.any(|id| id == address) {
        return Err(format!(
            "it refers to '{reference}': a schema may refer to itself alone, as '#/...'"
        ));
    }
    if fragment.is_empty() {
        return Ok(vec![schema]);
    }
    let named = anchors.get(fragment).cloned().unwrap_or_default();
    let pointed = schema.pointer(&decoded(fragment)).into_iter();
    let found: Vec<_> = named.into_iter().chain(pointed).collect();
    match found.is_empty() {
        true => Err(format!("it refers to '{reference}', which is not there")),
        false => Ok(found),
    }
}

/// Bytes written as `%7E`, as they are.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let byte = match behind.split_at_checked(2) {
            Some((digits, behind)) if *first == b'%' => {
                rest = behind;
                let digits = std::str::from_utf8(digits).ok();
                digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => {
                rest = behind;
                Some(*first)
            }
        };
        bytes.push(byte.unwrap_or(b'%'));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
