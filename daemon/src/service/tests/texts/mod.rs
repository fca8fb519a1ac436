//! What users are told: every error that the use cases make, provoked through the service and
//! compared with its row in docs/errors.md.

mod accounts;
mod administration;
mod clients;
mod configuration;
mod doctor;
mod logins;
mod passphrases;
mod passwords;
mod policy;
mod tokens;

use iamd_protocol::bus::{AddOptions, EditOptions};

use super::{add::own_client, *};

/// The error of a call that must not work.
fn told<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> ServiceError {
    result.unwrap_err()
}

/// The error that a login ended with.
fn ended(info: LoginInfo) -> ServiceError {
    let name = info.error.unwrap();
    let kind = Kind::ALL.iter().find(|kind| kind.short_name() == name).unwrap();
    ServiceError::new(*kind, info.message.unwrap())
}

fn at(issuer: &str) -> LoginOptions {
    LoginOptions { issuer: Some(issuer.into()), ..LoginOptions::default() }
}

fn client_rejected() -> IssuerError {
    IssuerError::ClientRejected { text: "WLCG: it does not know our client".into() }
}
