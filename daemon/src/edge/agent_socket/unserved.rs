//! What is not served and why: secrets do not come in or go out this way, and what the agent keeps
//! of a flow in progress has no place here. Each has the command that does it.

use super::request::Refusal;

/// The message is no JSON object, or one whose fields are of another kind.
pub(super) const NOT_JSON: &str = "Bad Request: not a JSON object with the fields of a request";
/// What followed the keys is not a sealed message.
pub(super) const NOT_SEALED: &str = "Bad Request: not an encrypted message, or too long a one";
/// What followed the keys was sealed with others.
pub(super) const NOT_DECRYPTED: &str = "Bad Request: the message cannot be decrypted";
/// oidc-agent's words.
pub(super) const NO_TYPE: &str = "Bad Request: No request type.";
/// oidc-agent's words.
const UNKNOWN_TYPE: &str = "Bad Request: Unknown request type.";
/// oidc-agent's words, where neither account nor issuer is named.
pub(super) const NOBODY: Refusal = Refusal {
    error: "Not yet implemented",
    info: "Name an account or an issuer. See what you have with:  iamctl account list",
};

/// What to do instead of each request that is known and not served.
const INSTEAD: &[(&[&str], Refusal)] = &[
    (
        &["add"],
        Refusal {
            error: "iamd takes no accounts over this socket",
            info: "An account that iamd has is there until you remove it. See yours with:  iamctl account list   Take over one of oidc-agent's with:  iamctl account import oidc-agent",
        },
    ),
    (
        &["gen", "device", "state_lookup", "code_exchange", "term_http_server", "register"],
        Refusal {
            error: "iamd makes no accounts over this socket",
            info: "Make one and sign in with:  iamctl account add NAME   Sign in anew with:  iamctl login NAME",
        },
    ),
    (
        &["reauthenticate"],
        Refusal {
            error: "iamd signs nobody in over this socket",
            info: "Sign in anew with:  iamctl login NAME",
        },
    ),
    (
        &["remove", "remove_all", "lock"],
        Refusal {
            error: "iamd puts no accounts away over this socket",
            info: "Put the keys of accounts with a passphrase away with:  iamctl account lock   Sign out with:  iamctl logout NAME",
        },
    ),
    (
        &["unlock"],
        Refusal {
            error: "iamd takes no passphrases over this socket",
            info: "Unlock an account that has a passphrase with:  iamctl account unlock NAME",
        },
    ),
    (
        &["delete", "delete_client"],
        Refusal {
            error: "iamd deletes nothing over this socket",
            info: "Revoke the sign-in and delete its client with:  iamctl account remove NAME",
        },
    ),
    (
        &["file_write", "file_read", "file_remove"],
        Refusal {
            error: "iamd keeps no files for clients",
            info: "See an account with:  iamctl account show NAME   Make one with:  iamctl account add NAME",
        },
    ),
    (
        &["mytoken", "mytoken_supported_providers"],
        Refusal {
            error: "iamd has no mytokens",
            info: "The refresh token is with iamd. Get an access token with:  iamctl token NAME   For a long job:  iamctl run -- COMMAND",
        },
    ),
];

/// Why a request of this name is not served.
pub(super) fn refusal(name: &str) -> Refusal {
    let known = INSTEAD.iter().find(|(names, _)| names.contains(&name));
    known.map_or(Refusal { error: UNKNOWN_TYPE, info: "" }, |(_, refusal)| *refusal)
}

/// All names of requests that are known and not served.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    INSTEAD.iter().flat_map(|(names, _)| names.iter().copied())
}
