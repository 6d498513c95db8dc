//! The HTTP door over a real socket, with a broker behind it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod access;
mod api;
mod catalog;
mod counts;
mod definitions;
mod door;
mod exposition;
mod ferry;
mod health;
mod limits;
mod metrics;
mod objects;
mod parameters;
mod passport;
mod policies;
mod promises;
mod support;
mod websocket;
