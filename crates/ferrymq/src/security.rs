//! Settings of TLS, proxies and log-ins: texts become values that fit together.
//!
//! Invariants
//! - Nothing half: a listener with TLS has its certificate, a back end that is to be asked has an
//!   address, and a setting of something that is not used is an error, not an oversight.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ferry_auth::{
    Backend, BackendsSettings, ClientAuth, HttpMethod, HttpSettings, KeySource, LoginFrom, Network,
    Networks, OAuth2Settings, Proxies, SanType, TlsSettings, TlsVersionMin, Url,
};

use crate::config::{address, addresses, value};
use crate::settings::{SettingError, Settings};

const HTTP_TIME_DEFAULT: Duration = Duration::from_secs(5);
const HTTP_REMEMBER_DEFAULT: Duration = Duration::from_secs(15);
const HTTP_TIME_MS_MAX: u64 = 30_000;
const HTTP_REMEMBER_MS_MAX: u64 = 3_600_000;

/// How a node is protected.
#[derive(Debug)]
pub(crate) struct Security {
    pub amqps: Vec<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub tls: Option<TlsSettings>,
    pub proxies: Proxies,
    pub backends: BackendsSettings,
}

impl Security {
    pub fn new(settings: &Settings) -> Result<Security, SettingError> {
        let amqps = addresses(settings, "amqps")?.unwrap_or_default();
        let https = value(settings, "https", address)?.flatten();
        let tls = tls(settings)?;
        if tls.is_none() && (!amqps.is_empty() || https.is_some()) {
            let key = if amqps.is_empty() { "https" } else { "amqps" };
            let setting = settings.get(key).expect("it has a value");
            return Err(setting.wrong("needs `tls_cert` and `tls_key`"));
        }
        let order = list(settings, "auth_backends", backend)?;
        if order.iter().all(|one| *one == Backend::Internal) {
            let needed = "`oauth2` or `http` among `auth_backends`";
            without(settings, &["auth_ca"], needed)?;
        }
        Ok(Security {
            amqps,
            https,
            tls,
            proxies: Proxies {
                protocol_from: networks(settings, "proxy_protocol_from")?,
                forwarded_for_from: networks(settings, "x_forwarded_for_from")?,
            },
            backends: BackendsSettings {
                oauth2: oauth2(settings, order.contains(&Backend::OAuth2))?,
                http: http(settings, order.contains(&Backend::Http))?,
                order,
            },
        })
    }

    /// Whether it listens on nothing.
    pub fn is_closed(&self) -> bool {
        self.amqps.is_empty() && self.https.is_none()
    }
}

pub(crate) fn list<T>(
    settings: &Settings,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, SettingError> {
    let Some(setting) = settings.get(key) else {
        return Ok(Vec::new());
    };
    let parse = |text: &String| parse(text).map_err(|why| setting.wrong(why));
    setting.texts.iter().map(parse).collect()
}

fn networks(settings: &Settings, key: &str) -> Result<Networks, SettingError> {
    list(settings, key, str::parse::<Network>).map(Networks)
}

pub(crate) fn text(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("is empty".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn path(name: &str) -> Result<PathBuf, String> {
    text(name).map(PathBuf::from)
}

/// One of a few words.
fn one_of<T: Copy>(word: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(known, _)| *known == word);
    let known: Vec<_> = words.iter().map(|(known, _)| *known).collect();
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("`{word}` is not one of {}", known.join(", ")))
}

/// The error for a setting of what is not used.
fn without(settings: &Settings, keys: &[&str], needed: &str) -> Result<(), SettingError> {
    match keys.iter().find_map(|key| settings.get(key)) {
        None => Ok(()),
        Some(setting) => Err(setting.wrong(format!("means nothing without {needed}"))),
    }
}

fn tls(settings: &Settings) -> Result<Option<TlsSettings>, SettingError> {
    let cert = value(settings, "tls_cert", path)?;
    let key = value(settings, "tls_key", path)?;
    let (Some(cert), Some(key)) = (cert, key) else {
        let keys = [
            "tls_cert",
            "tls_key",
            "tls_client_ca",
            "tls_client_auth",
            "tls_version_min",
            "tls_login_from",
        ];
        without(settings, &keys, "both `tls_cert` and `tls_key`")?;
        return Ok(None);
    };
    let client_ca = value(settings, "tls_client_ca", path)?;
    let client_auth = value(settings, "tls_client_auth", |word| {
        let (none, request) = (ClientAuth::None, ClientAuth::Request);
        let words = [
            ("none", none),
            ("request", request),
            ("require", ClientAuth::Require),
        ];
        one_of(word, &words)
    })?;
    let client_auth = client_auth.unwrap_or_default();
    match (&client_ca, client_auth) {
        (Some(_), ClientAuth::None) => {
            let needed = "`tls_client_auth` request or require";
            without(settings, &["tls_client_ca"], needed)?;
        }
        (None, ClientAuth::Request | ClientAuth::Require) => {
            without(settings, &["tls_client_auth"], "`tls_client_ca`")?;
        }
        _ => {}
    }
    let version_min = value(settings, "tls_version_min", |word| {
        let versions = [("1.2", TlsVersionMin::Tls12), ("1.3", TlsVersionMin::Tls13)];
        one_of(word, &versions)
    })?;
    Ok(Some(TlsSettings {
        cert,
        key,
        client_ca,
        client_auth,
        version_min: version_min.unwrap_or_default(),
        login_from: value(settings, "tls_login_from", login_from)?.unwrap_or_default(),
    }))
}

fn login_from(text: &str) -> Result<LoginFrom, String> {
    let mut parts = text.split(':');
    let (what, san_type, index) = (parts.next(), parts.next(), parts.next());
    let whole = [
        ("distinguished_name", LoginFrom::DistinguishedName),
        ("common_name", LoginFrom::CommonName),
    ];
    if what != Some("subject_alternative_name") || parts.next().is_some() {
        return one_of(text, &whole)
            .map_err(|error| format!("{error}, subject_alternative_name[:TYPE[:INDEX]]"));
    }
    let types = [
        ("dns", SanType::Dns),
        ("ip", SanType::Ip),
        ("email", SanType::Email),
        ("uri", SanType::Uri),
    ];
    let index = index.unwrap_or("0");
    Ok(LoginFrom::SubjectAlternativeName {
        san_type: one_of(san_type.unwrap_or("dns"), &types)?,
        index: index
            .parse()
            .map_err(|_| format!("`{index}` is not a number from 0"))?,
    })
}

fn backend(word: &str) -> Result<Backend, String> {
    let known = [
        ("internal", Backend::Internal),
        ("oauth2", Backend::OAuth2),
        ("http", Backend::Http),
    ];
    one_of(word, &known)
}

fn http(settings: &Settings, used: bool) -> Result<Option<HttpSettings>, SettingError> {
    const PATHS: [&str; 4] = [
        "auth_http_user_path",
        "auth_http_vhost_path",
        "auth_http_resource_path",
        "auth_http_topic_path",
    ];
    if !used {
        let more = [
            "auth_http_method",
            "auth_http_timeout_ms",
            "auth_http_cache_ms",
        ];
        let keys = [&PATHS[..], &more].concat();
        without(settings, &keys, "`http` among `auth_backends`")?;
        return Ok(None);
    }
    let url = |key| match value(settings, key, Url::parse)? {
        Some(url) => Ok(url),
        None => Err(missing(settings, key)),
    };
    let [user, vhost, resource, topic] = PATHS;
    let method = value(settings, "auth_http_method", |word| {
        one_of(
            word,
            &[("post", HttpMethod::Post), ("get", HttpMethod::Get)],
        )
    })?;
    let time = |text: &str| millis(text, 1, HTTP_TIME_MS_MAX);
    let remember = |text: &str| millis(text, 0, HTTP_REMEMBER_MS_MAX);
    Ok(Some(HttpSettings {
        method: method.unwrap_or_default(),
        user: url(user)?,
        vhost: url(vhost)?,
        resource: url(resource)?,
        topic: url(topic)?,
        ca: value(settings, "auth_ca", path)?,
        time: value(settings, "auth_http_timeout_ms", time)?.unwrap_or(HTTP_TIME_DEFAULT),
        remember: value(settings, "auth_http_cache_ms", remember)?.unwrap_or(HTTP_REMEMBER_DEFAULT),
    }))
}

fn missing(settings: &Settings, key: &str) -> SettingError {
    let setting = settings
        .get("auth_backends")
        .expect("it names the back end");
    setting.wrong(format!("needs `{key}`"))
}

fn millis(text: &str, least: u64, most: u64) -> Result<Duration, String> {
    let ms = text.parse().ok().filter(|ms| (least..=most).contains(ms));
    ms.map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a number of milliseconds from {least} to {most}"))
}

fn oauth2(settings: &Settings, used: bool) -> Result<Option<OAuth2Settings>, SettingError> {
    if !used {
        let keys = [
            "oauth2_jwks_url",
            "oauth2_jwks_file",
            "oauth2_issuer",
            "oauth2_resource_server_id",
            "oauth2_scope_prefix",
            "oauth2_additional_scopes_key",
            "oauth2_username_claims",
            "oauth2_scope_aliases",
        ];
        without(settings, &keys, "`oauth2` among `auth_backends`")?;
        return Ok(None);
    }
    let url = value(settings, "oauth2_jwks_url", Url::parse)?;
    let file = value(settings, "oauth2_jwks_file", path)?;
    let keys = match (url, file) {
        (Some(url), None) => KeySource::Url(url),
        (None, Some(file)) => KeySource::File(file),
        (None, None) => return Err(missing(settings, "oauth2_jwks_url")),
        (Some(_), Some(_)) => {
            let setting = settings.get("oauth2_jwks_file").expect("it has a value");
            return Err(setting.wrong("stands beside `oauth2_jwks_url`: one of them"));
        }
    };
    let id = value(settings, "oauth2_resource_server_id", text)?;
    let prefix = |text: &str| Ok(text.to_owned());
    Ok(Some(OAuth2Settings {
        keys,
        ca: value(settings, "auth_ca", path)?,
        issuer: value(settings, "oauth2_issuer", text)?,
        resource_server_id: id.ok_or_else(|| missing(settings, "oauth2_resource_server_id"))?,
        scope_prefix: value(settings, "oauth2_scope_prefix", prefix)?,
        additional_scopes_key: value(settings, "oauth2_additional_scopes_key", text)?,
        username_claims: list(settings, "oauth2_username_claims", text)?,
        scope_aliases: list(settings, "oauth2_scope_aliases", alias)?,
    }))
}

fn alias(text: &str) -> Result<(String, Vec<String>), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, scopes) =
        parts.ok_or_else(|| format!("`{text}` is not a name, `=`, and scopes behind it"))?;
    let scopes = scopes.split_ascii_whitespace().map(str::to_owned);
    Ok((name.to_owned(), scopes.collect()))
}

#[cfg(test)]
mod tests;
