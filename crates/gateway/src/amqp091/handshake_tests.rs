//! The handshake by bytes: what is answered, step by step.

use amqp091::handshake::REPLY;

use super::*;

const OFFER: Tuned = Tuned {
    channel_max: 2047,
    frame_bytes_max: 131_072,
    heartbeat_s: 60,
};

/// Knows `guest`/`guest` and `/`.
#[derive(Default)]
struct Host {
    entered: Option<(String, Client, Tuned)>,
    /// Whom the certificate names.
    certified: Option<&'static str>,
    /// Whether log-ins are decided later.
    slow: bool,
}

impl Doorman for Host {
    fn login(&mut self, user: &str, password: Option<&[u8]>) -> Decision {
        let right = user == "guest" && password.is_none_or(|password| password == b"guest");
        match (self.slow, right) {
            (true, _) => Decision::Later,
            (false, true) => Decision::Now(Ok(())),
            (false, false) => Decision::Now(Err("bad".into())),
        }
    }
    fn certified(&self) -> Result<String, String> {
        self.certified.map(str::to_owned).ok_or("none".into())
    }
    fn enter(&mut self, vhost: &str, client: &Client, tuned: Tuned) -> Result<(), Refusal> {
        if vhost != "/" {
            return Err(not_allowed(format!("vhost {vhost} not found")));
        }
        self.entered = Some((vhost.into(), client.clone(), tuned));
        Ok(())
    }
}

fn frame(method: Method<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    method.write_frame(&mut out, 0);
    out
}

fn start_ok(mechanism: &str, response: &[u8], capabilities: &[&'static str]) -> Vec<u8> {
    let mut can = Table::new();
    for name in capabilities {
        can.push(ShortStr::lit(name), true);
    }
    let mut properties = Table::new();
    properties.push(ShortStr::lit("capabilities"), Value::from(can));
    let properties = properties.to_bytes();
    frame(Method::ConnectionStartOk(connection::StartOk {
        client_properties: RawTable::new(&properties),
        mechanism: ShortStr::clipped(mechanism.as_bytes()),
        response: LongStr::new(response),
        locale: ShortStr::lit("en_US"),
    }))
}

fn tune_ok(channel_max: u16, frame_max: u32) -> Vec<u8> {
    let heartbeat = 10;
    frame(Method::ConnectionTuneOk(connection::TuneOk {
        channel_max,
        frame_max,
        heartbeat,
    }))
}

fn open(vhost: &str) -> Vec<u8> {
    frame(Method::ConnectionOpen(connection::Open {
        virtual_host: ShortStr::clipped(vhost.as_bytes()),
        capabilities: ShortStr::EMPTY,
        insist: false,
    }))
}

const PLAIN: &[u8] = b"\0guest\0guest";

/// Runs these bytes; gives the names of the methods answered and how it ended.
fn run(host: &mut Host, bytes: &[u8]) -> (Vec<&'static str>, Result<bool, Fault>) {
    let mut handshake = Handshake::new(OFFER, Terms::default());
    let mut out = Vec::new();
    let result = handshake
        .receive(bytes, &mut out, host)
        .map(|(used, opened)| {
            assert_eq!(used, bytes.len());
            opened
        });
    let mut names = Vec::new();
    let mut rest = &out[..];
    while let Ok(Some(frame)) = amqp091::frame::parse(rest, 131_072) {
        names.push(Method::decode(frame.payload).unwrap().name());
        rest = &rest[frame.size..];
    }
    (names, result)
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn a_client_gets_in_by_either_mechanism() {
    let mut table = Table::new();
    table.push(ShortStr::lit("LOGIN"), Value::from("guest"));
    table.push(ShortStr::lit("PASSWORD"), Value::from("guest"));
    for start_ok in [
        start_ok("PLAIN", PLAIN, &["connection.blocked"]),
        start_ok("AMQPLAIN", &table.to_bytes(), &["connection.blocked"]),
    ] {
        let mut host = Host::default();
        let bytes = join(&[&REPLY, &start_ok, &tune_ok(100, 8192), &open("/")]);
        let (names, result) = run(&mut host, &bytes);
        assert_eq!(
            names,
            ["connection.start", "connection.tune", "connection.open_ok"]
        );
        assert_eq!(result, Ok(true));
        let (_, client, tuned) = host.entered.unwrap();
        assert!(client.notify_blocked && !client.notify_cancel);
        let expected = Tuned {
            channel_max: 100,
            frame_bytes_max: 8192,
            heartbeat_s: 10,
        };
        assert_eq!(tuned, expected);
    }
}

#[test]
fn a_handshake_in_single_bytes_goes_as_well() {
    let bytes = join(&[
        &REPLY,
        &start_ok("PLAIN", PLAIN, &[]),
        &tune_ok(0x7ff, 4096),
        &open("/"),
    ]);
    let (mut handshake, mut host) = (Handshake::new(OFFER, Terms::default()), Host::default());
    let (mut out, mut pending, mut opened) = (Vec::new(), Vec::new(), false);
    for byte in bytes {
        pending.push(byte);
        let (used, done) = handshake.receive(&pending, &mut out, &mut host).unwrap();
        pending.drain(..used);
        opened |= done;
    }
    assert!(opened && pending.is_empty());
}

#[test]
fn another_protocol_is_told_ours() {
    for header in [b"GET / HT", b"AMQP\0\x01\0\0", b"\x10\x12\0\x04MQTT"] {
        let (mut handshake, mut out) = (Handshake::new(OFFER, Terms::default()), Vec::new());
        let result = handshake.receive(header, &mut out, &mut Host::default());
        assert!(matches!(result, Err(Fault::OtherProtocol(_))));
        assert_eq!(out, REPLY);
    }
}

#[test]
fn a_certificate_logs_in_where_it_was_asked_for() {
    let external = |terms: Terms, certified| {
        let mut host = Host {
            certified,
            ..Host::default()
        };
        let (mut handshake, mut out) = (Handshake::new(OFFER, terms), Vec::new());
        let can = ["authentication_failure_close"];
        let start_ok = start_ok("EXTERNAL", b"ignored", &can);
        let bytes = join(&[&REPLY, &start_ok, &tune_ok(100, 8192), &open("/")]);
        let result = handshake.receive(&bytes, &mut out, &mut host);
        let offered = out.windows(8).any(|part| part == b"EXTERNAL");
        (offered, result)
    };
    let asked = Terms {
        external: true,
        ..Terms::default()
    };
    assert!(matches!(
        external(asked, Some("guest")),
        (true, Ok((_, true)))
    ));
    for certified in [None, Some("stranger")] {
        let (_, result) = external(asked, certified);
        assert!(matches!(result, Err(Fault::Close(refusal))
            if refusal.code == ReplyCode::AccessRefused));
    }
    let (offered, result) = external(Terms::default(), Some("guest"));
    assert!(!offered && matches!(result, Err(Fault::Silent(_))));
}

#[test]
fn nothing_is_taken_while_a_login_is_decided_elsewhere() {
    for right in [true, false] {
        let mut host = Host {
            slow: true,
            ..Host::default()
        };
        let mut out = Vec::new();
        let mut handshake = Handshake::new(OFFER, Terms::default());
        let first = join(&[&REPLY, &start_ok("PLAIN", PLAIN, &[])]);
        let rest = join(&[&tune_ok(100, 8192), &open("/")]);
        let bytes = join(&[&first, &rest]);
        let taken = handshake.receive(&bytes, &mut out, &mut host).unwrap();
        assert_eq!(taken, (first.len(), false));
        assert!(handshake.is_waiting());
        let taken = handshake.receive(&rest, &mut out, &mut host).unwrap();
        assert_eq!(taken, (0, false));
        let decided = if right { Ok(()) } else { Err("bad".into()) };
        let went_on = handshake.logged_in(decided, &mut out);
        assert_eq!(went_on.is_ok(), right);
        if right {
            let taken = handshake.receive(&rest, &mut out, &mut host).unwrap();
            assert_eq!(taken, (rest.len(), true));
        }
    }
}

#[test]
fn a_refused_login_is_told_only_to_who_understands() {
    let wrong = b"\0guest\0wrong";
    let told = join(&[
        &REPLY,
        &start_ok("PLAIN", wrong, &["authentication_failure_close"]),
    ]);
    let (_, result) = run(&mut Host::default(), &told);
    let Err(Fault::Close(refusal)) = result else {
        panic!("told: {result:?}")
    };
    assert_eq!(
        refusal.text(),
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details \
         see the broker logfile."
    );
    let untold = join(&[&REPLY, &start_ok("PLAIN", wrong, &[])]);
    assert!(matches!(
        run(&mut Host::default(), &untold).1,
        Err(Fault::Silent(_))
    ));
}

#[test]
fn malformed_logins_end_in_silence() {
    for (mechanism, response) in [
        ("PLAIN", &b"guest\0guest"[..]),
        ("PLAIN", b"\0guest"),
        ("PLAIN", b""),
        ("AMQPLAIN", b"\x05LOGINS\0\0\0\xff"),
        ("EXTERNAL", b""),
    ] {
        let bytes = join(&[&REPLY, &start_ok(mechanism, response, &[])]);
        let result = run(&mut Host::default(), &bytes).1;
        assert!(
            matches!(result, Err(Fault::Silent(_))),
            "{mechanism} {result:?}"
        );
    }
}

#[test]
fn limits_that_were_not_offered_are_refused_with_rabbitmqs_text() {
    for (channel_max, frame_max, expected) in [
        (
            1,
            100,
            "negotiated frame_max = 100 is lower than the minimum allowed value (4096)",
        ),
        (
            1,
            0,
            "negotiated frame_max = 0 is higher than the maximum allowed value (131072)",
        ),
        (
            4000,
            4096,
            "negotiated channel_max = 4000 is higher than the maximum allowed value (2047)",
        ),
        (
            0,
            4096,
            "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
        ),
    ] {
        let start_ok = start_ok("PLAIN", PLAIN, &[]);
        let bytes = join(&[&REPLY, &start_ok, &tune_ok(channel_max, frame_max)]);
        let result = run(&mut Host::default(), &bytes).1;
        let Err(Fault::Close(refusal)) = result else {
            panic!("refused: {result:?}")
        };
        assert_eq!(refusal.text(), format!("NOT_ALLOWED - {expected}"));
        assert_eq!(refusal.method, (10, 30));
    }
}

#[test]
fn methods_out_of_turn_do_not_get_in() {
    let start_ok = start_ok("PLAIN", PLAIN, &[]);
    let (tune_ok, open_ok) = (tune_ok(1, 4096), open("/"));
    for (bytes, told) in [
        (join(&[&REPLY, &open_ok]), false),
        (join(&[&REPLY, &start_ok, &open_ok]), false),
        (join(&[&REPLY, &start_ok, &start_ok]), false),
        (join(&[&REPLY, &start_ok, &tune_ok, &tune_ok]), true),
        (
            join(&[&REPLY, &start_ok, &tune_ok, &open("/nowhere")]),
            true,
        ),
    ] {
        let mut host = Host::default();
        let result = run(&mut host, &bytes).1;
        assert!(host.entered.is_none());
        assert_eq!(matches!(result, Err(Fault::Close(_))), told, "{result:?}");
    }
}

#[test]
fn a_frame_over_4096_bytes_is_refused_before_tuning() {
    let long = start_ok("PLAIN", &[0; 5000], &[]);
    let (mut handshake, mut out) = (Handshake::new(OFFER, Terms::default()), Vec::new());
    let bytes = join(&[&REPLY, &long]);
    let result = handshake.receive(&bytes, &mut out, &mut Host::default());
    let Err(Fault::CloseAtOnce(refusal)) = result else {
        panic!("refused: {result:?}")
    };
    assert_eq!(refusal.code, ReplyCode::FrameError);
}
