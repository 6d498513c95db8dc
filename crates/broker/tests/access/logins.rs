//! Logging in: who is let in, what is remembered, and who has to wait.

use std::time::{Duration, Instant};

use ferry_broker::{Account, Credentials, Login, LoginBy, LoginCount, LoginError};

use crate::common::Node;
use crate::support::{ELSEWHERE, HERE, account, add_user, login, login_from};

/// `test12`.
const RABBIT_HASH: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

#[test]
fn a_new_node_knows_guest_who_comes_from_here() {
    let node = Node::new();
    let guest = login(&node.broker, "guest", "guest").unwrap();
    assert!(guest.has_tag("administrator") && guest.may_enter("/"));
    for (user, password, address, refused) in [
        ("guest", "guest", ELSEWHERE, LoginError::NotFromHere),
        ("guest", "Guest", HERE, LoginError::Refused),
        ("guest", "", HERE, LoginError::Refused),
        ("guest\0", "guest", HERE, LoginError::Refused),
        ("Guest", "guest", HERE, LoginError::Refused),
        ("", "", HERE, LoginError::Refused),
        ("nobody", "guest", HERE, LoginError::Refused),
    ] {
        let found = login_from(&node.broker, user, password, address);
        assert_eq!(found.unwrap_err(), refused, "{user:?} {password:?}");
    }
}

#[test]
fn a_changed_password_is_the_only_one() {
    let node = Node::new();
    assert!(add_user(&node.broker, "ann").created);
    login(&node.broker, "ann", "ann").unwrap();
    let again = node.broker.hash_password(b"secret").unwrap();
    let set = node.broker.set_user(account("ann", Some(again))).unwrap();
    assert!(!set.created);
    assert_eq!(
        login(&node.broker, "ann", "ann").unwrap_err(),
        LoginError::Refused
    );
    login(&node.broker, "ann", "secret").unwrap();
    node.broker.set_user(account("ann", None)).unwrap();
    for password in ["", "secret", "ann"] {
        let found = login(&node.broker, "ann", password);
        assert_eq!(found.unwrap_err(), LoginError::Refused);
    }
    assert!(node.broker.login_verified("ann", false).is_ok());
    assert!(node.broker.login_verified("bob", true).is_err());
    assert!(node.broker.login_verified("guest", false).is_err());
}

#[test]
fn a_hash_of_rabbitmq_is_replaced_at_the_first_log_in() {
    let node = Node::new();
    let algorithm = "rabbit_password_hashing_sha256";
    let hash = Account::imported_hash(algorithm, RABBIT_HASH).unwrap();
    node.broker.set_user(account("old", hash.clone())).unwrap();
    assert!(login(&node.broker, "old", "test13").is_err());
    assert_eq!(node.broker.account("old").unwrap().password_hash, hash);
    login(&node.broker, "old", "test12").unwrap();
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    let kept = node.broker.account("old").unwrap();
    assert_eq!(kept.exported_hash().unwrap().0, "argon2id");
    login(&node.broker, "old", "test12").unwrap();
    assert!(login(&node.broker, "old", "test13").is_err());
}

#[test]
fn of_many_who_come_at_once_with_one_password_one_is_hashed() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    let begin = || {
        node.broker.begin_login(Credentials {
            user: "ann",
            password: b"ann",
            address: HERE,
            loopback: true,
            by: LoginBy::Amqp091,
        })
    };
    let checks: Vec<_> = (0..500).map(|_| begin()).collect();
    let began = Instant::now();
    for check in checks {
        let Login::Check(check) = check else {
            panic!("nobody was known before");
        };
        assert_eq!(check.run().unwrap().name, "ann");
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(matches!(begin(), Login::Done(Ok(_))));
}

fn refused(login: Result<std::sync::Arc<ferry_broker::User>, LoginError>) -> bool {
    matches!(login, Err(LoginError::Refused))
}

#[test]
fn too_many_wrong_passwords_close_the_door_for_a_while() {
    let node = Node::new();
    add_user(&node.broker, "ann");
    login(&node.broker, "ann", "ann").unwrap();
    let mut tries = 0;
    while refused(login_from(&node.broker, "ann", "wrong", ELSEWHERE)) {
        tries += 1;
        assert!(tries < 50);
    }
    let from = |address| login_from(&node.broker, "ann", "ann", address).map(|_| ());
    assert_eq!(from(ELSEWHERE), Err(LoginError::TooMany));
    assert_eq!(from(HERE), Ok(()));
    node.pass(2_000);
    assert_eq!(from(ELSEWHERE), Ok(()));
    let counted = LoginCount {
        protocol: LoginBy::Amqp091.name(),
        succeeded: 3,
        failed: tries + 2,
    };
    assert_eq!(node.broker.login_counts(), [counted]);
}

#[test]
fn who_deletes_guest_does_not_meet_it_again() {
    for checkpoint in [false, true] {
        let node = Node::new();
        node.broker.delete_user("guest").unwrap();
        node.broker.commit_log().unwrap();
        if checkpoint {
            node.broker.checkpoint().unwrap();
        }
        let node = node.killed(2);
        assert!(node.broker.users().is_empty());
        assert!(login(&node.broker, "guest", "guest").is_err());
        assert_eq!(node.broker.make_first_administrator().unwrap(), None);
    }
}

#[test]
fn a_node_that_can_be_reached_gets_an_administrator_once() {
    let node = Node::new();
    let (name, password) = node.broker.make_first_administrator().unwrap().unwrap();
    let admin = login_from(&node.broker, &name, &password, ELSEWHERE).unwrap();
    assert!(admin.has_tag("administrator") && admin.may_enter("/"));
    assert_eq!(node.broker.make_first_administrator().unwrap(), None);
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    login_from(&node.broker, &name, &password, ELSEWHERE).unwrap();
    assert_eq!(node.broker.make_first_administrator().unwrap(), None);
}

#[test]
fn users_that_make_no_sense_are_refused() {
    let node = Node::new();
    let named = |name: &str| account(name, None);
    let long = "n".repeat(256);
    for bad in [
        named(""),
        named(&long),
        account("u", Some("secret".to_owned())),
        account("u", Some("rabbit_password_hashing_sha256:zzz".to_owned())),
        Account {
            tags: vec!["t".to_owned(); 65],
            ..named("u")
        },
        Account {
            tags: vec![long.clone()],
            ..named("u")
        },
    ] {
        assert!(node.broker.set_user(bad.clone()).is_err(), "{bad:?}");
    }
    assert_eq!(node.broker.users().len(), 1);
    assert!(node.broker.delete_user("nobody").is_err());
}

#[test]
fn who_is_not_there_looks_to_scram_as_if_it_were_also_after_a_kill() {
    let node = Node::new();
    let salt_of = |node: &Node, user: &str| {
        let begun = node.broker.begin_scram(user, HERE, true, LoginBy::Mqtt);
        let begun = begun.unwrap();
        (begun.verifier().salt().to_vec(), begun.verifier().rounds())
    };
    let nobody = salt_of(&node, "nobody");
    let guest = salt_of(&node, "guest");
    assert_eq!(salt_of(&node, "nobody"), nobody);
    assert_ne!(salt_of(&node, "somebody"), nobody);
    assert_eq!((nobody.0.len(), nobody.1), (guest.0.len(), guest.1));
    node.broker.commit_log().unwrap();
    let node = node.killed(2);
    assert_eq!(salt_of(&node, "nobody"), nobody);
    node.broker.checkpoint().unwrap();
    let node = node.killed(3);
    assert_eq!(salt_of(&node, "nobody"), nobody);
    assert_eq!(salt_of(&node, "guest"), guest);
}
