//! Lists: by page, filtered by name, sorted, and with the columns that a query asks for.
//!
//! Invariants
//! - Only the objects of the answer become JSON, unless the list is sorted by a field that only
//!   JSON knows; a list of a million costs pointers.
//! - Wrong pages are refused in RabbitMQ's words; what a field lacks sorts as zero, as there.

mod columns;
mod key;
mod page;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, ApiError};
use crate::shared::Shared;
pub(super) use columns::Columns;
pub(super) use key::SortKey;
use page::Page;

/// Most objects of one answer.
const LIST_COUNT_MAX: usize = 20_000;

/// Largest compiled pattern that names are matched with, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What a list can be asked for.
#[derive(Debug, Default, Clone, Deserialize)]
pub(super) struct ListQuery {
    page: Option<String>,
    page_size: Option<String>,
    /// Part of a name, or a pattern; it counts where there are pages.
    name: Option<String>,
    use_regex: Option<String>,
    sort: Option<String>,
    sort_reverse: Option<String>,
    columns: Option<String>,
}

/// An object of a list.
pub(super) trait Listed: Send {
    fn name(&self) -> &str;

    /// The value of a field by which a list is sorted without a look at its JSON.
    fn sort_key(&self, field: &str) -> Option<SortKey<'_>>;

    /// The same for fields that the object alone does not know.
    fn sort_key_in(&self, field: &str, _shared: &Shared) -> Option<SortKey<'_>> {
        self.sort_key(field)
    }

    fn show(&self, shared: &Shared) -> Value;
}

/// Whether a parameter of a query is set.
pub(super) fn is_true(flag: Option<&String>) -> bool {
    flag.is_some_and(|flag| flag == "true")
}

/// The list as it is answered.
pub(super) fn present<T: Listed>(found: Vec<T>, query: &ListQuery, shared: &Shared) -> Answer {
    present_as(found, query, shared, |object| object.show(shared))
}

/// The same with objects that are shown in another way.
pub(super) fn present_as<T: Listed>(
    mut found: Vec<T>,
    query: &ListQuery,
    shared: &Shared,
    show: impl Fn(&T) -> Value,
) -> Answer {
    let columns = Columns::of(query.columns.as_deref());
    let page = Page::of(query.page.as_deref(), query.page_size.as_deref())?;
    let total_count = found.len();
    if page.is_some() {
        let matches = name_filter(query)?;
        found.retain(|object| matches(object.name()));
    }
    sort(&mut found, query, shared, &show)?;
    let chosen = match &page {
        Some(page) => page.cut(&found)?,
        None if found.len() > LIST_COUNT_MAX => {
            return Err(ApiError::BadRequest(format!(
                "these are {} objects: ask for them by page, {LIST_COUNT_MAX} at most come at once",
                found.len()
            )));
        }
        None => &found[..],
    };
    let items = chosen.iter().map(|object| columns.pick(show(object)));
    let items: Vec<Value> = items.collect();
    Ok(match page {
        Some(page) => page.wrap(items, found.len(), total_count),
        None => Value::Array(items),
    })
}

type NameFilter = Box<dyn Fn(&str) -> bool>;

fn name_filter(query: &ListQuery) -> Result<NameFilter, ApiError> {
    let Some(part) = query.name.clone().filter(|part| !part.is_empty()) else {
        return Ok(Box::new(|_| true));
    };
    if !is_true(query.use_regex.as_ref()) {
        let part = part.to_lowercase();
        return Ok(Box::new(move |name| name.to_lowercase().contains(&part)));
    }
    let pattern: Result<Regex, _> = RegexBuilder::new(&part)
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES_MAX)
        .build();
    match pattern {
        Ok(pattern) => Ok(Box::new(move |name| pattern.is_match(name))),
        Err(_) => Err(page::invalid()),
    }
}

fn sort<T: Listed>(
    found: &mut Vec<T>,
    query: &ListQuery,
    shared: &Shared,
    show: impl Fn(&T) -> Value,
) -> Result<(), ApiError> {
    let Some(field) = query.sort.as_deref().filter(|field| !field.is_empty()) else {
        return Ok(());
    };
    let Some(first) = found.first() else {
        return Ok(());
    };
    let keys: Vec<SortKey<'static>> = if first.sort_key_in(field, shared).is_some() {
        let key = |object: &T| object.sort_key_in(field, shared).map(SortKey::into_owned);
        found
            .iter()
            .map(|one| key(one).unwrap_or_default())
            .collect()
    } else if found.len() > LIST_COUNT_MAX {
        return Err(ApiError::BadRequest(format!(
            "these are {} objects: too many to sort by `{field}`",
            found.len()
        )));
    } else {
        found
            .iter()
            .map(|one| SortKey::in_json(&show(one), field))
            .collect()
    };
    let mut keyed: Vec<(SortKey<'static>, T)> = keys.into_iter().zip(found.drain(..)).collect();
    let reverse = is_true(query.sort_reverse.as_ref());
    keyed.sort_by(|(a, _), (b, _)| if reverse { b.cmp(a) } else { a.cmp(b) });
    found.extend(keyed.into_iter().map(|(_, object)| object));
    Ok(())
}
