//! The way in by bytes: who is let in, who is asked for more, and who is refused.

use mqtt::{Auth, Connect, Disconnect, Properties, Version, write_properties};

use super::*;

/// Knows `ann` with `secret`, and an exchange of `first` and `last`.
#[derive(Default)]
struct Users {
    /// Whether log-ins are decided later.
    slow: bool,
}

impl Host for Users {
    type Exchange = &'static str;

    fn log_in(&mut self, hello: &Hello) -> Result<Verdict, Refused> {
        let right = hello.user.as_deref() == Some("ann")
            && hello.password.as_deref() == Some(&b"secret"[..]);
        match (self.slow, right) {
            (true, _) => Ok(Verdict::Later),
            (false, true) => Ok(Verdict::In),
            (false, false) => Err(bad_login(hello, "wrong".into())),
        }
    }

    fn begin(&mut self, first: &[u8]) -> Result<(&'static str, Vec<u8>), String> {
        match first {
            b"first" => Ok(("last", b"challenge".to_vec())),
            _ => Err("not the first message".into()),
        }
    }

    fn finish(&mut self, exchange: &'static str, last: &[u8]) -> Result<Vec<u8>, String> {
        match last == exchange.as_bytes() {
            true => Ok(b"verified".to_vec()),
            false => Err("not the last message".into()),
        }
    }
}

fn connect(version: Version, user: &str, password: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "c",
        properties: Properties::EMPTY,
        will: None,
        user_name: Some(user),
        password: Some(password),
    };
    connect.write(&mut out);
    out
}

fn connect_by(method: &str, data: &[u8]) -> Vec<u8> {
    let (mut block, mut out) = (Vec::new(), Vec::new());
    let properties = write_properties(&mut block, |writer| {
        writer
            .authentication_method(method)
            .authentication_data(data);
    });
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_seconds: 0,
        client_id: "c",
        properties,
        will: None,
        user_name: None,
        password: None,
    };
    connect.write(&mut out);
    out
}

fn auth(reason: ReasonCode, method: &str, data: &[u8]) -> Vec<u8> {
    let (mut block, mut out) = (Vec::new(), Vec::new());
    let properties = write_properties(&mut block, |writer| {
        writer
            .authentication_method(method)
            .authentication_data(data);
    });
    Auth { reason, properties }.write(&mut out);
    out
}

/// Sends packet by packet; gives what is answered, and how it ended.
fn run(users: &mut Users, packets: &[Vec<u8>]) -> (Vec<u8>, Result<Step, Refused>) {
    let (mut opening, mut out) = (Opening::new(), Vec::new());
    let mut result = Ok(Step::More(0));
    for packet in packets {
        result = opening.receive(packet, &mut out, users);
        if result.is_err() {
            break;
        }
    }
    (out, result)
}

#[test]
fn a_password_is_right_or_wrong() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let mut users = Users::default();
        let bytes = connect(version, "ann", b"secret");
        let (out, result) = run(&mut users, std::slice::from_ref(&bytes));
        assert!(matches!(result, Ok(Step::In(used, _)) if used == bytes.len()));
        assert!(out.is_empty(), "CONNACK waits for the session");
        for (user, password) in [("ann", &b"other"[..]), ("bob", b"secret"), ("", b"")] {
            let (_, result) = run(&mut users, &[connect(version, user, password)]);
            let refused = result.err().unwrap();
            assert_eq!(refused.version, Some(version));
            assert_eq!(refused.reason, ReasonCode::BadUserNameOrPassword);
            assert!(!refused.text.contains("wrong"), "why is not told");
        }
    }
}

#[test]
fn what_follows_a_connect_waits_for_the_decision() {
    let mut users = Users { slow: true };
    let (mut opening, mut out) = (Opening::new(), Vec::new());
    let bytes = connect(Version::V5, "ann", b"secret");
    let both = [&bytes[..], &[0xC0, 0]].concat();
    let step = opening.receive(&both, &mut out, &mut users);
    assert!(matches!(step, Ok(Step::More(used)) if used == bytes.len()));
    assert!(opening.is_waiting());
    let step = opening.receive(&[0xC0, 0], &mut out, &mut users);
    assert!(matches!(step, Ok(Step::More(0))));
    let hello = opening.decided(Ok(())).unwrap().unwrap();
    assert_eq!(hello.client_id, "c");
    assert!(opening.decided(Ok(())).is_none(), "nobody waits any more");
    let mut opening = Opening::<&str>::new();
    opening.receive(&bytes, &mut out, &mut users).unwrap();
    let refused = opening.decided(Err("no".into())).unwrap().err().unwrap();
    assert_eq!(refused.reason, ReasonCode::BadUserNameOrPassword);
    assert!(Opening::<&str>::new().decided(Ok(())).is_none());
}

#[test]
fn a_method_asks_back_before_it_lets_in() {
    let goes_on = ReasonCode::ContinueAuthentication;
    let (out, result) = run(
        &mut Users::default(),
        &[connect_by(NAME, b"first"), auth(goes_on, NAME, b"last")],
    );
    assert_eq!(out, auth(goes_on, NAME, b"challenge"));
    let Ok(Step::In(_, hello)) = result else {
        panic!("not in");
    };
    assert_eq!(hello.method, Some((NAME.to_owned(), b"verified".to_vec())));
}

#[test]
fn a_method_that_goes_wrong_is_refused() {
    use ReasonCode::{
        BadAuthenticationMethod, BadUserNameOrPassword, ContinueAuthentication, MalformedPacket,
        ProtocolError, ReAuthenticate,
    };
    let disconnect = |reason| {
        let mut out = Vec::new();
        Disconnect::new(reason).write(&mut out, Version::V5);
        out
    };
    let first = || connect_by(NAME, b"first");
    for (packets, told, expected) in [
        (
            vec![connect_by("SCRAM-SHA-1", b"first")],
            true,
            BadAuthenticationMethod,
        ),
        (vec![connect_by("", b"")], true, BadAuthenticationMethod),
        (vec![connect_by(NAME, b"x")], true, BadUserNameOrPassword),
        (vec![connect_by(NAME, b"")], true, BadUserNameOrPassword),
        (
            vec![first(), auth(ContinueAuthentication, NAME, b"x")],
            true,
            BadUserNameOrPassword,
        ),
        (
            vec![first(), auth(ContinueAuthentication, "OTHER", b"last")],
            true,
            BadAuthenticationMethod,
        ),
        (
            vec![first(), auth(ReAuthenticate, NAME, b"first")],
            true,
            ProtocolError,
        ),
        (vec![first(), vec![0xC0, 0]], true, ProtocolError),
        (vec![first(), first()], true, ProtocolError),
        (vec![first(), vec![0xF1, 0]], true, MalformedPacket),
        (
            vec![first(), disconnect(ReasonCode::Success)],
            false,
            ReasonCode::Success,
        ),
    ] {
        let (_, result) = run(&mut Users::default(), &packets);
        let refused = result.err().unwrap();
        let told = told.then_some(Version::V5);
        assert_eq!(
            (refused.version, refused.reason),
            (told, expected),
            "{packets:?}"
        );
    }
}

#[test]
fn an_auth_is_read_when_its_last_byte_is_there() {
    let (mut users, mut out) = (Users::default(), Vec::new());
    let mut opening = Opening::new();
    opening
        .receive(&connect_by(NAME, b"first"), &mut out, &mut users)
        .unwrap();
    let last = auth(ReasonCode::ContinueAuthentication, NAME, b"last");
    for end in 0..last.len() {
        let step = opening.receive(&last[..end], &mut out, &mut users);
        assert!(matches!(step, Ok(Step::More(0))), "{end}");
    }
    let step = opening.receive(&last, &mut out, &mut users);
    assert!(matches!(step, Ok(Step::In(_, _))));
}
