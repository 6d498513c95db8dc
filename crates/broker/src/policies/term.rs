//! A value as RabbitMQ prints it when it refuses a policy: an Erlang term made of JSON.

use std::fmt::{self, Display, Formatter};

use ferry_core::arguments::Value;

/// Prints a value. How deep it is has been bounded by whoever read it.
pub(crate) struct Term<'a>(pub &'a Value);

impl Display for Term<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(value) => write!(f, "{value}"),
            Value::F32(value) => write!(f, "{value:?}"),
            Value::F64(value) => write!(f, "{value:?}"),
            Value::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            Value::Timestamp(value) => write!(f, "{value}"),
            Value::Str(bytes) | Value::Bytes(bytes) => {
                write!(f, "<<\"{}\">>", String::from_utf8_lossy(bytes))
            }
            Value::Void => f.write_str("null"),
            Value::Array(values) => {
                let terms: Vec<_> = values.iter().map(|value| Term(value).to_string()).collect();
                write!(f, "[{}]", terms.join(","))
            }
            Value::Table(table) => {
                let terms: Vec<_> = table
                    .iter()
                    .map(|(name, value)| format!("<<\"{name}\">> => {}", Term(value)))
                    .collect();
                write!(f, "#{{{}}}", terms.join(","))
            }
            integer => match integer.as_integer() {
                Some(value) => write!(f, "{value}"),
                None => f.write_str("undefined"),
            },
        }
    }
}
