//! Replies without a queue: a requester's outlet, found by an unguessable routing key.
//!
//! Invariants
//! - A key leads to an outlet from its opening to its closing, and to nothing else, ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::vhost::Map;
use crate::{Broker, Outlet};

/// How every key begins.
pub(crate) const KEY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// The outlets that wait for direct replies.
#[derive(Default)]
pub(crate) struct DirectReplies(RwLock<Outlets>);

type Outlets = Map<Box<[u8]>, Arc<dyn Outlet>>;

impl DirectReplies {
    pub fn find(&self, key: &[u8]) -> Option<Arc<dyn Outlet>> {
        self.0.read().get(key).cloned()
    }

    pub fn open(&self, key: &[u8], outlet: Arc<dyn Outlet>) {
        self.0.write().insert(key.into(), outlet);
    }

    pub fn close(&self, key: &[u8]) {
        self.0.write().remove(key);
    }
}

impl Broker {
    /// Opens a way for direct replies and names its routing key.
    pub fn direct_reply_open(&self, outlet: Arc<dyn Outlet>) -> String {
        let key = self.made_up_name(KEY_PREFIX);
        self.direct_replies.open(key.as_bytes(), outlet);
        key
    }

    /// Closes it.
    pub fn direct_reply_close(&self, key: &str) {
        self.direct_replies.close(key.as_bytes());
        self.requester_gone(key.as_bytes());
    }

    /// Whether somebody waits for replies with that key.
    pub fn direct_reply_exists(&self, key: &str) -> bool {
        self.direct_replies.0.read().contains_key(key.as_bytes())
    }
}

/// Names that nobody guesses: a counter under SipHash with two random keys, 128 bits in all.
#[derive(Default)]
pub(crate) struct NameMaker {
    keys: [std::hash::RandomState; 2],
    counter: AtomicU64,
}

impl NameMaker {
    pub fn name(&self, prefix: &str) -> String {
        use std::hash::BuildHasher;
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut name = prefix.to_owned();
        for key in &self.keys {
            let mut bits = key.hash_one(count);
            for _ in 0..11 {
                name.push(char::from(ALPHABET[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
        name
    }
}
