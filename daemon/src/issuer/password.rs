//! The password grant (RFC 6749 §4.3): one request with a password, and what its answer means.
//! RFC 9700 §2.4 forbids it; it is made for clients that an administrator of the site and one of
//! the issuer allowed it.
//!
//! Nothing that the issuer says is passed on: an answer to a password may repeat it, whole or in
//! parts. The code and the status tell enough.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    IssuerClient,
    error::ErrorReply,
    form::Form,
    identity::{Given, Moment},
    lane::Lane,
    redact::{Redactor, printable},
    token::check_audiences,
};
use crate::account::{
    ClientRecord, IssuerProfile, PASSWORD_GRANT,
    ports::{
        GrantChange, GrantFailure, IssuerError, PasswordError, PasswordGrants, PasswordSignIn,
        Tokens,
    },
};

/// Codes that ask for more than a password: RFC 9470 §3, OpenID Connect Core §3.1.2.6, and what
/// issuers made up.
const MORE_IS_NEEDED: [&str; 5] = [
    "insufficient_user_authentication",
    "interaction_required",
    "login_required",
    "mfa_required",
    "second_factor_required",
];
/// Words of those that ask for more with `invalid_grant`.
const SECOND_FACTOR: [&str; 7] =
    ["mfa", "otp", "totp", "multifactor", "multi-factor", "two-factor", "second-factor"];

#[async_trait]
impl PasswordGrants for IssuerClient {
    async fn sign_in_with_password(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        sign_in: PasswordSignIn<'_>,
    ) -> Result<Tokens, PasswordError> {
        self.use_password(issuer, client, sign_in).await
    }

    async fn can_change_password_grant(
        &self,
        issuer: &IssuerProfile,
        client_id: &str,
        allowed: bool,
    ) -> Result<(), IssuerError> {
        self.has_client_interface(issuer, client_id, allowed).await
    }

    async fn change_password_grant(
        &self,
        issuer: &IssuerProfile,
        administrator: &SecretString,
        client_id: &str,
        allowed: bool,
    ) -> Result<GrantChange, GrantFailure> {
        self.set_password_grant(issuer, administrator, client_id, allowed).await
    }
}

impl IssuerClient {
    async fn use_password(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        sign_in: PasswordSignIn<'_>,
    ) -> Result<Tokens, PasswordError> {
        let PasswordSignIn { user_name, password, scopes, audiences } = sign_in;
        let metadata = self.metadata(profile).await?;
        if let Err(text) = check_audiences(metadata.audience_parameter, audiences) {
            let code = "invalid_target".to_owned();
            return Err(IssuerError::Refused { code, text }.into());
        }
        if profile.identity.is_some() {
            // A password is not sent for a sign-in that could not be checked.
            self.required_keys(profile, &metadata).await?;
        }
        let mut form = Form::new(Some(PASSWORD_GRANT));
        form.add("username", user_name);
        form.add_secret("password", &password);
        if !scopes.is_empty() {
            form.add("scope", &scopes.to_string());
        }
        form.add_audiences(metadata.audience_parameter, audiences);
        // One user's words: not a reason to leave the issuer alone for all.
        let lane = Some(Lane::of_name(client, user_name));
        let sent_at = self.clock.wall();
        let reply = self.token_request(profile, &metadata, client, form, lane).await?;
        let failed = match self.read(profile, &reply, sent_at, None) {
            Some(Ok((mut tokens, id_token))) => {
                let given = Given {
                    client_id: &client.client_id,
                    access_token: &tokens.access_token,
                    id_token: id_token.as_ref(),
                };
                match self.identity(profile, &metadata, given, Moment::SignIn).await {
                    Ok(identity) => {
                        tokens.identity = identity;
                        return Ok(tokens);
                    }
                    Err(error) => error.into(),
                }
            }
            Some(Err(error)) => error.into(),
            None => {
                let secrets = client.client_secret.iter().chain([&password]);
                let redactor = Redactor::new(secrets).of_client(&client.client_id);
                let error = ErrorReply::read(profile, &reply, &redactor);
                classify(profile, client, error)
            }
        };
        self.revoke_nobodys(profile, client, &reply).await;
        Err(failed)
    }
}

/// What an error reply to a password means.
fn classify(
    profile: &IssuerProfile,
    client: &ClientRecord,
    mut error: ErrorReply,
) -> PasswordError {
    let title = &profile.title;
    let id = printable(&client.client_id, 200);
    // From here on without a word of the issuer's.
    error.text = match error.code.as_str() {
        "" => format!("{title} answered {}", error.status),
        code => format!("{title} answered {code} ({})", error.status),
    };
    if let Some(error) = error.passing() {
        return error.into();
    }
    if error.asks_user() {
        let text = format!(
            "{title} wants you to do something first, such as to accept its terms of use: open {} \
             in a browser",
            profile.url
        );
        return PasswordError::ActionNeeded { text };
    }
    if is_barred(&error) {
        let text = format!("{title} has disabled or locked your account there for now");
        return PasswordError::ActionNeeded { text };
    }
    if lacks_grant(&error) {
        let text = format!("{title} does not let the client {id} sign users in by password");
        return PasswordError::GrantMissing { text };
    }
    if error.rejects_client() {
        let text = if error.words.contains("suspended") {
            format!("the client {id} is suspended at {title}")
        } else {
            format!("{title} does not accept the client {id}")
        };
        return IssuerError::ClientRejected { text }.into();
    }
    if wants_more(&error) {
        return PasswordError::SecondFactor {
            text: format!("{title} wants a second factor, or another way to sign in, from you"),
        };
    }
    match error.code.as_str() {
        "invalid_grant" | "access_denied" => PasswordError::Wrong {
            text: format!("{title} does not accept this user name with this password"),
        },
        "invalid_scope" => IssuerError::Refused {
            code: error.code(),
            text: format!("{title} does not give the client {id} all of the scopes asked for"),
        }
        .into(),
        _ => IssuerError::Refused { code: error.code(), text: error.text }.into(),
    }
}

/// RFC 6749 §5.2 has two codes for it; INDIGO IAM says `invalid_client`, others `invalid_request`,
/// with words.
fn lacks_grant(error: &ErrorReply) -> bool {
    match error.code.as_str() {
        "unauthorized_client" | "unsupported_grant_type" => true,
        "invalid_client" | "invalid_request" => error.words.contains("grant type"),
        _ => false,
    }
}

/// Spring's "User is disabled" and "User account is locked", Keycloak's "Account disabled".
fn is_barred(error: &ErrorReply) -> bool {
    let mut words = error.words.split(|c: char| !c.is_ascii_alphanumeric());
    error.code == "invalid_grant" && words.any(|word| ["disabled", "locked"].contains(&word))
}

fn wants_more(error: &ErrorReply) -> bool {
    let of_grant = matches!(error.code.as_str(), "invalid_grant" | "access_denied");
    let mut words = error.words.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    MORE_IS_NEEDED.contains(&error.code.as_str())
        || of_grant && words.any(|word| SECOND_FACTOR.contains(&word))
        || of_grant && error.words.contains("second factor")
}
