//! Lists: filtered, sorted, by page and with the columns that a query asks for.
//!
//! Invariants
//! - Only the objects of the answer become JSON; a list of a million costs pointers.
//! - What is asked for and not offered is refused, not passed over.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, ApiError};
use crate::shared::Shared;

/// Most objects of one answer.
const LIST_COUNT_MAX: usize = 20_000;

/// Most objects of one page, as in RabbitMQ.
const PAGE_COUNT_MAX: usize = 500;
const PAGE_COUNT_DEFAULT: usize = 100;

/// What a list can be asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ListQuery {
    page: Option<usize>,
    page_size: Option<usize>,
    /// Part of a name.
    name: Option<String>,
    use_regex: Option<String>,
    sort: Option<String>,
    sort_reverse: Option<String>,
    columns: Option<String>,
}

/// An object of a list.
pub(super) trait Listed: Send {
    fn name(&self) -> &str;
    /// The value of a field that a list can be sorted by.
    fn sort_key(&self, field: &str) -> Option<SortKey<'_>>;
    fn show(&self, shared: &Shared) -> Value;
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortKey<'a> {
    Text(&'a str),
    Number(u64),
}

fn bad<T>(reason: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::BadRequest(reason.into()))
}

fn is_true(flag: Option<&String>) -> bool {
    flag.is_some_and(|flag| flag == "true")
}

/// The list as it is answered.
pub(super) fn present<T: Listed>(mut found: Vec<T>, query: &ListQuery, shared: &Shared) -> Answer {
    let total_count = found.len();
    if let Some(part) = query.name.as_ref().filter(|part| !part.is_empty()) {
        if is_true(query.use_regex.as_ref()) {
            return bad("use_regex is not offered: name is matched as it is");
        }
        found.retain(|object| object.name().contains(part.as_str()));
    }
    sort(&mut found, query)?;
    let show = |objects: &[T]| -> Vec<Value> {
        objects
            .iter()
            .map(|object| columns(object.show(shared), query))
            .collect()
    };
    let Some(page) = query.page else {
        if query.page_size.is_some() {
            return bad("page_size needs page");
        }
        if found.len() > LIST_COUNT_MAX {
            return bad(format!(
                "these are {} objects: ask for them by page, {LIST_COUNT_MAX} at most come at once",
                found.len()
            ));
        }
        return Ok(Value::Array(show(&found)));
    };
    let size = query.page_size.unwrap_or(PAGE_COUNT_DEFAULT);
    if !(1..=PAGE_COUNT_MAX).contains(&size) {
        return bad(format!("page_size is from 1 to {PAGE_COUNT_MAX}"));
    }
    let filtered_count = found.len();
    let page_count = filtered_count.div_ceil(size).max(1);
    if !(1..=page_count).contains(&page) {
        return bad(format!("page is from 1 to {page_count}"));
    }
    let first = (page - 1) * size;
    let items = show(&found[first..filtered_count.min(first + size)]);
    Ok(json!({
        "page": page,
        "page_size": size,
        "page_count": page_count,
        "item_count": items.len(),
        "filtered_count": filtered_count,
        "total_count": total_count,
        "items": items,
    }))
}

fn sort<T: Listed>(found: &mut [T], query: &ListQuery) -> Result<(), ApiError> {
    let Some(field) = query.sort.as_ref().filter(|field| !field.is_empty()) else {
        return Ok(());
    };
    if found
        .first()
        .is_some_and(|first| first.sort_key(field).is_none())
    {
        return bad(format!("this list can not be sorted by `{field}`"));
    }
    let reverse = is_true(query.sort_reverse.as_ref());
    found.sort_by(|a, b| {
        let order: Ordering = a.sort_key(field).cmp(&b.sort_key(field));
        if reverse { order.reverse() } else { order }
    });
    Ok(())
}

fn columns(object: Value, query: &ListQuery) -> Value {
    let (Some(wanted), Value::Object(object)) = (&query.columns, &object) else {
        return object;
    };
    let wanted: Vec<&str> = wanted.split(',').collect();
    let kept = object
        .iter()
        .filter(|(name, _)| wanted.contains(&name.as_str()));
    Value::Object(
        kept.map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}
