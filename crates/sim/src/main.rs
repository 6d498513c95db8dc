//! Seeded simulation: the broker on a virtual clock and a faulty disk.
fn main() {}
