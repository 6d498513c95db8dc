//! The routes that a channel remembers; the one that it used last is found without a look-up.
//!
//! Invariants
//! - A route is used only while the virtual host's epoch is the one it was found in.
//! - There are at most `ROUTES_MAX` with names of `NAMES_BYTES_MAX` together; a new one beyond that
//!   starts the memory again.

use std::sync::Arc;

use crate::QueueHandle;
use crate::guard::Care;
use crate::stats::ExchangeTally;
use crate::vhost::Map;

/// Routes that a channel remembers.
const ROUTES_MAX: usize = 4096;

/// Bytes of the exchanges and routing keys of all of them, which may be long ones.
const NAMES_BYTES_MAX: usize = 2 << 20;

/// Between exchange and routing key; in no UTF-8 name.
const SEPARATOR: u8 = 0xff;

/// Where the messages of one exchange and routing key go.
#[derive(Default)]
pub(super) struct Route {
    epoch: u64,
    pub queues: Box<[Arc<QueueHandle>]>,
    /// What the exchange does besides routing.
    pub care: Option<Arc<Care>>,
    /// Where the exchange counts.
    pub tally: Arc<ExchangeTally>,
    /// There are queues, and neither they nor the exchange want more than to get the message.
    pub plain: bool,
}

impl Route {
    pub fn new(
        epoch: u64,
        queues: Box<[Arc<QueueHandle>]>,
        care: Option<Arc<Care>>,
        tally: Arc<ExchangeTally>,
    ) -> Route {
        let wants_more = |queue: &Arc<QueueHandle>| {
            queue.is_metered() || queue.deduplicates() || queue.has_passport()
        };
        let plain = care.is_none() && !queues.is_empty() && !queues.iter().any(wants_more);
        Route {
            epoch,
            queues,
            care,
            tally,
            plain,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Routes {
    places: Map<Box<[u8]>, usize>,
    all: Vec<Route>,
    /// Exchange and routing key of the route that was found last, and its place.
    last_exchange: Vec<u8>,
    last_key: Vec<u8>,
    last: usize,
    joined: Vec<u8>,
    /// Bytes of the names in `places`.
    names_bytes: usize,
}

impl Routes {
    /// The place of a route that was found in this epoch.
    #[inline]
    pub fn find(&mut self, exchange: &[u8], routing_key: &[u8], epoch: u64) -> Option<usize> {
        let is_last = same(&self.last_key, routing_key) && same(&self.last_exchange, exchange);
        let place = match is_last {
            true => self.last,
            false => self.look_up(exchange, routing_key)?,
        };
        (self.all.get(place)?.epoch == epoch).then_some(place)
    }

    fn look_up(&mut self, exchange: &[u8], routing_key: &[u8]) -> Option<usize> {
        self.join(exchange, routing_key);
        let place = *self.places.get(self.joined.as_slice())?;
        self.note_last(exchange, routing_key, place);
        Some(place)
    }

    fn join(&mut self, exchange: &[u8], routing_key: &[u8]) {
        self.joined.clear();
        self.joined.extend_from_slice(exchange);
        self.joined.push(SEPARATOR);
        self.joined.extend_from_slice(routing_key);
    }

    fn note_last(&mut self, exchange: &[u8], routing_key: &[u8], place: usize) {
        self.last_exchange.clear();
        self.last_exchange.extend_from_slice(exchange);
        self.last_key.clear();
        self.last_key.extend_from_slice(routing_key);
        self.last = place;
    }

    /// Remembers a route; gives its place.
    pub fn insert(&mut self, exchange: &[u8], routing_key: &[u8], route: Route) -> usize {
        self.join(exchange, routing_key);
        let place = match self.places.get(self.joined.as_slice()) {
            Some(place) => *place,
            None => {
                self.names_bytes += self.joined.len();
                if self.all.len() >= ROUTES_MAX || self.names_bytes > NAMES_BYTES_MAX {
                    self.places.clear();
                    self.all.clear();
                    self.names_bytes = self.joined.len();
                }
                let place = self.all.len();
                self.places.insert(self.joined.as_slice().into(), place);
                self.all.push(Route::default());
                place
            }
        };
        self.all[place] = route;
        self.note_last(exchange, routing_key, place);
        place
    }

    pub fn at(&self, place: usize) -> &Route {
        &self.all[place]
    }
}

/// Names are short: byte by byte costs a tenth of the way through `memcmp`, whose wide loads stall
/// here (a seventh of all time of a broker of small messages).
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(epoch: u64) -> Route {
        Route::new(epoch, Box::default(), None, Arc::default())
    }

    #[test]
    fn a_route_is_found_by_exchange_and_key_in_its_epoch_only() {
        let mut routes = Routes::default();
        let ab = routes.insert(b"a", b"b", route(1));
        let other = routes.insert(b"", b"ab", route(1));
        for (exchange, key, epoch, expected) in [
            (&b""[..], &b"ab"[..], 1, Some(other)),
            (b"a", b"b", 1, Some(ab)),
            (b"a", b"b", 1, Some(ab)),
            (b"a", b"b", 2, None),
            (b"ab", b"", 1, None),
            (b"b", b"a", 1, None),
        ] {
            assert_eq!(routes.find(exchange, key, epoch), expected);
        }
        assert_eq!(routes.insert(b"a", b"b", route(2)), ab);
        assert_eq!(routes.find(b"a", b"b", 2), Some(ab));
    }

    #[test]
    fn no_more_than_the_bound_are_remembered() {
        let mut routes = Routes::default();
        for number in 0..=ROUTES_MAX {
            routes.insert(b"e", number.to_string().as_bytes(), route(1));
        }
        assert_eq!(routes.all.len(), 1);
        assert_eq!(routes.find(b"e", b"0", 1), None);
        let newest = ROUTES_MAX.to_string();
        assert_eq!(routes.find(b"e", newest.as_bytes(), 1), Some(0));
    }

    #[test]
    fn long_keys_are_no_way_to_more_memory() {
        let mut routes = Routes::default();
        let mut key = vec![b'k'; 65_535];
        for number in 0..100u8 {
            key[0] = number;
            let place = routes.insert(b"", &key, route(1));
            assert_eq!(routes.find(b"", &key, 1), Some(place));
            let bytes: usize = routes.places.keys().map(|name| name.len()).sum();
            assert!(bytes <= NAMES_BYTES_MAX && bytes == routes.names_bytes);
        }
        assert!(routes.all.len() > 1);
    }

    #[test]
    fn a_route_to_nothing_is_not_plain() {
        assert!(!route(1).plain);
    }
}
