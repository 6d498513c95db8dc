//! Settings as text, each with the place that it comes from: what files, environment and flags
//! have in common.
//!
//! Invariants
//! - A key is one of `KEYS`; another one is an error where it is met.
//! - Of two values for a key the one that was laid over the other counts, as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that can be set. A flag has `-` for `_`; a variable is upper case after `FERRYMQ_`.
pub(crate) const KEYS: [&str; 57] = [
    "amqp",
    "channel_max",
    "data_dir",
    "frame_bytes_max",
    "heartbeat_s",
    "http",
    "log",
    "log_format",
    "memory_high",
    "message_bytes_max",
    "mqtt",
    "otel_endpoint",
    "outbox_bytes_max",
    "passport_bytes",
    "prometheus",
    "sync",
    "workers",
    "amqps",
    "https",
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "tls_client_auth",
    "tls_version_min",
    "tls_login_from",
    "proxy_protocol_from",
    "x_forwarded_for_from",
    "auth_backends",
    "auth_ca",
    "auth_http_user_path",
    "auth_http_vhost_path",
    "auth_http_resource_path",
    "auth_http_topic_path",
    "auth_http_method",
    "auth_http_timeout_ms",
    "auth_http_cache_ms",
    "oauth2_jwks_url",
    "oauth2_jwks_file",
    "oauth2_issuer",
    "oauth2_resource_server_id",
    "oauth2_scope_prefix",
    "oauth2_additional_scopes_key",
    "oauth2_username_claims",
    "oauth2_scope_aliases",
    "mqtts",
    "mqtt_vhost",
    "mqtt_anonymous",
    "mqtt_inflight_max",
    "mqtt_receive_max",
    "mqtt_session_expiry_max_s",
    "mqtt_packet_bytes_max",
    "mqtt_topic_alias_max",
    "mqtt_keep_alive_max_s",
    "mqtt_sys_interval_s",
    "mqtt_port_vhosts",
    "websocket",
    "websockets",
];

/// Of those, what may have several values: commas stand between them in the environment.
pub(crate) const LISTS: [&str; 12] = [
    "amqp",
    "amqps",
    "auth_backends",
    "mqtt",
    "mqtt_port_vhosts",
    "mqtts",
    "oauth2_scope_aliases",
    "oauth2_username_claims",
    "proxy_protocol_from",
    "websocket",
    "websockets",
    "x_forwarded_for_from",
];

/// A setting that can not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    #[error("{origin}: {why}")]
    Wrong { origin: String, why: String },
    #[error("{place}: `{name}` is unknown{}", suggestion(.nearest))]
    Unknown {
        place: String,
        name: String,
        nearest: Option<String>,
    },
    #[error("can not read {}: {error}", .path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}: {message}", .path.display())]
    Syntax { path: PathBuf, message: String },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|nearest| format!(", did you mean `{nearest}`?"))
        .unwrap_or_default()
}

/// A setting's texts (`amqp` may have several) and where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub texts: Vec<String>,
    /// For example `--amqp` or `FERRYMQ_AMQP`.
    pub origin: String,
}

impl Setting {
    pub fn wrong(&self, why: impl Into<String>) -> SettingError {
        SettingError::Wrong {
            origin: self.origin.clone(),
            why: why.into(),
        }
    }
}

/// Settings of one place, or of several laid over each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    pub fn set(&mut self, key: &'static str, origin: impl Into<String>, texts: Vec<String>) {
        self.0.insert(
            key,
            Setting {
                texts,
                origin: origin.into(),
            },
        );
    }

    pub fn get(&self, key: &str) -> Option<&Setting> {
        debug_assert!(KEYS.contains(&key));
        self.0.get(key)
    }

    /// Lays others over these.
    pub fn overlay(&mut self, others: Settings) {
        self.0.extend(others.0);
    }
}

/// The key of that name.
pub(crate) fn key(name: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|key| *key == name)
}

/// The candidate that somebody may have meant.
pub(crate) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let distance_max = name.len() / 3 + 1;
    let measured = candidates
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate));
    let (distance, candidate) = measured.min()?;
    (distance <= distance_max).then_some(candidate)
}

/// How many letters must be put in, left out or replaced.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        for (name, expected) in [
            ("amqp", Some("amqp")),
            ("ampq", Some("amqp")),
            ("data-dir", Some("data_dir")),
            ("memory_hihg", Some("memory_high")),
            ("heartbeat", Some("heartbeat_s")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &KEYS), expected, "{name}");
        }
    }

    #[test]
    fn what_is_laid_over_replaces_as_a_whole() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let mut settings = Settings::default();
        settings.set("amqp", "file", texts(&["a", "b"]));
        settings.set("http", "file", texts(&["c"]));
        let mut over = Settings::default();
        over.set("amqp", "flag", texts(&["d"]));
        settings.overlay(over);
        let found = settings.get("amqp").unwrap();
        assert_eq!(
            (found.texts.as_slice(), found.origin.as_str()),
            (&["d".to_owned()][..], "flag")
        );
        assert_eq!(settings.get("http").unwrap().origin, "file");
    }
}
