//! Who may do what: users, permissions and virtual hosts, over restarts and while they change.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

#[path = "../common/mod.rs"]
mod common;
mod logins;
mod rights;
mod support;
mod topics;
mod vhosts;
