//! The objects that `--json` prints. They are a promise: members are added, never renamed,
//! retyped or removed. `JSON.md` documents them; a test compares.

use iamd_protocol::bus::{
    AccountInfo, AccountSecrets, ChangeReply, DrainInfo, Finding, IssuerInfo, LoginInfo,
    LogoutReply, PasswordFlowInfo, PasswordFlowReply, PolicyCheck, PolicyLine, PolicyProblem,
    RemoveReply, RevokeReply, RevokedInfo, SessionInfo, StatusReply, TokenReply, UserInfo,
};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// A failure.
pub(crate) fn error(failure: &Failure) -> Value {
    json!({ "name": failure.name, "message": failure.message, "advice": failure.advice })
}

/// An account.
pub(crate) fn account(account: &AccountInfo) -> Value {
    json!({
        "name": account.name,
        "is_default": account.is_default,
        "issuer": account.issuer,
        "issuer_name": account.issuer_name,
        "state": account.state,
        "reason": account.reason,
        "client_id": account.client_id,
        "client": account.client,
        "client_name": account.client_name,
        "grant_types": account.grant_types,
        "client_auth": account.client_auth,
        "registration_client_uri": account.registration_client_uri,
        "configuration_endpoint": account.configuration_endpoint,
        "device_authorization_endpoint": account.device_authorization_endpoint,
        "ca_file": account.ca_file,
        "scopes_asked": account.scopes_asked,
        "scopes": account.scopes,
        "audiences": account.audiences,
        "subject": account.subject,
        "subject_name": account.subject_name,
        "signed_in_at": account.signed_in_at,
        "refreshed_at": account.refreshed_at,
        "access_expires_at": account.access_expires_at,
        "refresh_expires_at": account.refresh_expires_at,
        "ends_soon": account.ends_soon,
        "token_file": account.token_file,
        "token_file_problem": account.token_file_problem,
        "login_running": account.login_running,
        "has_passphrase": account.has_passphrase,
        "unlocked_until": account.unlocked_until,
    })
}

/// The version of what `status` prints; a member that is added does not change it.
const STATUS_SCHEMA: u32 = 1;

/// How things stand for the caller.
pub(crate) fn status(status: &StatusReply, accounts: &[AccountInfo]) -> Value {
    let makes_account = |of: &LoginInfo| accounts.iter().all(|known| known.name != of.account);
    let logins = status.logins.as_deref().unwrap_or_default().iter();
    json!({
        "schema": STATUS_SCHEMA,
        "version": status.version,
        "node": status.node,
        "sessions": status.sessions,
        "files_until": status.files_until,
        "notice": status.notice,
        "default_issuer": status.default_issuer,
        "draining": status.draining,
        "announce_ahead_seconds": status.announce_ahead_seconds,
        "logins": logins.map(|of| login(of, makes_account(of))).collect::<Vec<_>>(),
        "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
    })
}

/// A login that goes on or is done; whether the account was not there when that was looked at.
pub(crate) fn login(login: &LoginInfo, makes_account: bool) -> Value {
    json!({
        "account": login.account,
        "new_account": makes_account,
        "issuer": login.issuer,
        "issuer_title": login.issuer_title,
        "state": login.state,
        "user_code": login.user_code,
        "verification_uri": login.verification_uri,
        "verification_uri_complete": login.verification_uri_complete,
        "expires_at": login.expires_at,
        "subject": login.subject,
        "remarks": login.remarks,
    })
}

/// What became of a logout.
pub(crate) fn logout(reply: &LogoutReply) -> Value {
    json!({ "account": reply.account, "revoked": reply.revoked, "remarks": reply.remarks })
}

/// What became of a change of an account.
pub(crate) fn change(reply: &ChangeReply) -> Value {
    json!({
        "account": reply.account,
        "login_needed": reply.login_needed,
        "remarks": reply.remarks,
    })
}

/// What became of the removal of an account.
pub(crate) fn removal(reply: &RemoveReply) -> Value {
    json!({
        "account": reply.account,
        "revoked": reply.revoked,
        "client_deleted": reply.client_deleted,
        "remarks": reply.remarks,
    })
}

/// An issuer.
pub(crate) fn issuer(issuer: &IssuerInfo) -> Value {
    json!({
        "name": issuer.name,
        "title": issuer.title,
        "url": issuer.url,
        "is_default": issuer.is_default,
        "dialect": issuer.dialect,
        "scopes": issuer.scopes,
        "client": issuer.client,
        "public_client": issuer.public_client,
        "identity": issuer.identity,
        "scopes_offered": issuer.scopes_offered,
        "health": issuer.health,
    })
}

/// A finding of the doctor.
pub(crate) fn finding(finding: &Finding) -> Value {
    json!({
        "name": finding.name,
        "level": finding.level,
        "text": finding.text,
        "advice": finding.advice,
    })
}

/// A user, for an administrator.
pub(crate) fn user(user: &UserInfo) -> Value {
    json!({
        "uid": user.uid,
        "user": user.user,
        "accounts": user.accounts,
        "signed_in": user.signed_in,
        "sessions": user.sessions,
        "states": user.states,
        "logins": user.logins,
        "last_token_at": user.last_token_at,
    })
}

/// What became of the end of sign-ins.
pub(crate) fn revocation(reply: &RevokeReply) -> Value {
    let sign_in = |info: &RevokedInfo| {
        json!({
            "uid": info.uid,
            "user": info.user,
            "account": info.account,
            "issuer": info.issuer,
            "result": info.result,
            "remark": info.remark,
        })
    };
    json!({
        "sign_ins": reply.sign_ins.iter().map(sign_in).collect::<Vec<_>>(),
        "ended": reply.ended,
        "failed": reply.failed,
        "logins": reply.logins,
        "pending": reply.pending,
    })
}

/// What is on disk of the site's rules.
pub(crate) fn policy_check(check: &PolicyCheck) -> Value {
    let problem = |problem: &PolicyProblem| {
        json!({
            "message": problem.message,
            "file": problem.file,
            "line": problem.line,
            "key": problem.key,
            "text": problem.text,
        })
    };
    json!({
        "good": check.good,
        "in_force": check.in_force,
        "problems": check.problems.iter().map(problem).collect::<Vec<_>>(),
        "warnings": check.warnings,
        "files": check.files,
        "lines": check.lines.iter().map(policy_line).collect::<Vec<_>>(),
    })
}

/// What holds for somebody.
pub(crate) fn policy_line(line: &PolicyLine) -> Value {
    json!({
        "for": line.whom,
        "key": line.key,
        "values": line.values,
        "text": line.text,
        "decided_by": line.decided_by,
        "in_doubt": line.in_doubt,
    })
}

/// Whether the node takes new sign-ins.
pub(crate) fn drain(info: &DrainInfo) -> Value {
    json!({
        "draining": info.on,
        "reason": info.reason,
        "since": info.since,
        "by": info.by,
        "logins": info.logins,
    })
}

/// A session, for an administrator.
pub(crate) fn session(session: &SessionInfo) -> Value {
    json!({
        "session": session.session,
        "uid": session.uid,
        "user": session.user,
        "service": session.service,
        "rhost": session.rhost,
        "pid": session.pid,
        "since": session.since,
    })
}

/// A client that users may sign in with by password.
pub(crate) fn password_flow(flow: &PasswordFlowInfo) -> Value {
    json!({
        "issuer": flow.issuer,
        "issuer_name": flow.issuer_name,
        "client": flow.client,
        "enabled_by": flow.enabled_by,
        "enabled_by_user": flow.enabled_by_user,
        "enabled_at": flow.enabled_at,
        "problem": flow.problem,
    })
}

/// What became of a change of the password flow.
pub(crate) fn password_flow_change(reply: &PasswordFlowReply) -> Value {
    json!({
        "issuer": reply.issuer,
        "client": reply.client,
        "enabled": reply.enabled,
        "at_issuer": reply.at_issuer,
        "remarks": reply.remarks,
    })
}

/// A token and what is known about it, as the bytes to write: the token is in no other buffer.
pub(crate) fn token(token: &str, reply: &TokenReply) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct TokenObject<'a> {
        token: &'a str,
        expires_at: u64,
        scopes: &'a [String],
        audiences: &'a [String],
        account: &'a str,
        issuer: &'a str,
        remarks: &'a [String],
    }
    let object = TokenObject {
        token,
        expires_at: reply.expires_at,
        scopes: &reply.scopes,
        audiences: &reply.audiences,
        account: &reply.account,
        issuer: &reply.issuer,
        remarks: &reply.remarks,
    };
    // Room enough that the buffer is not moved, which would leave a copy of the token behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * token.len() + 8192));
    if serde_json::to_writer(&mut *bytes, &object).is_ok() {
        bytes.push(b'\n');
    }
    bytes
}

/// An account with its secrets, as the bytes to write: the secrets are in no other buffer.
pub(crate) fn account_with_secrets(
    info: &AccountInfo,
    secrets: &AccountSecrets,
) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Secrets<'a> {
        refresh_token: Option<&'a str>,
        client_id: Option<&'a str>,
        client_secret: Option<&'a str>,
        registration_access_token: Option<&'a str>,
        registration_client_uri: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Both<'a> {
        account: Value,
        secrets: Secrets<'a>,
    }
    let all = [&secrets.refresh_token, &secrets.client_secret, &secrets.registration_access_token];
    let length: usize = all.into_iter().flatten().map(String::len).sum();
    let object = Both {
        account: account(info),
        secrets: Secrets {
            refresh_token: secrets.refresh_token.as_deref(),
            client_id: secrets.client_id.as_deref(),
            client_secret: secrets.client_secret.as_deref(),
            registration_access_token: secrets.registration_access_token.as_deref(),
            registration_client_uri: secrets.registration_client_uri.as_deref(),
        },
    };
    // Room enough that the buffer is not moved: each byte of a secret can take two.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * length + 65_536));
    if serde_json::to_writer(&mut *bytes, &object).is_ok() {
        bytes.push(b'\n');
    }
    bytes
}
