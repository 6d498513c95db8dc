//! Permissions and topic permissions: all, of a virtual host, of a user, or of both.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use ferry_broker::{Broker, Permission, TopicPermission};
use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::{Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, Query, Shared, Shown, State, change, created, gather,
    gather_list, users, values, vhosts,
};

type Changed = Result<StatusCode, ApiError>;

/// The paths of permissions and topic permissions.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/permissions", get(all::<Arc<Permission>>))
        .route(
            "/permissions/{vhost}/{user}",
            get(one).put(put).delete(delete),
        )
        .route("/users/{user}/permissions", get(of_user::<Arc<Permission>>))
        .route(
            "/vhosts/{vhost}/permissions",
            get(of_vhost::<Arc<Permission>>),
        )
        .route("/topic-permissions", get(all::<Arc<TopicPermission>>))
        .route(
            "/topic-permissions/{vhost}/{user}",
            get(topics_of_both).put(put_topic).delete(delete_topics),
        )
        .route(
            "/topic-permissions/{vhost}/{user}/{exchange}",
            axum::routing::delete(delete_topic),
        )
        .route(
            "/users/{user}/topic-permissions",
            get(of_user::<Arc<TopicPermission>>),
        )
        .route(
            "/vhosts/{vhost}/topic-permissions",
            get(of_vhost::<Arc<TopicPermission>>),
        )
}

/// What a user was granted in a virtual host.
trait Granted: Listed + 'static {
    fn all(broker: &Broker) -> Vec<Self>
    where
        Self: Sized;
    fn user(&self) -> &str;
    fn vhost(&self) -> &str;
}

impl Granted for Arc<Permission> {
    fn all(broker: &Broker) -> Vec<Self> {
        broker.permissions()
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn vhost(&self) -> &str {
        &self.vhost
    }
}

impl Granted for Arc<TopicPermission> {
    fn all(broker: &Broker) -> Vec<Self> {
        broker.topic_permissions()
    }

    fn user(&self) -> &str {
        &self.user
    }

    fn vhost(&self) -> &str {
        &self.vhost
    }
}

async fn all<G: Granted>(State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, |shared| Ok(G::all(&shared.broker))).await
}

async fn of_user<G: Granted>(
    State(shared): Context,
    Path(name): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        let user = users::find(shared, &name)?;
        let mut found = G::all(&shared.broker);
        found.retain(|one| one.user() == &*user.name);
        Ok(found)
    })
    .await
}

async fn of_vhost<G: Granted>(
    State(shared): Context,
    Path(name): Path<String>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        let vhost = vhosts::find(shared, &name)?;
        let mut found = G::all(&shared.broker);
        found.retain(|one| one.vhost() == vhost.name());
        Ok(found)
    })
    .await
}

async fn one(State(shared): Context, Path((vhost, user)): Path<(String, String)>) -> Shown {
    gather(shared, move |shared| {
        let mut found = shared.broker.permissions().into_iter();
        let found = found.find(|one| *one.vhost == *vhost && *one.user == *user);
        Ok(found.ok_or(ApiError::NotFound)?.show(shared))
    })
    .await
}

async fn put(
    State(shared): Context,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Changed {
    change(shared, move |shared| {
        let said = values::body(&body)?;
        let [configure, write, read] = texts(&said, ["configure", "write", "read"])?;
        let set = shared.broker.set_permission(Permission {
            user: user.into(),
            vhost: vhost.into(),
            configure,
            write,
            read,
        })?;
        Ok((created(set.created), set.durable_at))
    })
    .await
}

async fn delete(State(shared): Context, Path((vhost, user)): Path<(String, String)>) -> Changed {
    change(shared, move |shared| {
        let promise = shared.broker.clear_permission(&user, &vhost)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

async fn topics_of_both(
    State(shared): Context,
    Path((vhost, user)): Path<(String, String)>,
    query: Query<ListQuery>,
) -> Shown {
    gather_list(shared, query.0, move |shared| {
        let mut found = shared.broker.topic_permissions();
        found.retain(|one| *one.vhost == *vhost && *one.user == *user);
        match found.is_empty() {
            true => Err(ApiError::NotFound),
            false => Ok(found),
        }
    })
    .await
}

async fn put_topic(
    State(shared): Context,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Changed {
    change(shared, move |shared| {
        let said = values::body(&body)?;
        let [exchange, write, read] = texts(&said, ["exchange", "write", "read"])?;
        let set = shared.broker.set_topic_permission(TopicPermission {
            user: user.into(),
            vhost: vhost.into(),
            exchange: exchange.into(),
            write,
            read,
        })?;
        Ok((created(set.created), set.durable_at))
    })
    .await
}

async fn delete_topics(
    State(shared): Context,
    Path((vhost, user)): Path<(String, String)>,
) -> Changed {
    clear_topics(shared, vhost, user, None).await
}

async fn delete_topic(
    State(shared): Context,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Changed {
    clear_topics(shared, vhost, user, Some(exchange)).await
}

async fn clear_topics(
    shared: Arc<Shared>,
    vhost: String,
    user: String,
    exchange: Option<String>,
) -> Changed {
    change(shared, move |shared| {
        let broker = &shared.broker;
        let promise = broker.clear_topic_permission(&user, &vhost, exchange.as_deref())?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

/// Fields that have to be there, and to be text.
fn texts<const COUNT: usize>(
    said: &Arguments,
    names: [&str; COUNT],
) -> Result<[String; COUNT], ApiError> {
    let missing: Vec<String> = names
        .iter()
        .filter(|name| said.get(name).is_none())
        .map(|name| format!("{{key_missing,{name}}}"))
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::BadRequest(format!("[{}]", missing.join(","))));
    }
    let mut texts = [const { String::new() }; COUNT];
    for (text, name) in texts.iter_mut().zip(names) {
        *text = match said.get(name) {
            Some(Argument::Str(bytes)) => values::text(bytes),
            _ => return Err(ApiError::BadRequest(format!("{name} is a text"))),
        };
    }
    Ok(texts)
}

impl Listed for Arc<Permission> {
    fn name(&self) -> &str {
        &self.user
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(SortKey::Text(match field {
            "user" => &self.user,
            "vhost" => &self.vhost,
            _ => return None,
        }))
    }

    fn show(&self, _: &Shared) -> Value {
        json!({
            "user": &*self.user,
            "vhost": &*self.vhost,
            "configure": self.configure,
            "write": self.write,
            "read": self.read,
        })
    }
}

impl Listed for Arc<TopicPermission> {
    fn name(&self) -> &str {
        &self.user
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        Some(SortKey::Text(match field {
            "user" => &self.user,
            "vhost" => &self.vhost,
            "exchange" => &self.exchange,
            _ => return None,
        }))
    }

    fn show(&self, _: &Shared) -> Value {
        json!({
            "user": &*self.user,
            "vhost": &*self.vhost,
            "exchange": &*self.exchange,
            "write": self.write,
            "read": self.read,
        })
    }
}
