//! Replies, with every text in them made fit for a terminal. The daemon checks what issuers and
//! other users send; here it is checked once more, in one place, before anything is printed.

use iamd_protocol::bus::{
    AcceptReply, AccountInfo, AccountSecrets, BackupReply, ChangeReply, DrainInfo, Finding,
    IssuerInfo, IssuerStats, LoginInfo, LogoutReply, PasswordFlowInfo, PasswordFlowReply,
    PolicyCheck, PolicyLine, PolicyProblem, RekeyState, RemoveReply, RestoreReply, RevokeReply,
    RevokedInfo, SessionInfo, StatsReply, StatusReply, StoreReport, TokenReply, UserInfo,
};

use crate::output::text::{clean, clean_ascii};

/// A reply that can be cleaned.
pub(super) trait Clean: Sized {
    /// Cleans every text.
    fn clean(&mut self);

    /// The same, cleaned.
    fn cleaned(mut self) -> Self {
        self.clean();
        self
    }
}

impl Clean for () {
    fn clean(&mut self) {}
}

impl Clean for String {
    fn clean(&mut self) {
        *self = clean(self);
    }
}

impl<T: Clean> Clean for Vec<T> {
    fn clean(&mut self) {
        self.iter_mut().for_each(Clean::clean);
    }
}

impl<T: Clean> Clean for Option<T> {
    fn clean(&mut self) {
        if let Some(inner) = self {
            inner.clean();
        }
    }
}

macro_rules! clean_fields {
    ($($type:ident: $($field:ident)+;)+) => { $(
        impl Clean for $type {
            fn clean(&mut self) {
                $( self.$field.clean(); )+
            }
        }
    )+ };
}

clean_fields! {
    AccountInfo: name issuer issuer_name state reason client_id client client_name grant_types
        client_auth registration_client_uri configuration_endpoint device_authorization_endpoint
        ca_file scopes_asked scopes audiences subject subject_name token_file token_file_problem;
    // The token itself is checked by the command that prints it.
    TokenReply: scopes audiences account issuer remarks;
    LogoutReply: account remarks;
    ChangeReply: account remarks;
    RemoveReply: account remarks;
    // Secrets are checked by the command that prints them; nothing in them may be left out.
    AccountSecrets: client_id registration_client_uri;
    StatusReply: version node default_issuer draining logins agent_socket;
    IssuerInfo: name title url dialect scopes client scopes_offered health;
    Finding: name level text advice;
    PolicyCheck: problems warnings files lines;
    PolicyProblem: message file key text;
    PolicyLine: whom key values text decided_by in_doubt;
    UserInfo: user;
    RevokeReply: sign_ins;
    RevokedInfo: user account issuer result remark;
    DrainInfo: reason;
    SessionInfo: session user service rhost;
    PasswordFlowInfo: issuer issuer_name client enabled_by_user problem;
    PasswordFlowReply: issuer client remarks;
    RekeyState: state key older_keys unreadable retired message;
    BackupReply: node version keys digest remarks;
    RestoreReply: node version key digest password_flows remarks;
    AcceptReply: accepted;
    IssuerStats: name circuit;
    StoreReport: integrity keys unreadable accounts_without_client clients_without_account;
}

impl Clean for StatsReply {
    fn clean(&mut self) {
        self.accounts =
            self.accounts.drain().map(|(state, count)| (clean(&state), count)).collect();
        self.issuers.clean();
        self.keys.clean();
    }
}

impl Clean for LoginInfo {
    fn clean(&mut self) {
        for text in [&mut self.account, &mut self.issuer, &mut self.issuer_title, &mut self.state] {
            text.clean();
        }
        for text in [&mut self.error, &mut self.message, &mut self.subject] {
            text.clean();
        }
        let ascii =
            [&mut self.user_code, &mut self.verification_uri, &mut self.verification_uri_complete];
        for text in ascii.into_iter().flatten() {
            *text = clean_ascii(text);
        }
        self.remarks.clean();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_issuer_sent_cannot_steer_the_terminal() {
        let login = LoginInfo {
            issuer_title: "Evil\x1b[2J".into(),
            user_code: Some("AB\u{202e}12\x07".into()),
            verification_uri: Some("https://ok.example/\x1b]0;x\x07é".into()),
            remarks: vec!["a\nb".into()],
            ..Default::default()
        }
        .cleaned();
        assert_eq!(login.issuer_title, "Evil[2J");
        assert_eq!(login.user_code.as_deref(), Some("AB12"));
        assert_eq!(login.verification_uri.as_deref(), Some("https://ok.example/]0;x"));
        assert_eq!(login.remarks, ["a b"]);
    }
}
