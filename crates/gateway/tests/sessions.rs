//! Whole sessions out of the seeds of the fuzz targets `session_*`, cut and mutated.

#![allow(clippy::unwrap_used)]

mod checks;
mod house;
#[path = "../../../fuzz/seeds.rs"]
#[allow(dead_code)]
mod seeds;

use seeds::{Mutations, Rng};

fn run(target: &str, per_seed: u64, check: fn(&[u8])) {
    let insert = |rng: &mut Rng| vec![rng.next() as u8 % 16, rng.next() as u8];
    let mutations = Mutations {
        per_seed,
        edges: [0, 1, 7, 8, 15, 255],
        insert: &insert,
    };
    mutations.run(target, check);
}

#[test]
fn sessions_of_amqp_survive_what_clients_say() {
    run("session_amqp091", 1, checks::check_amqp091);
}

#[test]
fn sessions_of_mqtt_survive_what_clients_say() {
    run("session_mqtt", 1, checks::check_mqtt);
}

#[test]
fn sessions_of_json_survive_what_clients_say() {
    run("session_json", 1, checks::check_json);
}
