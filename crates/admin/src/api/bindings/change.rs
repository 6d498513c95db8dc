//! Binding, unbinding, and one binding by the key that RabbitMQ gives it.
//!
//! Invariants
//! - A binding is asked for and deleted by the key under which it is shown.
//! - What the broker binds by itself is bound and unbound by nobody.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ferry_broker::{
    BindingSpec, ConnectionId, DefinitionError, ErrorKind, Promise, SETTLE_EXCHANGE, Vhost,
};
use ferry_core::arguments::{Arguments, Value};

use super::super::declare::{REFUSED, arguments_of};
use super::super::{ApiError, Context, Shared, Shown, State, change_with, gather, values, vhosts};
use super::{EXCHANGE, Ends, Listed, Named, QUEUE, exchanges, properties_key, select};

type Pair = Path<(String, String, String)>;
type Named4 = Path<(String, String, String, String)>;

pub(in crate::api) fn routes() -> Router<Arc<Shared>> {
    let queue = "/bindings/{vhost}/e/{source}/q/{queue}";
    let exchange = "/bindings/{vhost}/e/{source}/e/{exchange}";
    Router::new()
        .route(queue, post(bind_queue))
        .route(exchange, post(bind_exchange))
        .route(
            &format!("{queue}/{{key}}"),
            get(queue_binding).delete(unbind_queue),
        )
        .route(
            &format!("{exchange}/{{key}}"),
            get(exchange_binding).delete(unbind_exchange),
        )
}

async fn bind_queue(
    context: Context,
    Path((vhost, source, queue)): Pair,
    body: Bytes,
) -> Result<Response, ApiError> {
    bind(context, vhost, (source, QUEUE, queue), body).await
}

async fn bind_exchange(
    context: Context,
    Path((vhost, source, exchange)): Pair,
    body: Bytes,
) -> Result<Response, ApiError> {
    bind(context, vhost, (source, EXCHANGE, exchange), body).await
}

async fn queue_binding(context: Context, path: Named4) -> Shown {
    let Path((vhost, source, queue, key)) = path;
    one(context, vhost, (source, QUEUE, queue), key).await
}

async fn exchange_binding(context: Context, path: Named4) -> Shown {
    let Path((vhost, source, exchange, key)) = path;
    one(context, vhost, (source, EXCHANGE, exchange), key).await
}

async fn unbind_queue(context: Context, path: Named4) -> Result<StatusCode, ApiError> {
    let Path((vhost, source, queue, key)) = path;
    unbind(context, vhost, (source, QUEUE, queue), key).await
}

async fn unbind_exchange(context: Context, path: Named4) -> Result<StatusCode, ApiError> {
    let Path((vhost, source, exchange, key)) = path;
    unbind(context, vhost, (source, EXCHANGE, exchange), key).await
}

/// Source, kind of the destination, destination.
type Between = (String, &'static str, String);

async fn bind(
    State(shared): Context,
    vhost: String,
    between: Between,
    body: Bytes,
) -> Result<Response, ApiError> {
    let location = change_with(shared, move |shared| {
        let vhost = vhosts::find(shared, &vhost).map_err(|_| ApiError::NoSuchVhost)?;
        let body = values::body(&body)?;
        let binding = binding_of(&vhost, &between, &body)?;
        check_ends(&binding)?;
        let spec = spec(&binding);
        let promise = vhost.bind(&spec).map_err(refuse)?;
        let key = super::escape_all(properties_key(&binding).as_bytes()).replace("%7E", "~");
        Ok((format!("{}/{key}", binding.destination), promise))
    })
    .await?;
    let mut response = StatusCode::CREATED.into_response();
    let plain = super::escape_unsafe(&location);
    if let Ok(location) = HeaderValue::from_str(&plain) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn binding_of(
    vhost: &Vhost,
    (source, kind, destination): &Between,
    body: &Arguments,
) -> Result<Named, ApiError> {
    let routing_key = match body.get("routing_key") {
        None | Some(Value::Void) => Vec::new(),
        Some(Value::Str(key)) => key.clone(),
        Some(other) => match other.as_integer() {
            Some(number) => number.to_string().into_bytes(),
            None => {
                let why = "routing_key is neither text nor a number";
                return Err(ApiError::BadRequest(why.to_owned()));
            }
        },
    };
    if routing_key.len() > usize::from(u8::MAX) {
        let why = "routing_key is longer than 255 bytes";
        return Err(ApiError::BadRequest(why.to_owned()));
    }
    Ok(Named {
        vhost: vhost.name().to_owned(),
        source: source.clone(),
        destination: destination.clone(),
        destination_type: kind,
        routing_key,
        arguments: arguments_of(body)?,
    })
}

/// Refuses to touch what the broker binds by itself.
fn check_ends(binding: &Named) -> Result<(), ApiError> {
    let own = |name: &str| exchanges::is_default(name) || name == SETTLE_EXCHANGE;
    let to_own = binding.destination_type == EXCHANGE && own(&binding.destination);
    match own(&binding.source) || to_own {
        true => Err(REFUSED),
        false => Ok(()),
    }
}

fn spec(binding: &Named) -> BindingSpec<'_> {
    let destination = binding.destination.as_str();
    let to_queue = binding.destination_type == QUEUE;
    BindingSpec {
        source: &binding.source,
        queue: to_queue.then_some(destination),
        exchange: (!to_queue).then_some(destination),
        routing_key: &binding.routing_key,
        arguments: binding.arguments.clone(),
        connection: ConnectionId::NOBODY,
    }
}

/// What is not there is named, as it is not what the path is about.
fn refuse(error: DefinitionError) -> ApiError {
    match error.kind() {
        ErrorKind::NotFound => ApiError::Missing(error.to_string()),
        _ => error.into(),
    }
}

async fn one(State(shared): Context, vhost: String, between: Between, key: String) -> Shown {
    gather(shared, move |shared| {
        Ok(find(shared, &vhost, between, &key)?.show(shared))
    })
    .await
}

fn find(shared: &Shared, vhost: &str, between: Between, key: &str) -> Result<Named, ApiError> {
    let (source, kind, destination) = between;
    let ends = Ends {
        from: Some(source),
        to: Some((kind, destination)),
    };
    let mut found = select(shared, vhost, &ends)?.into_iter();
    let named = found.find(|binding| properties_key(binding) == key);
    named.ok_or(ApiError::NotFound)
}

async fn unbind(
    State(shared): Context,
    vhost: String,
    between: Between,
    key: String,
) -> Result<StatusCode, ApiError> {
    change_with(shared, move |shared| {
        let found = vhosts::find(shared, &vhost)?;
        let binding = find(shared, &vhost, between, &key)?;
        check_ends(&binding)?;
        let promise: Promise = found.unbind(&spec(&binding)).map_err(refuse)?;
        Ok((StatusCode::NO_CONTENT, promise))
    })
    .await
}
