//! A token as it comes: three parts, of which the last signs the other two.
//!
//! Invariants
//! - Nothing of the claims is looked at before the signature was verified.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::keys::{Algorithm, Key};

/// Bytes of the longest token.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// How much too early a token may come, since clocks differ, in seconds. An end is an end.
const SKEW_S: u64 = 30;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token makes no sense: {0}")]
    Malformed(&'static str),
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token names no user")]
    NoUser,
    #[error("the token is another user's")]
    AnotherUser,
    #[error("the keys can not be had: {0}")]
    NoKeys(String),
}

/// A token in its parts; none of it is to be believed yet.
pub(crate) struct Token<'a> {
    algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    signed: &'a [u8],
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Token<'a>, TokenError> {
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TokenError::Malformed("no text"))?;
        let malformed = || TokenError::Malformed("three parts, with points between, make one");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let header = object(header)?;
        if header.contains_key("crit") {
            return Err(TokenError::Malformed("it asks for what is not understood"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm
            .and_then(Algorithm::named)
            .ok_or(TokenError::Algorithm)?;
        let key_id = header.get("kid").and_then(Value::as_str).map(str::to_owned);
        let signature = BASE64_URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenError::Malformed("its signature is not base64"))?;
        Ok(Token {
            algorithm,
            key_id,
            signed: signed.as_bytes(),
            claims,
            signature,
        })
    }

    /// The claims, if one of the keys has signed them.
    pub(crate) fn verify(&self, keys: &[Key]) -> Result<Map<String, Value>, TokenError> {
        let meant = |key: &&Key| self.key_id.is_none() || key.id == self.key_id;
        let mut known = keys
            .iter()
            .filter(meant)
            .filter(|key| key.fits(self.algorithm))
            .peekable();
        if known.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let right = known.any(|key| key.verifies(self.algorithm, self.signed, &self.signature));
        match right {
            true => object(self.claims),
            false => Err(TokenError::Signature),
        }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed("a part of it is not base64"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(TokenError::Malformed("a part of it is not a JSON object")),
    }
}

/// Holds the times in the claims against the clock; gives when they end, in seconds.
pub(crate) fn check_times(
    claims: &Map<String, Value>,
    now_s: u64,
) -> Result<Option<u64>, TokenError> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .or_else(|| {
                value
                    .as_f64()
                    .filter(|time| *time >= 0.0)
                    .map(|time| time as u64)
            })
            .map(Some)
            .ok_or(TokenError::Malformed("a time in it is not a number")),
    };
    if time("nbf")?.is_some_and(|from_s| from_s > now_s + SKEW_S) {
        return Err(TokenError::Early);
    }
    let ends_s = time("exp")?;
    match ends_s.is_some_and(|ends_s| ends_s <= now_s) {
        true => Err(TokenError::Expired),
        false => Ok(ends_s),
    }
}
