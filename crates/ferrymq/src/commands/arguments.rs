//! `name=value` on the command line.
//!
//! Invariants
//! - A value is JSON where it is valid JSON, and text where it is not: `5` is a number, `"5"` and
//!   `five` are texts.

use serde_json::{Map, Value};

/// One pair.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pair {
    pub name: String,
    pub value: Value,
}

/// Reads `name=value`.
pub(super) fn parse_pair(text: &str) -> Result<Pair, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("wanted is NAME=VALUE, such as x-max-length=1000")?;
    if name.is_empty() {
        return Err("the name before the = is missing".to_owned());
    }
    Ok(Pair {
        name: name.to_owned(),
        value: value_of(value),
    })
}

/// JSON, or text.
pub(super) fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A JSON object.
pub(super) fn parse_object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err("wanted is a JSON object, such as {\"max-length\": 1000}".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// An object of all pairs; what is said twice is an error.
pub(super) fn object(
    pairs: impl IntoIterator<Item = Pair>,
) -> Result<Map<String, Value>, super::outcome::Failure> {
    let mut object = Map::new();
    for Pair { name, value } in pairs {
        if object.insert(name.clone(), value).is_some() {
            let name = crate::show::escape(&name);
            let text = format!("{name} is said twice");
            return Err(super::outcome::Failure::Usage(text));
        }
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_json_where_they_can_be() {
        for (text, name, value) in [
            ("x-max-length=5", "x-max-length", json!(5)),
            ("a=five", "a", json!("five")),
            ("a=\"5\"", "a", json!("5")),
            ("a=true", "a", json!(true)),
            ("a=", "a", json!("")),
            ("a=b=c", "a", json!("b=c")),
            ("a=[1,2]", "a", json!([1, 2])),
            ("a=1e", "a", json!("1e")),
        ] {
            let pair = parse_pair(text).unwrap();
            assert_eq!((pair.name.as_str(), pair.value), (name, value), "{text}");
        }
        for text in ["", "a", "=b"] {
            parse_pair(text).expect_err(text);
        }
    }

    #[test]
    fn a_name_is_said_once() {
        let pairs = |texts: &[&str]| -> Vec<Pair> {
            texts.iter().map(|text| parse_pair(text).unwrap()).collect()
        };
        assert_eq!(object(pairs(&["a=1", "b=2"])).unwrap().len(), 2);
        object(pairs(&["a=1", "a=2"])).unwrap_err();
    }
}
