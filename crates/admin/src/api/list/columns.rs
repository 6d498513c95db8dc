//! Columns: which fields of an object are shown; dots lead into objects, and into the objects of
//! lists.

use serde_json::{Map, Value};

/// Most columns that are looked at.
const COLUMNS_MAX: usize = 256;

/// The columns of a query.
#[derive(Debug, Default)]
pub(in crate::api) struct Columns(Option<Vec<String>>);

impl Columns {
    /// As in a query; all if nothing is said.
    pub(in crate::api) fn of(columns: Option<&str>) -> Columns {
        let named = columns.filter(|columns| !columns.is_empty());
        Columns(named.map(|columns| {
            let columns = columns.split(',').take(COLUMNS_MAX);
            columns.map(str::to_owned).collect()
        }))
    }

    /// What they leave of an object.
    pub(in crate::api) fn pick(&self, object: Value) -> Value {
        match &self.0 {
            None => object,
            Some(columns) => {
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                keep(object, &columns)
            }
        }
    }

    /// The same for every object of a list.
    pub(in crate::api) fn pick_each(&self, list: Value) -> Value {
        match list {
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.pick(item)).collect())
            }
            object => self.pick(object),
        }
    }
}

fn keep(value: Value, columns: &[&str]) -> Value {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(items) => {
            return Value::Array(items.into_iter().map(|item| keep(item, columns)).collect());
        }
        other => return other,
    };
    let mut kept = Map::new();
    for (name, value) in object {
        if columns.contains(&name.as_str()) {
            kept.insert(name, value);
            continue;
        }
        let inner = |column: &&str| -> Option<usize> {
            let rest = column.strip_prefix(name.as_str())?;
            rest.starts_with('.').then_some(name.len() + 1)
        };
        let within: Vec<&str> = columns
            .iter()
            .filter_map(|column| Some(&column[inner(column)?..]))
            .collect();
        if !within.is_empty() && (value.is_object() || value.is_array()) {
            kept.insert(name, keep(value, &within));
        }
    }
    Value::Object(kept)
}

/// A field of an object; dots lead into it.
pub(super) fn find<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(field) {
        return Some(value);
    }
    let mut dots = field.match_indices('.');
    dots.find_map(|(at, _)| find(object.get(&field[..at])?, &field[at + 1..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_lead_into_objects_and_lists() {
        let object = json!({
            "name": "q", "stats": { "rate": { "now": 1, "avg": 2 }, "sum": 3 },
            "of": [{ "tag": "a", "x": 1 }, { "tag": "b" }], "dotted.name": 5,
        });
        for (columns, expected) in [
            ("", object.clone()),
            ("name", json!({ "name": "q" })),
            ("none,nor.this", json!({})),
            (
                "stats.rate.now",
                json!({ "stats": { "rate": { "now": 1 } } }),
            ),
            (
                "stats.sum,stats.rate,name",
                json!({ "name": "q", "stats": { "rate": { "now": 1, "avg": 2 }, "sum": 3 } }),
            ),
            ("name.deeper", json!({})),
            ("of.tag", json!({ "of": [{ "tag": "a" }, { "tag": "b" }] })),
            ("dotted.name", json!({ "dotted.name": 5 })),
        ] {
            let picked = Columns::of(Some(columns)).pick(object.clone());
            assert_eq!(picked, expected, "{columns}");
        }
        assert_eq!(find(&object, "stats.rate.avg"), Some(&json!(2)));
        assert_eq!(find(&object, "dotted.name"), Some(&json!(5)));
        assert_eq!(find(&object, "stats..avg"), None);
    }
}
