//! Where a message goes that is moved: to a queue, through an exchange, back to its origin.
//!
//! Invariants
//! - A way has at least one queue, and names that a message can carry.
//! - A routing key that is given is the only one; else the message's copies (`CC`) count as well.

use std::sync::Arc;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::message::{Draft, Message};
use ferry_core::routing::ROUTING_KEY_BYTES_MAX;

use super::{MoveTo, OperateError};
use crate::{Broker, QueueHandle, RETAINED_QUEUE, Vhost};

/// Where a message goes and what it says of that.
pub(crate) struct Way {
    pub queues: Vec<Arc<QueueHandle>>,
    pub exchange: Vec<u8>,
    pub routing_key: Vec<u8>,
}

/// Where a dead letter came from: its first death.
#[derive(Debug, Default, PartialEq, Eq)]
struct Origin {
    queue: String,
    exchange: String,
    routing_keys: Vec<Vec<u8>>,
}

impl Broker {
    /// The queues that a message of `queue` goes to, as the copy that it will be, and by another
    /// routing key if there is one.
    pub(crate) fn way(
        &self,
        queue: &QueueHandle,
        to: &MoveTo,
        message: &Message<'_>,
        copy: &Draft<'_>,
        new_key: Option<&[u8]>,
    ) -> Result<Way, OperateError> {
        let vhost = self.vhost_of(queue)?;
        let headers = |properties: &[u8]| {
            let format = self.options.formats.get(message.format());
            format
                .map(|format| format.headers(properties))
                .unwrap_or_default()
        };
        match to {
            MoveTo::Queue(name) => Ok(Way {
                queues: vec![find_queue(&vhost, name)?],
                exchange: message.exchange().to_vec(),
                routing_key: new_key.unwrap_or(message.routing_key()).to_vec(),
            }),
            MoveTo::Exchange { name, routing_key } => {
                let given = new_key.or(routing_key.as_deref());
                let keys = match given {
                    Some(key) => vec![key.to_vec()],
                    None => {
                        let mut keys = vec![message.routing_key().to_vec()];
                        keys.extend(texts(&headers(copy.properties), "CC"));
                        keys
                    }
                };
                through(&vhost, name, keys, copy)
            }
            MoveTo::Origin => {
                let dead = message.dead_lettered();
                let origin = dead.then(|| Origin::of(&headers(message.properties())));
                let origin = origin.flatten().ok_or(OperateError::NoOrigin)?;
                origin.way(&vhost, copy, new_key)
            }
        }
    }
}

impl Origin {
    /// The first death of a history: its oldest entry of the queue that the headers name. A
    /// repeated death moves its entry to the front, so that this need not be the last one.
    fn of(headers: &Arguments) -> Option<Origin> {
        let Some(Value::Array(deaths)) = headers.get("x-death") else {
            return None;
        };
        let deaths: Vec<&Arguments> = deaths.iter().filter_map(Value::as_table).collect();
        let named = text(headers, "x-first-death-queue");
        let of_queue = |death: &&&Arguments| named.is_some() && text(death, "queue") == named;
        let first = deaths.iter().rev().find(of_queue).or(deaths.last())?;
        let exchange = text(headers, "x-first-death-exchange").or_else(|| text(first, "exchange"));
        Some(Origin {
            queue: named.clone().or_else(|| text(first, "queue"))?,
            exchange: exchange.unwrap_or_default(),
            routing_keys: texts(first, "routing-keys"),
        })
    }

    fn way(
        self,
        vhost: &Vhost,
        copy: &Draft<'_>,
        new_key: Option<&[u8]>,
    ) -> Result<Way, OperateError> {
        let Origin {
            queue,
            exchange,
            routing_keys,
        } = self;
        let keys = match new_key {
            Some(key) => vec![key.to_vec()],
            None => routing_keys,
        };
        let key = keys.first().cloned().unwrap_or_default();
        check_key(&key)?;
        if !exchange.is_empty() {
            match through(vhost, &exchange, keys, copy) {
                Err(OperateError::NoSuchExchange { .. } | OperateError::NotRouted) => {}
                found => return found,
            }
        }
        let fits = exchange.len() <= NAME_BYTES_MAX;
        Ok(Way {
            queues: vec![find_queue(vhost, &queue)?],
            exchange: if fits {
                exchange.into_bytes()
            } else {
                Vec::new()
            },
            routing_key: key,
        })
    }
}

fn find_queue(vhost: &Vhost, name: &str) -> Result<Arc<QueueHandle>, OperateError> {
    vhost
        .any_queue(name)
        .filter(|queue| queue.name() != RETAINED_QUEUE)
        .ok_or_else(|| OperateError::NoSuchQueue {
            name: name.to_owned(),
            vhost: vhost.name().to_owned(),
        })
}

fn through(
    vhost: &Vhost,
    exchange: &str,
    mut keys: Vec<Vec<u8>>,
    copy: &Draft<'_>,
) -> Result<Way, OperateError> {
    if let Some(first) = keys.first() {
        check_key(first)?;
    }
    let unknown = || OperateError::NoSuchExchange {
        name: exchange.to_owned(),
        vhost: vhost.name().to_owned(),
    };
    if exchange.len() > NAME_BYTES_MAX {
        return Err(unknown());
    }
    let mut queues = Vec::new();
    let slices: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let copy = Draft {
        exchange: exchange.as_bytes(),
        routing_key: slices.first().copied().unwrap_or_default(),
        ..*copy
    };
    let routed = vhost.route_draft(exchange, &slices, &copy, &mut queues);
    routed.map_err(|_| unknown())?;
    if queues.is_empty() {
        return Err(OperateError::NotRouted);
    }
    keys.truncate(1);
    Ok(Way {
        queues,
        exchange: exchange.as_bytes().to_vec(),
        routing_key: keys.pop().unwrap_or_default(),
    })
}

fn text(headers: &Arguments, name: &str) -> Option<String> {
    let bytes = headers.get(name)?.as_bytes()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn texts(headers: &Arguments, name: &str) -> Vec<Vec<u8>> {
    let Some(Value::Array(values)) = headers.get(name) else {
        return Vec::new();
    };
    let bytes = values.iter().filter_map(Value::as_bytes);
    bytes.map(<[u8]>::to_vec).collect()
}

/// Whether a message may carry such a routing key.
pub(super) fn check_key(key: &[u8]) -> Result<(), OperateError> {
    if key.len() > ROUTING_KEY_BYTES_MAX {
        let range = format!("at most {ROUTING_KEY_BYTES_MAX} bytes");
        return Err(OperateError::out_of_range("the routing key", range));
    }
    Ok(())
}
