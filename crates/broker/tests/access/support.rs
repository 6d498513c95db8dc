//! Short words for users, permissions and log-ins.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ferry_broker::{
    AccessError, AccessSet, Account, Broker, Credentials, LoginBy, LoginError, Permission,
    TopicPermission, User, VhostSpec,
};

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

pub fn login_from(
    broker: &Broker,
    user: &str,
    password: &str,
    address: IpAddr,
) -> Result<Arc<User>, LoginError> {
    broker.login(Credentials {
        user,
        password: password.as_bytes(),
        address,
        loopback: address.is_loopback(),
        by: LoginBy::Amqp091,
    })
}

pub fn login(broker: &Broker, user: &str, password: &str) -> Result<Arc<User>, LoginError> {
    login_from(broker, user, password, HERE)
}

/// A user whose password is the name.
pub fn add_user(broker: &Broker, name: &str) -> AccessSet {
    let password_hash = broker.hash_password(name.as_bytes()).unwrap();
    broker.set_user(account(name, Some(password_hash))).unwrap()
}

pub fn account(name: &str, password_hash: Option<String>) -> Account {
    Account {
        name: name.into(),
        password_hash,
        tags: vec!["management".to_owned()],
    }
}

pub fn permit(
    broker: &Broker,
    user: &str,
    vhost: &str,
    [configure, write, read]: [&str; 3],
) -> Result<AccessSet, AccessError> {
    broker.set_permission(Permission {
        user: user.into(),
        vhost: vhost.into(),
        configure: configure.to_owned(),
        write: write.to_owned(),
        read: read.to_owned(),
    })
}

pub fn permit_topics(
    broker: &Broker,
    user: &str,
    exchange: &str,
    [write, read]: [&str; 2],
) -> Result<AccessSet, AccessError> {
    broker.set_topic_permission(TopicPermission {
        user: user.into(),
        vhost: "/".into(),
        exchange: exchange.into(),
        write: write.to_owned(),
        read: read.to_owned(),
    })
}

pub fn add_vhost(broker: &Broker, name: &str) -> AccessSet {
    let spec = VhostSpec {
        name: name.to_owned(),
        ..VhostSpec::default()
    };
    broker.set_vhost(spec).unwrap()
}
