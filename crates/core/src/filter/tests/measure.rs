//! What a match costs: `cargo test --release -p ferry-core filter::tests::measure -- --ignored`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

const MATCHES: u32 = 2_000_000;

#[test]
#[ignore = "a measurement of a release build"]
fn a_match_is_cheap() {
    let message = headers([
        ("region", text("eu-west")),
        ("amount", Value::I64(750)),
        ("kind", text("order")),
        ("note", text("please leave it with the neighbours")),
    ]);
    for text in [
        "kind = 'order'",
        "kind = 'order' AND amount > 500 AND region LIKE 'eu-%'",
        "kind IN ('a', 'b', 'order') AND amount BETWEEN 1 AND 900 AND NOT region = 'us'",
        "note LIKE '%leave%neigh%'",
        "note LIKE '%l_ave%neigh%'",
    ] {
        let filter = compiled(text);
        let start = Instant::now();
        let found = (0..MATCHES).filter(|_| black_box(&filter).matches(black_box(&message)));
        assert_eq!(found.count(), MATCHES as usize);
        println!("{text}: {:?}", start.elapsed() / MATCHES);
    }
}
