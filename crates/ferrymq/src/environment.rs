//! The environment's settings: `FERRYMQ_` and a key in upper case.
//!
//! Invariants
//! - A variable that begins with `FERRYMQ_` and is none of ours is an error that names it; those
//!   of commands, and those that Kubernetes sets by itself for a service called `ferrymq`, are
//!   left alone.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::settings::{KEYS, LISTS, SettingError, Settings, key, nearest};

const PREFIX: &str = "FERRYMQ_";
/// How Kubernetes goes on behind the name of a service: `..._SERVICE_HOST`, `..._PORT_5672_TCP`.
const SERVICE_LINKS: [&str; 4] = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_"];
const CONFIG: &str = "FERRYMQ_CONFIG";
/// What commands take from the environment: to a node it says nothing.
const OF_COMMANDS: [&str; 4] = ["NODE", "USER", "PASSWORD", "VHOST"];

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub config: Option<PathBuf>,
    pub settings: Settings,
}

/// Reads all variables.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Environment, SettingError> {
    let mut environment = Environment::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if name == CONFIG {
            environment.config = Some(PathBuf::from(value));
            continue;
        }
        let rest = &name[PREFIX.len()..];
        if is_service_link(rest) || OF_COMMANDS.contains(&rest) {
            continue;
        }
        let lower = name[PREFIX.len()..].to_ascii_lowercase();
        let upper = lower.to_ascii_uppercase() == name[PREFIX.len()..];
        let Some(key) = key(&lower).filter(|_| upper) else {
            return Err(unknown(name, &lower));
        };
        let Some(value) = value.to_str() else {
            let (origin, why) = (name.to_owned(), "is not UTF-8".to_owned());
            return Err(SettingError::Wrong { origin, why });
        };
        let texts = match LISTS.contains(&key) {
            true => value
                .split(',')
                .map(|text| text.trim().to_owned())
                .collect(),
            false => vec![value.to_owned()],
        };
        environment.settings.set(key, name, texts);
    }
    Ok(environment)
}

fn is_service_link(rest: &str) -> bool {
    let [host, service_port, port, port_of] = SERVICE_LINKS;
    rest == host || rest.starts_with(service_port) || rest == port || rest.starts_with(port_of)
}

fn unknown(name: &str, lower: &str) -> SettingError {
    let mut candidates = KEYS.to_vec();
    candidates.push("config");
    let nearest = nearest(lower, &candidates);
    SettingError::Unknown {
        place: "environment".to_owned(),
        name: name.to_owned(),
        nearest: nearest.map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Environment, SettingError> {
        read(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn variables_of_ours_are_read_and_others_left_alone() {
        let environment = with(&[
            ("PATH", "/bin"),
            ("FERRYMQ", "x"),
            ("FERRYMQ_PORT", "tcp://10.0.0.1:5672"),
            ("FERRYMQ_PORT_5672_TCP_ADDR", "10.0.0.1"),
            ("FERRYMQ_SERVICE_HOST", "10.0.0.1"),
            ("FERRYMQ_SERVICE_PORT_AMQP", "5672"),
            ("FERRYMQ_PASSWORD", "secret"),
            ("FERRYMQ_CONFIG", "a.toml"),
            ("FERRYMQ_AMQP", "127.0.0.1:1, [::1]:2"),
            ("FERRYMQ_LOG", "info,ferry_gateway=debug"),
        ]);
        let environment = environment.unwrap();
        assert_eq!(environment.config, Some(PathBuf::from("a.toml")));
        let texts = |key| {
            environment
                .settings
                .get(key)
                .map(|setting| setting.texts.clone())
        };
        assert_eq!(texts("amqp").unwrap(), ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(texts("log").unwrap(), ["info,ferry_gateway=debug"]);
        assert_eq!(texts("http"), None);
    }

    #[test]
    fn an_unknown_variable_of_ours_is_named() {
        for (name, nearest) in [
            ("FERRYMQ_AMPQ", ", did you mean `FERRYMQ_AMQP`?"),
            ("FERRYMQ_amqp", ", did you mean `FERRYMQ_AMQP`?"),
            ("FERRYMQ_CONFIGURATION", ""),
            ("FERRYMQ_COLOUR", ""),
            ("FERRYMQ_PORTS", ""),
        ] {
            let error = with(&[(name, "x")]).unwrap_err().to_string();
            assert_eq!(error, format!("environment: `{name}` is unknown{nearest}"));
        }
        let broken = (
            OsString::from("FERRYMQ_HTTP"),
            OsString::from_vec(vec![0xff]),
        );
        assert_eq!(
            read([broken]).unwrap_err().to_string(),
            "FERRYMQ_HTTP: is not UTF-8"
        );
    }
}
