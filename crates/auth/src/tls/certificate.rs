//! A client's certificate: whom it names.
//!
//! Invariants
//! - Names are read from the parsed certificate. A distinguished name is written as RabbitMQ writes
//!   it: RFC 4514, the last part first, every byte outside of printable ASCII escaped, so two names
//!   that differ never look alike.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

const COMMON_NAME: &str = "2.5.4.3";

/// How types of attributes are called.
const TYPES: [(&str, &str); 16] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    (COMMON_NAME, "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// What of a certificate is the name of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginFrom {
    /// The whole subject.
    #[default]
    DistinguishedName,
    /// The subject's common names, with commas between.
    CommonName,
    /// An alternative name of the subject: the first, or a later one, of a type.
    SubjectAlternativeName {
        /// Of which type.
        san_type: SanType,
        /// Which of them, from 0.
        index: usize,
    },
}

/// A type of alternative names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SanType {
    /// A host name.
    #[default]
    Dns,
    /// An address.
    Ip,
    /// An address for mail.
    Email,
    /// A URI.
    Uri,
}

/// A certificate that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// From when to when it is valid.
    pub validity: String,
    common_names: Vec<String>,
    alternatives: Vec<(SanType, String)>,
}

impl Certificate {
    /// Reads a certificate; none if it makes no sense.
    pub(crate) fn parse(der: &[u8]) -> Option<Certificate> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let subject = certificate.subject();
        let common_names = subject
            .iter_attributes()
            .filter(|one| one.attr_type().to_id_string() == COMMON_NAME)
            .map(|one| String::from_utf8(text(one)).ok())
            .collect::<Option<_>>()?;
        let alternatives = match certificate.subject_alternative_name().ok()? {
            None => Vec::new(),
            Some(found) => found
                .value
                .general_names
                .iter()
                .filter_map(alternative)
                .collect(),
        };
        let validity = certificate.validity();
        let (from, to) = (date(validity.not_before), date(validity.not_after));
        Some(Certificate {
            subject: distinguished_name(subject),
            issuer: distinguished_name(certificate.issuer()),
            validity: format!("{from} - {to}"),
            common_names,
            alternatives,
        })
    }

    /// The name of its user, if it says one.
    pub fn user(&self, from: LoginFrom) -> Option<String> {
        let name = match from {
            LoginFrom::DistinguishedName => self.subject.clone(),
            LoginFrom::CommonName => self.common_names.join(","),
            LoginFrom::SubjectAlternativeName { san_type, index } => {
                let mut of_type = self.alternatives.iter().filter(|one| one.0 == san_type);
                of_type.nth(index)?.1.clone()
            }
        };
        Some(name).filter(|name| !name.is_empty())
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<(SanType, String)> {
    Some(match name {
        GeneralName::DNSName(name) => (SanType::Dns, (*name).to_owned()),
        GeneralName::RFC822Name(name) => (SanType::Email, (*name).to_owned()),
        GeneralName::URI(name) => (SanType::Uri, (*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|ip| Ipv4Addr::from(ip).to_string());
            let v6 = <[u8; 16]>::try_from(*bytes).map(|ip| Ipv6Addr::from(ip).to_string());
            (SanType::Ip, v4.or(v6).ok()?)
        }
        _ => return None,
    })
}

fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter()
        .map(|part| {
            let attributes: Vec<String> = part.iter().map(attribute).collect();
            attributes.join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(one: &AttributeTypeAndValue<'_>) -> String {
    let id = one.attr_type().to_id_string();
    let known = TYPES.iter().find(|(known, _)| *known == id);
    let name = known.map_or(id.as_str(), |(_, name)| name);
    format!("{name}={}", escape(&text(one)))
}

/// The bytes of a value, in UTF-8 unless they were something else altogether.
fn text(one: &AttributeTypeAndValue<'_>) -> Vec<u8> {
    let value = one.attr_value();
    let bytes = value.as_bytes();
    if value.tag() != Tag::BmpString {
        return bytes.to_vec();
    }
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let decoded = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    decoded.collect::<String>().into_bytes()
}

fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let last = bytes.len().wrapping_sub(1);
    for (index, byte) in bytes.iter().copied().enumerate() {
        let special = match byte {
            b'#' => index == 0,
            b' ' => index == 0 || index == last,
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => true,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        if !(32..126).contains(&byte) {
            write!(out, "\\{byte:02X}").expect("a text grows");
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_rabbitmq_escapes_them() {
        for (value, expected) in [
            ("alice", "alice"),
            (" alice ", "\\ alice\\ "),
            (" ", "\\ "),
            ("#1", "\\#1"),
            ("1#", "1#"),
            ("a, b+c", "a\\, b\\+c"),
            ("\"<;>\\", "\\\"\\<\\;\\>\\\\"),
            ("a=b", "a=b"),
            ("é~\n", "\\C3\\A9\\7E\\0A"),
            ("", ""),
        ] {
            assert_eq!(escape(value.as_bytes()), expected, "{value:?}");
        }
    }
}
