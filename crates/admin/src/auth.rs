//! Who asks: HTTP basic authentication, checked by the broker.
//!
//! Invariants
//! - Nothing of a password is kept or logged.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{LoginError, User};

use crate::api::error_body;
use crate::shared::Shared;

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub SocketAddr);

/// The user of a request that was logged in.
pub(crate) struct LoggedIn(pub Arc<User>);

/// A request without a valid log-in.
pub(crate) struct Unauthorized(&'static str);

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        let body = error_body("not_authorised", self.0);
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
        let refused = Unauthorized("Login failed");
        let Some((user, password)) = credentials(&parts.headers) else {
            return Err(refused);
        };
        let peer = parts.extensions.get::<Peer>();
        let loopback = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
        match shared.broker.login(&user, &password, loopback) {
            Ok(user) => Ok(LoggedIn(user)),
            Err(error) => {
                let address = peer.map(|peer| peer.0);
                tracing::warn!(
                    user = user.escape_debug().to_string(),
                    ?address,
                    "HTTP: {error}"
                );
                Err(match error {
                    LoginError::Refused => refused,
                    LoginError::NotFromHere => Unauthorized("User can only log in via localhost"),
                })
            }
        }
    }
}

/// User and password of the only `authorization` header.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let password = bytes.split_off(colon + 1);
    bytes.pop();
    Some((String::from_utf8(bytes).ok()?, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_one_basic_header() {
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            credentials(&headers)
        };
        let guest = Some(("guest".to_owned(), b"guest".to_vec()));
        for (values, expected) in [
            (&["Basic Z3Vlc3Q6Z3Vlc3Q="][..], guest.clone()),
            (&["bAsIc  Z3Vlc3Q6Z3Vlc3Q="], guest),
            (&["Basic dTphOmI="], Some(("u".to_owned(), b"a:b".to_vec()))),
            (&["Basic Og=="], Some((String::new(), Vec::new()))),
            (&["Basic Z3Vlc3Q="], None),
            (&["Basic !"], None),
            (&["Bearer Z3Vlc3Q6Z3Vlc3Q="], None),
            (&["Basic"], None),
            (&["Basic Z3Vlc3Q6Z3Vlc3Q=", "Basic Z3Vlc3Q6Z3Vlc3Q="], None),
            (&[], None),
        ] {
            assert_eq!(found(values), expected, "{values:?}");
        }
    }
}
