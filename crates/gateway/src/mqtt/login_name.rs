//! Whom a CONNECT means: a user of a virtual host, as RabbitMQ's plug-in finds it.
//!
//! ```text
//! who                              user name and password  >  certificate  >  anonymous user
//! where, without a certificate     `vhost:user`  >  port  >  default
//! where, with one                  certificate  >  port  >  `vhost:user`  >  default
//! ```
//!
//! Invariants
//! - A user name without a password is nobody, not somebody without a password.
//! - The last colon of a user name parts it: names of virtual hosts may have colons.
//!
//! Not here: whether the password is right, and whether that virtual host is there.

use std::collections::BTreeMap;

use ferry_broker::Broker;

use super::config::MqttConfig;

/// RabbitMQ's global parameter with virtual hosts by the users of certificates.
const OF_CERTIFICATES: &str = "mqtt_default_vhosts";
/// The same by the port that a client came to; what is configured counts more.
const OF_PORTS: &str = "mqtt_port_to_vhost_mapping";

/// Virtual hosts of clients that do not name theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MqttVhosts {
    /// By the user that a verified certificate names.
    pub of_certificates: BTreeMap<String, String>,
    /// By the port that a client came to.
    pub of_ports: BTreeMap<u16, String>,
}

impl MqttVhosts {
    /// As they are configured, and as global parameters say now.
    pub fn new(broker: &Broker, config: &MqttConfig) -> MqttVhosts {
        let pairs = |name| -> Vec<(String, String)> {
            let found = broker.global_parameter(name);
            let object = found.as_ref().and_then(|value| value.as_object());
            let pairs = object.into_iter().flatten();
            pairs
                .filter_map(|(key, vhost)| Some((key.clone(), vhost.as_str()?.to_owned())))
                .collect()
        };
        let ports = pairs(OF_PORTS).into_iter();
        let ports = ports.filter_map(|(port, vhost)| Some((port.parse().ok()?, vhost)));
        MqttVhosts {
            of_certificates: pairs(OF_CERTIFICATES).into_iter().collect(),
            of_ports: ports.chain(config.port_vhosts.iter().cloned()).collect(),
        }
    }
}

/// What is known of a client before it is logged in.
#[derive(Debug, Clone, Copy)]
pub struct MqttClient<'a> {
    /// The user name of the CONNECT packet, or of a SASL exchange.
    pub user: Option<&'a str>,
    /// Whether a password, or the beginning of a SASL exchange, came with it.
    pub has_password: bool,
    /// The user that a verified certificate names.
    pub certificate: Option<&'a str>,
    /// The port that the client came to.
    pub port: u16,
}

/// Who is to be logged in, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MqttLogin<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The virtual host.
    pub vhost: &'a str,
    /// How it is shown to be that user.
    pub proof: MqttProof,
}

/// What shows that a client is who it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttProof {
    /// Its password, which is to be compared.
    Password,
    /// Its certificate, which was verified.
    Certificate,
    /// Nothing: nobody has to be anybody here.
    Anonymous,
}

/// Why a client is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MqttLoginError {
    /// One of the two is missing.
    #[error("a user name and a password come together")]
    Incomplete,
    /// Neither is there, nor a certificate that could stand for them.
    #[error("nobody logs in without a user name and a password here")]
    Nobody,
}

/// Whom a client means.
///
/// # Errors
/// If it does not say, and nothing is configured for that.
pub fn mqtt_login<'a>(
    client: MqttClient<'a>,
    config: &'a MqttConfig,
    vhosts: &'a MqttVhosts,
) -> Result<MqttLogin<'a>, MqttLoginError> {
    let (name, proof) = match (client.user, client.has_password) {
        (Some(user), true) => (user, MqttProof::Password),
        (None, false) => match (client.certificate, &config.anonymous) {
            (Some(user), _) => (user, MqttProof::Certificate),
            (None, Some(user)) => (user.as_str(), MqttProof::Anonymous),
            (None, None) => return Err(MqttLoginError::Nobody),
        },
        _ => return Err(MqttLoginError::Incomplete),
    };
    let of_port = vhosts.of_ports.get(&client.port).map(String::as_str);
    let of_name = name.rsplit_once(':');
    let default = config.vhost.as_str();
    let (vhost, user) = match client.certificate {
        Some(certificate) => match (vhosts.of_certificates.get(certificate), of_port, of_name) {
            (Some(vhost), _, _) => (vhost.as_str(), name),
            (None, Some(vhost), _) => (vhost, name),
            (None, None, Some(parts)) => parts,
            (None, None, None) => (default, name),
        },
        None => of_name.unwrap_or((of_port.unwrap_or(default), name)),
    };
    Ok(MqttLogin { user, vhost, proof })
}

#[cfg(test)]
mod tests;
