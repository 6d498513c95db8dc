//! Users: all, those without permissions, or one; set and deleted. And who asks.
//!
//! Invariants
//! - A change is answered when it is safe on the disk.
//! - A password goes in and never comes out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use ferry_broker::{AccessError, Account, LimitsOf, Promise};
use ferry_core::arguments::{Arguments, Value as Argument};
use serde_json::{Map, Value, json};

use super::list::{Listed, SortKey};
use super::{
    ApiError, Context, ListQuery, Query, Shared, Shown, State, change, created, gather,
    gather_list, values,
};
use crate::auth::LoggedIn;

/// How RabbitMQ hashes where a hash comes without a name.
const HASHING_DEFAULT: &str = "rabbit_password_hashing_sha256";

/// The paths of users.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/users", get(all))
        .route("/users/", get(all))
        .route("/users/without-permissions", get(without_permissions))
        .route("/users/bulk-delete", post(delete_many))
        .route("/users/{user}", get(one).put(put).delete(delete))
}

async fn whoami(LoggedIn(user): LoggedIn) -> Json<Value> {
    Json(json!({
        "name": user.name,
        "tags": &*user.tags,
        "is_internal_user": true,
    }))
}

async fn all(State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, |shared| Ok(shared.broker.users())).await
}

async fn without_permissions(State(shared): Context, query: Query<ListQuery>) -> Shown {
    gather_list(shared, query.0, |shared| {
        let permissions = shared.broker.permissions();
        let mut users = shared.broker.users();
        users.retain(|user| permissions.iter().all(|one| one.user != user.name));
        Ok(users)
    })
    .await
}

async fn one(State(shared): Context, Path(name): Path<String>) -> Shown {
    gather(shared, move |shared| Ok(find(shared, &name)?.show(shared))).await
}

/// A user by name.
pub(super) fn find(shared: &Shared, name: &str) -> Result<Arc<Account>, ApiError> {
    shared.broker.account(name).ok_or(ApiError::NotFound)
}

async fn put(
    State(shared): Context,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let said = values::body(&body)?;
        let tags = said.get("tags").ok_or_else(|| bad("tags_not_present"))?;
        let account = Account {
            name: name.into(),
            password_hash: password_hash(shared, &said)?,
            tags: words(tags).ok_or_else(|| bad("tags are a list of words, or a text"))?,
        };
        let set = shared.broker.set_user(account)?;
        Ok((created(set.created), set.durable_at))
    })
    .await
}

async fn delete(State(shared): Context, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        find(shared, &name)?;
        Ok((StatusCode::NO_CONTENT, shared.broker.delete_user(&name)?))
    })
    .await
}

async fn delete_many(State(shared): Context, body: Bytes) -> Result<StatusCode, ApiError> {
    change(shared, move |shared| {
        let said = values::body(&body)?;
        let users = said.get("users");
        let users = users.ok_or_else(|| bad("[{key_missing,users}]"))?;
        let users = words(users).ok_or_else(|| bad("users is a list of names"))?;
        // All of them are there, or none is deleted.
        for name in &users {
            if shared.broker.account(name).is_none() {
                return Err(ApiError::NoSuchUser(name.clone()));
            }
        }
        let mut promise = Promise::Now;
        for name in users {
            match shared.broker.delete_user(&name) {
                Ok(deleted) => promise = promise.max(deleted),
                Err(AccessError::NoSuchUser(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}

fn bad(why: &str) -> ApiError {
    ApiError::BadRequest(why.to_owned())
}

/// What is to be kept of a password; without one nobody logs in by password.
fn password_hash(shared: &Shared, said: &Arguments) -> Result<Option<String>, ApiError> {
    let text = |field: &str| match said.get(field) {
        None | Some(Argument::Void) => Ok(None),
        Some(Argument::Str(bytes)) => Ok(Some(values::text(bytes))),
        Some(_) => Err(bad(&format!("{field} is a text"))),
    };
    let (password, hash) = (text("password")?, text("password_hash")?);
    match (password.filter(|password| !password.is_empty()), hash) {
        (Some(password), _) => Ok(Some(shared.broker.hash_password(password.as_bytes())?)),
        (None, Some(hash)) => {
            let algorithm = text("hashing_algorithm")?;
            let algorithm = algorithm.as_deref().unwrap_or(HASHING_DEFAULT);
            Ok(Account::imported_hash(algorithm, &hash)?)
        }
        (None, None) => Ok(None),
    }
}

/// Words in a list, or in one text with commas between them.
pub(super) fn words(value: &Argument) -> Option<Vec<String>> {
    let word = |value: &Argument| match value {
        Argument::Str(bytes) => Some(values::text(bytes).trim().to_owned()),
        _ => None,
    };
    let words: Vec<String> = match value {
        Argument::Array(values) => values.iter().map(word).collect::<Option<_>>()?,
        Argument::Str(bytes) => {
            let text = values::text(bytes);
            text.split(',').map(|word| word.trim().to_owned()).collect()
        }
        _ => return None,
    };
    Some(words.into_iter().filter(|word| !word.is_empty()).collect())
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> ApiError {
        match error {
            AccessError::NoSuchPermission => ApiError::NotFound,
            AccessError::NoSuchUser(_) | AccessError::NoSuchVhost(_) => {
                bad("vhost_or_user_not_found")
            }
            AccessError::NotBase64(hash) => ApiError::BadRequestWith(json!(["not_base64", hash])),
            AccessError::InvalidRegex { pattern, why } => {
                ApiError::BadRequestWith(json!(["invalid_regexp", pattern, why]))
            }
            AccessError::Invalid(why) => ApiError::BadRequest(why),
            AccessError::Definition(error) => error.into(),
        }
    }
}

impl Listed for Arc<Account> {
    fn name(&self) -> &str {
        &self.name
    }

    fn sort_key(&self, field: &str) -> Option<SortKey<'_>> {
        (field == "name").then(|| SortKey::Text(&self.name))
    }

    fn show(&self, shared: &Shared) -> Value {
        let (algorithm, hash) = self.exported_hash().unwrap_or((HASHING_DEFAULT, ""));
        let limits = shared
            .broker
            .limits_of(&LimitsOf::User(Arc::clone(&self.name)));
        let limits = limits.ok().flatten().map(|set| set.values);
        let limits: Map<_, _> = limits
            .into_iter()
            .flatten()
            .map(|(limit, value)| (limit.name().to_owned(), json!(value)))
            .collect();
        json!({
            "name": &*self.name,
            "password_hash": hash,
            "hashing_algorithm": algorithm,
            "tags": self.tags,
            "limits": limits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_as_a_list_or_as_a_text() {
        let text = |text: &str| Argument::Str(text.into());
        for (value, expected) in [
            (text(""), Some(&[][..])),
            (text("administrator"), Some(&["administrator"])),
            (text("a, b,,c "), Some(&["a", "b", "c"])),
            (Argument::Array(vec![]), Some(&[])),
            (
                Argument::Array(vec![text("a"), text(" b")]),
                Some(&["a", "b"]),
            ),
            (Argument::Array(vec![Argument::I64(5)]), None),
            (Argument::I64(5), None),
        ] {
            let found = words(&value);
            let expected = expected.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
            assert_eq!(found, expected, "{value:?}");
        }
    }
}
