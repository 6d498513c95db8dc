//! Files with certificates and keys, in PEM.
//!
//! Invariants
//! - A file is read up to `FILE_BYTES_MAX`; a longer one is refused.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

const FILE_BYTES_MAX: u64 = 4 << 20;
/// Bits of a mode that let a group write, or others do anything.
const MODE_OF_OTHERS: u32 = 0o027;

/// What changes when a file is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// That of the file which is there now.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        let metadata: Metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// The whole of a file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("the file is too large"));
    }
    Ok(bytes)
}

fn read_pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    read(path).map_err(|error| TlsError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

fn contents(path: &Path, why: impl Into<String>) -> TlsError {
    TlsError::Contents {
        path: path.to_owned(),
        why: why.into(),
    }
}

/// All certificates of a file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_pem(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| contents(path, error.to_string()))?;
    match certificates.is_empty() {
        true => Err(contents(path, "there is no certificate in it")),
        false => Ok(certificates),
    }
}

/// The first private key of a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read_pem(path)?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| contents(path, "there is no private key in it"))
}

/// Warns of a key that more than its owner and its group can read.
pub(crate) fn warn_if_others_read(path: &Path) {
    if let Ok(metadata) = std::fs::metadata(path)
        && metadata.mode() & MODE_OF_OTHERS != 0
    {
        tracing::warn!(
            key = %path.display(),
            mode = format!("{:o}", metadata.mode() & 0o777),
            "the private key can be read by others: chmod 600 it"
        );
    }
}
