//! An ID token over the socket of oidc-agent's clients, in oidc-agent's protocol: a JSON object in one
//! write, and all that comes back until the end is the answer. The bus has no method for it, because
//! only scripts of oidc-agent's want one.

use std::io::{Error, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use iamd_protocol::error::Kind;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::errors::{late, not_understood};
use super::socket::connect;
use crate::failure::Failure;
use crate::output::text;

/// The longest answer that is taken: the daemon's own are shorter by far.
const LONGEST: usize = 1024 * 1024;

/// What is asked (oidc-agent's `ipc_values.h`).
#[derive(Serialize)]
struct Request<'a> {
    request: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    application_hint: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    id_token: Option<SecretString>,
    error: Option<String>,
    info: Option<String>,
}

/// A new ID token of the account of that name, or at the issuer of that URL. No step takes longer than
/// `limit`.
///
/// # Errors
/// The daemon's, in the words that oidc-agent's clients get; or nobody answers.
pub(crate) fn id_token(
    path: &Path,
    named: &str,
    application: &str,
    limit: Duration,
) -> Result<SecretString, Failure> {
    let is_url = named.contains("://");
    let request = Request {
        request: "id_token",
        account: (!is_url).then_some(named),
        issuer: is_url.then_some(named),
        application_hint: application,
    };
    let request =
        serde_json::to_vec(&request).map_err(|error| not_understood(&error.to_string()))?;
    let answer = converse(path, &request, limit).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => late(limit),
        _ => Failure::new(
            Kind::DaemonUnreachable,
            format!("the socket {} gives no answer: {error}", path.display()),
        ),
    })?;
    let answer: Answer =
        serde_json::from_slice(&answer).map_err(|_| not_understood("no answer of an agent"))?;
    answer.id_token.ok_or_else(|| {
        let error = answer.error.unwrap_or_default();
        let message = if error.is_empty() { "there is no ID token" } else { &error };
        Failure::new(Kind::Internal, text::clean(message))
            .advise(text::clean(&answer.info.unwrap_or_default()))
    })
}

fn converse(path: &Path, request: &[u8], limit: Duration) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut stream = connect(path, limit)?;
    stream.write_all(request)?;
    // Room enough at once: a buffer that grows leaves copies behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(64 * 1024));
    (&mut stream).take(LONGEST as u64).read_to_end(&mut answer)?;
    if answer.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}
