//! Device logins in progress (RFC 8628): at most one per account, each in a task of its own that
//! polls until it is approved, refused, cancelled or over.

mod claim;
mod failure;
mod poll;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use iamd_protocol::error::Kind;
use tokio::sync::{RwLock, RwLockReadGuard, watch};

pub use claim::Claim;
pub use failure::Failure;
pub use poll::{Answer, Poller};

use crate::{
    account::{
        AccountKey, AccountName, AudienceSet, ClientOwner, ClientRecord, IssuerProfile, ScopeSet,
        UnixTime,
        ports::{DeviceAuthorization, IssuerError, Issuers, PollAnswer, Tokens},
    },
    clock::Clock,
};

/// Where a login stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The issuer has been asked for a code.
    Starting,
    /// The user has to act.
    Pending(Prompt),
    /// Signed in.
    Done {
        /// Who (`sub`).
        subject: Option<String>,
        /// What a person should know.
        remarks: Vec<String>,
    },
    /// Ended without success.
    Failed {
        /// Why, for programs.
        kind: Kind,
        /// Why, for people.
        message: String,
    },
}

impl Progress {
    /// Whether it has ended.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// What the user needs to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The code.
    pub user_code: String,
    /// Where to enter it.
    pub verification_uri: String,
    /// The same with the code inside.
    pub verification_uri_complete: Option<String>,
    /// When it ends.
    pub expires_at: UnixTime,
}

/// What happens around a login: made by the service, which knows clients and the vault.
#[async_trait]
pub trait Completion: Send + Sync + 'static {
    /// The client to sign in with.
    async fn client(&self) -> Result<ClientRecord, Failure>;
    /// The issuer gave this client a code: from now on the login can go on after a restart.
    async fn prompted(&self, _: &ClientRecord, _: &DeviceAuthorization) {}
    /// The issuer rejected this client before anything was signed in: another one, if the site
    /// registers clients itself.
    async fn replace_client(&self, rejected: &ClientRecord) -> Result<ClientRecord, Failure>;
    /// Room for what the issuer is about to give: an approval can be spent once only.
    async fn make_room(&self) -> Result<(), Failure> {
        Ok(())
    }
    /// The tokens came: persist them before anything else, unless the login was cancelled by then
    /// (see [`Claim::keep`]). Gives who signed in, and remarks.
    async fn signed_in(
        &self,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<(Option<String>, Vec<String>), Failure>;
    /// What to ask for instead, once, where the issuer does not let the client ask for all of it.
    fn narrower(&self) -> Option<ScopeSet> {
        None
    }
    /// It is cancelled while the issuer is asked for its tokens: it does not go on after a restart.
    async fn cancelled(&self) {}
    /// The code ended and nobody had answered.
    async fn unanswered(&self);
    /// It is over, with whatever result; what is told of it.
    async fn over(&self, progress: Progress) -> Progress;
}

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Request {
    /// For which account.
    pub key: AccountKey,
    /// At which issuer.
    pub profile: IssuerProfile,
    /// Which scopes.
    pub scopes: ScopeSet,
    /// For which audiences.
    pub audiences: AudienceSet,
    /// With whose client.
    pub client_owner: ClientOwner,
    /// The client that the account has until this login ends well, where it gets one of its own in
    /// the place of it.
    pub replaces: Option<ClientRecord>,
    /// Whether the account is there already: one that is removed meanwhile is not made again.
    pub exists: bool,
    /// The process that waits for it, for the record only. A device login waits for nobody: who
    /// began it may be gone by then, and the pid another's.
    pub caller_pid: Option<u32>,
    /// Whether it is cancelled, or what it brought kept.
    pub claim: Claim,
}

/// A login that runs for an account: the one that was started, or the one that was joined.
pub struct Login {
    /// What it asks for.
    pub request: Arc<Request>,
    /// Where it stands.
    pub progress: watch::Receiver<Progress>,
    /// It was there before.
    pub joined: bool,
}

struct Running {
    id: u64,
    request: Arc<Request>,
    progress: watch::Receiver<Progress>,
}

impl Running {
    /// Whether it can be joined: one that was cancelled may take a moment to end.
    fn runs(&self) -> bool {
        !self.progress.borrow().is_over() && !self.request.claim.is_cancelled()
    }
}

/// The logins in progress.
pub struct Logins {
    issuers: Arc<dyn Issuers>,
    clock: Arc<dyn Clock>,
    running: Mutex<HashMap<AccountKey, Running>>,
    /// Those under way that are no device logins.
    others: Mutex<Vec<Arc<Request>>>,
    counter: AtomicU64,
    /// Held for reading while tokens may be on their way; for writing when all is over.
    closing: RwLock<()>,
}

/// Too many logins of one uid are running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Logins {
    /// None yet.
    pub fn new(issuers: Arc<dyn Issuers>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (running, others) = (Mutex::default(), Mutex::default());
        let closing = RwLock::new(());
        Arc::new(Self { issuers, clock, running, others, counter: AtomicU64::new(0), closing })
    }

    /// Starts a login, or joins the one that is running for this account.
    ///
    /// # Errors
    /// [`TooMany`] when the uid already runs `most` others.
    pub fn start(
        self: &Arc<Self>,
        request: Request,
        completion: Arc<dyn Completion>,
        most: usize,
    ) -> Result<Login, TooMany> {
        self.begin(request, completion, None, most)
    }

    /// Goes on with a login that began before a restart, with the code that this client was given.
    /// Nobody else may hold it: a code that two ask for ends for both.
    ///
    /// # Errors
    /// As [`Logins::start`].
    pub fn resume(
        self: &Arc<Self>,
        request: Request,
        completion: Arc<dyn Completion>,
        code: (ClientRecord, DeviceAuthorization),
        most: usize,
    ) -> Result<Login, TooMany> {
        self.begin(request, completion, Some(code), most)
    }

    fn begin(
        self: &Arc<Self>,
        request: Request,
        completion: Arc<dyn Completion>,
        code: Option<(ClientRecord, DeviceAuthorization)>,
        most: usize,
    ) -> Result<Login, TooMany> {
        let mut running = self.lock();
        if let Some(login) = running.get(&request.key).filter(|login| login.runs()) {
            let (request, progress) = (Arc::clone(&login.request), login.progress.clone());
            return Ok(Login { request, progress, joined: true });
        }
        let of_uid =
            running.iter().filter(|(key, login)| key.uid == request.key.uid && login.runs());
        if of_uid.count() >= most {
            return Err(TooMany);
        }
        let (tell, progress) = watch::channel(Progress::Starting);
        let id = self.counter.fetch_add(1, Ordering::Relaxed);
        let request = Arc::new(request);
        let login = Running { id, request: Arc::clone(&request), progress: progress.clone() };
        running.insert(request.key.clone(), login);
        drop(running);
        let started = Login { request: Arc::clone(&request), progress, joined: false };
        let logins = Arc::clone(self);
        tokio::spawn(async move {
            let over = logins.run(&request, &*completion, code, &tell).await;
            tell.send_replace(completion.over(over).await);
            // The result stays to be seen for a while.
            logins.clock.sleep(Duration::from_secs(120)).await;
            logins.forget(&request.key, id);
        });
        Ok(started)
    }

    /// The login of an account that is running, or ended just now.
    pub fn of(&self, key: &AccountKey) -> Option<watch::Receiver<Progress>> {
        self.lock().get(key).map(|login| login.progress.clone())
    }

    /// The issuer of a login that is running, or ended just now.
    pub fn issuer_of(&self, key: &AccountKey) -> Option<String> {
        self.lock().get(key).map(|login| login.request.profile.url.to_string())
    }

    /// What the login of an account asks for that is running now.
    pub fn request_of(&self, key: &AccountKey) -> Option<Arc<Request>> {
        let running = self.lock();
        running.get(key).filter(|login| login.runs()).map(|login| Arc::clone(&login.request))
    }

    /// The accounts of a uid for which a login is running.
    pub fn running_of(&self, uid: u32) -> Vec<AccountName> {
        let running = self.lock();
        let of_uid = running.iter().filter(|(key, login)| key.uid == uid && login.runs());
        of_uid.map(|(key, _)| key.name.clone()).collect()
    }

    /// A sign-in that is no device login, under way as long as the reply is held: it can be cancelled
    /// as one.
    pub fn during<'a>(&'a self, request: &Arc<Request>) -> impl Drop + 'a {
        self.lock_others().push(Arc::clone(request));
        claim::During { logins: self, request: Arc::clone(request) }
    }

    /// All that are running.
    pub fn running(&self) -> Vec<(AccountKey, Arc<Request>)> {
        let mut all: Vec<Arc<Request>> = {
            let running = self.lock();
            let logins = running.values().filter(|login| login.runs());
            logins.map(|login| Arc::clone(&login.request)).collect()
        };
        let others = self.lock_others();
        all.extend(others.iter().filter(|request| !request.claim.is_cancelled()).cloned());
        all.into_iter().map(|request| (request.key.clone(), request)).collect()
    }

    /// What the user of a running login needs, without waiting.
    pub fn pending(&self, key: &AccountKey) -> Option<Prompt> {
        match &*self.lock().get(key).filter(|login| login.runs())?.progress.borrow() {
            Progress::Pending(prompt) => Some(prompt.clone()),
            _ => None,
        }
    }

    /// Ends what is running for an account; whether there was something, and its tokens are not being
    /// kept.
    pub fn cancel(&self, key: &AccountKey) -> bool {
        // One list at a time: whoever holds both takes them in another order.
        let other = {
            let others = self.lock_others();
            let of_key = others.iter().filter(|request| request.key == *key);
            of_key.filter(|request| request.claim.cancel()).count() > 0
        };
        let running = self.lock();
        let Some(login) = running.get(key) else { return other };
        let runs = login.runs();
        (login.request.claim.cancel() && runs) || other
    }

    /// While this is held, [`Logins::close`] waits: tokens are on their way.
    pub async fn underway(&self) -> RwLockReadGuard<'_, ()> {
        self.closing.read().await
    }

    /// Lets no poll begin any more and waits for those that may bring tokens to be kept.
    pub async fn close(&self) {
        let closed = self.closing.write().await;
        // Never opened again: the daemon ends.
        std::mem::forget(closed);
    }

    async fn run(
        &self,
        request: &Request,
        completion: &dyn Completion,
        code: Option<(ClientRecord, DeviceAuthorization)>,
        tell: &watch::Sender<Progress>,
    ) -> Progress {
        let result = match self.to_the_tokens(request, completion, code, tell).await {
            Ok((client, tokens, _open)) => {
                crate::fault_point!("login.tokens-received", request.key);
                completion.signed_in(&client, tokens).await
            }
            Err(failure) => Err(failure),
        };
        match result {
            Ok((subject, remarks)) => Progress::Done { subject, remarks },
            Err(Failure { kind, message }) => {
                if kind == Kind::LoginExpired {
                    completion.unanswered().await;
                }
                Progress::Failed { kind, message }
            }
        }
    }

    async fn to_the_tokens(
        &self,
        request: &Request,
        completion: &dyn Completion,
        code: Option<(ClientRecord, DeviceAuthorization)>,
        tell: &watch::Sender<Progress>,
    ) -> Result<(ClientRecord, Tokens, RwLockReadGuard<'_, ()>), Failure> {
        let Request { profile, audiences, claim, .. } = request;
        let (client, device) = match code {
            Some(code) => code,
            None => claim.unless_cancelled(self.ask_for_a_code(request, completion)).await??,
        };
        let mut poller = Poller::new(device.interval, device.expires_in, self.clock.monotonic());
        tell.send_replace(Progress::Pending(self.prompt(&device)));
        let expired = || Failure::new(Kind::LoginExpired, "nobody approved the login in time");
        let mut next = poller.first(self.clock.monotonic());
        // A poll may have been acted on, and its answer lost: no second one can tell.
        let mut lost = false;
        let mut no_room: Option<Failure> = None;
        loop {
            let Some(at) = next else {
                let left = poller.ends().saturating_duration_since(self.clock.monotonic());
                claim.unless_cancelled(self.clock.sleep(left)).await?;
                return Err(no_room.unwrap_or_else(expired));
            };
            let turn = async {
                self.clock.sleep(at.saturating_duration_since(self.clock.monotonic())).await;
                self.closing.read().await
            };
            let open = claim.unless_cancelled(turn).await?;
            match completion.make_room().await {
                Ok(()) => no_room = None,
                Err(failure) => {
                    if no_room.is_none() {
                        let message = &failure.message;
                        tracing::error!(issuer = %profile.name, "a login waits for room to keep what it brings: {message}");
                    }
                    no_room = Some(failure);
                    // The issuer was not asked: it needs no rest.
                    next = poller.next(Answer::Pending, self.clock.monotonic());
                    continue;
                }
            }
            let answer = {
                let code = &device.device_code;
                let mut poll = self.issuers.poll_device(profile, &client, code, audiences);
                match claim.unless_cancelled(&mut poll).await {
                    Ok(answer) => answer,
                    Err(Failure { kind, message }) => {
                        completion.cancelled().await;
                        tell.send_replace(Progress::Failed { kind, message });
                        // It may bring tokens, which have to be ended then.
                        poll.await
                    }
                }
            };
            let answer = match answer {
                PollAnswer::Tokens(tokens) => return Ok((client, *tokens, open)),
                _ if claim.is_cancelled() => return Err(claim::cancelled()),
                PollAnswer::Pending => Answer::Pending,
                PollAnswer::SlowDown => Answer::SlowDown,
                PollAnswer::Transient { error } => {
                    tracing::debug!(issuer = %profile.name, %error, "a poll failed for now: {error}");
                    lost |= matches!(error, IssuerError::Unreachable { maybe_processed: true, .. });
                    let retry_after = match error {
                        IssuerError::Unreachable { retry_after, .. } => retry_after,
                        IssuerError::CircuitOpen { retry_in, .. } => Some(retry_in),
                        _ => None,
                    };
                    Answer::Transient { retry_after }
                }
                PollAnswer::Denied => {
                    let text = "the login was refused at the issuer";
                    return Err(Failure::new(Kind::LoginDenied, text));
                }
                PollAnswer::Expired if lost => {
                    let text = "an answer of the issuer was lost on the way, and it gives none for this code any more: if the login was approved, it has to be again, with a new code";
                    return Err(Failure::new(Kind::LoginExpired, text));
                }
                PollAnswer::Expired => return Err(expired()),
                PollAnswer::Failed(error) => return Err(error.into()),
            };
            next = poller.next(answer, self.clock.monotonic());
        }
    }

    async fn ask_for_a_code(
        &self,
        request: &Request,
        completion: &dyn Completion,
    ) -> Result<(ClientRecord, DeviceAuthorization), Failure> {
        let Request { key, profile, audiences, .. } = request;
        let mut client = completion.client().await?;
        let mut scopes = request.scopes.clone();
        let (mut replaced, mut narrowed) = (false, false);
        let device = loop {
            let ask = self.issuers.authorize_device(profile, &client, key.uid, &scopes, audiences);
            match ask.await {
                Err(IssuerError::ClientRejected { .. }) if !replaced => {
                    client = completion.replace_client(&client).await?;
                    replaced = true;
                }
                Err(IssuerError::Refused { code, text })
                    if code == "invalid_scope" && !narrowed =>
                {
                    let refused = IssuerError::Refused { code, text };
                    scopes = completion.narrower().ok_or(refused)?;
                    narrowed = true;
                }
                answer => break answer?,
            }
        };
        crate::fault_point!("login.code-received", request.key);
        completion.prompted(&client, &device).await;
        crate::fault_point!("login.code-kept", request.key);
        Ok((client, device))
    }

    fn prompt(&self, device: &DeviceAuthorization) -> Prompt {
        Prompt {
            user_code: device.user_code.clone(),
            verification_uri: device.verification_uri.clone(),
            verification_uri_complete: device.verification_uri_complete.clone(),
            expires_at: self.clock.wall().plus(device.expires_in),
        }
    }

    fn forget(&self, key: &AccountKey, id: u64) {
        let mut running = self.lock();
        if running.get(key).is_some_and(|login| login.id == id) {
            running.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_others(&self) -> MutexGuard<'_, Vec<Arc<Request>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
