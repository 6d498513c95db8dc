//! The messages of a client, taken apart.
//!
//! ```text
//!  n,,n=user,r=NONCE            header (binding, authorization name), then the bare message
//!  c=HEADER,r=NONCES,p=PROOF    header and proof in base64
//! ```
//!
//! Invariants
//! - Extensions that must be understood are refused, since none is; others are signed and ignored.
//! - Nothing is normalized: a name is looked for as it was written.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Longest message of a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 2_048;
/// Longest nonce of a client, in bytes.
const NONCE_BYTES_MAX: usize = 256;

/// Why an exchange fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// It is not a message of SCRAM.
    #[error("the message is not understood")]
    Malformed,
    /// The client binds to a channel, which is not offered.
    #[error("channel binding is not offered")]
    ChannelBinding,
    /// It demands an extension.
    #[error("the message demands an extension that is not known")]
    Extension,
    /// One user wants to act as another one.
    #[error("nobody acts as somebody else")]
    AnotherUser,
    /// The second message does not belong to the first.
    #[error("the message belongs to another exchange")]
    AnotherExchange,
    /// The client does not know the password, or there is no such user.
    #[error("the proof is wrong")]
    WrongProof,
}

/// A client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    user: String,
    /// With its last comma.
    pub(super) header: String,
    pub(super) bare: String,
    pub(super) nonce: String,
}

impl ClientFirst {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(message: &[u8]) -> Result<ClientFirst, ScramError> {
        let text = text(message)?;
        let mut parts = text.splitn(3, ',');
        let mut part = || parts.next().ok_or(ScramError::Malformed);
        let (binding, acts_as, bare) = (part()?, part()?, part()?);
        match binding {
            // A client that would bind, and saw that nobody does, is told so by everybody.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        if bare.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let mut fields = bare.split(',');
        let user = name(field(fields.next(), "n=")?)?;
        let nonce = nonce(field(fields.next(), "r=")?)?;
        if !acts_as.is_empty() && name(field(Some(acts_as), "a=")?)? != user {
            return Err(ScramError::AnotherUser);
        }
        Ok(ClientFirst {
            user,
            header: text[..text.len() - bare.len()].to_owned(),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }

    /// Who the client says it is.
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// A client's second message.
pub(super) struct ClientFinal<'a> {
    /// The header of the first message, in base64.
    pub binding: &'a str,
    pub nonce: &'a str,
    pub without_proof: &'a str,
    pub proof: Vec<u8>,
}

impl ClientFinal<'_> {
    pub fn parse(message: &[u8]) -> Result<ClientFinal<'_>, ScramError> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut fields = without_proof.split(',');
        let binding = field(fields.next(), "c=")?;
        let nonce = field(fields.next(), "r=")?;
        let proof = BASE64_STANDARD.decode(proof);
        Ok(ClientFinal {
            binding,
            nonce,
            without_proof,
            proof: proof.map_err(|_| ScramError::Malformed)?,
        })
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    let text = std::str::from_utf8(message).ok();
    let text = text.filter(|text| text.len() <= MESSAGE_BYTES_MAX && !text.contains('\0'));
    text.ok_or(ScramError::Malformed)
}

fn field<'a>(field: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    let value = field.and_then(|field| field.strip_prefix(name));
    value.ok_or(ScramError::Malformed)
}

/// A name, in which a comma is `=2C` and an equals sign `=3D`.
fn name(text: &str) -> Result<String, ScramError> {
    let (first, rest) = text
        .split_once('=')
        .map_or((text, None), |(a, b)| (a, Some(b)));
    let mut name = first.to_owned();
    for part in rest.into_iter().flat_map(|rest| rest.split('=')) {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            (None, None) => return Err(ScramError::Malformed),
        };
        name.push(sign);
        name.push_str(rest);
    }
    match name.is_empty() {
        true => Err(ScramError::Malformed),
        false => Ok(name),
    }
}

fn nonce(text: &str) -> Result<&str, ScramError> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    match printable && (1..=NONCE_BYTES_MAX).contains(&text.len()) {
        true => Ok(text),
        false => Err(ScramError::Malformed),
    }
}
