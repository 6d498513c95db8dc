//! The flags of TLS, proxies and log-ins.

use clap::Args;

use crate::settings::Settings;

#[derive(Debug, Default, Args)]
pub(super) struct SecurityArgs {
    /// Address for AMQP 0-9-1 over TLS, or off; may be given several times [default: off]
    #[arg(long, value_name = "ADDR|off")]
    amqps: Vec<String>,
    /// Address for HTTPS, or off [default: off]
    #[arg(long, value_name = "ADDR|off")]
    https: Option<String>,
    /// Chain of certificates for TLS, PEM; read again on SIGHUP and when it changes
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Authorities that certificates of clients must come from, PEM
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<String>,
    /// Whether clients are asked for a certificate; one that does not verify is never let in
    /// [default: none]
    #[arg(long, value_name = "none|request|require")]
    tls_client_auth: Option<String>,
    /// The oldest version of TLS that is spoken [default: 1.2]
    #[arg(long, value_name = "1.2|1.3")]
    tls_version_min: Option<String>,
    /// What of a client's certificate is its user, for EXTERNAL: distinguished_name, common_name or
    /// subject_alternative_name[:dns|ip|email|uri[:INDEX]] [default: distinguished_name]
    #[arg(long, value_name = "PART")]
    tls_login_from: Option<String>,
    /// Proxies that say by the PROXY protocol whom they speak for, such as 10.0.0.0/8; may be given
    /// several times
    #[arg(long, value_name = "NETWORK")]
    proxy_protocol_from: Vec<String>,
    /// Proxies that say by X-Forwarded-For whom they speak for, such as 10.0.0.7; may be given
    /// several times
    #[arg(long, value_name = "NETWORK")]
    x_forwarded_for_from: Vec<String>,
    /// Who decides about log-ins, in this order; may be given several times [default: internal]
    #[arg(long, value_name = "internal|oauth2|http")]
    auth_backends: Vec<String>,
    /// Authorities for HTTPS to an issuer or to the HTTP service, PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    auth_ca: Option<String>,
    /// Where the HTTP service says who may log in
    #[arg(long, value_name = "URL")]
    auth_http_user_path: Option<String>,
    /// Where it says who may use a virtual host
    #[arg(long, value_name = "URL")]
    auth_http_vhost_path: Option<String>,
    /// Where it says who may use a queue or an exchange
    #[arg(long, value_name = "URL")]
    auth_http_resource_path: Option<String>,
    /// Where it says who may use a routing key
    #[arg(long, value_name = "URL")]
    auth_http_topic_path: Option<String>,
    /// How it is asked; get puts passwords into its log [default: post]
    #[arg(long, value_name = "post|get")]
    auth_http_method: Option<String>,
    /// How long it may take to answer [default: 5000]
    #[arg(long, value_name = "MS")]
    auth_http_timeout_ms: Option<String>,
    /// How long what it says of rights is remembered [default: 15000]
    #[arg(long, value_name = "MS")]
    auth_http_cache_ms: Option<String>,
    /// Where the issuer's keys are
    #[arg(long, value_name = "URL")]
    oauth2_jwks_url: Option<String>,
    /// The issuer's keys as a file
    #[arg(long, value_name = "FILE")]
    oauth2_jwks_file: Option<String>,
    /// What a token must name as its issuer [default: anything]
    #[arg(long, value_name = "TEXT")]
    oauth2_issuer: Option<String>,
    /// What a token must name as its audience
    #[arg(long, value_name = "TEXT")]
    oauth2_resource_server_id: Option<String>,
    /// What scopes begin with that are meant for this broker [default: the audience and a point]
    #[arg(long, value_name = "TEXT")]
    oauth2_scope_prefix: Option<String>,
    /// A claim that holds more scopes
    #[arg(long, value_name = "TEXT")]
    oauth2_additional_scopes_key: Option<String>,
    /// Claims that may hold the user's name, before sub and client_id; may be given several times
    #[arg(long, value_name = "TEXT")]
    oauth2_username_claims: Vec<String>,
    /// A name that stands for scopes, with blanks between; may be given several times
    #[arg(long, value_name = "NAME=SCOPES")]
    oauth2_scope_aliases: Vec<String>,
}

impl SecurityArgs {
    /// Puts what was given beside the other settings.
    pub(super) fn put(self, settings: &mut Settings) {
        let lists = [
            ("amqps", self.amqps),
            ("proxy_protocol_from", self.proxy_protocol_from),
            ("x_forwarded_for_from", self.x_forwarded_for_from),
            ("auth_backends", self.auth_backends),
            ("oauth2_username_claims", self.oauth2_username_claims),
            ("oauth2_scope_aliases", self.oauth2_scope_aliases),
        ];
        let single = [
            ("https", self.https),
            ("tls_cert", self.tls_cert),
            ("tls_key", self.tls_key),
            ("tls_client_ca", self.tls_client_ca),
            ("tls_client_auth", self.tls_client_auth),
            ("tls_version_min", self.tls_version_min),
            ("tls_login_from", self.tls_login_from),
            ("auth_ca", self.auth_ca),
            ("auth_http_user_path", self.auth_http_user_path),
            ("auth_http_vhost_path", self.auth_http_vhost_path),
            ("auth_http_resource_path", self.auth_http_resource_path),
            ("auth_http_topic_path", self.auth_http_topic_path),
            ("auth_http_method", self.auth_http_method),
            ("auth_http_timeout_ms", self.auth_http_timeout_ms),
            ("auth_http_cache_ms", self.auth_http_cache_ms),
            ("oauth2_jwks_url", self.oauth2_jwks_url),
            ("oauth2_jwks_file", self.oauth2_jwks_file),
            ("oauth2_issuer", self.oauth2_issuer),
            ("oauth2_resource_server_id", self.oauth2_resource_server_id),
            ("oauth2_scope_prefix", self.oauth2_scope_prefix),
            (
                "oauth2_additional_scopes_key",
                self.oauth2_additional_scopes_key,
            ),
        ];
        let single = single.map(|(key, text)| (key, Vec::from_iter(text)));
        for (key, texts) in lists.into_iter().chain(single) {
            if !texts.is_empty() {
                settings.set(key, format!("--{}", key.replace('_', "-")), texts);
            }
        }
    }
}
