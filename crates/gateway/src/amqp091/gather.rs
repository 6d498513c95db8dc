//! Requests whose replies the broker gathers: headers `x-gather-count` and `x-gather-timeout`.
//!
//! Such a request goes to its responders without these headers and with a reply-to of its own; the
//! one answer goes to the reply-to that the requester gave.
//!
//! Invariants
//! - A request is sent as it was asked for or refused: nothing about gathering is ignored.
//!
//! Not here: what happens to the replies (`ferry-broker`).

use amqp091::RawValue;
use amqp091::properties::{Change, Edit, Properties};
use ferry_broker::{GatherError, GatherSpec, Gathering, Right};
use ferry_core::message::FORMAT_AMQP091;

use super::arguments::type_name;
use super::channel::{Channel, Common};
use super::errors::{Refusal, precondition_failed};
use super::headers::{Noticed, with_headers};
use super::publish::{PERSISTENT, with_reply_to};
use super::reply_to::REPLY_TO;

/// How many replies are enough.
pub(crate) const COUNT: &str = "x-gather-count";
/// For how long replies are waited for, in milliseconds.
pub(crate) const TIMEOUT: &str = "x-gather-timeout";

/// A request to be published.
pub(crate) struct Request {
    /// What begins with it.
    pub(crate) gathering: Gathering,
    /// Its properties, as responders get them.
    pub(crate) block: Vec<u8>,
}

impl Channel {
    /// Prepares a gathering for a request with that property block.
    pub(crate) fn request(
        &self,
        common: &Common,
        noticed: &Noticed<'_>,
        properties: &Properties<'_>,
        block: &[u8],
    ) -> Result<Request, Refusal> {
        let count = number(COUNT, noticed.gather_count)?;
        let timeout_ms = number(TIMEOUT, noticed.gather_timeout)?;
        let reply_to = properties.reply_to().filter(|to| !to.as_bytes().is_empty());
        let Some(reply_to) = reply_to else {
            return Err(precondition_failed(format!(
                "headers '{COUNT}' and '{TIMEOUT}' need a reply_to: that is where the answer goes"
            )));
        };
        let reply_to = match reply_to.as_bytes() == REPLY_TO.as_bytes() {
            true => self.reply_key()?.as_bytes(),
            // The answer is published in the requester's name.
            false => {
                common.check_exchange(Right::Write, "")?;
                reply_to.as_bytes()
            }
        };
        let answer = Edit {
            correlation_id: properties
                .correlation_id()
                .map_or(Change::Keep, Change::Set),
            delivery_mode: properties.delivery_mode().map_or(Change::Keep, Change::Set),
            ..Edit::default()
        };
        let spec = GatherSpec {
            count,
            timeout_ms,
            reply_to: reply_to.to_vec(),
            format: FORMAT_AMQP091,
            properties: answer.build(),
            persistent: properties.delivery_mode() == Some(PERSISTENT),
        };
        let gathering = common.broker.gather(&common.vhost, spec);
        let gathering = gathering.map_err(|error| refuse(&error))?;
        let block = with_reply_to(block, gathering.key())?;
        let block = with_headers(&block, |headers| {
            headers.remove(COUNT.as_bytes());
            headers.remove(TIMEOUT.as_bytes());
        });
        Ok(Request { gathering, block })
    }
}

/// The number in a header that has one.
fn number(name: &str, value: Option<RawValue<'_>>) -> Result<Option<u64>, Refusal> {
    let Some(value) = value else {
        return Ok(None);
    };
    let Some(number) = value.as_i64() else {
        return Err(precondition_failed(format!(
            "invalid header '{name}': {} is no integer",
            type_name(value)
        )));
    };
    match u64::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(precondition_failed(format!(
            "invalid header '{name}': {number} is negative"
        ))),
    }
}

fn refuse(error: &GatherError) -> Refusal {
    let name = match error {
        GatherError::Count(_) => COUNT,
        GatherError::Timeout(_) => TIMEOUT,
        GatherError::TooMany(_) => return precondition_failed(error.to_string()),
    };
    precondition_failed(format!("invalid header '{name}': {error}"))
}
