//! The channels of a connection, by number.
//!
//! Invariant: low numbers, which is all that most clients use, are found by index.

use hashbrown::HashMap;

use super::channel::Channel;

/// Numbers below this are found by index.
const DIRECT_MAX: usize = 64;

/// The channels of one connection.
#[derive(Default)]
pub(crate) struct Channels {
    direct: Vec<Option<Box<Channel>>>,
    others: HashMap<u16, Box<Channel>, crate::hashing::HashState>,
    count: usize,
}

impl Channels {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The channel of that number.
    pub(crate) fn get(&mut self, number: u16) -> Option<&mut Channel> {
        match self.direct.get_mut(usize::from(number)) {
            Some(found) => found.as_deref_mut(),
            None => self.others.get_mut(&number).map(|channel| &mut **channel),
        }
    }

    /// Adds a channel; there is none of its number.
    pub(crate) fn insert(&mut self, channel: Channel) {
        let (number, channel) = (channel.number, Box::new(channel));
        let index = usize::from(number);
        let before = if index < DIRECT_MAX {
            if self.direct.len() <= index {
                self.direct.resize_with(index + 1, || None);
            }
            self.direct[index].replace(channel)
        } else {
            self.others.insert(number, channel)
        };
        assert!(before.is_none(), "a channel number is used once at a time");
        self.count += 1;
    }

    /// Forgets the channel of that number.
    pub(crate) fn remove(&mut self, number: u16) -> Option<Box<Channel>> {
        let removed = match self.direct.get_mut(usize::from(number)) {
            Some(found) => found.take(),
            None => self.others.remove(&number),
        };
        self.count -= usize::from(removed.is_some());
        removed
    }

    /// Every channel, to look at.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel> {
        let direct = self.direct.iter().flatten();
        direct.chain(self.others.values()).map(|channel| &**channel)
    }

    /// Every channel.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        let direct = self.direct.iter_mut().flatten();
        direct
            .chain(self.others.values_mut())
            .map(|channel| &mut **channel)
    }
}
