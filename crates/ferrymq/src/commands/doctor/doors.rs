//! The listeners of a node: each is connected to, and one for AMQP 0-9-1 must answer in it.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use super::{Finding, Session, text};

const STEP_TIME_MAX: Duration = Duration::from_secs(3);

/// What a client of AMQP 0-9-1 says first, and the first byte of what it is answered: a method.
const AMQP_HELLO: &[u8] = b"AMQP\0\0\x09\x01";
const AMQP_METHOD_FRAME: u8 = 1;

pub(super) fn check(session: &Session, listeners: &Value) -> Vec<Finding> {
    let listeners = listeners.as_array().map_or(&[][..], Vec::as_slice);
    if listeners.is_empty() {
        let advice = "Ask as a user with the tag monitoring or administrator.";
        return vec![Finding::warn("listeners", "the node names none", advice)];
    }
    listeners
        .iter()
        .map(|listener| one(session, listener))
        .collect()
}

fn one(session: &Session, listener: &Value) -> Finding {
    let protocol = text(&listener["protocol"]);
    let ip = text(&listener["ip_address"]);
    let port = listener["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let shown = format!("{protocol} on {ip}:{}", text(&listener["port"]));
    let Some(port) = port else {
        return Finding::warn(
            "listeners",
            shown,
            "It has no port that can be connected to.",
        );
    };
    match knock(&host(session, &ip), port, &protocol) {
        Ok(()) => Finding::ok("listeners", shown),
        Err(why) => Finding::bad(
            "listeners",
            format!("{shown}: {why}"),
            "Is a firewall between here and there? The log of the node says what it opened.",
        ),
    }
}

/// Where a listener is reached from here: one for every address is where the API is.
fn host(session: &Session, ip: &str) -> String {
    match ip.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() => ip.to_string(),
        _ => session.client.address().host.clone(),
    }
}

fn knock(host: &str, port: u16, protocol: &str) -> Result<(), String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    let mut outcome = Err("its name has no address".to_owned());
    for address in addresses {
        match TcpStream::connect_timeout(&address, STEP_TIME_MAX) {
            Ok(stream) => return greet(stream, protocol),
            Err(error) => outcome = Err(error.to_string()),
        }
    }
    outcome
}

fn greet(mut stream: TcpStream, protocol: &str) -> Result<(), String> {
    if protocol != "amqp" {
        return Ok(());
    }
    let mut first = [0];
    let answered = stream
        .set_read_timeout(Some(STEP_TIME_MAX))
        .and_then(|()| stream.write_all(AMQP_HELLO))
        .and_then(|()| stream.read_exact(&mut first));
    match answered {
        Ok(()) if first[0] == AMQP_METHOD_FRAME => Ok(()),
        Ok(()) => Err("it answers in another protocol".to_owned()),
        Err(error) => Err(format!("it accepts, and does not answer: {error}")),
    }
}
