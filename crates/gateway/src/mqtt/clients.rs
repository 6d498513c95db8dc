//! Who is connected under which client id.
//!
//! ```text
//! holder --told--> says goodbye, gives all back --seat dropped--> heir is the holder, and is told
//! ```
//!
//! Invariants
//! - One connection at a time has a client id of a virtual host; the next one waits until all that
//!   the one before it had is given back.
//! - One waits at a time: who comes later is the heir, and the one that waited goes.
//! - A seat that is dropped, held or waited for, leaves nothing behind.
//!
//! Not here: what is said to who has to go (`session`), what outlives a connection (`store`).

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;

use crate::link::{AnyLink, event};

/// A client id in a virtual host.
pub(crate) type ClientKey = (Arc<str>, Arc<str>);

struct Taker {
    number: u64,
    link: Weak<dyn AnyLink>,
}

impl Taker {
    fn tell(&self, events: u32) {
        if let Some(link) = self.link.upgrade() {
            link.notify(events);
        }
    }
}

struct Place {
    holder: Taker,
    heir: Option<Taker>,
}

#[derive(Default)]
struct Places {
    of: HashMap<ClientKey, Place, crate::hashing::HashState>,
    /// Most that there have been at a time.
    most: usize,
    next: u64,
}

/// All clients that are connected.
#[derive(Default)]
pub(crate) struct Clients(Mutex<Places>);

/// Where a connection stands with its client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has it.
    Holds,
    /// It has it, and somebody waits for it.
    IsWanted,
    /// It is the next to have it.
    Waits,
    /// Somebody else is the next to have it.
    Lost,
}

/// A connection's claim to a client id, until it is dropped.
pub(crate) struct Seat {
    clients: Arc<Clients>,
    key: ClientKey,
    number: u64,
}

impl Clients {
    /// Claims a client id. Who has it, or waits for it, is told to go; the link is told by
    /// [`event::LOGIN`] when it is there to be had.
    pub(crate) fn claim(self: &Arc<Clients>, key: ClientKey, link: Weak<dyn AnyLink>) -> Seat {
        let mut places = self.0.lock();
        places.next += 1;
        let number = places.next;
        let taker = Taker { number, link };
        match places.of.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Place {
                    holder: taker,
                    heir: None,
                });
            }
            Entry::Occupied(mut occupied) => {
                let place = occupied.get_mut();
                place.holder.tell(event::TAKEN);
                if let Some(superseded) = place.heir.replace(taker) {
                    superseded.tell(event::TAKEN);
                }
            }
        }
        places.most = places.most.max(places.of.len());
        drop(places);
        Seat {
            clients: Arc::clone(self),
            key,
            number,
        }
    }

    /// How many clients are connected, and the most that were at a time.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let places = self.0.lock();
        (places.of.len(), places.most)
    }
}

impl Seat {
    /// The client id, and where it is one.
    pub(crate) fn key(&self) -> &ClientKey {
        &self.key
    }

    /// How things stand.
    pub(crate) fn standing(&self) -> Standing {
        let places = self.clients.0.lock();
        let Some(place) = places.of.get(&self.key) else {
            return Standing::Lost;
        };
        match &place.heir {
            None if place.holder.number == self.number => Standing::Holds,
            Some(_) if place.holder.number == self.number => Standing::IsWanted,
            Some(heir) if heir.number == self.number => Standing::Waits,
            _ => Standing::Lost,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut places = self.clients.0.lock();
        let Entry::Occupied(mut occupied) = places.of.entry(self.key.clone()) else {
            return;
        };
        let place = occupied.get_mut();
        if place.holder.number == self.number {
            match place.heir.take() {
                Some(heir) => {
                    heir.tell(event::LOGIN);
                    place.holder = heir;
                }
                None => {
                    occupied.remove();
                }
            }
        } else if place
            .heir
            .as_ref()
            .is_some_and(|heir| heir.number == self.number)
        {
            place.heir = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Told(AtomicU32);

    impl AnyLink for Told {
        fn flush(&self) {}
        fn notify(&self, events: u32) {
            self.0.fetch_or(events, Ordering::Relaxed);
        }
    }

    impl Told {
        fn take(&self) -> u32 {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    fn claim(clients: &Arc<Clients>, id: &str) -> (Arc<Told>, Seat) {
        let told = Arc::new(Told::default());
        let link: Weak<dyn AnyLink> = Arc::downgrade(&told) as _;
        (told, clients.claim(("/".into(), id.into()), link))
    }

    #[test]
    fn the_next_one_has_the_id_when_the_one_before_has_given_all_back() {
        let clients = Arc::new(Clients::default());
        let (first_told, first) = claim(&clients, "a");
        let (other_told, other) = claim(&clients, "b");
        assert_eq!(first.standing(), Standing::Holds);
        let (second_told, second) = claim(&clients, "a");
        assert_eq!((first_told.take(), second_told.take()), (event::TAKEN, 0));
        assert_eq!(first.standing(), Standing::IsWanted);
        assert_eq!(second.standing(), Standing::Waits);
        drop(first);
        assert_eq!(second_told.take(), event::LOGIN);
        assert_eq!(second.standing(), Standing::Holds);
        assert_eq!((other.standing(), other_told.take()), (Standing::Holds, 0));
        drop((second, other));
        assert_eq!(clients.counts().0, 0);
    }

    #[test]
    fn of_those_who_wait_the_last_one_counts() {
        let clients = Arc::new(Clients::default());
        let (_told, holder) = claim(&clients, "a");
        let (early_told, early) = claim(&clients, "a");
        let (late_told, late) = claim(&clients, "a");
        assert_eq!(early_told.take(), event::TAKEN);
        assert_eq!(early.standing(), Standing::Lost);
        drop(holder);
        assert_eq!((early_told.take(), late_told.take()), (0, event::LOGIN));
        drop(early);
        assert_eq!(
            late.standing(),
            Standing::Holds,
            "the lost one took nothing along"
        );
        assert_eq!(clients.counts(), (1, 1));
    }

    #[test]
    fn who_waited_and_went_leaves_the_holder_alone() {
        let clients = Arc::new(Clients::default());
        let (_told, holder) = claim(&clients, "a");
        let (_told, heir) = claim(&clients, "a");
        drop(heir);
        assert_eq!(holder.standing(), Standing::Holds);
        drop(holder);
        assert_eq!(clients.counts().0, 0);
    }

    #[test]
    fn one_id_that_many_fight_for_leaves_nothing() {
        let clients = Arc::new(Clients::default());
        let (_told, mut holder) = claim(&clients, "a");
        for _ in 0..1_000 {
            let (_told, next) = claim(&clients, "a");
            drop(std::mem::replace(&mut holder, next));
            assert_eq!(
                (holder.standing(), clients.counts()),
                (Standing::Holds, (1, 1))
            );
        }
        drop(holder);
        assert_eq!(clients.counts().0, 0);
    }
}
