//! Public keys of an issuer, as a JSON Web Key Set has them.
//!
//! Invariants
//! - A key verifies with the algorithms of its own type only: a token does not choose how its
//!   signature is looked at.
//! - Symmetric keys are not keys here.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

const KEYS_MAX: usize = 64;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// By its name; none for what is not accepted, `none` and symmetric ones among it.
    pub(crate) fn named(name: &str) -> Option<Algorithm> {
        Some(match name {
            "RS256" => Algorithm::Rs256,
            "RS384" => Algorithm::Rs384,
            "RS512" => Algorithm::Rs512,
            "PS256" => Algorithm::Ps256,
            "PS384" => Algorithm::Ps384,
            "PS512" => Algorithm::Ps512,
            "ES256" => Algorithm::Es256,
            "ES384" => Algorithm::Es384,
            "EdDSA" => Algorithm::EdDsa,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

impl Key {
    fn parse(value: &Value) -> Option<Key> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok();
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let point = |length: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == length && y.len() == length).then(|| [&[4], &x[..], &y[..]].concat())
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa {
                n: bytes("n")?,
                e: bytes("e")?,
            },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x")?),
            _ => return None,
        };
        let algorithm = match text("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name)?),
        };
        Some(Key {
            id: text("kid").map(str::to_owned),
            algorithm,
            material,
        })
    }

    /// Whether it could have made a signature of that kind.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let of_type = match &self.material {
            Material::Rsa { .. } => {
                matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
            }
            Material::P256(_) => algorithm == Es256,
            Material::P384(_) => algorithm == Es384,
            Material::Ed25519(_) => algorithm == EdDsa,
        };
        of_type && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether the signature is of this key and over this text.
    pub(crate) fn verifies(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let rsa = |parameters: &signature::RsaParameters| match &self.material {
            Material::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(parameters, text, signature)
                .is_ok(),
            _ => false,
        };
        let plain = |algorithm: &'static dyn VerificationAlgorithm| match &self.material {
            Material::P256(key) | Material::P384(key) | Material::Ed25519(key) => {
                UnparsedPublicKey::new(algorithm, key)
                    .verify(text, signature)
                    .is_ok()
            }
            Material::Rsa { .. } => false,
        };
        match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::Es256 => plain(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => plain(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDsa => plain(&signature::ED25519),
        }
    }
}

/// Reads a key set. Keys of a kind that is not accepted are left out.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let keys = value.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or("there is no list `keys` in it")?;
    if keys.len() > KEYS_MAX {
        return Err(format!("there are more than {KEYS_MAX} keys in it"));
    }
    Ok(keys.iter().filter_map(Key::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_keys_for_signatures_are_kept() {
        let x = "A".repeat(43);
        for (key, kept) in [
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
                true,
            ),
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","use":"sig","alg":"EdDSA"}}"#),
                true,
            ),
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","use":"enc"}}"#),
                false,
            ),
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","alg":"none"}}"#),
                false,
            ),
            (
                format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#),
                false,
            ),
            (
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}"}}"#),
                true,
            ),
            (
                format!(r#"{{"kty":"EC","crv":"P-384","x":"{x}","y":"{x}"}}"#),
                false,
            ),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}"}}"#), false),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(), true),
            (r#"{"kty":"RSA","n":"!","e":"AQAB"}"#.to_owned(), false),
            (r#"{"kty":"oct","k":"AQAB"}"#.to_owned(), false),
            ("7".to_owned(), false),
        ] {
            let keys = parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap();
            assert_eq!(keys.len(), usize::from(kept), "{key}");
        }
        for wrong in ["", "[]", "{}", r#"{"keys":7}"#] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse(format!(r#"{{"keys":[{}7]}}"#, "7,".repeat(64)).as_bytes()).is_err());
    }
}
