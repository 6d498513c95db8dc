//! Mosquitto's listeners, and the settings that they become.

use std::net::IpAddr;

use super::lines::{Line, Place};
use super::settings::Settings;

/// What stands for all addresses.
const ANY: &str = "0.0.0.0";

/// A listener with the options behind it.
#[derive(Debug)]
struct Listener {
    place: Place,
    /// Whether it is the one that has no line `listener`.
    is_default: bool,
    /// None for one that is left out: the options behind it are still its own.
    address: Option<String>,
    websockets: bool,
    /// Certificate, key and authorities.
    tls: [Option<String>; 3],
    require_certificate: bool,
    /// What of a certificate is the user, if anything is.
    login_from: Option<&'static str>,
    allow_anonymous: bool,
}

/// All listeners.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// The address of the default listener: port and host.
    default: (Option<String>, Option<String>),
    /// Whether that one lets clients in without a name, if each says so for itself.
    default_anonymous: bool,
}

impl Listeners {
    /// Takes a line, if it is about a listener. Says what is wrong with it.
    pub fn take(&mut self, line: &Line) -> Option<Result<(), String>> {
        let rest = line.rest.as_str();
        match line.word.as_str() {
            "listener" => return Some(self.begin(line)),
            "port" => self.default.0 = Some(rest.to_owned()),
            "bind_address" => self.default.1 = Some(rest.to_owned()),
            "protocol" if rest == "mqtt" => {}
            "protocol" if rest == "websockets" => self.last(line).websockets = true,
            "certfile" => self.last(line).tls[0] = Some(rest.to_owned()),
            "keyfile" => self.last(line).tls[1] = Some(rest.to_owned()),
            "cafile" => self.last(line).tls[2] = Some(rest.to_owned()),
            "require_certificate" => self.last(line).require_certificate = rest == "true",
            "use_identity_as_username" | "use_subject_as_username" => {
                let subject = line.word == "use_subject_as_username";
                let from = if subject {
                    "distinguished_name"
                } else {
                    "common_name"
                };
                self.last(line).login_from = (rest == "true").then_some(from);
            }
            "allow_anonymous" => {
                let allowed = rest == "true";
                match self.all.last_mut().filter(|last| !last.is_default) {
                    Some(last) => last.allow_anonymous = allowed,
                    None => self.default_anonymous = allowed,
                }
                return None;
            }
            _ => return None,
        }
        Some(Ok(()))
    }

    fn begin(&mut self, line: &Line) -> Result<(), String> {
        let mut words = line.rest.split_ascii_whitespace();
        let (port, host) = (words.next().unwrap_or(""), words.next());
        let (address, result) = match address(port, host) {
            Ok(address) => (Some(address), Ok(())),
            Err(why) => (None, Err(why)),
        };
        self.all.push(Listener {
            address,
            ..Listener::new(line.place.clone(), false)
        });
        result
    }

    /// The listener that an option is about: the last one, or the default one.
    fn last(&mut self, line: &Line) -> &mut Listener {
        if self.all.is_empty() {
            self.all.push(Listener::new(line.place.clone(), true));
        }
        self.all.last_mut().expect("there is one")
    }

    /// Whether clients without a name are let in, where each listener says so for itself: by some,
    /// and by all.
    pub fn allow_anonymous(&self) -> (bool, bool) {
        let (port, host) = &self.default;
        let named = self.all.iter().filter(|listener| !listener.is_default);
        let has_default =
            port.is_some() || host.is_some() || self.all.iter().any(|listener| listener.is_default);
        let default = has_default.then_some(self.default_anonymous);
        let allowed = named.map(|listener| listener.allow_anonymous);
        let allowed: Vec<bool> = allowed.chain(default).collect();
        let all = !allowed.is_empty() && !allowed.contains(&false);
        (allowed.contains(&true), all)
    }

    /// Whether no listener is named: then there is one for this machine, and for everybody.
    pub fn is_empty(&self) -> bool {
        let (port, host) = &self.default;
        let unnamed = self.all.iter().all(|listener| listener.is_default);
        unnamed && port.is_none() && host.is_none()
    }

    /// Puts the settings beside others.
    pub fn put(mut self, settings: &mut Settings) {
        self.complete_default(settings);
        let mut addresses = [const { Vec::new() }; 4];
        let mut certificates: Option<&Listener> = None;
        for listener in &self.all {
            let Some(address) = listener.address.clone() else {
                continue;
            };
            let with_tls = listener.tls[0].is_some();
            match (with_tls, listener.websockets) {
                (true, true) => addresses[3].push(address),
                (true, false) => addresses[1].push(address),
                (false, true) => addresses[2].push(address),
                (false, false) => addresses[0].push(address),
            }
            match certificates {
                None if with_tls => certificates = Some(listener),
                Some(first) if with_tls && !first.has_tls_of(listener) => settings.note(format!(
                    "{}: one certificate and one rule for clients' certificates serve all \
                     listeners: those of {} are taken",
                    listener.place, first.place
                )),
                _ => {}
            }
        }
        let keys = ["mqtt", "mqtts", "websocket", "websockets"];
        for (key, addresses) in keys.into_iter().zip(addresses) {
            match addresses.is_empty() {
                false => settings.set_list(key, addresses),
                true if key == "mqtt" => settings.set("mqtt", "off"),
                true => {}
            }
        }
        if let Some(listener) = certificates {
            listener.put_tls(settings);
        }
    }

    /// Gives the default listener its address, if there is one.
    fn complete_default(&mut self, settings: &mut Settings) {
        let (port, host) = self.default.clone();
        let default = match self.is_empty() {
            true => Ok("127.0.0.1:1883".to_owned()),
            false => address(port.as_deref().unwrap_or("1883"), host.as_deref()),
        };
        let has_options = self.all.first().is_some_and(|first| first.is_default);
        if !has_options && (self.is_empty() || port.is_some() || host.is_some()) {
            self.all.insert(0, Listener::new(settings.nowhere(), true));
        }
        if let Some(first) = self.all.first_mut().filter(|first| first.is_default) {
            match default {
                Ok(address) => first.address = Some(address),
                Err(why) => settings.note(format!("`port` and `bind_address`: {why}")),
            }
        }
    }
}

impl Listener {
    /// One without options.
    fn new(place: Place, is_default: bool) -> Listener {
        Listener {
            place,
            is_default,
            address: None,
            websockets: false,
            tls: [None, None, None],
            require_certificate: false,
            login_from: None,
            allow_anonymous: false,
        }
    }

    fn has_tls_of(&self, other: &Listener) -> bool {
        self.tls == other.tls
            && self.require_certificate == other.require_certificate
            && self.login_from == other.login_from
    }

    fn put_tls(&self, settings: &mut Settings) {
        let [certificate, key, authorities] = &self.tls;
        for (name, file) in [("tls_cert", certificate), ("tls_key", key)] {
            if let Some(file) = file {
                settings.set(name, file);
            }
        }
        if !self.require_certificate {
            return;
        }
        match authorities {
            Some(file) => settings.set("tls_client_ca", file),
            None => settings.note(format!(
                "{}: `cafile` is needed for `tls_client_ca`",
                self.place
            )),
        }
        settings.set("tls_client_auth", "require");
        if let Some(from) = self.login_from {
            settings.set("tls_login_from", from);
        }
    }
}

fn address(port: &str, host: Option<&str>) -> Result<String, String> {
    let port: u16 = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port: left out"))?;
    if port == 0 {
        return Err("sockets of the file system are not offered: left out".to_owned());
    }
    match host.unwrap_or(ANY) {
        "localhost" => Ok(format!("127.0.0.1:{port}")),
        host => match host.parse() {
            Ok(IpAddr::V4(host)) => Ok(format!("{host}:{port}")),
            Ok(IpAddr::V6(host)) => Ok(format!("[{host}]:{port}")),
            Err(_) => Err(format!(
                "write the address of `{host}`, not its name: left out"
            )),
        },
    }
}
