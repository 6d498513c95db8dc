//! What a match of a filter costs, by what the filter asks for.
//!
//! Invariants
//! - Every filter lets the message through: none is done after its first comparison.

use std::hint::black_box;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::filter::Filter;

use crate::Res;
use crate::stats::Figures;
use crate::sys::own_cpu_seconds;

use super::Case;

const FILTERS: [&str; 5] = [
    "kind = 'order'",
    "kind = 'order' AND amount > 500 AND region LIKE 'eu-%'",
    "kind IN ('a', 'b', 'order') AND amount BETWEEN 1 AND 900 AND NOT region = 'us'",
    "note LIKE '%leave%neigh%'",
    "note LIKE '%l_ave%neigh%'",
];

fn message() -> Arguments {
    let text = |text: &str| Value::Str(text.as_bytes().to_vec());
    [
        ("region", text("eu-west")),
        ("amount", Value::I64(750)),
        ("kind", text("order")),
        ("note", text("please leave it with the neighbours")),
    ]
    .into_iter()
    .collect()
}

/// The mean of so many matches for each filter.
pub fn measure(matches: usize) -> Res<Vec<Case>> {
    let message = message();
    let of_filter = |text: &'static str| {
        let filter = Filter::compile(text).map_err(|error| error.to_string())?;
        let filter = filter.ok_or("an empty filter")?;
        let begin = own_cpu_seconds();
        let through = (0..matches)
            .filter(|_| black_box(&filter).matches(black_box(&message)))
            .count();
        let each_ns = (own_cpu_seconds() - begin) * 1e9 / matches as f64;
        if through != matches {
            return Err(format!("{text} lets {through} of {matches} through"));
        }
        let mut figures = Figures::default();
        figures.put("each_ns", each_ns);
        Ok((text, figures))
    };
    FILTERS.into_iter().map(of_filter).collect()
}
