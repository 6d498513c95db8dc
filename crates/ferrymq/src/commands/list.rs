//! Lists of the API's objects: asked for page by page, shown as a table.
//!
//! Invariants
//! - A list of a node of any size is read in pages of at most `PAGE_ITEMS_MAX`.
//! - Only the fields that are shown are asked for.

use clap::Args;
use serde_json::Value;

use super::outcome::{Done, Failure};
use super::session::{Session, Showing, VHOST_DEFAULT};
use crate::client::{Client, path, with_query};
use crate::show::{self, Align, Table, Terminal};
use crate::size;

/// The most that RabbitMQ, too, gives at once.
const PAGE_ITEMS_MAX: usize = 500;

/// What of a long list is shown, and in which order.
#[derive(Debug, Args)]
#[command(next_help_heading = "List")]
pub(super) struct ListArgs {
    /// Only those whose name has this in it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The text of --name is a regular expression
    #[arg(long, requires = "name")]
    regex: bool,
    /// Field to sort by, as the API calls it, such as messages_ready
    #[arg(long, value_name = "FIELD")]
    sort: Option<String>,
    /// Largest first
    #[arg(long, requires = "sort")]
    reverse: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Fields to show, as the API calls them, such as name,message_stats.publish
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    columns: Vec<String>,
}

/// How a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    Text,
    Number,
    /// So many a second.
    Rate,
    /// With a unit, for people.
    Bytes,
    /// A time in ms since 1970.
    Moment,
}

/// A column of a table: its head, and the field of the API in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(pub &'static str, pub &'static str, pub Show);

/// A kind of named objects in virtual hosts.
pub(super) struct Kind<'a> {
    /// As the paths of the API have it.
    pub plural: &'static str,
    pub one: &'static str,
    pub columns: &'a [Column],
}

/// Shows all of the object that is named, or else a list of all.
pub(super) fn browse(
    showing: &Showing,
    kind: &Kind<'_>,
    vhost: Option<&str>,
    named: Option<&str>,
    args: &ListArgs,
) -> Done {
    let session = showing.open()?;
    if let Some(name) = named {
        let path = path(&[kind.plural, vhost.unwrap_or(VHOST_DEFAULT), name]);
        let found = session.client.get(&path);
        let found = found.map_err(|error| error.named(kind.one, name))?;
        return show_one(&session, &found);
    }
    let path = match vhost {
        Some(vhost) => path(&[kind.plural, vhost]),
        None => path(&[kind.plural]),
    };
    show_pages(&session, &path, args, kind.columns)
}

/// Shows a list that the node gives in pages.
pub(super) fn show_pages(
    session: &Session,
    path: &str,
    args: &ListArgs,
    columns: &[Column],
) -> Done {
    let fields: Vec<String> = match (session.json, args.columns.is_empty()) {
        (true, true) => Vec::new(),
        (false, true) => columns.iter().map(|column| column.1.to_owned()).collect(),
        (_, false) => args.columns.clone(),
    };
    let items = Value::Array(pages(&session.client, path, args, &fields)?);
    match args.columns.is_empty() {
        true => show(session, &items, columns),
        false => session.show(&items, |items, _| of_fields(items, &args.columns, session)),
    }
}

/// Shows a list that is here.
pub(super) fn show(session: &Session, items: &Value, columns: &[Column]) -> Done {
    session.show(items, |items, terminal| table(items, columns, terminal))
}

/// Shows one object, a line for each field.
pub(super) fn show_one(session: &Session, object: &Value) -> Done {
    session.show(object, |object, terminal| {
        let mut table = Table::new([("field", Align::Left), ("value", Align::Left)]);
        let mut add = |name: &str, value: &Value| table.row([name, &text(value)]);
        each_field("", object, &mut add);
        table.render(terminal)
    })
}

fn each_field(prefix: &str, value: &Value, add: &mut impl FnMut(&str, &Value)) {
    match value {
        // As deep as the API nests; what lies deeper is shown as JSON.
        Value::Object(fields) if prefix.matches('.').count() < 3 => {
            for (name, value) in fields {
                let name = match prefix {
                    "" => name.clone(),
                    prefix => format!("{prefix}.{name}"),
                };
                match value {
                    Value::Object(fields) if fields.is_empty() => add(&name, &Value::Null),
                    value => each_field(&name, value, add),
                }
            }
        }
        value => add(prefix, value),
    }
}

fn pages(
    client: &Client,
    path: &str,
    args: &ListArgs,
    fields: &[String],
) -> Result<Vec<Value>, Failure> {
    let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut items = Vec::new();
    let mut page = 1;
    loop {
        let query = [
            ("page", Some(page.to_string())),
            ("page_size", Some(PAGE_ITEMS_MAX.min(limit).to_string())),
            ("name", Some(args.name.clone().unwrap_or_default())),
            ("use_regex", Some(args.regex.to_string())),
            ("sort", args.sort.clone()),
            ("sort_reverse", args.reverse.then(|| "true".to_owned())),
            ("columns", (!fields.is_empty()).then(|| fields.join(","))),
        ];
        let answer = client.get(&with_query(path.to_owned(), &query))?;
        let pages = answer["page_count"].as_u64();
        match answer {
            Value::Object(mut answer) => match answer.remove("items") {
                Some(Value::Array(more)) => items.extend(more),
                _ => return Err(no_list(path)),
            },
            _ => return Err(no_list(path)),
        }
        if items.len() >= limit || pages.is_none_or(|pages| page >= pages) {
            items.truncate(limit);
            return Ok(items);
        }
        page += 1;
    }
}

fn no_list(path: &str) -> Failure {
    Failure::Failed(format!("{path} did not answer with a page of a list"))
}

fn of_fields(items: &Value, fields: &[String], session: &Session) -> String {
    let mut table = Table::new(fields.iter().map(|field| (field.as_str(), Align::Left)));
    for item in items.as_array().into_iter().flatten() {
        table.row(fields.iter().map(|field| text(field_of(item, field))));
    }
    table.render(session.terminal)
}

/// A table of these columns.
pub(super) fn table(items: &Value, columns: &[Column], terminal: Terminal) -> String {
    let align = |show| match show {
        Show::Number | Show::Rate | Show::Bytes => Align::Right,
        Show::Text | Show::Moment => Align::Left,
    };
    let mut table = Table::new(columns.iter().map(|column| (column.0, align(column.2))));
    for item in items.as_array().into_iter().flatten() {
        let cell = |column: &Column| cell(field_of(item, column.1), column.2, terminal);
        table.row(columns.iter().map(cell));
    }
    table.render(terminal)
}

/// A field by its name, with dots between the names of nested ones; null if it is not there.
pub(super) fn field_of<'a>(object: &'a Value, name: &str) -> &'a Value {
    let mut value = object;
    let mut rest = name;
    loop {
        // A name may have dots in it itself.
        if let Some(found) = value.get(rest) {
            return found;
        }
        let Some((first, after)) = rest.split_once('.') else {
            return &Value::Null;
        };
        let Some(found) = value.get(first) else {
            return &Value::Null;
        };
        (value, rest) = (found, after);
    }
}

fn cell(value: &Value, show: Show, terminal: Terminal) -> String {
    match (show, value) {
        (Show::Rate, Value::Number(rate)) => format!("{:.1}", rate.as_f64().unwrap_or_default()),
        (Show::Bytes, Value::Number(bytes)) if terminal.is_terminal => {
            bytes.as_u64().map_or_else(|| text(value), size::show)
        }
        (Show::Moment, Value::Number(ms)) if terminal.is_terminal => {
            ms.as_u64().map_or_else(|| text(value), show::moment)
        }
        (_, value) => text(value),
    }
}

/// A value on one line: text as it is, nothing for null, lists of plain values with commas.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_array() && !item.is_object()) =>
        {
            let items: Vec<String> = items.iter().map(text).collect();
            items.join(",")
        }
        other => other.to_string(),
    }
}

/// The objects of a list that have this value in this field.
pub(super) fn only(items: Value, field: &str, wanted: Option<&str>) -> Value {
    match (items, wanted) {
        (Value::Array(items), Some(wanted)) => {
            let fits = |item: &Value| field_of(item, field) == wanted;
            Value::Array(items.into_iter().filter(fits).collect())
        }
        (items, _) => items,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_by_dotted_names() {
        let object = json!({ "a": { "b": { "c": 1 }, "d.e": 2 }, "f": null });
        for (name, expected) in [
            ("a.b.c", json!(1)),
            ("a.b", json!({ "c": 1 })),
            ("a.d.e", json!(2)),
            ("f", Value::Null),
            ("f.g", Value::Null),
            ("x.y", Value::Null),
            ("", Value::Null),
        ] {
            assert_eq!(*field_of(&object, name), expected, "{name}");
        }
    }

    #[test]
    fn values_are_shown_on_one_line() {
        for (value, expected) in [
            (json!(null), ""),
            (json!({}), ""),
            (json!([]), ""),
            (json!("a"), "a"),
            (json!(true), "yes"),
            (json!(["a", 1]), "a,1"),
            (json!({ "x-max-length": 5 }), r#"{"x-max-length":5}"#),
            (json!([{ "a": 1 }]), r#"[{"a":1}]"#),
        ] {
            assert_eq!(text(&value), expected);
        }
    }
}
