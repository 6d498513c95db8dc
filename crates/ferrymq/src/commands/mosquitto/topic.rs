//! Filters of an ACL as regular expressions over routing keys, in which `/` is `.` and `.` is `/`.
//!
//! Invariants
//! - The expression matches the keys of exactly those topics that the filter matches, parent level
//!   and topics of the broker's own (`$...`) included.
//! - Two filters that have a topic in common are said to overlap; where a client's id stands, any
//!   text is thought of.

/// The variable of topic permissions.
const CLIENT_ID: &str = "{client_id}";

/// A filter with signs for the client and the user, level by level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    levels: Vec<String>,
    /// Whether `%c` and `%u` mean something.
    pattern: bool,
}

impl Topic {
    /// None for what is no filter.
    pub fn parse(text: &str, pattern: bool) -> Option<Topic> {
        let levels: Vec<String> = text.split('/').map(str::to_owned).collect();
        let last = levels.len() - 1;
        let fits = |(at, level): (usize, &String)| match level.as_str() {
            "+" => true,
            "#" => at == last,
            level => !level.contains(['+', '#', '\0']),
        };
        let valid = !text.is_empty() && levels.iter().enumerate().all(fits);
        valid.then_some(Topic { levels, pattern })
    }

    /// Whether it means something for clients without a user name.
    pub fn names_user(&self) -> bool {
        self.pattern && self.levels.iter().any(|level| level.contains("%u"))
    }

    /// A regular expression, without anchors, that all of a key has to match.
    pub fn regex(&self, user: &str) -> String {
        let mut regex = String::new();
        for (at, level) in self.levels.iter().enumerate() {
            match (level.as_str(), at) {
                // A wildcard at the front stands for no topics of the broker's own.
                ("#", 0) => regex.push_str("[^$].*"),
                ("#", _) => regex.push_str("(\\..*)?"),
                ("+", 0) => regex.push_str("([^$.][^.]*)?"),
                ("+", _) => regex.push_str("\\.[^.]*"),
                (level, at) => {
                    regex.push_str(if at > 0 { "\\." } else { "" });
                    regex.push_str(&self.literal(level, user));
                }
            }
        }
        regex
    }

    fn literal(&self, level: &str, user: &str) -> String {
        let escape = |text: &str| regex::escape(&text.replace('.', "/"));
        if !self.pattern {
            return escape(level);
        }
        let parts = level.split("%c").map(|part| {
            let part: Vec<_> = part.split("%u").map(escape).collect();
            // A user's name is one level, whatever is in it.
            part.join(&escape(user))
        });
        parts.collect::<Vec<_>>().join(CLIENT_ID)
    }

    /// Whether some topic matches both. `user` is who they are about.
    pub fn overlaps(&self, other: &Topic, user: &str) -> bool {
        let own = |topic: &Topic| topic.levels[0].starts_with('$');
        let wild = |topic: &Topic| ["+", "#"].contains(&topic.levels[0].as_str());
        if own(self) && wild(other) || own(other) && wild(self) {
            return false;
        }
        let mut index = 0;
        loop {
            let (one, two) = (self.levels.get(index), other.levels.get(index));
            match (one.map(String::as_str), two.map(String::as_str)) {
                // `#` is the level above, too.
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (None, _) | (_, None) => return false,
                (Some(one), Some(two)) => {
                    let any = |topic: &Topic, level: &str| {
                        level == "+" || topic.pattern && level.contains("%c")
                    };
                    let of = |topic: &Topic, level: &str| match topic.pattern {
                        true => level.replace("%u", user),
                        false => level.to_owned(),
                    };
                    let same = of(self, one) == of(other, two);
                    if !same && !any(self, one) && !any(other, two) {
                        return false;
                    }
                }
            }
            index += 1;
        }
    }
}
