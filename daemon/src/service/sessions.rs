//! A login: registered at once, answered from memory, and everything that takes time behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use iamd_protocol::{
    bus::LoginOptions,
    pam::{Open, Opened, Reply},
    variables::{BEARER_TOKEN_FILE, OIDC_SOCK},
};
use tokio::sync::mpsc;

use crate::{
    account::{
        AccessToken, AccountName, Owner, Record, State, UnixTime,
        ports::{Stored, Wanted},
    },
    audit,
    config::policy::Flow,
    login::{Login, Progress},
    policy::{self, Question, Who},
    session::{NewSession, Presence as Here, Session, SessionEvent, SessionId},
    token::{Ask, TokenError, Validity},
};

use super::{
    Service,
    accounts::Accounts,
    notice::{self, Context},
};

/// A login that PAM told of, and the process that opened it.
pub struct NewLogin {
    /// What the module said.
    pub open: Open,
    /// The process that said it.
    pub pid: u32,
    /// A descriptor of that process: its end is the session's end.
    pub pidfd: OwnedFd,
}

impl Service {
    /// Registers a session and answers within the site's bound, whatever the issuer does.
    pub async fn open_session(self: &Arc<Self>, login: NewLogin) -> Reply {
        let NewLogin { open, pid, pidfd } = login;
        let config = self.config();
        // From memory: nobody is asked while a login waits.
        let who = self.who_now(&open.user);
        if !policy::serves(&config, open.uid, &who, &open.service) {
            return Reply::Ignored;
        }
        let owner = Owner { uid: open.uid, user: open.user.clone() };
        self.users.logged_in_as(open.uid, &open.user);
        let session = NewSession {
            uid: open.uid,
            user: open.user.clone(),
            service: open.service.clone(),
            rhost: open.rhost.clone(),
            tty: open.tty.clone(),
        };
        let session = match self.presence.sessions.open(session, pid, pidfd) {
            Ok(session) => session,
            Err(error) => return Reply::Refused { reason: error.to_string() },
        };
        self.audit.record(
            audit::Kind::SessionOpened,
            &audit::Event {
                uid: open.uid,
                caller_pid: Some(pid),
                result: "ok",
                detail: format!(
                    "{} from {}",
                    open.service,
                    open.rhost.as_deref().unwrap_or("here")
                ),
                ..audit::Event::default()
            },
        );
        let path = self.presence.default_path(open.uid).display().to_string();
        let mut environment = vec![(BEARER_TOKEN_FILE.to_owned(), path)];
        environment.extend(self.agent_socket().map(|path| (OIDC_SOCK.to_owned(), path)));
        let mut opened = Opened { session: session.to_string(), environment, notice: None };
        // A task of its own: what it began goes on when the answer cannot wait for it.
        let service = Arc::clone(self);
        let quiet = open.quiet;
        let welcome = tokio::spawn(async move {
            // Now there is time to ask who they are, if a rule depends on it.
            let who = service.who(&owner.user).await;
            if policy::serves(&service.config(), owner.uid, &who, &open.service) {
                return service.welcome(&owner, &who, quiet).await;
            }
            service.presence.sessions.close(&session);
            Welcome { serves: false, notice: None }
        });
        tokio::select! {
            () = self.clock.sleep(config.login.answer_within) => {}
            welcomed = welcome => match welcomed {
                Ok(Welcome { serves: false, .. }) => opened.environment.clear(),
                Ok(Welcome { notice, .. }) => opened.notice = notice,
                Err(error) => tracing::error!(%error, "a session could not be prepared: {error}"),
            },
        }
        Reply::Opened(opened)
    }

    /// Closes a session.
    pub fn close_session(&self, session: String) -> Reply {
        self.presence.sessions.close(&SessionId::from(session));
        Reply::Closed
    }

    /// Prepares what a session needs: files, keepers, and a notice where a login is needed.
    async fn welcome(self: &Arc<Self>, owner: &Owner, who: &Who, quiet: bool) -> Welcome {
        let Some((accounts, default)) = self.take_up(owner).await else {
            return Welcome { serves: true, notice: None };
        };
        let config = self.config();
        let main =
            accounts.open.iter().find(|account| Some(&account.value.name) == default.as_ref());
        let told = |notice: Option<String>| {
            if quiet || accounts.settings.notice_off {
                return None;
            }
            notice::with_others(notice, self.others_that_end(owner, who, &accounts, &default))
        };
        match main {
            Some(account) if account.value.is_locked() => {
                Welcome { serves: true, notice: told(self.remark_on(&account.value, owner, who)) }
            }
            Some(account) if !self.wants_login(who, &account.value) => {
                let notice = match self.permit_account(who, &account.value) {
                    Ok(()) => {
                        self.settle_file(&account.value).await;
                        self.remark_on(&account.value, owner, who)
                    }
                    Err(error) => Some(notice::refused(&error.message)),
                };
                Welcome { serves: true, notice: told(notice) }
            }
            main => {
                let record = main.map(|account| &account.value);
                let default = config.default_profile();
                let may_sign_in = default.is_some_and(|p| self.permit_issuer(who, p).is_ok());
                let serves = record.is_some() || may_sign_in;
                let offers = policy::decide(&config, who, &Question::AutomaticLogin).allowed;
                let silent = quiet || accounts.settings.notice_off || !offers;
                if silent || !serves {
                    return Welcome { serves, notice: told(None) };
                }
                let notice = self.offer_login(owner, who, &accounts, record).await;
                Welcome { serves, notice: told(notice) }
            }
        }
    }

    /// Keeps the accounts of somebody who is here. `None` when they cannot be read now.
    pub(super) async fn take_up(
        self: &Arc<Self>,
        owner: &Owner,
    ) -> Option<(Accounts, Option<AccountName>)> {
        self.presence.prepare(owner.uid);
        let accounts = match self.accounts(owner).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::warn!(uid = owner.uid, %error, "the accounts could not be read: {error}");
                return None;
            }
        };
        let own = accounts.open.iter().map(|account| account.value.key());
        if !accounts.foreign.is_empty() && !self.presence.has_written(own) {
            // An earlier user of this uid: their keepers end, and their files go before anybody
            // reads them who has the uid now.
            self.presence.leave(owner.uid);
        }
        let default = accounts.default_name(self.config().default_profile());
        self.presence.set_default(owner.uid, default.clone());
        for account in &accounts.open {
            self.keep(&account.value.key());
        }
        Some((accounts, default))
    }

    /// Sees to it that the token file is there before the shell's first command, if the token is
    /// at hand or soon to be had. Where the issuer is left alone nobody waits for it: what comes of
    /// a try comes behind the login.
    async fn settle_file(self: &Arc<Self>, record: &Record) {
        let Ok(profile) = self.profile_of(record) else { return };
        let ask = Ask {
            wanted: Wanted { scopes: None, audiences: record.audiences.clone() },
            validity: Validity::Usual(self.config().tokens.min_valid),
            ..Ask::default()
        };
        let key = record.key();
        let kept = record.access_token.as_ref();
        let kept = kept.filter(|token| ask.validity.suffices(token, self.clock.wall())).cloned();
        match kept.or_else(|| self.broker.cached(&key, &ask)) {
            Some(token) => self.put_file(record, Ok(token)).await,
            None if self.issuers.renews_nothing_for(&profile, key.uid) => {
                let (service, record) = (Arc::clone(self), record.clone());
                tokio::spawn(async move {
                    let given = service.broker.token(&key, &profile, &ask).await;
                    service.put_file(&record, given.map(|given| given.token)).await;
                });
            }
            None => {
                let given = self.broker.token(&key, &profile, &ask).await;
                self.put_file(record, given.map(|given| given.token)).await;
            }
        }
    }

    /// Writes the token that a session starts with.
    pub(super) async fn put_file(&self, record: &Record, given: Result<AccessToken, TokenError>) {
        let key = record.key();
        match given {
            Ok(token) => {
                self.presence.ensure_file(record, &token);
                // A login that was over before its token came leaves no file behind, nor does one
                // whose account was locked, signed out or removed meanwhile.
                let ended = match self.vault.account(&key).await {
                    Ok(Some(Stored { value: now, .. })) => {
                        now.is_locked() || (now.access_token.is_none() && !now.state.may_refresh())
                    }
                    Ok(None) => true,
                    Err(_) => false,
                };
                if ended || !self.presence.is_here(key.uid) {
                    self.presence.forget(&key);
                }
            }
            Err(error) => {
                tracing::info!(uid = key.uid, account = %key.name, %error, "no token at login: {error}");
            }
        }
    }

    /// A line for each account beside the default one whose sign-in ends soon.
    fn others_that_end(
        &self,
        owner: &Owner,
        who: &Who,
        accounts: &Accounts,
        default: &Option<AccountName>,
    ) -> Vec<String> {
        let others = accounts.open.iter().map(|account| &account.value);
        let others = others.filter(|record| Some(&record.name) != default.as_ref());
        let ends = others.filter_map(|record| {
            let left = self.ends_soon(who, record)?;
            let title = self.profile_of(record).map_or_else(|_| record.issuer.clone(), |p| p.title);
            let context = Context { issuer: &title, node: &self.node, user: &owner.user };
            Some(notice::ends_soon(context, Some(record.name.as_str()), left, record.is_locked()))
        });
        ends.collect()
    }

    /// What the owner of a working sign-in should know.
    fn remark_on(&self, record: &Record, owner: &Owner, who: &Who) -> Option<String> {
        let title = self.profile_of(record).map_or_else(|_| record.issuer.clone(), |p| p.title);
        let context = Context { issuer: &title, node: &self.node, user: &owner.user };
        let locked = record.is_locked();
        let ends = self.ends_soon(who, record);
        let ends = ends.map(|left| notice::ends_soon(context, None, left, locked));
        if locked {
            let locked = notice::locked(context, record.name.as_str());
            return notice::with_others(Some(locked), ends.into_iter().collect());
        }
        if let State::ActionNeeded { reason } = &record.state {
            return Some(notice::action_needed(context, reason));
        }
        ends
    }

    /// Starts a device login, or joins the running one, and tells how to go on.
    async fn offer_login(
        self: &Arc<Self>,
        owner: &Owner,
        who: &Who,
        accounts: &Accounts,
        record: Option<&Record>,
    ) -> Option<String> {
        let named = record.map(|record| record.name.to_string()).unwrap_or_default();
        let usual = LoginOptions::default();
        let plan = self.plan(owner, accounts, &named, &usual).and_then(|mut plan| {
            self.permit_login(who, Flow::Device, &mut plan, &usual)?;
            Ok(plan)
        });
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                tracing::info!(uid = owner.uid, %error, "no login to offer: {error}");
                return None;
            }
        };
        let context = Context { issuer: &plan.profile.title, node: &self.node, user: &owner.user };
        if let Some(why) = self.draining()
            && self.logins.request_of(&plan.key).is_none()
        {
            return Some(notice::draining(context, &why));
        }
        let later = Some(notice::sign_in_later(context));
        let unanswered = record.map_or(0, |record| record.unanswered_logins);
        if unanswered >= self.config().login.unanswered_limit {
            return later;
        }
        // Who asks now finds out whether the issuer is back; the login does not wait for that.
        let left_alone = self.issuers.gives_no_codes_to(&plan.profile, owner.uid);
        let Login { request, mut progress, .. } = match self.start_login(owner, &plan, None, None) {
            Ok(login) => login,
            Err(error) => {
                tracing::info!(uid = owner.uid, %error, "no login was started: {error}");
                return later;
            }
        };
        if left_alone && matches!(*progress.borrow(), Progress::Starting) {
            return later;
        }
        let within = self.config().login.answer_within.saturating_sub(Duration::from_millis(50));
        tokio::select! {
            () = self.clock.sleep(within) => return later,
            _ = progress.wait_for(|progress| !matches!(progress, Progress::Starting)) => {}
        }
        let now = progress.borrow().clone();
        // One that was joined may be at another issuer.
        let context = Context { issuer: &request.profile.title, ..context };
        match now {
            Progress::Pending(prompt) => {
                let left = prompt.expires_at.after(self.clock.wall());
                Some(notice::sign_in(context, &prompt, left))
            }
            Progress::Done { .. } => None,
            Progress::Starting | Progress::Failed { .. } => later,
        }
    }

    /// Follows the sessions until the channel ends: who is gone takes their files along.
    pub async fn follow_sessions(
        self: Arc<Self>,
        mut events: mpsc::UnboundedReceiver<SessionEvent>,
    ) {
        while let Some(event) = events.recv().await {
            match event {
                SessionEvent::Opened { .. } => {}
                SessionEvent::Ended { uid, remaining } => self.audit.record(
                    audit::Kind::SessionClosed,
                    &audit::Event {
                        uid,
                        result: "ok",
                        detail: format!("{remaining} left"),
                        ..audit::Event::default()
                    },
                ),
                SessionEvent::Gone { uid } => {
                    if self.presence.sessions.presence(uid) != Here::Gone {
                        continue;
                    }
                    self.presence.leave(uid);
                    // Somebody who came back while we cleared away finds everything in place.
                    if self.presence.sessions.presence(uid) != Here::Gone
                        && let Some(user) = self.users.name_of(uid).await
                    {
                        let service = Arc::clone(&self);
                        let owner = Owner { uid, user };
                        tokio::spawn(async move { service.take_up(&owner).await });
                    }
                }
            }
        }
    }

    /// After a start: users who are here get their files and keepers back; users who have files
    /// but no session have their grace.
    pub async fn resume_users(self: &Arc<Self>) {
        let mut here = self.users_here().await;
        for uid in self.presence.with_files() {
            let user = self.users.name_of(uid).await;
            let Some(user) = user else {
                // Nobody has this uid, or the name service does not answer: nobody loses files
                // for that, they have their grace.
                self.presence.sessions.depart(uid, "");
                continue;
            };
            if !self.presence.is_here(uid) {
                // Files, and no session that we know of: jobs may still read them, so the grace.
                self.presence.sessions.depart(uid, &user);
            }
            here.insert(uid, user);
        }
        for (uid, user) in here {
            self.take_up(&Owner { uid, user }).await;
        }
    }

    /// Who has sessions here. Of a uid that was given to another while a session of the earlier user
    /// is open, the one who has it now: nothing of the other's is to come back.
    pub(super) async fn users_here(&self) -> BTreeMap<u32, String> {
        let mut sessions = self.presence.sessions.all();
        sessions.sort_by_key(|session| session.opened_at);
        let (mut here, mut doubtful) = (BTreeMap::new(), BTreeSet::new());
        for Session { login, .. } in sessions {
            let before = here.insert(login.uid, login.user.clone());
            if before.is_some_and(|before| before != login.user) {
                doubtful.insert(login.uid);
            }
        }
        for uid in doubtful {
            if let Some(user) = self.users.name_of(uid).await {
                here.insert(uid, user);
            }
        }
        here
    }

    /// Somebody removed what is below the runtime directory: what belongs there is put back.
    pub fn files_were_removed(&self) {
        self.presence.wake_keepers();
    }

    /// As a daemon that ends.
    #[cfg(test)]
    pub(crate) fn end_keepers(&self) {
        self.presence.end_keepers();
    }

    /// Now, for the edges.
    pub fn now(&self) -> UnixTime {
        self.clock.wall()
    }
}

/// What a session starts with.
struct Welcome {
    /// Whether there is or can be a token for this user at all.
    serves: bool,
    notice: Option<String>,
}
