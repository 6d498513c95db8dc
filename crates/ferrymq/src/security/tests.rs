//! Settings as text: what fits together, and what is said when it does not.

use super::*;

fn with(pairs: &[(&'static str, &str)]) -> Result<Security, String> {
    let mut settings = Settings::default();
    for (key, text) in pairs {
        let texts = text.split('|').map(str::to_owned).collect();
        settings.set(key, format!("--{key}"), texts);
    }
    Security::new(&settings).map_err(|error| error.to_string())
}

#[test]
fn without_settings_nothing_of_it_is_there() {
    let security = with(&[]).unwrap();
    assert!(security.is_closed() && security.tls.is_none());
    assert!(security.proxies.protocol_from.0.is_empty() && security.backends.order.is_empty());
}

#[test]
fn all_of_it_is_read() {
    let security = with(&[
        ("amqps", "127.0.0.1:5671|[::1]:5671"),
        ("https", "127.0.0.1:15671"),
        ("tls_cert", "c.pem"),
        ("tls_key", "k.pem"),
        ("tls_client_ca", "ca.pem"),
        ("tls_client_auth", "require"),
        ("tls_version_min", "1.3"),
        ("tls_login_from", "subject_alternative_name:email:2"),
        ("proxy_protocol_from", "10.0.0.0/8|::1"),
        ("auth_backends", "internal|oauth2|http"),
        ("oauth2_jwks_url", "https://issuer/keys"),
        ("oauth2_resource_server_id", "broker"),
        ("oauth2_scope_prefix", ""),
        (
            "oauth2_scope_aliases",
            "admin=tag:administrator read:*/*|none=",
        ),
        ("x_forwarded_for_from", "10.0.0.7"),
        ("auth_http_user_path", "http://a/user"),
        ("auth_http_vhost_path", "http://a/vhost"),
        ("auth_http_resource_path", "http://a/resource"),
        ("auth_http_topic_path", "http://a/topic"),
        ("auth_http_cache_ms", "0"),
    ])
    .unwrap();
    assert_eq!(security.amqps.len(), 2);
    assert_eq!(security.proxies.protocol_from.0.len(), 2);
    assert_eq!(security.proxies.forwarded_for_from.0.len(), 1);
    let tls = security.tls.unwrap();
    assert_eq!(tls.client_auth, ClientAuth::Require);
    assert_eq!(tls.version_min, TlsVersionMin::Tls13);
    let (san_type, index) = (SanType::Email, 2);
    let from = LoginFrom::SubjectAlternativeName { san_type, index };
    assert_eq!(tls.login_from, from);
    let BackendsSettings {
        order,
        oauth2,
        http,
    } = security.backends;
    assert_eq!(order, [Backend::Internal, Backend::OAuth2, Backend::Http]);
    let oauth2 = oauth2.unwrap();
    assert_eq!(oauth2.scope_prefix.as_deref(), Some(""));
    assert_eq!(oauth2.scope_aliases[0].1, ["tag:administrator", "read:*/*"]);
    let http = http.unwrap();
    assert_eq!(
        (http.time, http.remember),
        (HTTP_TIME_DEFAULT, Duration::ZERO)
    );
}

fn named(first: &[(&'static str, &'static str)], cases: &[(&'static str, &'static str, &str)]) {
    for (key, text, expected) in cases {
        let pairs = [first, &[(*key, *text)]].concat();
        let error = with(&pairs).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_tls_lacks_is_named() {
    let needed = "needs `tls_cert` and `tls_key`";
    named(
        &[],
        &[
            ("amqps", "127.0.0.1:1", needed),
            ("https", "127.0.0.1:1", needed),
            ("tls_cert", "c", "--tls_cert: means nothing without both"),
            ("tls_client_ca", "c", "--tls_client_ca: means nothing"),
            ("proxy_protocol_from", "proxy", "`proxy` is not a network"),
        ],
    );
    named(
        &[("tls_cert", "c"), ("tls_key", "k")],
        &[
            ("tls_client_ca", "c", "without `tls_client_auth` request"),
            ("tls_client_auth", "require", "without `tls_client_ca`"),
            (
                "tls_client_auth",
                "yes",
                "not one of none, request, require",
            ),
            ("tls_version_min", "1.1", "`1.1` is not one of 1.2, 1.3"),
            ("tls_login_from", "issuer", "not one of distinguished_name"),
            ("tls_login_from", "subject_alternative_name:x", "one of dns"),
            (
                "tls_login_from",
                "subject_alternative_name:ip:x",
                "`x` is not a",
            ),
        ],
    );
}

#[test]
fn what_back_ends_lack_is_named() {
    named(
        &[],
        &[
            ("auth_backends", "ldap", "not one of internal, oauth2, http"),
            ("auth_backends", "http", "needs `auth_http_user_path`"),
            ("auth_backends", "oauth2", "needs `oauth2_jwks_url`"),
            ("auth_http_method", "get", "without `http` among"),
            ("oauth2_issuer", "x", "without `oauth2` among"),
            ("auth_ca", "x", "without `oauth2` or `http` among"),
        ],
    );
    named(
        &[("auth_backends", "oauth2")],
        &[
            ("oauth2_jwks_url", "keys", "`keys` is not a URL"),
            ("oauth2_jwks_file", "k", "needs `oauth2_resource_server_id`"),
        ],
    );
    let whole = [
        ("auth_backends", "oauth2"),
        ("oauth2_jwks_file", "k"),
        ("oauth2_resource_server_id", "r"),
    ];
    assert!(with(&whole).is_ok());
    named(
        &whole,
        &[
            ("oauth2_jwks_url", "http://a", "one of them"),
            ("oauth2_scope_aliases", "x", "`x` is not a name"),
        ],
    );
}
