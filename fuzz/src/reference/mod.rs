//! Other implementations of the same formats.

mod amqp091;

pub use amqp091::check_amqp091;
