//! The HTTP door over a real socket, with a broker behind it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod api;
mod counts;
mod door;
mod limits;
mod passport;
mod policies;
mod support;
