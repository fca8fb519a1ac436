//! A login from start to each of its ends.

use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::{account::ClientOwner, testing::*};

#[derive(Default)]
struct Witness {
    signed_in: Mutex<Vec<Tokens>>,
    unanswered: AtomicU64,
    over: AtomicU64,
    /// So often there is no room yet.
    full: AtomicU64,
}

#[async_trait]
impl Completion for Witness {
    async fn client(&self) -> Result<ClientRecord, Failure> {
        Ok(client(ClientOwner::Site, &profile().url, 1))
    }

    async fn replace_client(&self, _: &ClientRecord) -> Result<ClientRecord, Failure> {
        Ok(client(ClientOwner::Site, &profile().url, 2))
    }

    async fn make_room(&self) -> Result<(), Failure> {
        match self.full.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(Failure::new(Kind::StoreUnavailable, "no room: make some")),
            Err(_) => Ok(()),
        }
    }

    async fn signed_in(
        &self,
        _: &ClientRecord,
        tokens: Tokens,
    ) -> Result<(Option<String>, Vec<String>), Failure> {
        self.signed_in.lock().unwrap().push(tokens);
        Ok((Some("alice".into()), Vec::new()))
    }

    async fn unanswered(&self) {
        self.unanswered.fetch_add(1, SeqCst);
    }

    async fn over(&self, progress: Progress) -> Progress {
        self.over.fetch_add(1, SeqCst);
        progress
    }
}

struct World {
    issuers: Arc<TestIssuers>,
    witness: Arc<Witness>,
    logins: Arc<Logins>,
}

fn world() -> World {
    let issuers = Arc::new(TestIssuers::default());
    let logins = Logins::new(issuers.clone(), TestClock::at(1_000_000));
    World { issuers, logins, witness: Arc::default() }
}

fn key(name: &str) -> AccountKey {
    AccountKey { uid: 1001, name: name.parse().unwrap() }
}

fn request(name: &str) -> Request {
    Request {
        key: key(name),
        profile: profile(),
        scopes: profile().scopes,
        client_owner: ClientOwner::Site,
        replaces: None,
        caller_pid: None,
        claim: Claim::default(),
        exists: false,
        audiences: AudienceSet::default(),
    }
}

impl World {
    fn start(&self, name: &str) -> Result<watch::Receiver<Progress>, TooMany> {
        self.logins.start(request(name), self.witness.clone(), 2).map(|login| login.progress)
    }

    fn issuer_says(&self, answers: impl IntoIterator<Item = PollAnswer>) {
        self.issuers.poll_script.lock().unwrap().extend(answers);
    }

    async fn end(&self) -> Progress {
        let mut progress = self.start("wlcg").unwrap();
        progress.wait_for(Progress::is_over).await.unwrap().clone()
    }
}

fn failed(progress: &Progress) -> Kind {
    match progress {
        Progress::Failed { kind, .. } => *kind,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_approved_login_hands_over_its_tokens_exactly_once() {
    let world = world();
    let answer = PollAnswer::Tokens(Box::new(tokens("at", Some("rt"), 3600)));
    world.issuer_says([PollAnswer::Pending, PollAnswer::Pending, answer]);
    assert!(matches!(world.end().await, Progress::Done { .. }));
    assert_eq!(world.witness.signed_in.lock().unwrap().len(), 1);
    assert_eq!(world.issuers.polls.load(SeqCst), 3);
    assert_eq!(world.witness.over.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_kept_is_not_asked_for_and_the_login_goes_on_when_there_is_room() {
    let world = world();
    world.witness.full.store(2, SeqCst);
    world.issuer_says([PollAnswer::Tokens(Box::new(tokens("at", Some("rt"), 3600)))]);
    assert!(matches!(world.end().await, Progress::Done { .. }));
    assert_eq!(world.issuers.polls.load(SeqCst), 1, "asked without room");
    assert_eq!(world.witness.signed_in.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_never_had_room_says_so_at_its_end() {
    let world = world();
    world.witness.full.store(u64::MAX, SeqCst);
    let end = world.end().await;
    assert_eq!(world.issuers.polls.load(SeqCst), 0);
    let Progress::Failed { kind, message } = end else { panic!("{end:?}") };
    assert_eq!((kind, message.as_str()), (Kind::StoreUnavailable, "no room: make some"));
}

#[tokio::test(start_paused = true)]
async fn r04_denied_and_expired_end_with_messages_of_their_own() {
    let world = world();
    world.issuer_says([PollAnswer::Denied]);
    assert_eq!(failed(&world.end().await), Kind::LoginDenied);
    world.issuer_says([PollAnswer::Expired]);
    assert_eq!(failed(&world.end().await), Kind::LoginExpired);
    assert_eq!(world.witness.unanswered.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn r05_an_unknown_error_ends_the_login() {
    let world = world();
    let (code, text) = ("weird".into(), "weird".into());
    world.issuer_says([PollAnswer::Failed(IssuerError::Refused { code, text })]);
    assert_eq!(failed(&world.end().await), Kind::IssuerRefused);
}

#[tokio::test(start_paused = true)]
async fn r06_the_deadline_is_ours_when_the_issuer_never_says_expired() {
    // Also where somebody said no, and the issuer goes on saying that it waits.
    let world = world();
    let end = world.end().await;
    assert_eq!(failed(&end), Kind::LoginExpired);
    let Progress::Failed { message, .. } = end else { unreachable!() };
    assert_eq!(message, "nobody approved the login in time");
    assert_eq!(world.issuers.polls.load(SeqCst), 119);
}

#[tokio::test(start_paused = true)]
async fn r08_at_most_one_login_per_account_and_all_see_the_same_code() {
    let world = world();
    let mut first = world.start("wlcg").unwrap();
    let second = world.start("wlcg").unwrap();
    first.wait_for(|progress| matches!(progress, Progress::Pending(_))).await.unwrap();
    assert_eq!(*first.borrow(), *second.borrow());
    assert_eq!(world.issuers.authorizations.load(SeqCst), 1);
    assert_eq!(world.logins.pending(&key("wlcg")).unwrap().user_code, "AB12CD");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_the_issuer_forgot_is_replaced_once() {
    let world = world();
    let rejected = || Err(IssuerError::ClientRejected { text: "unknown client".into() });
    world.issuers.device_script.lock().unwrap().push_back(rejected());
    let mut progress = world.start("a").unwrap();
    progress.wait_for(|progress| matches!(progress, Progress::Pending(_))).await.unwrap();
    world.issuers.device_script.lock().unwrap().extend([rejected(), rejected()]);
    assert_eq!(failed(&world.end().await), Kind::ClientBroken);
    assert_eq!(world.issuers.authorizations.load(SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_uid_runs_no_more_logins_than_the_site_allows() {
    let world = world();
    world.start("a").unwrap();
    world.start("b").unwrap();
    assert_eq!(world.start("c").unwrap_err(), TooMany);
    assert!(world.logins.cancel(&key("a")));
    let mut cancelled = world.logins.of(&key("a")).unwrap();
    let end = cancelled.wait_for(Progress::is_over).await.unwrap().clone();
    assert_eq!(failed(&end), Kind::LoginCancelled);
    world.start("c").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_login_right_after_a_cancelled_one_is_another() {
    let world = world();
    let mut first = world.start("wlcg").unwrap();
    world.start("other").unwrap();
    first.wait_for(|progress| matches!(progress, Progress::Pending(_))).await.unwrap();
    // Nothing is awaited from here to the start: the first has had no time to end.
    assert!(world.logins.cancel(&key("wlcg")));
    assert!(!world.logins.cancel(&key("wlcg")), "it was cancelled before");
    assert_eq!(world.logins.pending(&key("wlcg")), None);
    let mut second = world.start("wlcg").unwrap();
    let end = first.wait_for(Progress::is_over).await.unwrap().clone();
    assert_eq!(failed(&end), Kind::LoginCancelled);
    second.wait_for(|progress| matches!(progress, Progress::Pending(_))).await.unwrap();
    assert!(world.logins.pending(&key("wlcg")).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ended_can_be_seen_for_a_while_and_is_then_forgotten() {
    let world = world();
    world.issuer_says([PollAnswer::Denied]);
    world.end().await;
    assert!(world.logins.of(&key("wlcg")).is_some());
    world.logins.clock.sleep(Duration::from_secs(121)).await;
    assert!(world.logins.of(&key("wlcg")).is_none());
}

#[test]
fn who_cancels_and_who_looks_at_all_that_run_do_not_wait_for_each_other() {
    let world = world();
    let request = Arc::new(request("a"));
    let _during = world.logins.during(&request);
    let (tell, done) = std::sync::mpsc::channel();
    for cancels in [true, false] {
        let (logins, tell) = (Arc::clone(&world.logins), tell.clone());
        std::thread::spawn(move || {
            for _ in 0..20_000 {
                if cancels {
                    logins.cancel(&key("a"));
                } else {
                    logins.running();
                }
            }
            tell.send(()).unwrap();
        });
    }
    for _ in 0..2 {
        done.recv_timeout(Duration::from_secs(30)).expect("one waits for the other");
    }
}
