//! A request and its reply in one call, by a direct reply address.
//!
//! Invariants
//! - Only the first reply counts; the address is gone with the call.
//! - Nobody is answered twice, and no thread waits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ferry_auth::Whence;
use ferry_broker::{Broker, Burst, Delivery, Outlet, Published};
use ferry_core::message::Message;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Notify;
use utoipa::IntoParams;

use super::incoming::{Incoming, To};
use super::lease::WAIT_MS_MAX;
use super::publish::{Sender, unroutable};
use super::{body, headers};
use crate::api::ferry::extract::{At, Params};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, Shared};
use crate::auth::LoggedIn;

/// How long a reply is waited for if nothing is said, in milliseconds.
const WAIT_MS_DEFAULT: u64 = 30_000;

/// Where the request goes, and how long is waited.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api::ferry) struct RequestQuery {
    /// The routing key, empty if nothing is said.
    routing_key: String,
    /// How long the reply is waited for, 30,000 ms if nothing is said, at most 60,000.
    wait_ms: Option<u64>,
}

/// Takes the first reply.
#[derive(Default)]
struct Mailbox {
    reply: Mutex<Option<Vec<u8>>>,
    came: Notify,
}

impl Outlet for Mailbox {
    fn admit(&self, _bytes: usize) -> bool {
        true
    }

    fn deliver(&self, delivery: Delivery<'_>) {
        let stored = || delivery.message.bytes().to_vec();
        self.reply.lock().get_or_insert_with(stored);
        self.came.notify_one();
    }

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}

/// A reply address, until it is dropped.
struct Address {
    broker: Arc<Broker>,
    key: String,
    mailbox: Arc<Mailbox>,
}

impl Address {
    fn open(broker: &Arc<Broker>) -> Address {
        let mailbox = Arc::new(Mailbox::default());
        let key = broker.direct_reply_open(Arc::clone(&mailbox) as Arc<dyn Outlet>);
        Address {
            broker: Arc::clone(broker),
            key,
            mailbox,
        }
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.broker.direct_reply_close(&self.key);
    }
}

/// Publishes the body with a reply address of its own, and answers with the reply: its body, and
/// its properties as headers.
#[utoipa::path(post, path = "/api/ferry/request/{vhost}/{exchange}", tag = "data plane",
    params(("vhost" = String, Path), ("exchange" = String, Path), RequestQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "The reply", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 404, description = "No such exchange, or nobody takes the request"),
        (status = 429), (status = 504, description = "No reply came in time")))]
pub(in crate::api::ferry) async fn request(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    whence: Option<axum::Extension<Whence>>,
    At((vhost, exchange)): At<(String, String)>,
    Params(query): Params<RequestQuery>,
    head: HeaderMap,
    content: Body,
) -> Result<Response, Problem> {
    let wait_ms = query.wait_ms.unwrap_or(WAIT_MS_DEFAULT);
    if wait_ms > WAIT_MS_MAX {
        return Err(Problem::bad(format!("wait_ms is at most {WAIT_MS_MAX}")));
    }
    let whence = whence.map(|whence| whence.0);
    let mut sender = Sender::new(&shared, &user, whence, (&vhost, &exchange))?;
    let mut properties = headers::read(&head)?;
    if properties.reply_to.is_some() {
        return Err(Problem::bad(
            "reply-to is made up here: the reply is the answer",
        ));
    }
    let mut read = body::read(&shared, content, shared.data.message_bytes_max).await?;
    sender.rate.check(&shared.broker)?;
    let address = Address::open(&shared.broker);
    properties.reply_to = Some(address.key.clone());
    // A reply is of use as long as somebody waits for it.
    properties.delivery_mode.get_or_insert(1);
    let to = To {
        exchange: &sender.exchange,
        routing_key: &query.routing_key,
    };
    let bytes = std::mem::take(&mut read.bytes);
    let incoming = Incoming::new(&shared, &user, to, properties, bytes)?;
    sender.rate.check_way(&shared.broker, &incoming.way())?;
    {
        let mut burst = Burst::new();
        if sender.stage(&shared, &mut burst, &incoming, 1)? == Published::Unroutable {
            return Err(unroutable());
        }
        burst.submit(&shared.broker);
        shared.broker.after_act();
    }
    drop((incoming, read));
    let came = address.mailbox.came.notified();
    if tokio::time::timeout(Duration::from_millis(wait_ms), came)
        .await
        .is_err()
    {
        let reason = format!("no reply came in {wait_ms} ms");
        return Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "no_reply",
            reason,
        ));
    }
    let reply = address.mailbox.reply.lock().take();
    let reply = reply.ok_or_else(|| Problem::internal("the reply was lost"))?;
    answer(&shared, &reply)
}

fn answer(shared: &Shared, stored: &[u8]) -> Result<Response, Problem> {
    let unreadable = |_| Problem::internal("the reply can not be read");
    let message = Message::parse(stored).map_err(unreadable)?;
    let mut response = (StatusCode::OK, message.body().to_vec()).into_response();
    if let Some(format) = shared.broker.format(message.format()) {
        let properties = format.describe(message.properties());
        headers::write(&properties, response.headers_mut());
    }
    // Whatever it is, no browser shows it as a page of this origin.
    let attachment = HeaderValue::from_static("attachment");
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, attachment);
    Ok(response)
}
