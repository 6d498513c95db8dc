//! A message on its way in: what a request says, as the broker takes it.
//!
//! Headers that mean something to the broker mean the same here as in AMQP 0-9-1: `CC`, `BCC`,
//! `x-delay` and `x-deliver-at`. Gathering replies is not offered: it answers to a queue.
//!
//! Invariants
//! - Unless it says otherwise a message outlives the broker.
//! - Nobody publishes in another's name.

use ferry_broker::{
    Basics, Broker, Burst, ConfirmTag, PublishError, Published, Publisher, SETTLE_EXCHANGE, User,
};
use ferry_core::Millis;
use ferry_core::arguments::{Arguments, Value};
use ferry_core::limits::{DELAY_MS_MAX, NAME_BYTES_MAX};
use ferry_core::message::{Draft, FORMAT_AMQP091};

use super::rates::Way;
use crate::api::ferry::problem::Problem;
use crate::api::ferry::properties::own_format;
use crate::shared::Shared;

/// Milliseconds from when the message is published.
pub(super) const DELAY: &str = "x-delay";
/// Milliseconds since 1970; counts more than [`DELAY`].
pub(super) const DELIVER_AT: &str = "x-deliver-at";

/// Routing keys beside the first; the second of them is not shown to consumers.
const COPIES: [&str; 2] = ["CC", "BCC"];

/// Headers that ask for something that is not offered here.
const NOT_OFFERED: [&str; 2] = ["x-gather-count", "x-gather-timeout"];

const PERSISTENT: u8 = 2;

/// A message to be published.
#[derive(Debug)]
pub(super) struct Incoming {
    exchange: String,
    /// The first is the one that it is published with.
    routing_keys: Vec<Vec<u8>>,
    block: Vec<u8>,
    basics: Basics,
    deliver_at: Option<Millis>,
    body: Vec<u8>,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct To<'a> {
    pub exchange: &'a str,
    pub routing_key: &'a str,
}

impl Incoming {
    pub fn new(
        shared: &Shared,
        user: &User,
        to: To<'_>,
        mut properties: ferry_broker::Properties,
        body: Vec<u8>,
    ) -> Result<Incoming, Problem> {
        if to.exchange == SETTLE_EXCHANGE {
            return Err(Problem::bad("leases are settled by /api/ferry/settle"));
        }
        if to.routing_key.len() > NAME_BYTES_MAX {
            let reason = format!("routing_key has at most {NAME_BYTES_MAX} bytes");
            return Err(Problem::bad(reason));
        }
        if properties
            .user_id
            .as_ref()
            .is_some_and(|id| *id != user.name)
        {
            return Err(Problem::bad(format!(
                "user_id is the user who publishes, '{}', or is left out",
                user.name
            )));
        }
        let mode = properties.delivery_mode.get_or_insert(PERSISTENT);
        if !(1..=PERSISTENT).contains(mode) {
            return Err(Problem::bad("delivery_mode is 1 or 2"));
        }
        let mut routing_keys = vec![to.routing_key.as_bytes().to_vec()];
        let mut deliver_at = None;
        if let Some(headers) = properties.headers.take() {
            let told = Told::read(&headers, shared.broker.now())?;
            routing_keys.extend(told.keys);
            deliver_at = told.deliver_at;
            properties.headers = Some(told.headers);
        }
        let format = own_format(shared)?;
        let block = format.compose(&properties)?;
        let unreadable = || Problem::internal("the properties can not be read back");
        let basics = format.basics(&block).ok_or_else(unreadable)?;
        Ok(Incoming {
            exchange: to.exchange.to_owned(),
            routing_keys,
            block,
            basics,
            deliver_at,
            body,
        })
    }

    /// Exchange and routing key.
    pub fn way(&self) -> Way {
        (self.exchange.clone(), self.routing_keys[0].clone())
    }

    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// Stages it in a burst.
    pub fn stage(
        &self,
        broker: &Broker,
        burst: &mut Burst,
        publisher: &mut Publisher,
        number: u64,
    ) -> Result<Published, PublishError> {
        let keys: Vec<&[u8]> = self.routing_keys.iter().map(Vec::as_slice).collect();
        let draft = Draft {
            format: FORMAT_AMQP091,
            persistent: self.basics.persistent,
            dead_lettered: false,
            priority: self.basics.priority,
            ttl_ms: self.basics.ttl_ms,
            published_ms: broker.now(),
            deliver_at: self.deliver_at,
            id: None,
            exchange: self.exchange.as_bytes(),
            routing_key: keys[0],
            properties: &self.block,
            body: &self.body,
        };
        let confirm = ConfirmTag {
            channel: 0,
            tag: number,
        };
        burst.publish_unseen(broker, publisher, &draft, &keys, Some(confirm))
    }
}

/// What headers tell the broker.
#[derive(Debug)]
struct Told {
    /// Routing keys beside the first.
    keys: Vec<Vec<u8>>,
    deliver_at: Option<Millis>,
    /// The headers as consumers get them.
    headers: Arguments,
}

impl Told {
    fn read(headers: &Arguments, now: Millis) -> Result<Told, Problem> {
        for name in NOT_OFFERED {
            if headers.contains(name) {
                let reason = format!("header '{name}': replies are not gathered by HTTP");
                return Err(Problem::bad(reason));
            }
        }
        let mut keys = Vec::new();
        for name in COPIES {
            match headers.get(name) {
                None => {}
                Some(Value::Array(routes)) => {
                    let routes = routes.iter().filter_map(Value::as_bytes);
                    let fitting = routes.filter(|key| key.len() <= NAME_BYTES_MAX);
                    keys.extend(fitting.map(<[u8]>::to_vec));
                }
                Some(_) => {
                    return Err(Problem::bad(format!("header '{name}' is a list of texts")));
                }
            }
        }
        let wait_ms = time(headers, DELAY)?;
        if wait_ms.is_some_and(|wait_ms| wait_ms > DELAY_MS_MAX) {
            return Err(out_of_range(DELAY));
        }
        let at = time(headers, DELIVER_AT)?;
        if at.is_some_and(|at| at.saturating_sub(now) > DELAY_MS_MAX) {
            return Err(out_of_range(DELIVER_AT));
        }
        let due = at.or(wait_ms.map(|wait_ms| now.saturating_add(wait_ms)));
        let mut shown = headers.clone();
        shown.remove(COPIES[1]);
        if let Some(wait_ms) = wait_ms.filter(|wait_ms| *wait_ms > 0) {
            // A delay that is over leaves its mark, as in AMQP.
            shown.insert(DELAY, -(wait_ms as i64));
        }
        Ok(Told {
            keys,
            deliver_at: due.filter(|due| *due > now),
            headers: shown,
        })
    }
}

fn out_of_range(name: &str) -> Problem {
    Problem::bad(format!(
        "header '{name}' is at most {DELAY_MS_MAX} ms from now"
    ))
}

/// The time in a header; one that is negative is over.
fn time(headers: &Arguments, name: &str) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let number = value.as_integer();
    let number = number.ok_or_else(|| Problem::bad(format!("header '{name}' is an integer")))?;
    if number < 0 {
        return Ok(None);
    }
    let fits = u64::try_from(number);
    fits.map(Some).map_err(|_| out_of_range(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000;

    fn read(list: &[(&str, Value)]) -> Result<Told, String> {
        let headers: Arguments = list.iter().cloned().collect();
        Told::read(&headers, NOW).map_err(|problem| problem.reason().to_owned())
    }

    fn list(keys: &[&str]) -> Value {
        Value::Array(keys.iter().map(|key| Value::from(*key)).collect())
    }

    #[test]
    fn headers_mean_what_they_mean_in_amqp() {
        let told = read(&[("CC", list(&["a", "b"])), ("BCC", list(&["c"]))]).unwrap();
        assert_eq!(told.keys, [b"a", b"b", b"c"]);
        assert!(told.headers.contains("CC") && !told.headers.contains("BCC"));
        for (headers, deliver_at, shown) in [
            (vec![(DELAY, Value::I64(5))], Some(NOW + 5), Some(-5)),
            (vec![(DELAY, Value::I64(0))], None, Some(0)),
            (vec![(DELAY, Value::I64(-5))], None, Some(-5)),
            (
                vec![(DELIVER_AT, Value::I64(NOW as i64 + 9))],
                Some(NOW + 9),
                None,
            ),
            (vec![(DELIVER_AT, Value::I64(5))], None, None),
            (vec![], None, None),
        ] {
            let told = read(&headers).unwrap();
            let found = told.headers.get(DELAY).and_then(Value::as_integer);
            assert_eq!((told.deliver_at, found), (deliver_at, shown), "{headers:?}");
        }
    }

    #[test]
    fn headers_that_make_no_sense_are_refused_by_name() {
        let max = DELAY_MS_MAX as i64;
        for (name, value) in [
            ("CC", Value::from("a")),
            ("BCC", Value::I64(1)),
            (DELAY, Value::from("5000")),
            (DELAY, Value::F64(1.5)),
            (DELAY, Value::I64(max + 1)),
            (DELIVER_AT, Value::I64(i64::MAX)),
            ("x-gather-count", Value::I64(3)),
        ] {
            let reason = read(&[(name, value)]).unwrap_err();
            assert!(reason.contains(&format!("'{name}'")), "{reason}");
        }
    }
}
