//! What the claims of a token grant.
//!
//! Invariants
//! - Only scopes with our prefix count, and of them only those of RabbitMQ's form.
//! - A claim that stands in a scope is taken as it is: `*` and `%` in it are plain characters.

use ferry_broker::{Glob, Right, filter_is_within_globs};
use serde_json::{Map, Value};

use super::OAuth2Settings;
use super::scope::{Scope, pattern};

/// Claims that name a user when no other is preferred.
const USER_CLAIMS: [&str; 2] = ["sub", "client_id"];
const TAG: &str = "tag:";
/// Scopes that are looked at.
const SCOPES_MAX: usize = 1000;
/// Bytes of the longest name of a user.
const USER_BYTES_MAX: usize = 255;

/// A claim of words: a text with blanks between, or a list.
pub(crate) fn words(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => text.split(' ').map(str::to_owned).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
    .into_iter()
    .filter(|word| !word.is_empty())
    .collect()
}

/// The name of the user.
pub(crate) fn user_name(claims: &Map<String, Value>, settings: &OAuth2Settings) -> Option<String> {
    let preferred = settings.username_claims.iter().map(String::as_str);
    preferred
        .chain(USER_CLAIMS)
        .filter_map(|name| claims.get(name)?.as_str())
        .find(|name| !name.is_empty() && name.len() <= USER_BYTES_MAX)
        .map(str::to_owned)
}

/// What a token grants.
#[derive(Debug)]
pub(crate) struct Granted {
    scopes: Vec<Scope>,
    pub(crate) tags: Vec<String>,
    /// Claims that may stand in routing keys as `{name}`.
    texts: Vec<(String, String)>,
}

impl Granted {
    pub(crate) fn of(claims: &Map<String, Value>, settings: &OAuth2Settings) -> Granted {
        let mut all = words(claims.get("scope"));
        if let Some(claim) = &settings.additional_scopes_key {
            all.extend(additional(claims.get(claim), &settings.resource_server_id));
        }
        let aliased = |name: &String| {
            let found = settings
                .scope_aliases
                .iter()
                .find(|(alias, _)| alias == name);
            found.map(|(_, scopes)| scopes.clone()).unwrap_or_default()
        };
        let expanded: Vec<_> = all.iter().flat_map(aliased).collect();
        all.extend(expanded);
        all.truncate(SCOPES_MAX);
        let by_id = format!("{}.", settings.resource_server_id);
        let prefix = settings.scope_prefix.as_ref().unwrap_or(&by_id);
        let ours: Vec<_> = all
            .iter()
            .filter_map(|scope| scope.strip_prefix(prefix.as_str()))
            .collect();
        let tags = ours.iter().filter_map(|scope| scope.strip_prefix(TAG));
        let texts = claims
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Granted {
            tags: tags.map(str::to_owned).collect(),
            scopes: ours
                .iter()
                .filter_map(|scope| Scope::parse(scope))
                .collect(),
            texts: texts.collect(),
        }
    }

    pub(crate) fn may_enter(&self, vhost: &str) -> bool {
        self.scopes
            .iter()
            .any(|scope| scope.vhost.matches(vhost.as_bytes()))
    }

    pub(crate) fn may(&self, vhost: &str, right: Right, name: &str) -> bool {
        self.scopes
            .iter()
            .any(|scope| scope.covers(vhost, right, name))
    }

    pub(crate) fn may_topic(&self, vhost: &str, right: Right, exchange: &str, key: &str) -> bool {
        let mut patterns = self.key_patterns(vhost, right, exchange);
        patterns.any(|pattern| pattern.matches(key.as_bytes()))
    }

    /// Whether scopes together let every routing key through that a binding key lets through.
    pub(crate) fn may_filter(&self, vhost: &str, exchange: &str, binding_key: &[u8]) -> bool {
        let patterns: Vec<_> = self.key_patterns(vhost, Right::Read, exchange).collect();
        filter_is_within_globs(binding_key, &patterns)
    }

    /// As in RabbitMQ, a scope without a routing key grants none.
    fn key_patterns(
        &self,
        vhost: &str,
        right: Right,
        exchange: &str,
    ) -> impl Iterator<Item = Glob> {
        let covers = move |scope: &&Scope| scope.covers(vhost, right, exchange);
        let scopes = self.scopes.iter().filter(covers);
        let patterns = scopes.filter_map(|scope| scope.routing_key.as_deref());
        patterns.filter_map(move |text| pattern(&self.expand(text, vhost)))
    }

    /// Puts claims, and the virtual host, where `{name}` stands.
    fn expand(&self, pattern: &str, vhost: &str) -> String {
        let mut out = String::new();
        let mut rest = pattern;
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let found = behind.split_once('}').and_then(|(name, behind)| {
                let claim = self.texts.iter().find(|(known, _)| known == name);
                let text = match name {
                    "vhost" => Some(vhost),
                    _ => claim.map(|(_, text)| text.as_str()),
                };
                Some((text?, behind))
            });
            match found {
                Some((text, behind)) => {
                    out.push_str(&escape(text));
                    rest = behind;
                }
                None => {
                    out.push('{');
                    rest = behind;
                }
            }
        }
        out.push_str(rest);
        out
    }
}

impl Scope {
    fn covers(&self, vhost: &str, right: Right, name: &str) -> bool {
        let (vhost, name) = (vhost.as_bytes(), name.as_bytes());
        self.right == right && self.vhost.matches(vhost) && self.name.matches(name)
    }
}

/// So that a pattern takes every byte for itself.
fn escape(text: &str) -> String {
    crate::fetch::escape(text.as_bytes())
}

/// The claim with more scopes: words, or those under our own name in an object.
fn additional(claim: Option<&Value>, resource_server_id: &str) -> Vec<String> {
    match claim {
        Some(Value::Object(by_server)) => words(by_server.get(resource_server_id))
            .iter()
            .map(|scope| format!("{resource_server_id}.{scope}"))
            .collect(),
        claim => words(claim),
    }
}
