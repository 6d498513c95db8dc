//! Which messages of a queue are meant: a selection in a query or a body.
//!
//! Invariants
//! - All conditions that are given must hold.
//! - A cursor says which kind of message it stands at; one that makes no sense is refused.

use ferry_broker::{Browse, Filter, MessageRef, What};
use ferry_core::Millis;
use ferry_core::filter::Filter as Selector;
use ferry_core::queue::DeadLetterReason;

use crate::api::ferry::problem::Problem;

/// What messages must be like.
#[derive(Debug, Clone, Default)]
pub(in crate::api::ferry) struct Conditions {
    pub filter: Option<String>,
    pub id: Option<String>,
    pub text: Option<String>,
    pub reason: Option<String>,
    pub from: Option<Millis>,
    pub to: Option<Millis>,
}

/// A query or a body that selects messages: its own fields, and the conditions beside them.
macro_rules! selecting {
    (
        $(#[$meta:meta])*
        struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        pub(in crate::api::ferry) struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// A condition on properties and headers, in the SQL subset of JMS selectors.
            pub filter: Option<String>,
            /// The publisher's name for the message.
            pub id: Option<String>,
            /// Text that stands somewhere in the body.
            pub text: Option<String>,
            /// Why it died, the last time: `rejected`, `expired`, `maxlen`, `delivery_limit` or
            /// `unroutable`.
            pub reason: Option<String>,
            /// Taken by the broker at that time or later, in milliseconds since the Unix epoch.
            pub from: Option<ferry_core::Millis>,
            /// Taken by the broker at that time or earlier.
            pub to: Option<ferry_core::Millis>,
        }

        impl $name {
            pub fn conditions(&self) -> $crate::api::ferry::messages::query::Conditions {
                $crate::api::ferry::messages::query::Conditions {
                    filter: self.filter.clone(),
                    id: self.id.clone(),
                    text: self.text.clone(),
                    reason: self.reason.clone(),
                    from: self.from,
                    to: self.to,
                }
            }
        }
    };
}

pub(super) use selecting;

impl Conditions {
    pub fn is_empty(&self) -> bool {
        let Conditions {
            filter,
            id,
            text,
            reason,
            from,
            to,
        } = self;
        let texts = [filter, id, text, reason];
        texts.iter().all(|text| text.is_none()) && from.is_none() && to.is_none()
    }

    pub fn filter(&self) -> Result<Filter, Problem> {
        let death = match self.reason.as_deref() {
            None | Some("") => None,
            Some(name) => {
                let unknown = || Problem::bad(format!("reason: nothing dies for '{name}'"));
                Some(DeadLetterReason::from_name(name).ok_or_else(unknown)?)
            }
        };
        let selector = match self.filter.as_deref() {
            None => None,
            Some(text) => {
                Selector::compile(text).map_err(|error| Problem::bad(format!("filter: {error}")))?
            }
        };
        let published_ms = match (self.from, self.to) {
            (None, None) => None,
            (from, to) => Some(from.unwrap_or(0)..=to.unwrap_or(Millis::MAX)),
        };
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(Filter {
            message_id: said(&self.id),
            body: said(&self.text).map(String::into_bytes),
            death,
            published_ms,
            selector,
            ..Filter::default()
        })
    }
}

/// The kinds of messages in the order in which all of them are listed.
const KINDS: [(&str, What); 4] = [
    ("ready", What::Ready),
    ("delayed", What::Delayed),
    ("leased", What::Leased),
    ("stuck", What::Pending),
];

/// Which kinds, and where to go on.
#[derive(Debug)]
pub(in crate::api::ferry) struct Walk {
    /// Kinds that are yet to be looked at, the next one last.
    left: Vec<(&'static str, What)>,
    pub browse: Browse,
}

impl Walk {
    /// Goes over messages of a state: one of the kinds, or `all`.
    pub fn new(state: Option<&str>, cursor: Option<&str>, browse: Browse) -> Result<Walk, Problem> {
        let wanted = state.unwrap_or("ready");
        let is_wanted = |name: &str| wanted == "all" || wanted == name;
        let mut left: Vec<_> = KINDS.into_iter().rev().collect();
        left.retain(|(name, _)| is_wanted(name));
        if left.is_empty() {
            return Err(Problem::bad(format!(
                "state is ready, delayed, leased, stuck or all, not '{wanted}'"
            )));
        }
        let mut walk = Walk { left, browse };
        if let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) {
            walk.seek(cursor)?;
        }
        walk.enter();
        Ok(walk)
    }

    /// Goes over messages that nobody has: `ready`, `delayed` or, here, both as `all`.
    pub fn free(state: Option<&str>, browse: Browse) -> Result<Walk, Problem> {
        if !matches!(state, None | Some("ready" | "delayed" | "all")) {
            return Err(Problem::bad("state is ready, delayed or all"));
        }
        let mut walk = Walk::new(state, None, browse)?;
        let is_free = |what: What| matches!(what, What::Ready | What::Delayed);
        walk.left.retain(|(_, what)| is_free(*what));
        walk.enter();
        Ok(walk)
    }

    fn seek(&mut self, cursor: &str) -> Result<(), Problem> {
        let strange = || Problem::bad("cursor is the `next` of a page of the same listing");
        let (kind, after) = cursor.split_once('.').ok_or_else(strange)?;
        let place = self.left.iter().position(|(name, _)| *name == kind);
        self.left.truncate(place.ok_or_else(strange)? + 1);
        if !after.is_empty() {
            self.browse.after = Some(after.parse::<MessageRef>().map_err(|_| strange())?);
        }
        Ok(())
    }

    fn enter(&mut self) {
        if let Some((_, what)) = self.left.last() {
            self.browse.what = *what;
        }
    }

    /// Goes on behind a message, or with the next kind. False at the end.
    pub fn go_on(&mut self, next: Option<MessageRef>) -> bool {
        self.browse.after = next;
        if next.is_none() {
            self.left.pop();
            self.enter();
        }
        !self.left.is_empty()
    }

    /// Where to go on, for another request.
    pub fn cursor(&self) -> Option<String> {
        let (name, _) = self.left.last()?;
        let after = self.browse.after.map(|after| after.to_string());
        Some(format!("{name}.{}", after.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_or_refused_by_name() {
        let conditions = |set: fn(&mut Conditions)| {
            let mut conditions = Conditions::default();
            set(&mut conditions);
            conditions
                .filter()
                .map_err(|problem| problem.reason().to_owned())
        };
        assert_eq!(conditions(|_| ()), Ok(Filter::default()));
        let found = conditions(|wanted| wanted.to = Some(9)).unwrap();
        assert_eq!(found.published_ms, Some(0..=9));
        let found = conditions(|wanted| wanted.reason = Some("expired".to_owned())).unwrap();
        assert_eq!(found.death, Some(DeadLetterReason::Expired));
        let found = conditions(|wanted| wanted.filter = Some("n > 2".to_owned())).unwrap();
        assert!(found.selector.is_some());
        let refused = conditions(|wanted| wanted.filter = Some("n >".to_owned())).unwrap_err();
        assert!(refused.starts_with("filter: at character"), "{refused}");
        let refused = conditions(|wanted| wanted.reason = Some("age".to_owned())).unwrap_err();
        assert!(refused.contains("'age'"), "{refused}");
    }

    #[test]
    fn all_kinds_follow_each_other_and_a_cursor_names_its_own() {
        fn walk(state: Option<&str>, cursor: Option<&str>) -> Result<Walk, Problem> {
            Walk::new(state, cursor, Browse::default())
        }
        let mut all = walk(Some("all"), None).unwrap();
        let mut seen = Vec::new();
        loop {
            let cursor = all.cursor().unwrap();
            let again = walk(Some("all"), Some(&cursor)).unwrap();
            assert_eq!(again.browse.what, all.browse.what);
            seen.push(all.browse.what);
            if !all.go_on(None) {
                break;
            }
        }
        assert_eq!(seen, KINDS.map(|(_, what)| what));
        assert_eq!(all.cursor(), None);
        assert_eq!(walk(None, None).unwrap().browse.what, What::Ready);
        for (state, cursor) in [
            ("dead", ""),
            ("ready", "ready"),
            ("ready", "delayed."),
            ("ready", "ready.zz"),
            ("all", "."),
        ] {
            assert!(walk(Some(state), Some(cursor)).is_err(), "{state} {cursor}");
        }
    }
}
