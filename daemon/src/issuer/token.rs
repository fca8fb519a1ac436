//! The token endpoint (RFC 6749 §5, §6; RFC 8628 §3.4): one poll, one refresh. Neither is ever
//! repeated here: a second redeem revokes what the first gave, and a refresh token may be good for
//! one use only.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{
    IssuerClient, classify,
    error::ErrorReply,
    form::Form,
    http::{Ask, Reply},
    identity::{Given, Moment, TOLERANCE},
    jwt,
    lane::Lane,
    metadata::{Metadata, need},
    redact::{Redactor, printable},
    registration::DEVICE_GRANT,
    reply,
};
use crate::account::{
    AudienceParameter, AudienceSet, ClientRecord, IssuerProfile, ScopeSet, UnixTime,
    ports::{IssuerError, PollAnswer, RefreshError, RefreshFailure, Rotated, Tokens, Wanted},
};

/// Where neither the reply nor the token says how long it is good (requirement 27).
const DEFAULT_EXPIRES_IN: Duration = Duration::from_secs(300);

/// How a refresh token is used.
pub(super) struct Use {
    /// The request is a user's own (see [`IssuerClient::ask`]).
    pub(super) lane: Option<Lane>,
    /// Whether somebody signs in with it.
    pub(super) moment: Moment,
}

/// A token response (RFC 6749 §5.1).
#[derive(Deserialize)]
struct TokenReply {
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    id_token: Option<SecretString>,
    #[serde(default, deserialize_with = "reply::text")]
    token_type: Option<String>,
    #[serde(default, deserialize_with = "reply::seconds")]
    expires_in: Option<Duration>,
    /// Keycloak's; 0 is "never".
    #[serde(default, deserialize_with = "reply::seconds")]
    refresh_expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "reply::list")]
    scope: Option<String>,
}

/// What is worth keeping of a token response that is of no other use.
#[derive(Deserialize)]
struct RefreshTokenAlone {
    refresh_token: SecretString,
    #[serde(default, deserialize_with = "reply::seconds")]
    refresh_expires_in: Option<Duration>,
}

/// The same of an access token.
#[derive(Deserialize)]
struct AccessTokenAlone {
    access_token: SecretString,
}

impl IssuerClient {
    pub(super) async fn poll(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        device_code: &SecretString,
        audiences: &AudienceSet,
    ) -> PollAnswer {
        let metadata = match self.metadata(profile).await {
            Ok(metadata) => metadata,
            Err(error) => return failed_poll(error),
        };
        let mut form = Form::new(Some(DEVICE_GRANT));
        form.add_secret("device_code", device_code);
        // An audience that was given with the device code alone does not reach INDIGO IAM's token.
        form.add_audiences(metadata.audience_parameter, audiences);
        let secrets = client.client_secret.iter().chain([device_code]);
        let redactor = Redactor::new(secrets).of_client(&client.client_id);
        let asked_at = self.clock.wall();
        // A poll is one user's, and so may be the reason for a failure.
        let lane = Some(Lane::of_secret(device_code));
        let reply = match self.token_request(profile, &metadata, client, form, lane).await {
            Ok(reply) => reply,
            Err(error) => return failed_poll(error),
        };
        let answer = match self.read(profile, &reply, asked_at, None) {
            Some(Ok((mut tokens, id_token))) => {
                let given = Given {
                    client_id: &client.client_id,
                    access_token: &tokens.access_token,
                    id_token: id_token.as_ref(),
                };
                match self.identity(profile, &metadata, given, Moment::SignIn).await {
                    Ok(identity) => {
                        tokens.identity = identity;
                        PollAnswer::Tokens(Box::new(tokens))
                    }
                    Err(error) => PollAnswer::Failed(error),
                }
            }
            Some(Err(error)) => PollAnswer::Failed(error),
            None => classify::poll(ErrorReply::read(profile, &reply, &redactor)),
        };
        if let PollAnswer::Failed(_) = answer {
            self.revoke_nobodys(profile, client, &reply).await;
        }
        answer
    }

    /// Revokes the tokens of an answer that failed: nobody will hold them.
    pub(super) async fn revoke_nobodys(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        reply: &Reply,
    ) {
        if let Some(nobodys) = self.refresh_token_alone(reply, None)
            && let Err(error) =
                self.revoke_token(profile, client, &nobodys.token, "refresh_token").await
        {
            tracing::warn!(issuer = %profile.name, %error, "the refresh token of a sign-in that failed could not be revoked: {error}");
        }
        if let Some(nobodys) = access_token_alone(reply) {
            self.drop_access(profile, client, &nobodys).await;
        }
    }

    /// Revokes an access token that nobody will hold; it may outlive its refresh token.
    async fn drop_access(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        token: &SecretString,
    ) {
        if let Err(error) = self.revoke_token(profile, client, token, "access_token").await {
            tracing::info!(issuer = %profile.name, %error, "the access token of a sign-in that failed could not be revoked; it ends by itself: {error}");
        }
    }

    pub(super) async fn use_refresh_token(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
        wanted: &Wanted,
        usage: Use,
    ) -> Result<Tokens, RefreshFailure> {
        let metadata = self.metadata(profile).await?;
        check_audiences(metadata.audience_parameter, &wanted.audiences)
            .map_err(|text| RefreshError::Audience { text })?;
        if profile.identity.is_some() && usage.moment.begins() {
            // It is not used up for a sign-in that could not be checked.
            self.required_keys(profile, &metadata).await?;
        }
        let mut form = Form::new(Some("refresh_token"));
        form.add_secret("refresh_token", refresh_token);
        if let Some(scopes) = &wanted.scopes {
            // Nothing is narrowed by it, and some refuse it here (requirement 33).
            let scopes = scopes.without("offline_access");
            if scopes.is_empty() {
                // Left out, the parameter would mean all scopes.
                let text = "no scope is asked for".to_owned();
                return Err(RefreshError::Scope { text }.into());
            }
            form.add("scope", &scopes.to_string());
        }
        form.add_audiences(metadata.audience_parameter, &wanted.audiences);
        let asked_at = self.clock.wall();
        let reply = self.token_request(profile, &metadata, client, form, usage.lane).await?;
        let error = match self.read(profile, &reply, asked_at, Some(refresh_token)) {
            Some(Ok((mut tokens, id_token))) => {
                let given = Given {
                    client_id: &client.client_id,
                    access_token: &tokens.access_token,
                    id_token: id_token.as_ref(),
                };
                let identity = if usage.moment.begins() {
                    self.identity(profile, &metadata, given, usage.moment).await
                } else {
                    // Nothing is fetched while a refresh token that rotated is not kept.
                    self.identity_at_hand(profile, &metadata, &given)
                };
                match identity {
                    Ok(identity) => {
                        tokens.identity = identity;
                        tokens.id_token = id_token.filter(reply::is_sane);
                        return Ok(tokens);
                    }
                    Err(error) => {
                        if usage.moment.begins() {
                            // Whose it is nobody could tell.
                            self.drop_access(profile, client, &tokens.access_token).await;
                        }
                        error.into()
                    }
                }
            }
            Some(Err(error)) => error.into(),
            None => {
                let secrets = client.client_secret.iter().chain([refresh_token]);
                let redactor = Redactor::new(secrets).of_client(&client.client_id);
                classify::refresh(ErrorReply::read(profile, &reply, &redactor))
            }
        };
        let rotated = self.refresh_token_alone(&reply, Some(refresh_token));
        Err(RefreshFailure { error, rotated })
    }

    pub(super) async fn token_request(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        client: &ClientRecord,
        mut form: Form,
        lane: Option<Lane>,
    ) -> Result<Reply, IssuerError> {
        let endpoint = need(profile, &metadata.token, "token", "token")?;
        let authorization = form.authenticate(client);
        let ask = Ask {
            method: Method::POST,
            authorization,
            body: Some(form.into_body()),
            ..Ask::get(endpoint)
        };
        self.ask(profile, ask, lane).await
    }

    /// The tokens of a reply, with the ID token; `None` when it is an error reply.
    pub(super) fn read(
        &self,
        profile: &IssuerProfile,
        reply: &Reply,
        asked_at: UnixTime,
        used: Option<&SecretString>,
    ) -> Option<Result<(Tokens, Option<SecretString>), IssuerError>> {
        if !is_success(reply) {
            return None;
        }
        let malformed =
            |what: &str| Err(IssuerError::Malformed { text: format!("{}: {what}", profile.title) });
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&reply.body);
        let answer = match serde_json::from_slice::<TokenReply>(&reply.body) {
            Ok(answer) => answer,
            // A page is an error reply; JSON of another shape is a broken token reply.
            Err(_) if json.is_err() => return None,
            Err(_) => return Some(malformed("the token reply has fields of the wrong type")),
        };
        // Some send errors with a success.
        let access_token = answer.access_token?;
        if !reply::is_sane(&access_token) {
            return Some(malformed("the access token is not visible ASCII"));
        }
        if let Some(token_type) = answer.token_type
            && !token_type.eq_ignore_ascii_case("bearer")
        {
            return Some(malformed(&format!("token_type is {}, not Bearer", named(&token_type))));
        }
        // Some issuers answer with the life of another token than the one they gave. What the token
        // says is told by the issuer's clock, where that is not ours.
        let there = reply.date.filter(|date| !is_near(*date, asked_at)).unwrap_or(asked_at);
        let by_token = jwt::expires_at(access_token.expose_secret()).map(|exp| exp.after(there));
        let lives = answer.expires_in.into_iter().chain(by_token).min();
        let refresh_token = answer.refresh_token.filter(reply::is_refresh_token);
        let lasting = refresh_token.as_ref().or(used);
        let refresh_expires_at = self.end_of(lasting, answer.refresh_expires_in);
        let tokens = Tokens {
            asked_at,
            expires_in: lives.unwrap_or(DEFAULT_EXPIRES_IN),
            access_token,
            refresh_expires_at,
            refresh_token: refresh_token.filter(|token| !is_the_same(token, used)),
            scopes: answer.scope.as_deref().map(ScopeSet::from_reply).filter(|set| !set.is_empty()),
            identity: None,
            id_token: None,
        };
        Some(Ok((tokens, answer.id_token)))
    }

    /// The new refresh token of a success reply that [`Self::read`] could make nothing of.
    fn refresh_token_alone(&self, reply: &Reply, used: Option<&SecretString>) -> Option<Rotated> {
        if !is_success(reply) {
            return None;
        }
        let answer = serde_json::from_slice::<RefreshTokenAlone>(&reply.body).ok()?;
        let token = Some(answer.refresh_token).filter(reply::is_refresh_token);
        let token = token.filter(|token| !is_the_same(token, used))?;
        Some(Rotated { expires_at: self.end_of(Some(&token), answer.refresh_expires_in), token })
    }

    /// When a refresh token ends, as it says itself or else the reply.
    fn end_of(&self, token: Option<&SecretString>, told: Option<Duration>) -> Option<UnixTime> {
        let by_token = token.and_then(|token| jwt::unsigned_expires_at(token.expose_secret()));
        let told = told.filter(|told| !told.is_zero());
        by_token.or_else(|| told.map(|told| self.clock.wall().plus(told)))
    }
}

/// What a token that is no Bearer token is, in our own words: what an issuer wrote there may be a
/// secret of the request (IANA, OAuth Access Token Types).
fn named(token_type: &str) -> &'static str {
    let mut known = ["DPoP", "PoP", "N_A"].into_iter();
    known.find(|known| known.eq_ignore_ascii_case(token_type)).unwrap_or("unknown")
}

/// Whether two clocks differ by no more than they may.
fn is_near(a: UnixTime, b: UnixTime) -> bool {
    a.after(b).max(b.after(a)) <= TOLERANCE
}

/// RFC 6749 §5.1 wants 200, and some answer 201: what is in it must not be lost for that.
fn is_success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// The access token of a success reply that nothing else could be made of.
fn access_token_alone(reply: &Reply) -> Option<SecretString> {
    let answer = serde_json::from_slice::<AccessTokenAlone>(&reply.body).ok()?;
    Some(answer.access_token).filter(|token| is_success(reply) && reply::is_sane(token))
}

fn is_the_same(token: &SecretString, used: Option<&SecretString>) -> bool {
    used.is_some_and(|used| used.expose_secret() == token.expose_secret())
}

/// `resource` takes absolute URIs without a fragment (RFC 8707 §2).
///
/// # Errors
/// A text that names the first that is not one.
pub(super) fn check_audiences(
    parameter: AudienceParameter,
    audiences: &AudienceSet,
) -> Result<(), String> {
    let fits = |audience: &str| Url::parse(audience).is_ok_and(|url| url.fragment().is_none());
    match (parameter, audiences.iter().find(|audience| !fits(audience))) {
        (AudienceParameter::Resource, Some(audience)) => Err(format!(
            "this issuer takes audiences as absolute URIs without a fragment, and {} is none",
            printable(audience, 100)
        )),
        _ => Ok(()),
    }
}

fn failed_poll(error: IssuerError) -> PollAnswer {
    if error.may_pass() { PollAnswer::Transient { error } } else { PollAnswer::Failed(error) }
}
