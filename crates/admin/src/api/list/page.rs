//! Pages of a list, and how wrong ones are refused.

use serde_json::{Value, json};

use crate::api::ApiError;

/// Most objects of one page.
const PAGE_COUNT_MAX: i64 = 500;
const PAGE_COUNT_DEFAULT: i64 = 100;

/// A page that is asked for.
#[derive(Debug)]
pub(super) struct Page {
    number: usize,
    size: usize,
}

/// The refusal of what is no number, or no pattern.
pub(super) fn invalid() -> ApiError {
    ApiError::BadRequest("Pagination parameters are invalid".to_owned())
}

fn refused(error: &'static str, reason: String) -> ApiError {
    ApiError::Refused { error, reason }
}

impl Page {
    /// As in a query. Without a number there are no pages.
    pub(super) fn of(number: Option<&str>, size: Option<&str>) -> Result<Option<Page>, ApiError> {
        let Some(number) = number else {
            return Ok(None);
        };
        let number: i64 = number.parse().map_err(|_| invalid())?;
        let size: Option<i64> = size.map(str::parse).transpose().map_err(|_| invalid())?;
        let wanted = size.unwrap_or(PAGE_COUNT_DEFAULT);
        if number < 1 || !(1..=PAGE_COUNT_MAX).contains(&wanted) {
            let size = size.map_or("undefined".to_owned(), |size| size.to_string());
            return Err(refused(
                "invalid_pagination_parameters",
                format!("Invalid pagination parameters: page number {number}, page size {size}"),
            ));
        }
        Ok(Some(Page {
            number: usize::try_from(number).unwrap_or(usize::MAX),
            size: wanted as usize,
        }))
    }

    /// The objects on it.
    pub(super) fn cut<'a, T>(&self, found: &'a [T]) -> Result<&'a [T], ApiError> {
        let Page { number, size } = *self;
        if number > found.len().div_ceil(size).max(1) {
            return Err(refused(
                "page_out_of_range",
                format!(
                    "Page out of range, page: {number} page size: {size}, len: {}",
                    found.len()
                ),
            ));
        }
        let first = (number - 1) * size;
        Ok(&found[first..found.len().min(first + size)])
    }

    pub(super) fn wrap(&self, items: Vec<Value>, filtered: usize, total: usize) -> Value {
        json!({
            "page": self.number,
            "page_size": self.size,
            "page_count": filtered.div_ceil(self.size),
            "item_count": items.len(),
            "filtered_count": filtered,
            "total_count": total,
            "items": items,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: &str, size: Option<&str>, count: usize) -> Result<usize, String> {
        let objects = vec![(); count];
        let cut = || -> Result<usize, ApiError> {
            let page = Page::of(Some(number), size)?;
            page.map_or(Ok(0), |page| page.cut(&objects).map(<[()]>::len))
        };
        cut().map_err(|error| match error {
            ApiError::Refused { error, reason } => format!("{error}: {reason}"),
            ApiError::BadRequest(reason) => reason,
            _ => "other".to_owned(),
        })
    }

    #[test]
    fn wrong_pages_are_refused_in_words_that_clients_know() {
        let invalid = "invalid_pagination_parameters: Invalid pagination parameters:";
        for (number, size, count, expected) in [
            ("1", None, 3, Ok(3)),
            ("1", Some("2"), 3, Ok(2)),
            ("2", Some("2"), 3, Ok(1)),
            ("1", None, 0, Ok(0)),
            ("1", Some("500"), 501, Ok(500)),
            (
                "0",
                None,
                3,
                Err(format!("{invalid} page number 0, page size undefined")),
            ),
            (
                "-1",
                None,
                3,
                Err(format!("{invalid} page number -1, page size undefined")),
            ),
            (
                "1",
                Some("501"),
                3,
                Err(format!("{invalid} page number 1, page size 501")),
            ),
            (
                "1",
                Some("0"),
                3,
                Err(format!("{invalid} page number 1, page size 0")),
            ),
            (
                "x",
                None,
                3,
                Err("Pagination parameters are invalid".to_owned()),
            ),
            (
                "",
                None,
                3,
                Err("Pagination parameters are invalid".to_owned()),
            ),
            (
                "1",
                Some("x"),
                3,
                Err("Pagination parameters are invalid".to_owned()),
            ),
            (
                "9",
                None,
                3,
                Err(
                    "page_out_of_range: Page out of range, page: 9 page size: 100, len: 3"
                        .to_owned(),
                ),
            ),
        ] {
            assert_eq!(page(number, size, count), expected, "{number} {size:?}");
        }
    }

    #[test]
    fn an_empty_list_has_no_pages() {
        let page = Page::of(Some("1"), Some("2")).ok().flatten().unwrap();
        assert_eq!(page.wrap(Vec::new(), 0, 3)["page_count"], 0);
    }
}
