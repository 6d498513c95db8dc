//! Subscriptions: a consumer whose deliveries go out as server-sent events.
//!
//! Invariants
//! - At most `prefetch` messages are unsettled, and at most `FEED_BYTES_MAX` of them wait for the
//!   client: who reads slowly slows the queue down for itself only.
//! - `auto`: a message is settled once it is handed to the connection; `manual`: by its token.
//! - When the client goes, the node stops, the queue goes or the right to read it is lost, the
//!   subscription ends, and what it holds goes back.

mod feed;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use ferry_broker::{
    Choice, ConsumerHandle, ConsumerSpec, Outcome, Outlet, QueueHandle, StreamOffset, User,
};
use ferry_core::filter::Filter;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};

use super::taken::Taken;
use crate::api::ferry::extract::{At, Params};
use crate::api::ferry::problem::Problem;
use crate::api::ferry::{Context, access};
use crate::auth::LoggedIn;
use crate::shared::Shared;
use feed::{Feed, Next};

/// Most unsettled messages that may be asked for.
const PREFETCH_MAX: u32 = 1000;
const PREFETCH_DEFAULT: u32 = 20;

/// How often a silent subscription is looked after: whether the right to read is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A heartbeat is sent at every so many looks.
const LOOKS_PER_HEARTBEAT: u32 = 3;

/// Where a browser says what it has seen last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx not to keep events until it has a block of them.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// When a message is settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Ack {
    /// When it is handed to the connection.
    #[default]
    Auto,
    /// By its token.
    Manual,
}

/// What is subscribed to.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(in crate::api::ferry) struct SubscribeQuery {
    /// Most unsettled messages, 1 to 1,000, 20 if nothing is said.
    prefetch: Option<u32>,
    /// `auto` (if nothing is said): settled when handed to the connection; `manual`: by its token.
    #[param(inline)]
    ack: Ack,
    /// Only messages that satisfy this, in the SQL subset of JMS selectors.
    filter: Option<String>,
    /// Where to begin in a stream: `first`, `last`, `next` (if nothing is said) or an offset; a
    /// `Last-Event-ID` counts more.
    offset: Option<String>,
}

fn choice(query: &SubscribeQuery, seen: Option<&str>) -> Result<Choice, Problem> {
    let filter = match &query.filter {
        None => None,
        Some(text) => {
            Filter::compile(text).map_err(|error| Problem::bad(format!("filter: {error}")))?
        }
    };
    let strange = || Problem::bad("offset is first, last, next or a number");
    let number = |text: &str| text.parse::<u64>().map_err(|_| strange());
    let offset = match (seen, query.offset.as_deref()) {
        (Some(seen), _) => StreamOffset::Offset(number(seen)?.saturating_add(1)),
        (None, None | Some("next")) => StreamOffset::Next,
        (None, Some("first")) => StreamOffset::First,
        (None, Some("last")) => StreamOffset::Last,
        (None, Some(text)) => StreamOffset::Offset(number(text)?),
    };
    Ok(Choice { filter, offset })
}

/// Messages as server-sent events, each an event `message` with the message in JSON as its data.
#[utoipa::path(get, path = "/api/ferry/subscribe/{vhost}/{queue}", tag = "data plane",
    params(("vhost" = String, Path), ("queue" = String, Path), SubscribeQuery),
    responses((status = 200, description = "Events until the client goes",
            content_type = "text/event-stream", body = String),
        (status = 404), (status = 409)))]
pub(in crate::api::ferry) async fn subscribe(
    LoggedIn(user): LoggedIn,
    State(shared): Context,
    At((vhost, queue)): At<(String, String)>,
    Params(query): Params<SubscribeQuery>,
    head: HeaderMap,
) -> Result<Response, Problem> {
    let prefetch = query.prefetch.unwrap_or(PREFETCH_DEFAULT);
    if !(1..=PREFETCH_MAX).contains(&prefetch) {
        return Err(Problem::bad(format!(
            "prefetch is from 1 to {PREFETCH_MAX}"
        )));
    }
    let seen = head.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let queue = access::queue_to_read(&shared, &user, (&vhost, &queue))?;
    let is_stream = queue.kind() == ferry_core::queue::QueueKind::Stream;
    if query.offset.is_some() && !is_stream {
        return Err(Problem::bad("offset is for streams"));
    }
    // What a browser repeats for a queue without offsets says nothing.
    let choice = choice(&query, seen.filter(|_| is_stream))?;
    let limits = shared.broker.rates_for(&user.name, queue.vhost());
    let feed = Arc::new(Feed::new(limits));
    let spec = ConsumerSpec {
        tag: shared.broker.made_up_name("http.ctag-"),
        no_ack: false,
        exclusive: false,
        priority: 0,
        prefetch,
        choice,
        outlet: Arc::clone(&feed) as Arc<dyn Outlet>,
    };
    let consumer = shared.broker.consume(&queue, spec, &mut || ())?;
    shared.broker.after_act();
    let (to_client, events) = mpsc::channel(1);
    let subscription = Subscription {
        shared,
        user,
        queue,
        consumer,
        feed,
        ack: query.ack,
    };
    tokio::spawn(subscription.run(to_client));
    let events = ReceiverStream::new(events).map(Ok::<Bytes, Infallible>);
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

struct Subscription {
    shared: Arc<Shared>,
    user: Arc<User>,
    queue: Arc<QueueHandle>,
    consumer: ConsumerHandle,
    feed: Arc<Feed>,
    ack: Ack,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.broker.cancel_and_give_back(&self.consumer);
    }
}

impl Subscription {
    /// Sends events until somebody has enough. A permit is there once the connection has taken
    /// the event before.
    async fn run(self, to_client: mpsc::Sender<Bytes>) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let mut looks: u32 = 0;
        let mut handed = None;
        let mut held: Option<Instant> = None;
        let mut hello = Some(Bytes::from_static(b"retry: 2000\n: subscribed\n\n"));
        loop {
            let Ok(permit) = to_client.reserve().await else {
                return;
            };
            if let Some(lease) = handed.take() {
                self.settle(lease);
            }
            if let Some(hello) = hello.take() {
                permit.send(hello);
                continue;
            }
            let next = tokio::select! {
                next = self.feed.next() => next,
                () = until(held) => {
                    held = None;
                    self.resume();
                    continue;
                }
                _ = look.tick() => Next::Nothing,
                () = self.shared.stopping() => return,
                () = to_client.closed() => return,
            };
            match next {
                Next::Message { taken, has_room } => {
                    if has_room {
                        self.resume();
                    }
                    handed = taken.lease.filter(|_| self.ack == Ack::Auto);
                    permit.send(self.event(&taken));
                }
                Next::Held(at) => {
                    let held_ms = at.saturating_sub(self.shared.broker.now()).max(1);
                    held = Some(Instant::now() + Duration::from_millis(held_ms));
                }
                Next::Gone => {
                    permit.send(end("the queue is gone"));
                    return;
                }
                Next::Nothing if !self.may_read() => {
                    permit.send(end("the right to read the queue is gone"));
                    return;
                }
                Next::Nothing => {
                    looks = looks.wrapping_add(1);
                    if looks.is_multiple_of(LOOKS_PER_HEARTBEAT) {
                        permit.send(Bytes::from_static(b": heartbeat\n\n"));
                    }
                }
            }
        }
    }

    /// Tells the queue that this consumer may get more.
    fn resume(&self) {
        let broker = &self.shared.broker;
        broker.resume(std::slice::from_ref(&self.consumer));
        broker.after_act();
    }

    fn may_read(&self) -> bool {
        access::may_read(&self.user, self.queue.vhost(), self.queue.name())
    }

    fn settle(&self, lease: ferry_broker::Lease) {
        let broker = &self.shared.broker;
        broker.settle_now(&self.queue, lease, Outcome::Accept);
        broker.after_act();
    }

    fn event(&self, taken: &Taken) -> Bytes {
        let manual = self.ack == Ack::Manual;
        let until = match taken.lease.filter(|_| manual) {
            Some(lease) => self.shared.broker.lease_until(&self.queue, lease),
            None => None,
        };
        let shown = taken.show(&self.shared, &self.queue, until, manual);
        let data = serde_json::to_string(&shown).unwrap_or_default();
        let id = taken.offset.map(|offset| format!("id: {offset}\n"));
        Bytes::from(format!(
            "{}event: message\ndata: {data}\n\n",
            id.unwrap_or_default()
        ))
    }
}

/// Waits until then; without a time for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The last event, which says why.
fn end(reason: &str) -> Bytes {
    Bytes::from(format!("event: end\ndata: {{\"reason\":\"{reason}\"}}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_behind_what_was_seen() {
        let found = |offset: Option<&str>, seen| {
            let query = SubscribeQuery {
                offset: offset.map(str::to_owned),
                ..SubscribeQuery::default()
            };
            choice(&query, seen).ok().map(|choice| choice.offset)
        };
        for (offset, seen, expected) in [
            (None, None, Some(StreamOffset::Next)),
            (Some("first"), None, Some(StreamOffset::First)),
            (Some("last"), None, Some(StreamOffset::Last)),
            (Some("7"), None, Some(StreamOffset::Offset(7))),
            (Some("first"), Some("41"), Some(StreamOffset::Offset(42))),
            (Some("-1"), None, None),
            (None, Some("x"), None),
        ] {
            assert_eq!(found(offset, seen), expected, "{offset:?} {seen:?}");
        }
    }
}
