//! `users`.
//!
//! Invariants
//! - A new password comes from a file, standard input or the terminal, never from an argument.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::list::{self, Column, Show};
use super::outcome::{Done, Failure};
use super::session::{Remote, Showing, say};
use crate::client::{ask_password, password_of_file, path};
use crate::show::escape;

const COLUMNS: [Column; 3] = [
    Column("name", "name", Show::Text),
    Column("tags", "tags", Show::Text),
    Column("limits", "limits", Show::Text),
];

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Users {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    showing: Showing,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Adds a user; what it may do is said with `ferrymq permissions set`
    Add(Add),
    /// Changes the password of a user
    Password(Password),
    /// Changes the tags of a user
    Tags(Tags),
    /// Deletes a user; its connections are closed
    Delete(Delete),
}

#[derive(Debug, Args)]
struct NewPassword {
    /// File with the new password, - for standard input; else it is asked for
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// The user can not log in with a password
    #[arg(long, conflicts_with = "new_password_file")]
    no_password: bool,
}

#[derive(Debug, Args)]
struct Add {
    /// Name
    name: String,
    /// Tags, with commas between: administrator, monitoring, policymaker, management
    #[arg(long, value_name = "TAG,...", default_value = "")]
    tags: String,
    #[command(flatten)]
    password: NewPassword,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Password {
    /// Name
    name: String,
    #[command(flatten)]
    password: NewPassword,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Tags {
    /// Name
    name: String,
    /// Tags, with commas between; an empty text takes all away
    tags: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Delete {
    /// Name
    name: String,
    #[command(flatten)]
    remote: Remote,
}

impl Users {
    pub fn run(self) -> Done {
        match self.act {
            None => {
                let session = self.showing.open()?;
                let items = session.client.get(&path(&["users"]))?;
                list::show(&session, &items, &COLUMNS)
            }
            Some(Act::Add(add)) => add.run(),
            Some(Act::Password(password)) => password.run(),
            Some(Act::Tags(tags)) => tags.run(),
            Some(Act::Delete(delete)) => {
                let Delete { name, remote } = delete;
                remote.delete(&path(&["users", &name]), "user", &name)
            }
        }
    }
}

impl NewPassword {
    /// The field that sets it, and its value.
    fn field(&self, name: &str) -> Result<(&'static str, String), Failure> {
        if self.no_password {
            return Ok(("password_hash", String::new()));
        }
        let password = match &self.new_password_file {
            Some(file) => password_of_file(file)?,
            None => {
                let password = ask_password(&format!("New password of {}: ", escape(name)))?;
                if password != ask_password("The same again: ")? {
                    return Err(Failure::Usage("the two differ".to_owned()));
                }
                password
            }
        };
        if password.is_empty() {
            let text = "an empty password lets nobody in: say --no-password if that is meant";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(("password", password))
    }
}

/// Tags as one text, however they are given: RabbitMQ 3.10 takes only that.
fn tags(value: &Value) -> String {
    list::text(value)
}

impl Add {
    fn run(self) -> Done {
        let client = self.remote.client()?;
        let (field, value) = self.password.field(&self.name)?;
        let body = json!({ field: value, "tags": self.tags });
        client.put(&path(&["users", &self.name]), &body)?;
        say(&format!("added user {}", escape(&self.name)))
    }
}

impl Password {
    fn run(self) -> Done {
        let client = self.remote.client()?;
        let path = path(&["users", &self.name]);
        let user = client.get(&path);
        let user = user.map_err(|error| error.named("user", &self.name))?;
        let (field, value) = self.password.field(&self.name)?;
        client.put(&path, &json!({ field: value, "tags": tags(&user["tags"]) }))?;
        say(&format!("changed the password of {}", escape(&self.name)))
    }
}

impl Tags {
    fn run(self) -> Done {
        let client = self.remote.client()?;
        let path = path(&["users", &self.name]);
        let user = client.get(&path);
        let user = user.map_err(|error| error.named("user", &self.name))?;
        let mut body = json!({ "tags": self.tags });
        for field in ["password_hash", "hashing_algorithm"] {
            if let Some(value) = user.get(field) {
                body[field] = value.clone();
            }
        }
        client.put(&path, &body)?;
        say(&format!("changed the tags of {}", escape(&self.name)))
    }
}
