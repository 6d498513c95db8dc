//! Which node, as whom: `--node`, `--user`, and where the password comes from.
//!
//! Invariants
//! - There is no flag for a password: what stands on a command line is seen by everybody.
//! - A password is shown by no `Debug`.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hyper::header::HeaderValue;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::ClientError;
use super::tls::{self, Trust};
use crate::show::escape;

/// What a node that nobody has set up lets in from its own machine.
const USER_DEFAULT: &str = "guest";
const PASSWORD_BYTES_MAX: u64 = 64 << 10;

/// Where the commands for a running node find it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct NodeArgs {
    /// Address of the node's HTTP API
    #[arg(
        long,
        value_name = "URL",
        env = "FERRYMQ_NODE",
        default_value = "http://127.0.0.1:15672",
        value_parser = parse_url,
        hide_env_values = true
    )]
    node: Url,
    /// User to log in as
    #[arg(
        long,
        value_name = "NAME",
        env = "FERRYMQ_USER",
        default_value = USER_DEFAULT,
        hide_env_values = true
    )]
    user: String,
    /// File with the password, - for standard input; else FERRYMQ_PASSWORD, else it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the certificates (PEM) to trust for an https:// node [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Seconds that an answer may take
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    timeout_s: u64,
}

impl NodeArgs {
    /// The address with its password, which may be asked for here.
    pub fn address(&self) -> Result<NodeAddress, ClientError> {
        let password = match &self.password_file {
            Some(path) => password_of_file(path)?,
            None => self.password_of_environment()?,
        };
        let tls = match self.node.tls {
            true => Some(Arc::new(tls::trust(self.ca_file.as_deref())?)),
            false => None,
        };
        Ok(NodeAddress {
            host: self.node.host.clone(),
            port: self.node.port,
            authority: self.node.authority(),
            base: self.node.base.clone(),
            user: self.user.clone(),
            password: Password(password),
            tls,
            answer_time_max: Duration::from_secs(self.timeout_s),
        })
    }

    fn password_of_environment(&self) -> Result<String, ClientError> {
        match std::env::var("FERRYMQ_PASSWORD") {
            Ok(password) => return Ok(password),
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(ClientError::Usage("FERRYMQ_PASSWORD is not UTF-8".into()));
            }
            Err(std::env::VarError::NotPresent) => {}
        }
        if self.user == USER_DEFAULT {
            return Ok(USER_DEFAULT.to_owned());
        }
        ask_password(&format!("Password of {}: ", escape(&self.user)))
    }
}

/// The first line of a file, or of standard input for `-`.
pub(crate) fn password_of_file(path: &Path) -> Result<String, ClientError> {
    let unreadable =
        |error: io::Error| ClientError::Usage(format!("can not read {}: {error}", path.display()));
    let mut text = String::new();
    match path.to_str() {
        Some("-") => io::stdin()
            .take(PASSWORD_BYTES_MAX)
            .read_to_string(&mut text),
        _ => std::fs::File::open(path)
            .map_err(unreadable)?
            .take(PASSWORD_BYTES_MAX)
            .read_to_string(&mut text),
    }
    .map_err(unreadable)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Asks at the terminal, which shows nothing of what is typed.
pub(crate) fn ask_password(prompt: &str) -> Result<String, ClientError> {
    if !io::stdin().is_terminal() {
        return Err(ClientError::Usage(format!(
            "{} there is no terminal to ask at; use a file, or FERRYMQ_PASSWORD",
            prompt.trim_end()
        )));
    }
    let failed = |error: io::Error| ClientError::System(format!("can not ask: {error}"));
    eprint!("{prompt}");
    io::stderr().flush().map_err(failed)?;
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before).map_err(|error| failed(error.into()))?;
    eprintln!();
    read.map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[derive(Clone)]
struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A node and who talks to it.
#[derive(Debug, Clone)]
pub(crate) struct NodeAddress {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Host and port as they stand in a URL.
    pub authority: String,
    /// What stands before `/api`: empty, or the path of a proxy.
    pub base: String,
    /// How long the node may take to answer.
    pub answer_time_max: Duration,
    pub(super) tls: Option<Arc<Trust>>,
    password: Password,
}

impl NodeAddress {
    /// As it is named in messages.
    pub fn show(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.base)
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        let text = STANDARD.encode(format!("{}:{}", self.user, self.password.0));
        let mut value = HeaderValue::try_from(format!("Basic {text}"))
            .expect("base64 is made of letters that a header may have");
        value.set_sensitive(true);
        value
    }
}

/// The parts of a node's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    tls: bool,
    host: String,
    port: u16,
    base: String,
}

impl Url {
    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Reads `http://host:port`, `https://host`, `host:port` or `host`, with or without a path.
fn parse_url(text: &str) -> Result<Url, String> {
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return Err("it begins with http:// or https://".to_owned()),
        None => (false, text),
    };
    let (authority, base) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err("user and password do not go into the URL: see --user".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the ] is missing")?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port
            .parse()
            .map_err(|_| format!("`{port}` is not a port"))?,
        None if tls => 15671,
        None => 15672,
    };
    let is_sound = |byte: u8| byte.is_ascii_graphic() && !b"?#[]\\\"<>".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_sound) || !base.bytes().all(is_sound) {
        return Err("wanted is http://HOST:PORT".to_owned());
    }
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix("/api").unwrap_or(base).to_owned();
    Ok(Url {
        tls,
        host: host.to_owned(),
        port,
        base,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nodes_are_read() {
        for (text, expected) in [
            ("http://127.0.0.1:15672", ("127.0.0.1:15672", "", false)),
            ("http://127.0.0.1:15672/", ("127.0.0.1:15672", "", false)),
            ("http://h:1/api", ("h:1", "", false)),
            ("http://h:1/mq/api/", ("h:1", "/mq", false)),
            ("https://broker.example", ("broker.example:15671", "", true)),
            ("broker", ("broker:15672", "", false)),
            ("[::1]:80", ("[::1]:80", "", false)),
            ("http://[::1]", ("[::1]:15672", "", false)),
        ] {
            let url = parse_url(text).unwrap();
            let found = (url.authority(), url.base.clone(), url.tls);
            let (authority, base, tls) = expected;
            assert_eq!(
                found,
                (authority.to_owned(), base.to_owned(), tls),
                "{text}"
            );
        }
        for text in [
            "",
            "http://",
            "ftp://h",
            "http://h:port",
            "http://h:99999",
            "http://u:p@h:1",
            "http://h:1?x",
            "http://h h:1",
            "http://h\r\nX: y:1",
            "[::1",
        ] {
            parse_url(text).expect_err(text);
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        for (content, expected) in [("geheim\n", "geheim"), ("a b\r\nc\n", "a b"), ("", "")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(password_of_file(&path).unwrap(), expected);
        }
        password_of_file(&directory.path().join("none")).unwrap_err();
        assert_eq!(format!("{:?}", Password("geheim".to_owned())), "***");
    }
}
