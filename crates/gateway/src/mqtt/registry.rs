//! What all connections of MQTT share: who is there, the wills of those who are not, and `$SYS`.

use std::sync::Arc;

use super::clients::Clients;
use super::sys::Sys;
use super::wills::Wills;

/// What all connections of MQTT share.
#[derive(Default)]
pub(crate) struct Registry {
    /// Who is connected.
    pub(crate) clients: Arc<Clients>,
    /// Wills that wait until it is their time.
    pub(crate) wills: Arc<Wills>,
    /// What the broker tells of itself.
    pub(crate) sys: Arc<Sys>,
}
