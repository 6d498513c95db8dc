//! The settings file: TOML with the keys of the flags.
//!
//! Invariants
//! - A key that is none of ours is an error that names it.

use std::path::Path;

use toml::{Table, Value};

use crate::settings::{KEYS, SettingError, Settings, key, nearest};

/// Reads a file of settings.
pub(crate) fn read(path: &Path) -> Result<Settings, SettingError> {
    let text = std::fs::read_to_string(path).map_err(|error| SettingError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Settings, SettingError> {
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| SettingError::Syntax {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
    let place = path.display().to_string();
    let mut settings = Settings::default();
    for (name, value) in &table {
        let Some(key) = key(name) else {
            let nearest = nearest(name, &KEYS).map(str::to_owned);
            return Err(SettingError::Unknown {
                place,
                name: name.clone(),
                nearest,
            });
        };
        let origin = format!("{name} in {place}");
        let texts = match value {
            Value::Array(values) => values.iter().map(text_of).collect(),
            single => text_of(single).map(|text| vec![text]),
        };
        let Some(texts) = texts else {
            let why = "takes text, a number, or a list of them".to_owned();
            return Err(SettingError::Wrong { origin, why });
        };
        settings.set(key, origin, texts);
    }
    Ok(settings)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_numbers_and_lists_are_read() {
        let text = "amqp = [\"a\", \"b\"]\nhttp = \"off\"\nworkers = 2\nmemory_high = 0.25\n";
        let settings = parse(text, Path::new("f.toml")).unwrap();
        for (key, texts) in [
            ("amqp", &["a", "b"][..]),
            ("http", &["off"]),
            ("workers", &["2"]),
            ("memory_high", &["0.25"]),
        ] {
            assert_eq!(settings.get(key).unwrap().texts, texts, "{key}");
        }
        assert_eq!(settings.get("http").unwrap().origin, "http in f.toml");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (
                "ampq = \"x\"",
                "f.toml: `ampq` is unknown, did you mean `amqp`?",
            ),
            ("colour = 1", "f.toml: `colour` is unknown"),
            (
                "[amqp]\na = 1",
                "amqp in f.toml: takes text, a number, or a list of them",
            ),
            (
                "sync = true",
                "sync in f.toml: takes text, a number, or a list of them",
            ),
        ] {
            assert_eq!(
                parse(text, Path::new("f.toml")).unwrap_err().to_string(),
                expected
            );
        }
        let error = parse("amqp = ", Path::new("f.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("f.toml: ") && error.contains("line 1"),
            "{error}"
        );
        let error = read(Path::new("none-such.toml")).unwrap_err().to_string();
        assert!(
            error.starts_with("can not read none-such.toml: "),
            "{error}"
        );
    }
}
