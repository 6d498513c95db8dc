//! Exchanges, all or one; the default one counts as an exchange without a name.

use std::sync::Arc;

use axum::extract::Path;
use ferry_broker::{Exchange, ExchangeKind, Vhost};
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, LoggedIn, Query, Shared, Shown, State, gather, gather_all,
    gather_of_vhost, values, vhosts,
};

/// How the API names the default exchange where a path needs a name.
const DEFAULT_NAME: &str = "amq.default";

/// An exchange and the virtual host that it is in.
pub(super) struct Placed {
    vhost: Arc<Vhost>,
    exchange: Exchange,
}

pub(super) async fn all(_: LoggedIn, State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_all(shared, query.0, list).await
}

pub(super) async fn of_vhost(
    _: LoggedIn,
    State(shared): Context,
    Path(vhost): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_of_vhost(shared, query.0, vhost, list).await
}

pub(super) async fn one(
    _: LoggedIn,
    State(shared): Context,
    Path((vhost, exchange)): Path<(String, String)>,
) -> Shown {
    gather(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost)?;
        let exchange = find(&vhost, &exchange)?;
        Ok(Placed { vhost, exchange }.show(shared))
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

/// An exchange by the name that stands in a path.
pub(super) fn find(vhost: &Vhost, name: &str) -> Result<Exchange, ApiError> {
    if name == DEFAULT_NAME {
        return Ok(default_exchange());
    }
    vhost.exchange(name).map_err(|_| ApiError::NotFound)
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

    fn show(&self, _: &Shared) -> Value {
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
        object
    }
}
