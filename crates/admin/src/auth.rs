//! Who asks: HTTP basic authentication or a bearer's token, checked by the back ends.
//!
//! Invariants
//! - Nothing of a password is kept or logged.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_auth::{LogIn, Whence};
use ferry_broker::{LoginBy, LoginError, User};

use crate::api::error_body;
use crate::shared::Shared;

/// The user of a request that has come through the gate.
#[derive(Clone)]
pub(crate) struct Known(pub Arc<User>);

/// The user of a request that was logged in; what users may ask for is told by the gate.
pub(crate) struct LoggedIn(pub Arc<User>);

/// A request without a valid log-in: why.
pub(crate) struct Unauthorized(&'static str);

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        let body = error_body("not_authorized", self.0);
        let mut response = (StatusCode::UNAUTHORIZED, body).into_response();
        let realm = HeaderValue::from_static("Basic realm=\"FerryMQ Management\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, realm);
        response
    }
}

impl FromRequestParts<Arc<Shared>> for LoggedIn {
    type Rejection = Unauthorized;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<LoggedIn, Unauthorized> {
        if let Some(Known(user)) = parts.extensions.get() {
            return Ok(LoggedIn(Arc::clone(user)));
        }
        let refused = Unauthorized("Login failed");
        let Some(credentials) = credentials(&parts.headers) else {
            return Err(refused);
        };
        let whence = parts.extensions.get::<Whence>();
        let peer = whence.map(|whence| whence.peer);
        let address = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
        let backends = &shared.backends;
        let (user, result) = match &credentials {
            Credentials::Password { user, password } => {
                let login = LogIn {
                    user,
                    password: Some(password),
                    loopback: whence.is_some_and(|whence| whence.loopback),
                    address,
                    by: LoginBy::Http,
                };
                (user.as_str(), backends.login(login).await)
            }
            Credentials::Token(token) => ("", backends.login_token(token, address).await),
        };
        result.map(LoggedIn).map_err(|error| {
            let user = user.escape_debug().to_string();
            tracing::warn!(user, address = ?peer, "HTTP: {error}");
            match error {
                LoginError::Refused | LoginError::TooMany => refused,
                LoginError::NotFromHere => Unauthorized("User can only log in via localhost"),
            }
        })
    }
}

/// What somebody shows.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    Password { user: String, password: Vec<u8> },
    Token(Vec<u8>),
}

/// The user that a request says it is from, right or not; a token is not looked into.
pub(crate) fn claimed_user(headers: &HeaderMap) -> Option<String> {
    match credentials(headers)? {
        Credentials::Password { user, .. } => Some(user),
        Credentials::Token(_) => None,
    }
}

/// What stands in the only `authorization` header.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Token(encoded.trim().as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let password = bytes.split_off(colon + 1);
    bytes.pop();
    let user = String::from_utf8(bytes).ok()?;
    Some(Credentials::Password { user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_one_header() {
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            credentials(&headers)
        };
        let basic = |user: &str, password: &str| {
            Some(Credentials::Password {
                user: user.to_owned(),
                password: password.into(),
            })
        };
        let guest = || basic("guest", "guest");
        for (values, expected) in [
            (&["Basic Z3Vlc3Q6Z3Vlc3Q="][..], guest()),
            (&["bAsIc  Z3Vlc3Q6Z3Vlc3Q="], guest()),
            (&["Basic dTphOmI="], basic("u", "a:b")),
            (&["Basic Og=="], basic("", "")),
            (&["Basic Z3Vlc3Q="], None),
            (&["Basic !"], None),
            (
                &["bearer a.b.c"],
                Some(Credentials::Token(b"a.b.c".to_vec())),
            ),
            (&["Digest Z3Vlc3Q6Z3Vlc3Q="], None),
            (&["Bearer a", "Bearer a"], None),
            (&["Basic"], None),
            (&["Basic Z3Vlc3Q6Z3Vlc3Q=", "Basic Z3Vlc3Q6Z3Vlc3Q="], None),
            (&[], None),
        ] {
            assert_eq!(found(values), expected, "{values:?}");
        }
    }
}
