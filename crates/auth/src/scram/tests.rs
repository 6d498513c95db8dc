//! The exchange of RFC 7677, exchanges with the broker's users, and messages that are none.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use base64::prelude::BASE64_STANDARD_NO_PAD;
use ferry_broker::{Account, Broker, Clock, Options, SyncPolicy};
use ferry_core::Millis;
use ferry_log::testing::FaultyDisk;
use ring::{digest, hmac, pbkdf2};

use super::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        1_000_000
    }
}

fn broker() -> Arc<Broker> {
    let opened = Broker::open(Options {
        disk: Arc::new(FaultyDisk::new(1)),
        log: ferry_log::Options::default(),
        clock: Arc::new(Still),
        formats: ferry_broker::Formats::default(),
        sync: SyncPolicy::Sync,
        memory_high_bytes: 1 << 20,
        disk_free_bytes_min: 0,
    });
    opened.unwrap()
}

fn add(broker: &Broker, name: &str, password_hash: Option<String>) {
    let account = Account {
        name: name.into(),
        password_hash,
        tags: Vec::new(),
    };
    broker.set_user(account).unwrap();
}

const FROM: ScramFrom = ScramFrom {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    loopback: true,
    by: LoginBy::Mqtt,
};

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn salted(password: &str, salt: &[u8], rounds: u32) -> [u8; 32] {
    let mut salted = [0; 32];
    let way = pbkdf2::PBKDF2_HMAC_SHA256;
    let rounds = NonZeroU32::new(rounds).unwrap();
    pbkdf2::derive(way, rounds, salt, password.as_bytes(), &mut salted);
    salted
}

/// The second message of a client that has got the first one of the server.
fn client_final(first: &str, server_first: &[u8], password: &str) -> String {
    let server_first = std::str::from_utf8(server_first).unwrap();
    let mut fields = server_first.split(',').map(|field| &field[2..]);
    let (nonce, salt) = (fields.next().unwrap(), fields.next().unwrap());
    let rounds = fields.next().unwrap().parse().unwrap();
    let salted = salted(password, &BASE64_STANDARD.decode(salt).unwrap(), rounds);
    let bare = first.splitn(3, ',').nth(2).unwrap();
    let header = BASE64_STANDARD.encode(&first[..first.len() - bare.len()]);
    let without_proof = format!("c={header},r={nonce}");
    let said = format!("{bare},{server_first},{without_proof}");
    let client_key = sign(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &client_key);
    let signature = sign(stored.as_ref(), said.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(a, b)| a ^ b)
        .collect();
    format!("{without_proof},p={}", BASE64_STANDARD.encode(proof))
}

fn log_in(
    broker: &Arc<Broker>,
    user: &str,
    password: &str,
    from: &ScramFrom,
) -> Result<(Arc<User>, Vec<u8>), LoginError> {
    let backends = Backends::internal(Arc::clone(broker));
    let first = format!("n,,n={user},r=abc");
    let parsed = ClientFirst::parse(first.as_bytes()).unwrap();
    let (exchange, message) = Exchange::begin(parsed, user, &backends, from)?;
    exchange.finish(client_final(&first, &message, password).as_bytes())
}

/// RFC 7677, section 3.
#[test]
fn the_exchange_of_the_standard_is_held_as_it_stands_there() {
    let first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let salted = salted("pencil", &salt, 4096);
    let client_key = sign(&salted, b"Client Key");
    let stored = digest::digest(&digest::SHA256, &client_key);
    let server_key = sign(&salted, b"Server Key");
    let keys = [&salt, stored.as_ref(), &server_key].map(|key| BASE64_STANDARD_NO_PAD.encode(key));
    let broker = broker();
    let argon2 = broker.hash_password(b"pencil").unwrap();
    let argon2 = argon2.split_once(' ').unwrap().0;
    let kept = format!("{argon2} $scram-sha-256$i=4096${}", keys.join("$"));
    add(
        &broker,
        "user",
        Account::imported_hash("argon2id", &kept).unwrap(),
    );

    let login = broker
        .begin_scram("user", FROM.address, true, LoginBy::Mqtt)
        .unwrap();
    let parsed = ClientFirst::parse(first.as_bytes()).unwrap();
    assert_eq!(parsed.user(), "user");
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let (server, message) = parsed.answer_with(login.verifier().clone(), nonce);
    assert_eq!(
        String::from_utf8(message).unwrap(),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last = server.finish(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
          p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    assert_eq!(
        last.unwrap(),
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
    assert_eq!(login.end(true).unwrap().name, "user");
}

#[test]
fn users_log_in_by_scram_once_their_password_was_seen() {
    let broker = broker();
    add(
        &broker,
        "ann",
        Some(broker.hash_password(b"secret").unwrap()),
    );
    let mosquitto = "$6$K/6nM//vt+t4LBTD$\
        /gPhDrX/VOEF+IzvzmoGfWs9SgfgCBv3feE4dOs7kOZrLCTTLf0wJrxeHwPdUIQ46xl0gt5VyXBzw8xfpOdSUA==";
    add(
        &broker,
        "moved",
        Account::imported_hash("mosquitto", mosquitto).unwrap(),
    );
    add(&broker, "none", None);
    let elsewhere = ScramFrom {
        loopback: false,
        ..FROM
    };
    for (user, password, from, right) in [
        ("ann", "secret", FROM, true),
        ("ann", "secret", elsewhere, true),
        ("ann", "wrong", FROM, false),
        ("guest", "guest", FROM, true),
        ("guest", "guest", elsewhere, false),
        ("moved", "test12", FROM, false),
        ("none", "", FROM, false),
        ("nobody", "guest", FROM, false),
    ] {
        let found = log_in(&broker, user, password, &from);
        assert_eq!(found.is_ok(), right, "{user} {password}");
        if let Ok((found, last)) = found {
            assert_eq!(found.name, user);
            assert!(last.starts_with(b"v="));
        }
    }
    let plain = ferry_broker::Credentials {
        user: "moved",
        password: b"test12",
        address: FROM.address,
        loopback: true,
        by: LoginBy::Mqtt,
    };
    broker.login(plain).unwrap();
    log_in(&broker, "moved", "test12", &FROM).unwrap();
    let counts = broker.login_counts();
    let mqtt = counts
        .iter()
        .find(|count| count.protocol == "mqtt")
        .unwrap();
    assert_eq!((mqtt.succeeded, mqtt.failed), (6, 4));
}

#[test]
fn wrong_proofs_make_a_client_wait_and_a_changed_password_ends_an_exchange() {
    let broker = broker();
    add(
        &broker,
        "ann",
        Some(broker.hash_password(b"secret").unwrap()),
    );
    let begin = || broker.begin_scram("ann", FROM.address, true, LoginBy::Mqtt);
    let begun = begin().unwrap();
    add(
        &broker,
        "ann",
        Some(broker.hash_password(b"other").unwrap()),
    );
    assert_eq!(begun.end(true).unwrap_err(), LoginError::Refused);
    let mut refused = 1;
    while let Ok(login) = begin() {
        assert_eq!(login.end(false).unwrap_err(), LoginError::Refused);
        refused += 1;
    }
    assert_eq!(refused, 21);
    assert_eq!(begin().err(), Some(LoginError::TooMany));
}

#[test]
fn first_messages_are_read_or_refused() {
    use ScramError::{AnotherUser, ChannelBinding, Extension, Malformed};
    let long = format!("n,,n=u,r={}", "x".repeat(257));
    let longer = format!("n,,n=u,r=x,{}", "x".repeat(2048));
    for (message, expected) in [
        ("n,,n=user,r=abc", Ok("user")),
        ("y,,n=user,r=abc", Ok("user")),
        ("n,,n=user,r=abc,x=ignored", Ok("user")),
        ("n,a=user,n=user,r=abc", Ok("user")),
        ("n,a=u=2Cx,n=u=2Cx,r=abc", Ok("u,x")),
        ("n,,n=a=2Cb=3Dc=3D=2C,r=abc", Ok("a,b=c=,")),
        ("n,,n=v:\u{fc},r=abc", Ok("v:\u{fc}")),
        ("n,a=other,n=user,r=abc", Err(AnotherUser)),
        ("p=tls-unique,,n=user,r=abc", Err(ChannelBinding)),
        ("n,,m=x,n=user,r=abc", Err(Extension)),
        ("n,,n=,r=abc", Err(Malformed)),
        ("n,,n=a=2Db,r=abc", Err(Malformed)),
        ("n,,n=a=,r=abc", Err(Malformed)),
        ("n,,n=user,r=", Err(Malformed)),
        ("n,,n=user,r=a b", Err(Malformed)),
        ("n,,n=user", Err(Malformed)),
        ("n,,r=abc,n=user", Err(Malformed)),
        ("n,x,n=user,r=abc", Err(Malformed)),
        ("q,,n=user,r=abc", Err(Malformed)),
        ("n,n=user,r=abc", Err(Malformed)),
        ("n,,n=u\0,r=abc", Err(Malformed)),
        ("", Err(Malformed)),
        (&long, Err(Malformed)),
        (&longer, Err(Malformed)),
    ] {
        let found = ClientFirst::parse(message.as_bytes());
        let found = found
            .as_ref()
            .map(ClientFirst::user)
            .map_err(|error| *error);
        assert_eq!(found, expected, "{message:.60}");
    }
    assert_eq!(ClientFirst::parse(b"n,,n=\xff,r=a").unwrap_err(), Malformed);
}

#[test]
fn second_messages_of_something_else_are_refused() {
    use ScramError::{AnotherExchange, Malformed, WrongProof};
    let broker = broker();
    let first = "y,,n=guest,r=abc";
    for (change, expected) in [
        (["", ""], None),
        (["c=eSws", "c=biws"], Some(AnotherExchange)),
        (["r=abcxyz", "r=abcxyzz"], Some(AnotherExchange)),
        (["r=abcxyz", "r=xyz"], Some(AnotherExchange)),
        (["r=abcxyz", "r=abcxyz,x=more"], Some(WrongProof)),
        ([",p=", ",q="], Some(Malformed)),
        ([",p=", ",p=!"], Some(Malformed)),
        ([",p=", ",p=AAAA"], Some(WrongProof)),
        (["c=", "d="], Some(Malformed)),
        (["r=", "s="], Some(Malformed)),
    ] {
        let login = broker
            .begin_scram("guest", FROM.address, true, LoginBy::Mqtt)
            .unwrap();
        let parsed = ClientFirst::parse(first.as_bytes()).unwrap();
        let (server, message) = parsed.answer_with(login.verifier().clone(), "xyz");
        let last = client_final(first, &message, "guest");
        let [from, to] = change;
        let found = server.finish(last.replacen(from, to, 1).as_bytes());
        assert_eq!(found.err(), expected, "{change:?}");
    }
}
