//! Tokens: which are believed, and what they grant.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;

/// An issuer with one key, in a file.
struct Issuer {
    key: Ed25519KeyPair,
    file: tempfile::NamedTempFile,
    runtime: tokio::runtime::Runtime,
}

impl Issuer {
    fn new() -> Issuer {
        let issuer = Issuer {
            key: fresh_key(),
            file: tempfile::NamedTempFile::new().unwrap(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap(),
        };
        issuer.write_keys(&issuer.key, "1");
        issuer
    }

    fn write_keys(&self, key: &Ed25519KeyPair, id: &str) {
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.public_key());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x}]});
        std::fs::write(self.file.path(), keys.to_string()).unwrap();
    }

    fn back_end(&self, change: impl FnOnce(&mut OAuth2Settings)) -> Arc<OAuth2> {
        let mut settings = OAuth2Settings {
            keys: KeySource::File(self.file.path().to_owned()),
            ca: None,
            issuer: None,
            resource_server_id: "broker".to_owned(),
            scope_prefix: None,
            additional_scopes_key: None,
            username_claims: Vec::new(),
            scope_aliases: Vec::new(),
        };
        change(&mut settings);
        OAuth2::new(settings, self.runtime.handle().clone())
    }

    fn login(&self, back_end: &OAuth2, token: &str) -> Result<Arc<User>, String> {
        self.runtime.block_on(back_end.login(token.as_bytes()))
    }

    fn token(&self, claims: &Value) -> String {
        sign(&self.key, &json!({"alg": "EdDSA", "kid": "1"}), claims)
    }
}

fn fresh_key() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
}

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn claims() -> Value {
    json!({
        "sub": "alice",
        "aud": ["broker", "other"],
        "exp": now_s() + 100,
        "scope": "broker.read:%2F/q* broker.write:*/x/a.* broker.tag:management other.read:*/*",
    })
}

fn changed(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn a_token_says_who_somebody_is_and_what_is_granted() {
    let issuer = Issuer::new();
    let back_end = issuer.back_end(|_| {});
    let user = issuer.login(&back_end, &issuer.token(&claims())).unwrap();
    assert_eq!(
        (user.name.as_str(), &user.tags[..]),
        ("alice", &["management".to_owned()][..])
    );
    assert!(user.expires_at().is_some());
    for (vhost, right, name, granted) in [
        ("/", Right::Read, "q1", true),
        ("/", Right::Read, "p", false),
        ("/", Right::Write, "q1", false),
        ("/", Right::Configure, "q1", false),
        ("other", Right::Read, "q1", false),
        ("other", Right::Write, "x", true),
    ] {
        let found = user.may(vhost, right, Resource::Queue, name);
        assert_eq!(found, granted, "{vhost} {right:?} {name}");
    }
    for (exchange, key, granted) in [("x", "a.b", true), ("x", "b", false), ("y", "a.b", false)] {
        let found = user.may_topic("/", Right::Write, exchange, key.as_bytes());
        assert_eq!(found, granted, "{exchange} {key}");
    }
    assert!(
        !user.may_topic("/", Right::Read, "q1", b"a"),
        "no routing key is granted"
    );
    assert!(user.may_enter("/") && user.may_enter("any"));
}

#[test]
fn a_token_that_is_not_right_is_refused() {
    let issuer = Issuer::new();
    let back_end = issuer.back_end(|settings| settings.issuer = Some("me".to_owned()));
    let good = changed("iss", json!("me"));
    assert!(issuer.login(&back_end, &issuer.token(&good)).is_ok());
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.token(&claims)
    };
    let token = issuer.token(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let forged = with("sub", json!("admin"));
    let forged = forged.rsplit_once('.').unwrap().0.to_owned();
    for (token, expected) in [
        (with("exp", json!(now_s())), "has expired"),
        (with("exp", json!("soon")), "makes no sense"),
        (with("nbf", json!(now_s() + 1000)), "not valid yet"),
        (with("aud", json!("brokers")), "another audience"),
        (with("aud", json!(null)), "another audience"),
        (with("iss", json!("you")), "another issuer"),
        (with("sub", json!("")), "names no user"),
        (format!("{forged}.{signature}"), "signature is wrong"),
        (format!("{signed}."), "signature is wrong"),
        (signed.to_owned(), "makes no sense"),
        (format!("{head}..{signature}"), "signature is wrong"),
        (String::new(), "makes no sense"),
        ("a.b.c".to_owned(), "makes no sense"),
        ("x".repeat(20_000), "too long"),
    ] {
        let error = issuer.login(&back_end, &token).unwrap_err();
        assert!(error.contains(expected), "{token}: {error}");
    }
}

#[test]
fn a_header_does_not_choose_how_little_is_verified() {
    let issuer = Issuer::new();
    let back_end = issuer.back_end(|_| {});
    let with = |header: &Value| issuer.login(&back_end, &sign(&issuer.key, header, &claims()));
    assert!(with(&json!({"alg": "EdDSA"})).is_ok(), "no key is named");
    for (header, expected) in [
        (
            json!({"alg": "none", "kid": "1"}),
            "algorithm is not accepted",
        ),
        (
            json!({"alg": "None", "kid": "1"}),
            "algorithm is not accepted",
        ),
        (
            json!({"alg": "HS256", "kid": "1"}),
            "algorithm is not accepted",
        ),
        (json!({"kid": "1"}), "algorithm is not accepted"),
        (json!({"alg": "RS256", "kid": "1"}), "key is not known"),
        (json!({"alg": "ES256", "kid": "1"}), "key is not known"),
        (json!({"alg": "EdDSA", "kid": "2"}), "key is not known"),
        (
            json!({"alg": "EdDSA", "kid": "1", "crit": ["b64"]}),
            "makes no sense",
        ),
        (json!(["EdDSA"]), "not a JSON object"),
    ] {
        let error = with(&header).unwrap_err();
        assert!(error.contains(expected), "{header}: {error}");
    }
    let strange = sign(&fresh_key(), &json!({"alg": "EdDSA"}), &claims());
    let error = issuer.login(&back_end, &strange).unwrap_err();
    assert!(error.contains("signature is wrong"), "{error}");
}

#[test]
fn settings_say_where_names_and_scopes_come_from() {
    let issuer = Issuer::new();
    let back_end = issuer.back_end(|settings| {
        settings.username_claims = vec!["user_name".to_owned(), "email".to_owned()];
        settings.additional_scopes_key = Some("more".to_owned());
        settings.scope_prefix = Some("mq:".to_owned());
        settings.scope_aliases = vec![("boss".to_owned(), vec!["mq:tag:administrator".to_owned()])];
    });
    let claims = json!({
        "sub": "7", "email": "alice@example", "aud": "other broker",
        "scope": ["boss", "mq:read:*/*"],
        "more": "mq:write:v/x/{email}-{vhost}-{none}",
    });
    let user = issuer.login(&back_end, &issuer.token(&claims)).unwrap();
    assert_eq!(user.name, "alice@example");
    assert!(user.has_tag("administrator") && user.expires_at().is_none());
    assert!(user.may("any", Right::Read, Resource::Queue, "q"));
    for (key, granted) in [
        ("alice@example-v-{none}", true),
        ("bob@example-v-{none}", false),
        ("alice@example-v-", false),
    ] {
        assert_eq!(
            user.may_topic("v", Right::Write, "x", key.as_bytes()),
            granted,
            "{key}"
        );
    }
    let mut claims = claims;
    claims["email"] = json!("*");
    let user = issuer.login(&back_end, &issuer.token(&claims)).unwrap();
    assert!(user.may_topic("v", Right::Write, "x", b"*-v-{none}"));
    assert!(
        !user.may_topic("v", Right::Write, "x", b"all-v-{none}"),
        "a claim is no pattern"
    );
}

#[test]
fn an_expired_token_grants_nothing_and_a_new_one_renews_it() {
    let issuer = Issuer::new();
    let back_end = issuer.back_end(|_| {});
    let short = issuer.token(&changed("exp", json!(now_s() + 1)));
    let user = issuer.login(&back_end, &short).unwrap();
    assert!(user.may_enter("/"));
    std::thread::sleep(Duration::from_millis(2100));
    assert!(!user.may_enter("/") && !user.may("/", Right::Read, Resource::Queue, "q"));
    assert!(!user.may_topic("/", Right::Write, "x", b"a.b"));
    let renewed = user.renew(issuer.token(&claims()).as_bytes()).unwrap();
    assert!(renewed.unwrap().may_enter("/"));
    for (secret, expected) in [
        (short, "has expired"),
        (
            issuer.token(&changed("sub", json!("bob"))),
            "another user's",
        ),
        ("guest".to_owned(), "makes no sense"),
    ] {
        let error = user.renew(secret.as_bytes()).unwrap().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn keys_are_looked_for_again_but_not_at_every_token() {
    let issuer = Issuer::new();
    let back_end = issuer.back_end(|_| {});
    issuer.login(&back_end, &issuer.token(&claims())).unwrap();
    let next = fresh_key();
    issuer.write_keys(&next, "2");
    let token = sign(&next, &json!({"alg": "EdDSA", "kid": "2"}), &claims());
    let error = issuer.login(&back_end, &token).unwrap_err();
    assert!(error.contains("key is not known"), "{error}");
    back_end.known.write().asked = Some(Instant::now() - REFRESH_PAUSE);
    issuer.login(&back_end, &token).unwrap();
    let error = issuer
        .login(&back_end, &issuer.token(&claims()))
        .unwrap_err();
    assert!(
        error.contains("key is not known"),
        "what was withdrawn counts no more: {error}"
    );
    std::fs::write(issuer.file.path(), "nothing").unwrap();
    back_end.known.write().asked = None;
    back_end.known.write().since = Some(Instant::now() - KEYS_AGE_MAX);
    issuer.login(&back_end, &token).unwrap();
}
