//! A part of a queue that is not there before it is used, so that a queue that only waits is small.
//!
//! Invariants
//! - Who looks at a part that is not there sees an empty one; whoever changes it makes it.
//! - A part that was made stays.
//!
//! Not here: what the parts do (`ready`, `lease`, `consumer`).

use std::ops::{Deref, DerefMut};

use super::consumer::Consumers;
use super::lease::Leases;
use super::ready::{Levels, Ready};

/// What can be looked at without being there.
pub trait Unused: Default + 'static {
    /// An empty one, for all who have none.
    const UNUSED: &'static Self;
}

impl Unused for Ready {
    const UNUSED: &'static Ready = &Ready::Plain(Levels::new());
}

impl Unused for Leases {
    const UNUSED: &'static Leases = &Leases::new();
}

impl Unused for Consumers {
    const UNUSED: &'static Consumers = &Consumers::new(false);
}

/// A part that may not be there yet.
#[derive(Debug)]
pub struct OnUse<T>(Option<Box<T>>);

impl<T> OnUse<T> {
    /// One that is there.
    pub fn with(part: T) -> OnUse<T> {
        OnUse(Some(Box::new(part)))
    }

    /// The part, for who has nothing to do if it is not there.
    #[inline]
    pub fn used(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T> Default for OnUse<T> {
    fn default() -> OnUse<T> {
        OnUse(None)
    }
}

impl<T: Unused> Deref for OnUse<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::UNUSED)
    }
}

impl<T: Unused> DerefMut for OnUse<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
