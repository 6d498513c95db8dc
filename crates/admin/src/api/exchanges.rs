//! Exchanges, all or one; the default one counts as an exchange without a name.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::{Exchange, ExchangeKind, Vhost};
use serde_json::{Value, json};

use super::details::{CourseQuery, PASSED, Windows, seen};
use super::list::{Columns, Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, gather, gather_all,
    gather_of_vhost, values, vhosts,
};
use crate::sampler::Key;

/// How the API names the default exchange where a path needs a name.
const DEFAULT_NAME: &str = "amq.default";

/// An exchange and the virtual host that it is in.
pub(super) struct Placed {
    vhost: Arc<Vhost>,
    exchange: Exchange,
}

pub(super) async fn all(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    query: Query<ListQuery>,
) -> Shown {
    gather_all(shared, user, query.0, list).await
}

pub(super) async fn of_vhost(
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, list).await
}

pub(super) async fn one(
    State(shared): Context,
    Path((vhost, exchange)): Path<(String, String)>,
    query: Query<CourseQuery>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let exchange = find(&vhost, &exchange)?;
        let placed = Placed { vhost, exchange };
        shared.sampler.watch(&placed.key(), shared.broker.now());
        let mut shown = placed.shown(shared, query.windows());
        // Which queue got what is told where rates are kept in all detail, and so not here.
        shown["incoming"] = json!([]);
        shown["outgoing"] = json!([]);
        Ok(Columns::of(query.columns.as_deref()).pick(shown))
    })
    .await
}

fn default_exchange() -> Exchange {
    Exchange::new("", ExchangeKind::Direct)
}

fn list(vhost: &Arc<Vhost>) -> Vec<Placed> {
    let all = std::iter::once(default_exchange()).chain(vhost.exchanges());
    all.map(|exchange| Placed {
        vhost: Arc::clone(vhost),
        exchange,
    })
    .collect()
}

/// Whether a path means the default exchange.
pub(super) fn is_default(name: &str) -> bool {
    name.is_empty() || name == DEFAULT_NAME
}

/// The name of an exchange that stands in a path.
pub(super) fn plain_name(name: &str) -> &str {
    match name {
        DEFAULT_NAME => "",
        other => other,
    }
}

/// An exchange by the name that stands in a path.
pub(super) fn find(vhost: &Vhost, name: &str) -> Result<Exchange, ApiError> {
    if name == DEFAULT_NAME {
        return Ok(default_exchange());
    }
    vhost.exchange(name).map_err(|_| ApiError::NotFound)
}

impl Placed {
    fn key(&self) -> Key {
        Key::Exchange(self.vhost.name().into(), Arc::clone(&self.exchange.name))
    }

    fn shown(&self, shared: &Shared, windows: Windows) -> Value {
        let Exchange {
            name,
            kind,
            durable,
            auto_delete,
            internal,
            arguments,
        } = &self.exchange;
        let mut object = json!({
            "name": &**name,
            "vhost": self.vhost.name(),
            "type": kind.as_str(),
            "durable": durable,
            "auto_delete": auto_delete,
            "internal": internal,
            "arguments": values::object(arguments),
        });
        if let Some(policy) = self.vhost.exchange_policy(name) {
            object["policy"] = json!(policy.name);
        }
        let stats = self.vhost.exchange_stats(name);
        let stats = seen(shared, &self.key(), windows, |seen| {
            seen.message_stats(&stats, &[PASSED])
        });
        if let Some(stats) = stats {
            object["message_stats"] = stats;
        }
        object
    }
}

impl Listed for Placed {
    fn name(&self) -> &str {
        &self.exchange.name
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(SortKey::Text(match field {
            "name" => &self.exchange.name,
            "type" => self.exchange.kind.as_str(),
            "vhost" => self.vhost.name(),
            _ => return None,
        }))
    }

    fn show(&self, shared: &Shared) -> Value {
        self.shown(shared, Windows::default())
    }
}
