//! Certificates that a site trusts beside the system's: a PEM file, or a directory of them such as
//! `/etc/grid-security/certificates`.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::secret_file;
use crate::account::ports::IssuerError;

/// No bundle that people use comes near these.
const MOST_FILES: usize = 4096;
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The certificates in a file or a directory. Blocking.
///
/// A directory may hold one that is no use as an anchor (grid bundles do); that one is left out,
/// for it must not take the others down.
///
/// # Errors
/// [`IssuerError::Local`] when nothing can be read or nothing of it is a certificate.
pub(super) fn load(path: &Path) -> Result<Vec<Certificate>, IssuerError> {
    let files = files(path).map_err(|error| local(path, &error.to_string()))?;
    let mut anchors = RootCertStore::empty();
    let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
    for file in files {
        let bytes = match read(&file) {
            Ok(bytes) => bytes,
            Err(error) if file == path => return Err(local(path, &error.to_string())),
            Err(_) => continue,
        };
        for certificate in CertificateDer::pem_slice_iter(&bytes).flatten() {
            // Hash links name the same certificate again.
            if !certificates.contains(&certificate) && anchors.add(certificate.clone()).is_ok() {
                certificates.push(certificate);
            }
        }
    }
    if certificates.is_empty() {
        return Err(local(path, "no certificate (PEM) in it"));
    }
    Ok(certificates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect())
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| is_certificate_name(file) && file.is_file())
        .take(MOST_FILES)
        .collect();
    files.sort();
    Ok(files)
}

/// `.pem`, `.crt`, `.cer`, and the links `HASH.0` of `openssl rehash`; neither `.r0` (revocation
/// lists) nor the `.signing_policy`, `.info` and `.namespaces` of grid bundles.
fn is_certificate_name(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "pem" | "crt" | "cer")
        || (!extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_digit()))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = secret_file::open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    opened.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn local(path: &Path, what: &str) -> IssuerError {
    IssuerError::Local {
        text: format!("{}: {what}; set `ca` to a PEM file or a directory of them", path.display()),
    }
}
