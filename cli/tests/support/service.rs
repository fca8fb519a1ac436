//! A daemon that answers what the test's script says, over a real bus.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write as _;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use iamd_protocol::bus::{
    AcceptReply, AccountInfo, AccountSecrets, AddOptions, BackupOptions, BackupReply, ChangeReply,
    DrainInfo, DrainOptions, EditOptions, Finding, IssuerInfo, LoginInfo, LoginOptions,
    LogoutReply, NAME, PATH, PasswordFlowInfo, PasswordFlowOptions, PasswordFlowReply, PolicyCheck,
    PolicyLine, RekeyOptions, RekeyState, RemoveOptions, RemoveReply, RestoreOptions, RestoreReply,
    RevokeOptions, RevokeReply, SessionInfo, StatsReply, StatusReply, StoreReport, TokenOptions,
    TokenReply, UnlockOptions, UserInfo,
};
use zbus::{OwnedFd, interface};

use super::bus::Bus;
use super::scripted::{Scripted, read, sleep};

/// What the daemon answers.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) token: TokenReply,
    pub(crate) accounts: Vec<AccountInfo>,
    pub(crate) issuers: Vec<IssuerInfo>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) users: Vec<UserInfo>,
    pub(crate) sessions: Vec<SessionInfo>,
    pub(crate) password_flows: Vec<PasswordFlowInfo>,
    /// The answer to what changes one of them.
    pub(crate) password_flow: PasswordFlowReply,
    /// What a password that came is answered with; without one, that it is needed.
    pub(crate) password_login: LoginInfo,
    pub(crate) revocation: RevokeReply,
    pub(crate) drain: DrainInfo,
    pub(crate) policy: PolicyCheck,
    pub(crate) status: StatusReply,
    pub(crate) logout: LogoutReply,
    pub(crate) change: ChangeReply,
    pub(crate) removal: RemoveReply,
    pub(crate) secrets: AccountSecrets,
    pub(crate) store: StoreReport,
    pub(crate) stats: StatsReply,
    pub(crate) accepted: AcceptReply,
    /// The answer to `Rekey`, then what `RekeyProgress` says; the last one again and again.
    pub(crate) rekey: VecDeque<RekeyState>,
    /// What `Backup` writes, and says of it.
    pub(crate) backup: (Vec<u8>, BackupReply),
    pub(crate) restore: RestoreReply,
    /// What an issuer says it offers, when it is asked alone.
    pub(crate) offered: Option<Vec<String>>,
    /// The answer to `Login`; then what `LoginState` says, each after so long. When they are
    /// used up, `LoginState` waits as long as it may and repeats the last one.
    pub(crate) login: LoginInfo,
    pub(crate) states: VecDeque<(Duration, LoginInfo)>,
    /// Methods that fail, with the error's name and message.
    pub(crate) fail: BTreeMap<&'static str, (String, String)>,
    /// Methods that never answer.
    pub(crate) hang: Vec<&'static str>,
    /// The calls that came.
    pub(crate) calls: Vec<String>,
}

/// A running daemon on a bus of its own.
pub(crate) struct Fake {
    pub(crate) bus: Bus,
    pub(crate) script: Arc<Mutex<Script>>,
}

impl Fake {
    /// Starts bus and daemon.
    pub(crate) fn start(script: Script) -> Self {
        Self::on(Bus::start(), script)
    }

    /// Starts the daemon on that bus.
    pub(crate) fn on(bus: Bus, script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let (ready, is_ready) = mpsc::channel();
        let address = bus.address.clone();
        let shared = Script::shared(&script);
        std::thread::spawn(move || {
            zbus::block_on(async {
                let connection = zbus::connection::Builder::address(address.as_str())
                    .serve_at(PATH, Tokens(shared.clone()))
                    .serve_at(PATH, Accounts(shared.clone()))
                    .serve_at(PATH, Admin(shared))
                    .name(NAME)
                    .build()
                    .await
                    .unwrap();
                ready.send(()).unwrap();
                std::future::pending::<()>().await;
                drop(connection);
            });
        });
        is_ready.recv_timeout(Duration::from_secs(20)).expect("the fake daemon starts");
        Self { bus, script }
    }

    /// The script, to change or to look at.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// The calls that came.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.script().calls.clone()
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Script>>);

impl Script {
    fn shared(script: &Arc<Mutex<Self>>) -> Shared {
        Shared(script.clone())
    }
}

impl Shared {
    /// Notes the call and says whether it fails or hangs.
    async fn called(&self, method: &'static str, args: String) -> Result<(), Scripted> {
        let (failure, hangs) = {
            let mut script = self.0.lock().unwrap();
            script.calls.push(format!("{method}({args})"));
            (script.fail.get(method).cloned(), script.hang.contains(&method))
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        match failure {
            Some((name, message)) => Err(Scripted { name, message }),
            None => Ok(()),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&mut Script) -> T) -> T {
        read(&mut self.0.lock().unwrap())
    }
}

struct Tokens(Shared);
struct Accounts(Shared);
struct Admin(Shared);

#[interface(name = "org.iamd1.Tokens")]
impl Tokens {
    async fn get_token(
        &self,
        account: &str,
        options: TokenOptions,
    ) -> Result<TokenReply, Scripted> {
        self.0.called("GetToken", format!("{account:?}, {options:?}")).await?;
        Ok(self.0.read(|script| script.token.clone()))
    }
}

#[interface(name = "org.iamd1.Accounts")]
impl Accounts {
    async fn list(&self) -> Result<Vec<AccountInfo>, Scripted> {
        self.0.called("List", String::new()).await?;
        Ok(self.0.read(|script| script.accounts.clone()))
    }

    async fn show(&self, account: &str) -> Result<AccountInfo, Scripted> {
        self.0.called("Show", format!("{account:?}")).await?;
        let found = self.0.read(|script| {
            script
                .accounts
                .iter()
                .find(|known| known.name == account || account.is_empty())
                .cloned()
        });
        found.ok_or_else(|| Scripted {
            name: "org.iamd1.Error.NoSuchAccount".into(),
            message: format!("you have no account {account:?}"),
        })
    }

    async fn login(&self, account: &str, options: LoginOptions) -> Result<LoginInfo, Scripted> {
        self.0.called("Login", format!("{account:?}, {options:?}")).await?;
        Ok(self.0.read(|script| script.login.clone()))
    }

    async fn login_with_password(
        &self,
        account: &str,
        options: LoginOptions,
        secrets: BTreeMap<String, OwnedFd>,
    ) -> Result<LoginInfo, Scripted> {
        let secrets: Vec<_> = secrets.into_iter().map(|(name, fd)| (name, read(fd))).collect();
        let asks = secrets.is_empty();
        let args = format!("{account:?}, {options:?}, {secrets:?}");
        let method = if asks { "LoginWithoutPassword" } else { "LoginWithPassword" };
        self.0.called(method, args).await?;
        let login = self.0.read(|script| script.password_login.clone());
        let state = if asks { "password-needed".to_owned() } else { login.state.clone() };
        Ok(LoginInfo { state, ..login })
    }

    async fn login_state(&self, account: &str, wait_ms: u32) -> Result<LoginInfo, Scripted> {
        self.0.called("LoginState", format!("{account:?}, {wait_ms}")).await?;
        let next = self.0.read(|script| script.states.pop_front());
        let Some((delay, state)) = next else {
            sleep(Duration::from_millis(wait_ms.into())).await;
            return Ok(self.0.read(|script| script.login.clone()));
        };
        sleep(delay).await;
        self.0.read(|script| script.login = state.clone());
        Ok(state)
    }

    async fn cancel_login(&self, account: &str) -> Result<(), Scripted> {
        self.0.called("CancelLogin", format!("{account:?}")).await
    }

    async fn logout(&self, account: &str) -> Result<LogoutReply, Scripted> {
        self.0.called("Logout", format!("{account:?}")).await?;
        Ok(self.0.read(|script| script.logout.clone()))
    }

    async fn lock(&self, account: &str) -> Result<(), Scripted> {
        self.0.called("Lock", format!("{account:?}")).await
    }

    async fn unlock(
        &self,
        account: &str,
        options: UnlockOptions,
        passphrase: OwnedFd,
    ) -> Result<(), Scripted> {
        let passphrase = read(passphrase);
        let args = format!("{account:?}, {:?}, {passphrase:?}", options.for_seconds);
        self.0.called("Unlock", args).await
    }

    async fn set_passphrase(
        &self,
        account: &str,
        secrets: BTreeMap<String, OwnedFd>,
    ) -> Result<ChangeReply, Scripted> {
        let secrets: Vec<_> = secrets.into_iter().map(|(name, fd)| (name, read(fd))).collect();
        self.0.called("SetPassphrase", format!("{account:?}, {secrets:?}")).await?;
        let account = if account.is_empty() { "wlcg" } else { account }.to_owned();
        Ok(ChangeReply { account, ..Default::default() })
    }

    async fn set_notice(&self, on: bool) -> Result<(), Scripted> {
        self.0.called("SetNotice", on.to_string()).await
    }

    async fn status(&self) -> Result<StatusReply, Scripted> {
        self.0.called("Status", String::new()).await?;
        Ok(self.0.read(|script| script.status.clone()))
    }

    async fn issuers(&self) -> Result<Vec<IssuerInfo>, Scripted> {
        self.0.called("Issuers", String::new()).await?;
        Ok(self.0.read(|script| script.issuers.clone()))
    }

    async fn issuer(&self, issuer: &str) -> Result<IssuerInfo, Scripted> {
        self.0.called("Issuer", format!("{issuer:?}")).await?;
        let slashless = |url: &str| url.trim_end_matches('/').to_owned();
        let found = self.0.read(|script| {
            let known = script
                .issuers
                .iter()
                .find(|known| known.name == issuer || slashless(&known.url) == slashless(issuer));
            Some(IssuerInfo { scopes_offered: script.offered.clone(), ..known?.clone() })
        });
        found.ok_or_else(|| Scripted {
            name: "org.iamd1.Error.NoSuchIssuer".into(),
            message: format!("this site lists no issuer {issuer:?}"),
        })
    }

    async fn add(
        &self,
        account: &str,
        options: AddOptions,
        secrets: HashMap<String, OwnedFd>,
    ) -> Result<ChangeReply, Scripted> {
        let secrets: BTreeMap<String, String> =
            secrets.into_iter().map(|(name, fd)| (name, read(fd))).collect();
        self.0.called("Add", format!("{account:?}, {options:?}, {secrets:?}")).await?;
        Ok(self.0.read(|script| script.change.clone()))
    }

    async fn edit(&self, account: &str, options: EditOptions) -> Result<ChangeReply, Scripted> {
        self.0.called("Edit", format!("{account:?}, {options:?}")).await?;
        Ok(self.0.read(|script| script.change.clone()))
    }

    async fn rename(&self, account: &str, new_name: &str) -> Result<ChangeReply, Scripted> {
        self.0.called("Rename", format!("{account:?}, {new_name:?}")).await?;
        Ok(ChangeReply { account: new_name.into(), ..self.0.read(|script| script.change.clone()) })
    }

    async fn set_default(&self, account: &str) -> Result<ChangeReply, Scripted> {
        self.0.called("SetDefault", format!("{account:?}")).await?;
        Ok(ChangeReply { account: account.into(), ..self.0.read(|script| script.change.clone()) })
    }

    async fn remove(&self, account: &str, options: RemoveOptions) -> Result<RemoveReply, Scripted> {
        self.0.called("Remove", format!("{account:?}, {options:?}")).await?;
        let mut removal = self.0.read(|script| script.removal.clone());
        removal.client_deleted &= options.keep_client != Some(true);
        Ok(removal)
    }

    async fn secrets(&self, account: &str) -> Result<AccountSecrets, Scripted> {
        self.0.called("Secrets", format!("{account:?}")).await?;
        Ok(self.0.read(|script| script.secrets.clone()))
    }

    async fn diagnose(&self) -> Result<Vec<Finding>, Scripted> {
        self.0.called("Diagnose", String::new()).await?;
        Ok(self.0.read(|script| script.findings.clone()))
    }
}

#[interface(name = "org.iamd1.Admin")]
impl Admin {
    async fn reload(&self) -> Result<(), Scripted> {
        self.0.called("Reload", String::new()).await
    }

    async fn users(&self) -> Result<Vec<UserInfo>, Scripted> {
        self.0.called("Users", String::new()).await?;
        Ok(self.0.read(|script| script.users.clone()))
    }

    async fn stats(&self) -> Result<StatsReply, Scripted> {
        self.0.called("Stats", String::new()).await?;
        Ok(self.0.read(|script| script.stats.clone()))
    }

    async fn accept_store(&self) -> Result<AcceptReply, Scripted> {
        self.0.called("AcceptStore", String::new()).await?;
        Ok(self.0.read(|script| script.accepted.clone()))
    }

    async fn sessions(&self) -> Result<Vec<SessionInfo>, Scripted> {
        self.0.called("Sessions", String::new()).await?;
        Ok(self.0.read(|script| script.sessions.clone()))
    }

    async fn password_flows(&self) -> Result<Vec<PasswordFlowInfo>, Scripted> {
        self.0.called("PasswordFlows", String::new()).await?;
        Ok(self.0.read(|script| script.password_flows.clone()))
    }

    async fn enable_password_flow(
        &self,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, Scripted> {
        self.0.called("EnablePasswordFlow", format!("{options:?}")).await?;
        Ok(self.0.read(|script| script.password_flow.clone()))
    }

    async fn disable_password_flow(
        &self,
        options: PasswordFlowOptions,
    ) -> Result<PasswordFlowReply, Scripted> {
        self.0.called("DisablePasswordFlow", format!("{options:?}")).await?;
        let reply = self.0.read(|script| script.password_flow.clone());
        Ok(PasswordFlowReply { enabled: false, ..reply })
    }

    async fn revoke(&self, options: RevokeOptions) -> Result<RevokeReply, Scripted> {
        self.0.called("Revoke", format!("{options:?}")).await?;
        let mut reply = self.0.read(|script| script.revocation.clone());
        if options.dry_run == Some(true) {
            for info in &mut reply.sign_ins {
                (info.result, info.remark) = ("would".into(), None);
            }
            reply.pending = 0;
        }
        Ok(reply)
    }

    async fn set_drain(&self, options: DrainOptions) -> Result<DrainInfo, Scripted> {
        self.0.called("SetDrain", format!("{options:?}")).await?;
        let (since, by) = (Some(super::samples::base() - 30 - 600), Some(0));
        let now = match options.on {
            true => DrainInfo { on: true, reason: options.reason, since, by, logins: 2 },
            false => DrainInfo::default(),
        };
        Ok(self.0.read(|script| {
            let why = now.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let text = format!("login1 takes no new sign-ins at the moment{why}");
            script.status.draining = now.on.then_some(text);
            script.drain = now;
            script.drain.clone()
        }))
    }

    async fn drain(&self) -> Result<DrainInfo, Scripted> {
        self.0.called("Drain", String::new()).await?;
        Ok(self.0.read(|script| script.drain.clone()))
    }

    async fn check_policy(&self) -> Result<PolicyCheck, Scripted> {
        self.0.called("CheckPolicy", String::new()).await?;
        Ok(self.0.read(|script| script.policy.clone()))
    }

    async fn explain_policy(&self, user: &str) -> Result<Vec<PolicyLine>, Scripted> {
        self.0.called("ExplainPolicy", format!("{user:?}")).await?;
        Ok(self.0.read(|script| script.policy.lines.clone()))
    }
    async fn rekey(&self, options: RekeyOptions) -> Result<RekeyState, Scripted> {
        self.0.called("Rekey", format!("{options:?}")).await?;
        Ok(self.0.read(Script::next_rekey))
    }

    async fn rekey_progress(&self) -> Result<RekeyState, Scripted> {
        self.0.called("RekeyProgress", String::new()).await?;
        Ok(self.0.read(Script::next_rekey))
    }

    async fn backup(
        &self,
        options: BackupOptions,
        descriptors: BTreeMap<String, OwnedFd>,
    ) -> Result<BackupReply, Scripted> {
        let (data, passphrase) = both(descriptors);
        self.0.called("Backup", format!("{options:?}, {:?}", read(passphrase))).await?;
        let (bytes, reply) = self.0.read(|script| script.backup.clone());
        let mut data = std::fs::File::from(std::os::fd::OwnedFd::from(data));
        // Who went away does not read it.
        let _ = data.write_all(&bytes);
        Ok(reply)
    }

    async fn restore(
        &self,
        options: RestoreOptions,
        descriptors: BTreeMap<String, OwnedFd>,
    ) -> Result<RestoreReply, Scripted> {
        let (data, passphrase) = both(descriptors);
        let args = format!("{options:?}, {:?}, {:?}", read(passphrase), read(data));
        self.0.called("Restore", args).await?;
        Ok(self.0.read(|script| script.restore.clone()))
    }

    async fn check_store(&self) -> Result<StoreReport, Scripted> {
        self.0.called("CheckStore", String::new()).await?;
        Ok(self.0.read(|script| script.store.clone()))
    }
}

impl Script {
    fn next_rekey(&mut self) -> RekeyState {
        match self.rekey.len() {
            0 => RekeyState::default(),
            1 => self.rekey[0].clone(),
            _ => self.rekey.pop_front().unwrap_or_default(),
        }
    }
}

fn both(mut descriptors: BTreeMap<String, OwnedFd>) -> (OwnedFd, OwnedFd) {
    let mut take = |name: &str| descriptors.remove(name).expect(name);
    (take("data"), take("passphrase"))
}
