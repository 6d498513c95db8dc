//! SCRAM-SHA-256 by AUTH, at the beginning of a connection and later.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::mqtt::{Mqtt, hello, node};
use mqtt::{Connect, Properties, ReasonCode, Version, write_properties};
use ring::{digest, hmac, pbkdf2};

const NAME: &str = "SCRAM-SHA-256";

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn first(user: &str) -> String {
    format!("n,,n={user},r=clientnonce")
}

/// The last message of a client that has got the first one of the server.
fn last(user: &str, password: &str, challenge: &[u8]) -> String {
    let challenge = std::str::from_utf8(challenge).unwrap();
    let mut fields = challenge.split(',').map(|field| &field[2..]);
    let (nonce, salt) = (fields.next().unwrap(), fields.next().unwrap());
    let rounds: u32 = fields.next().unwrap().parse().unwrap();
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(rounds).unwrap(),
        &BASE64_STANDARD.decode(salt).unwrap(),
        password.as_bytes(),
        &mut salted,
    );
    let without_proof = format!("c=biws,r={nonce}");
    let said = format!("n={user},r=clientnonce,{challenge},{without_proof}");
    let client_key = sign(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &client_key);
    let signature = sign(stored.as_ref(), said.as_bytes());
    let pairs = client_key.iter().zip(signature);
    let proof: Vec<u8> = pairs.map(|(key, sign)| key ^ sign).collect();
    format!("{without_proof},p={}", BASE64_STANDARD.encode(proof))
}

fn begin(node: &common::Node, user: &str, client_id: &str) -> Mqtt {
    let mut block = Vec::new();
    let properties = write_properties(&mut block, |writer| {
        writer
            .authentication_method(NAME)
            .authentication_data(first(user).as_bytes());
    });
    let connect = Connect {
        properties,
        user_name: None,
        password: None,
        ..hello(Version::V5, client_id)
    };
    Mqtt::begin(node, &connect)
}

const GOES_ON: ReasonCode = ReasonCode::ContinueAuthentication;

fn enter(node: &common::Node, client_id: &str) -> Mqtt {
    let mut client = begin(node, "guest", client_id);
    let (reason, challenge) = client.authed();
    assert_eq!(reason, GOES_ON);
    let last = last("guest", "guest", &challenge);
    client.auth(GOES_ON, NAME, last.as_bytes());
    client.connack_with(|connack| {
        assert_eq!(connack.reason, ReasonCode::Success);
        let properties = connack.properties;
        assert_eq!(properties.authentication_method(), Some(NAME));
        let data = properties.authentication_data().unwrap();
        assert!(data.starts_with(b"v="), "the server proves itself, too");
    });
    client
}

#[test]
fn a_client_proves_its_password_without_telling_it() {
    let node = node();
    let mut client = enter(&node, "c");
    client.ping();
    let infos = node.broker.connections();
    assert_eq!(infos[0].mechanism, NAME);
    assert_eq!(infos[0].user, "guest");
}

#[test]
fn a_wrong_proof_looks_the_same_for_all_users() {
    let node = node();
    for user in ["guest", "nobody"] {
        let mut client = begin(&node, user, "c");
        let (reason, challenge) = client.authed();
        assert_eq!(reason, GOES_ON, "{user}");
        let last = last(user, "wrong", &challenge);
        client.auth(GOES_ON, NAME, last.as_bytes());
        let expected = (false, ReasonCode::BadUserNameOrPassword);
        assert_eq!(client.connack(), expected, "{user}");
        assert_eq!(client.next(), None);
    }
}

#[test]
fn an_open_connection_proves_itself_again() {
    let node = node();
    let mut client = enter(&node, "c");
    for _ in 0..2 {
        client.auth(ReasonCode::ReAuthenticate, NAME, first("guest").as_bytes());
        let (reason, challenge) = client.authed();
        assert_eq!(reason, GOES_ON);
        client.ping();
        let last = last("guest", "guest", &challenge);
        client.auth(GOES_ON, NAME, last.as_bytes());
        let (reason, data) = client.authed();
        assert_eq!(reason, ReasonCode::Success);
        assert!(data.starts_with(b"v="));
        client.ping();
    }
}

#[test]
fn what_is_wrong_about_it_ends_the_connection() {
    use ReasonCode::{NotAuthorized, ProtocolError, ReAuthenticate};
    let node = node();
    let guest = first("guest");
    for (reason, method, data, expected) in [
        (ReAuthenticate, NAME, first("other"), NotAuthorized),
        (ReAuthenticate, NAME, "nonsense".to_owned(), NotAuthorized),
        (ReAuthenticate, "OTHER", guest.clone(), ProtocolError),
        (GOES_ON, NAME, guest.clone(), ProtocolError),
    ] {
        let mut client = enter(&node, "c");
        client.auth(reason, method, data.as_bytes());
        assert_eq!(client.ended(), Some(expected), "{reason} {method} {data}");
    }
    let mut wrong = enter(&node, "c");
    wrong.auth(ReAuthenticate, NAME, guest.as_bytes());
    let (_, challenge) = wrong.authed();
    let last = last("guest", "wrong", &challenge);
    wrong.auth(GOES_ON, NAME, last.as_bytes());
    assert_eq!(wrong.ended(), Some(NotAuthorized));
    let mut plain = Mqtt::open(&node, &hello(Version::V5, "c"));
    plain.auth(ReAuthenticate, NAME, guest.as_bytes());
    assert_eq!(plain.ended(), Some(ProtocolError));
    let mut old = Mqtt::open(&node, &hello(Version::V4, "c"));
    old.send_bytes(&[0xF0, 0]);
    assert_eq!(old.ended(), None);
}

#[test]
fn a_method_that_is_not_known_is_refused() {
    let node = node();
    let mut block = Vec::new();
    let properties: Properties<'_> = write_properties(&mut block, |writer| {
        writer.authentication_method("GS2-KRB5");
    });
    let connect = Connect {
        properties,
        ..hello(Version::V5, "c")
    };
    let mut client = Mqtt::begin(&node, &connect);
    let expected = (false, ReasonCode::BadAuthenticationMethod);
    assert_eq!(client.connack(), expected);
}
