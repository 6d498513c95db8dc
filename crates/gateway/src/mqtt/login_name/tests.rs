//! Names, certificates and ports, and who and where they make a client.

use super::*;
use crate::for_tests::broker;

fn config(anonymous: Option<&str>) -> MqttConfig {
    MqttConfig {
        vhost: "default".to_owned(),
        anonymous: anonymous.map(str::to_owned),
        ..MqttConfig::default()
    }
}

fn client<'a>(
    user: Option<&'a str>,
    has_password: bool,
    certificate: Option<&'a str>,
    port: u16,
) -> MqttClient<'a> {
    MqttClient {
        user,
        has_password,
        certificate,
        port,
    }
}

#[test]
fn a_client_is_who_rabbitmq_finds_it_to_be() {
    use MqttProof::{Anonymous, Certificate, Password};
    let config = config(Some("nobody"));
    let vhosts = MqttVhosts {
        of_certificates: ["CN=a", "a:b"]
            .map(|user| (user.into(), "certs".into()))
            .into(),
        of_ports: [(1, "one".into()), (2, "two".into())].into(),
    };
    for (user, certificate, port, expected) in [
        (Some("ann"), None, 9, ("ann", "default", Password)),
        (Some("ann"), None, 1, ("ann", "one", Password)),
        (Some("v:ann"), None, 9, ("ann", "v", Password)),
        (Some("v:ann"), None, 1, ("ann", "v", Password)),
        (Some("/:ann"), None, 9, ("ann", "/", Password)),
        (Some("v:w:ann"), None, 9, ("ann", "v:w", Password)),
        (Some(":ann"), None, 9, ("ann", "", Password)),
        (Some("v:"), None, 9, ("", "v", Password)),
        (Some(""), None, 9, ("", "default", Password)),
        (None, None, 9, ("nobody", "default", Anonymous)),
        (None, None, 2, ("nobody", "two", Anonymous)),
        (None, Some("CN=a"), 9, ("CN=a", "certs", Certificate)),
        (None, Some("CN=a"), 1, ("CN=a", "certs", Certificate)),
        (None, Some("CN=b"), 1, ("CN=b", "one", Certificate)),
        (None, Some("CN=b"), 9, ("CN=b", "default", Certificate)),
        (None, Some("v:b"), 9, ("b", "v", Certificate)),
        (None, Some("v:b"), 1, ("v:b", "one", Certificate)),
        (None, Some("a:b"), 9, ("a:b", "certs", Certificate)),
        // Who says more than the certificate does is who it says.
        (Some("ann"), Some("CN=a"), 9, ("ann", "certs", Password)),
        (Some("v:ann"), Some("CN=b"), 1, ("v:ann", "one", Password)),
        (Some("v:ann"), Some("CN=b"), 9, ("ann", "v", Password)),
    ] {
        let client = client(user, user.is_some(), certificate, port);
        let found = mqtt_login(client, &config, &vhosts).unwrap();
        let found = (found.user, found.vhost, found.proof);
        assert_eq!(found, expected, "{client:?}");
    }
}

#[test]
fn half_a_name_is_nobody_even_where_nobody_has_to_be_anybody() {
    let none = MqttVhosts::default();
    for (anonymous, user, has_password, certificate, expected) in [
        (
            Some("x"),
            Some("ann"),
            false,
            None,
            MqttLoginError::Incomplete,
        ),
        (Some("x"), None, true, None, MqttLoginError::Incomplete),
        (
            None,
            Some("ann"),
            false,
            Some("CN=a"),
            MqttLoginError::Incomplete,
        ),
        (None, None, false, None, MqttLoginError::Nobody),
    ] {
        let client = client(user, has_password, certificate, 9);
        let config = config(anonymous);
        let found = mqtt_login(client, &config, &none);
        assert_eq!(found, Err(expected), "{client:?}");
    }
}

#[test]
fn ports_and_certificates_are_mapped_by_configuration_and_parameters() {
    let broker = broker(1 << 20);
    let config = MqttConfig {
        port_vhosts: vec![(1, "one".to_owned())],
        ..MqttConfig::default()
    };
    let ports = [(1, "one".to_owned())];
    let found = MqttVhosts::new(&broker, &config);
    assert_eq!(
        (found.of_certificates.len(), found.of_ports),
        (0, ports.clone().into())
    );
    for (name, value) in [
        (OF_CERTIFICATES, r#"{ "CN=a": "certs", "CN=b": 7 }"#),
        (OF_PORTS, r#"{ "1": "other", "2": "two", "x": "no" }"#),
    ] {
        let value = value.parse().unwrap();
        broker.set_global_parameter(name, value).unwrap();
    }
    let found = MqttVhosts::new(&broker, &config);
    let [one] = ports;
    assert_eq!(found.of_ports, [one, (2, "two".to_owned())].into());
    assert_eq!(
        found.of_certificates,
        [("CN=a".to_owned(), "certs".to_owned())].into()
    );
    broker
        .set_global_parameter(OF_PORTS, "[1]".parse().unwrap())
        .unwrap();
    assert_eq!(MqttVhosts::new(&broker, &config).of_ports.len(), 1);
}
