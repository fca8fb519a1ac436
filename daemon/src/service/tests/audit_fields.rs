//! Which fields a record has: a table of what is recorded when, held against real records, so that
//! a field that gets lost is seen, and one that comes is written down.

use iamd_protocol::bus::{
    AddOptions, EditOptions, PasswordFlowOptions, RemoveOptions, RevokeOptions,
};

use super::{
    passphrases::{WORDS, ever, guarded, unlock},
    password_flow::of,
    *,
};
use crate::{
    account::{ports::Identity, ports::PasswordError},
    audit::Kind as Event,
};

/// When; what; the fields besides whose it is, its result and its detail. `IAMD_CALLER_EXE` comes
/// with `caller_pid`.
type Row = (&'static str, Event, &'static [&'static str]);

const TOKEN: &[&str] =
    &["account", "issuer", "client", "scopes", "audience", "token_hash", "caller_pid"];
const ACCOUNT: &[&str] = &["account", "issuer", "client", "caller_pid"];
const REQUEST: &[&str] = &["account", "issuer", "client", "scopes", "audience", "caller_pid"];
/// Where nobody waits for it, nobody called: a renewal, the end of a device login.
const ITS_OWN: &[&str] = &["account", "issuer", "client", "scopes", "audience"];
const ITS_OWN_TOKEN: &[&str] = &["account", "issuer", "client", "scopes", "audience", "token_hash"];

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("a session begins", Event::SessionOpened, &["caller_pid"]),
    ("a session ends", Event::SessionClosed, &[]),
    ("a login by code begins", Event::LoginStarted, &["account", "issuer", "scopes", "audience", "caller_pid"]),
    ("a login by password begins", Event::LoginStarted, REQUEST),
    ("a login by code is cancelled", Event::LoginFailed, ITS_OWN),
    ("a login by code brings somebody else", Event::LoginFailed, ITS_OWN),
    ("a login by password fails", Event::LoginFailed, REQUEST),
    ("somebody signs in by code", Event::SignIn, ITS_OWN_TOKEN),
    ("somebody signs in by password", Event::SignIn, TOKEN),
    ("a token is given out", Event::Issue, TOKEN),
    ("a token for less is given out", Event::Narrowed, TOKEN),
    ("the issuer gives a token", Event::Refresh, ITS_OWN_TOKEN),
    ("the issuer gives a token no more", Event::Refresh, ITS_OWN),
    ("the issuer names somebody else", Event::Denial, ITS_OWN),
    ("somebody asks for the token of somebody else", Event::Denial, REQUEST),
    ("somebody else signs in by code", Event::Denial, ITS_OWN),
    ("somebody else signs in by password", Event::Denial, REQUEST),
    ("a token is refused by a rule", Event::Denial, REQUEST),
    ("a login by code is refused by a rule", Event::Denial, REQUEST),
    ("a login by password is not enabled", Event::Denial, REQUEST),
    ("a login at an issuer that is not allowed", Event::Denial, &["issuer", "scopes", "audience", "caller_pid"]),
    ("an account at an issuer that is not allowed", Event::Denial, REQUEST),
    ("a change is refused by a rule", Event::Denial, &["account", "issuer", "client", "scopes", "caller_pid"]),
    ("an issuer is looked at that is not allowed", Event::Denial, &["issuer", "caller_pid"]),
    ("too many requests at once", Event::Denial, &["caller_pid"]),
    ("a client is registered", Event::Registration, &["issuer", "client", "scopes"]),
    ("an account is made", Event::AccountAdded, REQUEST),
    ("an account is changed", Event::AccountChanged, REQUEST),
    ("an account is renamed", Event::AccountChanged, ACCOUNT),
    ("an account becomes the default one", Event::AccountChanged, ACCOUNT),
    ("an account is removed", Event::AccountRemoved, ACCOUNT),
    ("a user signs out", Event::SignOut, ACCOUNT),
    ("an administrator signs a user out", Event::SignOut, ACCOUNT),
    ("secrets are shown", Event::Secrets, ACCOUNT),
    ("secrets are not shown", Event::Secrets, ACCOUNT),
    ("the configuration is read again", Event::Administration, &["caller_pid"]),
    ("sign-ins are revoked", Event::Administration, &["issuer", "client", "caller_pid"]),
    ("a client may sign in by password", Event::Administration, &["issuer", "client", "caller_pid"]),
    ("somebody else has the uid now", Event::UidReused, &["account", "issuer", "client"]),
];

/// Of an account with a passphrase, which a vault on a disk has.
const SEALED: &[Row] = &[
    ("a passphrase is set", Event::Passphrase, ACCOUNT),
    ("an account is locked", Event::Lock, ACCOUNT),
    ("the time of an unlocked account is over", Event::Lock, &["account", "issuer", "client"]),
    ("an account is unlocked", Event::Unlock, ACCOUNT),
    ("a wrong passphrase is given", Event::WrongPassphrase, ACCOUNT),
    ("passphrases are tried too often", Event::Denial, ACCOUNT),
];

/// What was recorded, in the words of the table.
#[derive(Default)]
struct Seen(Vec<(&'static str, Recorded)>);

impl Seen {
    /// The newest record of this kind is that one.
    fn newest(&mut self, house: &House, when: &'static str, event: Event) {
        self.the(house, when, event, |_| true);
    }

    /// The newest one that is so.
    fn the(
        &mut self,
        house: &House,
        when: &'static str,
        event: Event,
        is_it: impl Fn(&Recorded) -> bool,
    ) {
        let found = house.audit.of(event).into_iter().rfind(is_it);
        self.0.push((when, found.unwrap_or_else(|| panic!("{when}: no record of {event:?}"))));
    }

    /// All rows of the table, and nothing else, with these fields and no others.
    fn are(&self, table: &[Row]) {
        for (when, event, fields) in table {
            let record = self.0.iter().find(|(seen, _)| seen == when);
            let (_, record) = record.unwrap_or_else(|| panic!("never happened: {when}"));
            assert_eq!((&record.kind, record.fields.as_slice()), (event, *fields), "{when}");
            assert!(!record.result.is_empty(), "{when}");
        }
        for (when, _) in &self.0 {
            assert!(table.iter().any(|row| row.0 == *when), "not in the table: {when}");
        }
    }
}

fn audiences() -> Option<Vec<String>> {
    Some(vec!["https://se".to_owned()])
}

fn by_code() -> LoginOptions {
    LoginOptions { audiences: audiences(), ..LoginOptions::default() }
}

fn for_se() -> TokenOptions {
    TokenOptions { audiences: audiences(), ..TokenOptions::default() }
}

/// Whether nobody called.
fn by_itself(record: &Recorded) -> bool {
    !record.fields.contains(&"caller_pid")
}

async fn password(house: &House, answer: Result<Tokens, PasswordError>) -> Result<(), Kind> {
    house.issuers.password_script.lock().unwrap().push_back(answer);
    let (alice, words) = (house.caller(ALICE), Some("Canary9".to_owned().into()));
    let done = house.service.login_with_password(&alice, "", by_code(), "alice", words).await;
    done.map(drop).map_err(|error| error.kind)
}

/// A login of another person than the account belongs to.
fn somebody_else() -> Tokens {
    sign_in_of("mallory-sub")
}

#[tokio::test(start_paused = true)]
async fn r56_a_record_has_every_field_that_the_table_says() {
    let mut seen = Seen::default();
    sign_ins(&mut seen).await;
    tokens_and_what_becomes_of_them(&mut seen).await;
    refusals(&mut seen).await;
    accounts(&mut seen).await;
    administration(&mut seen).await;
    seen.are(TABLE);
}

#[test]
fn r56_no_event_is_missing_in_the_table() {
    let rows: Vec<Event> = TABLE.iter().chain(SEALED).map(|row| row.1).collect();
    let missed: Vec<_> = Event::ALL.iter().filter(|event| !rows.contains(event)).collect();
    assert_eq!(missed, Vec::<&Event>::new());
}

async fn sign_ins(seen: &mut Seen) {
    let house = House::new();
    let session = house.log_in_as_process(ALICE).await;
    seen.newest(&house, "a session begins", Event::SessionOpened);
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    house.end_of_login("").await;
    house.later(130).await;
    house.login_with("", by_code()).await.unwrap();
    seen.newest(&house, "a login by code begins", Event::LoginStarted);
    seen.newest(&house, "a client is registered", Event::Registration);
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    house.end_of_login("").await;
    seen.newest(&house, "a login by code is cancelled", Event::LoginFailed);
    house.later(130).await;
    house.approve(sign_in_of("alice-sub"));
    house.login_with("", by_code()).await.unwrap();
    house.end_of_login("").await;
    seen.newest(&house, "somebody signs in by code", Event::SignIn);
    house.later(130).await;
    house.approve(somebody_else());
    house.login_with("", by_code()).await.unwrap();
    house.end_of_login("").await;
    seen.newest(&house, "a login by code brings somebody else", Event::LoginFailed);
    seen.the(&house, "somebody else signs in by code", Event::Denial, by_itself);

    session.kill();
    for _ in 0..1000 {
        if !house.audit.of(Event::SessionClosed).is_empty() {
            break;
        }
        crate::clock::SystemClock.sleep(Duration::from_millis(10)).await;
    }
    seen.newest(&house, "a session ends", Event::SessionClosed);

    let house = House::new();
    house.signed_in();
    let told = password(&house, Ok(sign_in_of("alice-sub"))).await;
    assert_eq!(told, Err(Kind::DeniedByPolicy));
    seen.newest(&house, "a login by password is not enabled", Event::Denial);
    // The issuer was not asked.
    house.issuers.password_script.lock().unwrap().clear();
    house.enable(of("client-1")).await.unwrap();
    let wrong = PasswordError::Wrong { text: "no".into() };
    assert_eq!(password(&house, Err(wrong)).await, Err(Kind::WrongPassword));
    seen.newest(&house, "a login by password begins", Event::LoginStarted);
    seen.newest(&house, "a login by password fails", Event::LoginFailed);
    password(&house, Ok(sign_in_of("alice-sub"))).await.unwrap();
    seen.newest(&house, "somebody signs in by password", Event::SignIn);
    assert_eq!(password(&house, Ok(somebody_else())).await, Err(Kind::IdentityMismatch));
    let of_the_sign_in = |record: &Recorded| record.detail.starts_with("signed in: person");
    seen.the(&house, "somebody else signs in by password", Event::Denial, of_the_sign_in);
}

async fn tokens_and_what_becomes_of_them(seen: &mut Seen) {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.change(&key, |record| {
        record.audiences = crate::account::AudienceSet::parse(["https://se"]).unwrap();
    });
    let force = || TokenOptions { force_new: Some(true), ..TokenOptions::default() };
    house.token(force()).await.unwrap();
    seen.newest(&house, "the issuer gives a token", Event::Refresh);
    seen.newest(&house, "a token is given out", Event::Issue);
    let less = TokenOptions { scopes: scopes("storage.read:/x"), ..for_se() };
    house.token(less).await.unwrap();
    seen.newest(&house, "a token for less is given out", Event::Narrowed);
    house.refresh_says(Err(RefreshError::Dead { text: "expired".into() }));
    house.token(force()).await.unwrap_err();
    seen.newest(&house, "the issuer gives a token no more", Event::Refresh);

    let house = House::new();
    let key = house.signed_in_with_token();
    house.change(&key, |record| {
        record.audiences = crate::account::AudienceSet::parse(["https://se"]).unwrap();
        let sub = "alice-sub".to_owned();
        record.subject = Some(crate::account::Subject { sub, name: None, proof: None });
    });
    let who = Identity { sub: "mallory-sub".into(), verified: true, ..Identity::default() };
    house.refresh_says(Ok(Tokens { identity: Some(who), ..tokens("at1", None, 3600) }));
    assert_eq!(kind(house.token(force()).await), Kind::IdentityMismatch);
    seen.the(&house, "the issuer names somebody else", Event::Denial, by_itself);
    let asked = |record: &Recorded| !by_itself(record);
    seen.the(&house, "somebody asks for the token of somebody else", Event::Denial, asked);
}

async fn refusals(seen: &mut Seen) {
    let house = House::ruled(
        "[[rule]]\nfor = \"alice\"\nlongest_min_valid = \"1h\"\nflows = [\"refresh-token\"]\nscopes = [\"storage.read:/\"]\n",
    );
    house.signed_in_with_token();
    let long = TokenOptions { min_valid_seconds: Some(7200), ..for_se() };
    assert_eq!(kind(house.token(long).await), Kind::DeniedByPolicy);
    seen.newest(&house, "a token is refused by a rule", Event::Denial);
    assert_eq!(kind(house.login_with("", by_code()).await), Kind::DeniedByPolicy);
    seen.newest(&house, "a login by code is refused by a rule", Event::Denial);
    let (url, alice) = ("https://other.example/", house.caller(ALICE));
    let there = LoginOptions { scopes: scopes("openid"), ..by_code() };
    assert_eq!(kind(house.login_with(url, there).await), Kind::IssuerNotAllowed);
    seen.newest(&house, "a login at an issuer that is not allowed", Event::Denial);
    let add = AddOptions {
        issuer: Some(url.into()),
        client_id: Some("mine".into()),
        scopes: scopes("openid"),
        audiences: audiences(),
        ..AddOptions::default()
    };
    let added = house.service.add(&alice, "mine", add, Handed::default()).await;
    assert_eq!(kind(added), Kind::IssuerNotAllowed);
    seen.newest(&house, "an account at an issuer that is not allowed", Event::Denial);
    let more = EditOptions { add_scopes: scopes("compute.read"), ..EditOptions::default() };
    assert_eq!(kind(house.service.edit(&alice, "", more).await), Kind::DeniedByPolicy);
    seen.newest(&house, "a change is refused by a rule", Event::Denial);
    assert_eq!(kind(house.service.issuer(&alice, url).await), Kind::IssuerNotAllowed);
    seen.newest(&house, "an issuer is looked at that is not allowed", Event::Denial);

    let house = House::and("[limits]\nrequests = 1\n");
    let held = house.service.admit(ALICE).unwrap();
    assert_eq!(kind(house.token(for_se()).await), Kind::TooManyRequests);
    seen.newest(&house, "too many requests at once", Event::Denial);
    drop(held);
}

async fn accounts(seen: &mut Seen) {
    let house = House::and("[policy]\nshow_secrets = [\"alice\"]\n");
    let (service, alice) = (&house.service, house.caller(ALICE));
    let add = AddOptions { audiences: audiences(), ..AddOptions::default() };
    service.add(&alice, "mine", add, Handed::default()).await.unwrap();
    seen.newest(&house, "an account is made", Event::AccountAdded);
    let edit =
        EditOptions { audiences: Some(vec!["https://two".into()]), ..EditOptions::default() };
    service.edit(&alice, "mine", edit).await.unwrap();
    seen.newest(&house, "an account is changed", Event::AccountChanged);
    service.rename(&alice, "mine", "work").await.unwrap();
    seen.newest(&house, "an account is renamed", Event::AccountChanged);
    service.set_default(&alice, "work").await.unwrap();
    seen.newest(&house, "an account becomes the default one", Event::AccountChanged);
    service.secrets(&alice, "work").await.unwrap();
    seen.newest(&house, "secrets are shown", Event::Secrets);
    service.remove(&alice, "work", RemoveOptions::default()).await.unwrap();
    seen.newest(&house, "an account is removed", Event::AccountRemoved);

    let house = House::new();
    house.signed_in();
    assert_eq!(kind(house.service.secrets(&alice, "wlcg").await), Kind::DeniedByPolicy);
    seen.newest(&house, "secrets are not shown", Event::Secrets);
    house.service.logout(&alice, "wlcg").await.unwrap();
    seen.newest(&house, "a user signs out", Event::SignOut);
    house.signed_in();
    house.users.0.lock().unwrap().insert(ALICE, "alina".into());
    house.service.list(&house.caller(ALICE)).await.unwrap();
    seen.newest(&house, "somebody else has the uid now", Event::UidReused);
}

async fn administration(seen: &mut Seen) {
    let house = House::new();
    house.signed_in();
    let by = By { uid: BOB, pid: Some(4712) };
    house.service.reload(by).unwrap();
    seen.newest(&house, "the configuration is read again", Event::Administration);
    house.service.enable_password_flow(&house.caller(ALICE), of("client-1")).await.unwrap();
    seen.newest(&house, "a client may sign in by password", Event::Administration);
    let all = RevokeOptions {
        issuer: Some("wlcg".into()),
        client: Some("client-1".into()),
        ..RevokeOptions::default()
    };
    house.service.revoke_sign_ins(by, all).await.unwrap();
    seen.newest(&house, "sign-ins are revoked", Event::Administration);
    seen.newest(&house, "an administrator signs a user out", Event::SignOut);
}

#[tokio::test]
async fn r56_a_record_of_an_account_with_a_passphrase_has_every_field_that_the_table_says() {
    let mut seen = Seen::default();
    let house = guarded().await;
    seen.newest(&house, "a passphrase is set", Event::Passphrase);
    house.service.lock(&house.caller(ALICE), "").await.unwrap();
    seen.newest(&house, "an account is locked", Event::Lock);
    let two = iamd_protocol::bus::UnlockOptions { for_seconds: Some(2) };
    unlock(&house, two, WORDS).await.unwrap();
    seen.newest(&house, "an account is unlocked", Event::Unlock);
    let expired = |record: &Recorded| record.result == "expired";
    for _ in 0..500 {
        if house.audit.of(Event::Lock).iter().any(expired) {
            break;
        }
        house.later(1).await;
        crate::clock::SystemClock.sleep(Duration::from_millis(10)).await;
    }
    seen.the(&house, "the time of an unlocked account is over", Event::Lock, expired);
    for _ in 0..5 {
        unlock(&house, ever(), "wrong horse").await.unwrap_err();
    }
    seen.newest(&house, "a wrong passphrase is given", Event::WrongPassphrase);
    assert_eq!(unlock(&house, ever(), WORDS).await.unwrap_err().kind, Kind::TooManyAttempts);
    seen.newest(&house, "passphrases are tried too often", Event::Denial);
    seen.are(SEALED);
}

#[tokio::test(start_paused = true)]
async fn r56_what_polkit_refuses_is_recorded_with_the_issuer_and_the_client_that_were_named() {
    let house = House::new();
    let by = By { uid: ALICE, pid: Some(4711) };
    let PasswordFlowOptions { issuer, client, .. } = of("client-1");
    let at = (issuer.as_deref(), client.as_deref());
    house.service.note_refused(by, "EnablePasswordFlow (action)", at, Kind::NotAuthorized);
    let recorded = house.audit.of(Event::Administration).pop().unwrap();
    assert_eq!(recorded.fields, ["issuer", "client", "caller_pid"]);
    let said = (recorded.issuer.as_str(), recorded.result.as_str(), recorded.detail.as_str());
    assert_eq!(said, ("https://issuer.test/", "NotAuthorized", "EnablePasswordFlow (action)"));
}

#[tokio::test(start_paused = true)]
async fn r56_a_refusal_names_the_issuer_by_its_url_and_the_scopes_as_they_were_asked_for() {
    let house = House::ruled("[[rule]]\nfor = \"alice\"\nissuers = []\n");
    let options = LoginOptions {
        issuer: Some("cms".into()),
        scopes: scopes("openid storage.read:/"),
        ..by_code()
    };
    assert_eq!(kind(house.login_with("mine", options).await), Kind::DeniedByPolicy);
    let denied = house.audit.of(Event::Denial).pop().unwrap();
    assert_eq!(
        (denied.account.as_str(), denied.issuer.as_str(), denied.scopes.as_str()),
        ("mine", "https://cms.test/", "offline_access openid storage.read:/")
    );
    assert_eq!(denied.audience, "https://se");
}
