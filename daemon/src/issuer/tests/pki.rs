//! Certificates and signed tokens of the tests' own.

use std::{fs, path::PathBuf, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// An authority, and a place for its certificate.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(parameters, key).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    /// Its certificate in a file.
    pub(super) fn file(&self) -> PathBuf {
        let file = self.directory.path().join("ca.pem");
        fs::write(&file, self.issuer.pem()).unwrap();
        file
    }

    /// Its certificate in a directory as grids have them: hash links, policies, rubbish.
    pub(super) fn grid_directory(&self) -> PathBuf {
        let directory = self.directory.path().join("certificates");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("0a1b2c3d.0"), self.issuer.pem()).unwrap();
        fs::write(directory.join("test-ca.pem"), self.issuer.pem()).unwrap();
        fs::write(directory.join("test-ca.signing_policy"), "access_id_CA X509 '/CN=x'").unwrap();
        fs::write(directory.join("0a1b2c3d.r0"), "-----BEGIN X509 CRL-----").unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(directory.join("broken.pem"), broken).unwrap();
        directory
    }

    /// A server with a certificate for `name`, good until that year.
    pub(super) fn server(&self, name: &str, until: i32) -> TlsAcceptor {
        self.server_from(name, 2000, until)
    }

    /// The same, good from that year on.
    pub(super) fn server_from(&self, name: &str, from: i32, until: i32) -> TlsAcceptor {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config).into()
    }
}

/// A key that signs tokens.
pub(super) struct Signer {
    key: EncodingKey,
    kid: &'static str,
}

impl Signer {
    pub(super) fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        Self { key: EncodingKey::from_ec_der(&pair.serialize_der()), kid }
    }

    /// Its public key set, with keys that nobody understands.
    pub(super) fn keys(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        key.common.key_id = Some(self.kid.to_owned());
        let odd = json!({ "kty": "EC", "crv": "secp256k1", "kid": "odd", "x": "AA", "y": "AA" });
        json!({ "keys": [odd, { "kty": "lattice" }, key] })
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// A token with this header and these claims, and no signature.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}
