//! A user learns nothing about another, not even that an account exists.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_user_cannot_see_use_or_end_what_is_anothers() {
    let house = House::new();
    house.signed_in_with_token();
    house.login_with("cms", LoginOptions::default()).await.unwrap();
    let bob = house.caller(BOB);
    let service = &house.service;
    assert!(service.list(&bob).await.unwrap().is_empty());
    for named in ["wlcg", "cms", "https://issuer.test/"] {
        let known = service.show(&bob, named).await.unwrap_err();
        let unknown = service.show(&bob, "nothing").await.unwrap_err();
        assert_eq!(known.kind, unknown.kind);
        assert_eq!(known.message, unknown.message.replace("nothing", named));
        let token = service.token(&bob, named, TokenOptions::default()).await;
        assert_eq!(kind(token), Kind::NoSuchAccount);
        assert_eq!(kind(service.logout(&bob, named).await), Kind::NoSuchAccount);
        assert_eq!(kind(service.login_state(&bob, named, S).await), Kind::LoginRequired);
        assert_eq!(kind(service.cancel_login(&bob, named).await), Kind::LoginRequired);
    }
    assert_eq!(house.refreshes(), 0);
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at0");
    assert_eq!(service.status(&bob).await.unwrap().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn r54_accounts_of_an_earlier_user_of_a_uid_are_invisible_and_recorded() {
    let house = House::new();
    let key = house.signed_in_with_token();
    house.users.0.lock().unwrap().insert(ALICE, "alina".into());
    let alina = house.caller(ALICE);
    assert!(house.service.list(&alina).await.unwrap().is_empty());
    let reused = house.audit.of(crate::audit::Kind::UidReused);
    assert_eq!((reused[0].uid, reused[0].account.as_str()), (ALICE, "wlcg"));
    assert_eq!(reused[0].detail, "made by alice, the uid now belongs to alina");
    for named in ["", "wlcg"] {
        assert!(house.token(TokenOptions::default()).await.is_err(), "{named}");
        assert!(house.service.logout(&alina, named).await.is_err(), "{named}");
    }
    let opened = house.log_in(ALICE).await;
    assert!(opened.notice.unwrap().contains("AB12CD"));
    assert_eq!(house.alices_file(), None);
    assert_eq!((house.refreshes(), secret(&house.vault.record(&key))), (0, Some("rt0")));
}

#[tokio::test(start_paused = true)]
async fn r54_an_earlier_users_session_that_is_open_still_brings_nothing_of_theirs_back() {
    for name_service_knows in [true, false] {
        let house = House::new();
        house.signed_in_with_token();
        house.log_in(ALICE).await;
        house.settle().await;
        assert!(house.alices_file().is_some());
        house.clock.pass(1);
        house.users.0.lock().unwrap().insert(ALICE, "alina".into());
        house.log_in(ALICE).await;
        assert_eq!(house.alices_file(), None);
        if !name_service_knows {
            house.users.0.lock().unwrap().remove(&ALICE);
        }
        for _ in 0..2 {
            house.service.resume_users().await;
            house.settle().await;
            assert_eq!(house.alices_file(), None, "after a start");
            house.service.clone().look_again().await;
            house.settle().await;
            assert_eq!(house.alices_file(), None, "after a reload");
        }
        assert_eq!(house.refreshes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r54_the_files_of_an_earlier_user_are_gone_when_the_uids_new_one_logs_in() {
    let house = House::new();
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    assert!(house.alices_file().is_some());
    house.users.0.lock().unwrap().insert(ALICE, "alina".into());
    house.log_in(ALICE).await;
    assert_eq!(house.alices_file(), None);
    // And nobody brings them back.
    house.later(4000).await;
    assert_eq!((house.alices_file(), house.refreshes()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn r54_the_new_user_of_a_uid_can_sign_in_beside_what_the_earlier_one_left() {
    let house = House::new();
    let key = house.signed_in();
    house.users.0.lock().unwrap().insert(ALICE, "alina".into());
    house.log_in(ALICE).await;
    house.approve(sign_in_of("alina-sub"));
    let ended = house.end_of_login("").await;
    assert_eq!((ended.state.as_str(), ended.account.as_str()), ("done", "wlcg-2"));
    assert_eq!(house.alices_file().as_deref(), Some("at-new"));
    // Under the very name: said at once, and nothing is asked at the issuer for nothing.
    assert_eq!(kind(house.login("wlcg").await), Kind::DeniedByPolicy);
    let old = house.vault.record(&key);
    assert_eq!((old.owner.user.as_str(), secret(&old)), ("alice", Some("rt0")));
    assert_eq!(old.generation, 0, "written to");
}

#[tokio::test(start_paused = true)]
async fn a_uid_that_nobody_has_is_refused() {
    let house = House::new();
    let error = house.service.caller(4242, None).await.unwrap_err();
    // "Does not answer" cannot be told from "nobody": try again, exit 5.
    assert_eq!(error.kind, Kind::StoreUnavailable);
    assert!(error.message.contains("4242"));
}

#[tokio::test(start_paused = true)]
async fn an_account_is_shown_with_what_its_owner_may_know_and_no_secret() {
    let house = House::new();
    house.log_in(ALICE).await;
    house.sign_in("", sign_in_of("alice-sub")).await;
    house.signed_in_elsewhere();
    let infos = house.service.list(&house.caller(ALICE)).await.unwrap();
    let text = format!("{infos:?}");
    for secret in ["rt-new", "at-new", "client-secret", "rt-of-1001"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let wlcg = infos.iter().find(|info| info.name == "wlcg").unwrap();
    assert!(wlcg.is_default && wlcg.state == "signed-in" && !wlcg.login_running);
    assert_eq!(wlcg.issuer_name.as_deref(), Some("wlcg"));
    assert_eq!(wlcg.subject.as_deref(), Some("alice-sub"));
    assert_eq!(wlcg.access_expires_at, Some(house.clock.wall().0 + 3600));
    assert!(wlcg.token_file.as_ref().unwrap().ends_with("users/1001/bt_u1001"));
    let closed = infos.iter().find(|info| info.name == "old").unwrap();
    assert_eq!((closed.state.as_str(), closed.reason.as_deref()), ("unreadable", Some("no key")));
    assert_eq!(house.service.show(&house.caller(ALICE), "").await.unwrap(), *wlcg);
}

impl House {
    /// Two more accounts of alice's, one of which does not open.
    fn signed_in_elsewhere(&self) {
        self.add(ALICE, "alice", "cms", "https://cms.test/");
        self.vault.unreadable.lock().unwrap().insert(self.alices("old"), "no key".into());
    }
}

#[tokio::test(start_paused = true)]
async fn status_and_issuers_say_how_things_are_here() {
    let house = House::new();
    house.log_in(ALICE).await;
    let session = house.log_in(BOB).await.session;
    house.service.close_session(session);
    let status = house.service.status(&house.caller(ALICE)).await.unwrap();
    assert_eq!((status.node.as_str(), status.sessions, status.notice), ("login1", 1, true));
    assert_eq!((status.files_until, status.announce_ahead_seconds), (None, 432_000));
    let bobs = house.service.status(&house.caller(BOB)).await.unwrap();
    assert_eq!((bobs.sessions, bobs.files_until), (0, Some(house.clock.wall().0 + 900)));
    *house.issuers.health.lock().unwrap() = Some(Health::Open(S));
    let issuers = house.service.issuers(&house.caller(ALICE)).await.unwrap();
    let brief: Vec<_> =
        issuers.iter().map(|i| (i.name.as_str(), i.client.as_str(), i.is_default)).collect();
    assert_eq!(brief, [("cms", "per-user", false), ("wlcg", "per-site", true)]);
    assert!(issuers.iter().all(|issuer| issuer.health == "unreachable"));
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_names_what_is_wrong_and_what_to_do() {
    let house = House::new();
    let alice = house.caller(ALICE);
    let findings = house.service.diagnose(&alice).await.unwrap();
    assert!(findings.iter().any(|f| f.level == "warning" && f.advice.contains("iamctl login")));
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    let findings = house.service.diagnose(&alice).await.unwrap();
    assert!(findings.iter().all(|finding| finding.level == "ok"), "{findings:?}");
    house.change(&key, |record| {
        record.access_token.as_mut().unwrap().token = "x".repeat(5000).into();
        record.state = State::LoginRequired { reason: "revoked".into() };
    });
    *house.issuers.health.lock().unwrap() = Some(Health::Open(30 * S));
    let findings = house.service.diagnose(&alice).await.unwrap();
    for text in ["revoked", "asked again in 30 s", "XRootD"] {
        let found = findings.iter().find(|finding| finding.text.contains(text));
        assert!(found.is_some_and(|f| f.level != "ok" && !f.advice.is_empty()), "{findings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_login_is_in_the_status_while_it_runs_and_nobody_elses() {
    let house = House::new();
    house.log_in(ALICE).await;
    let logins = async |uid| {
        let status = house.service.status(&house.caller(uid)).await.unwrap();
        status.logins.unwrap()
    };
    let mine = logins(ALICE).await;
    assert_eq!(mine.len(), 1);
    assert_eq!((mine[0].account.as_str(), mine[0].state.as_str()), ("wlcg", "pending"));
    assert_eq!(mine[0].user_code.as_deref(), Some("AB12CD"));
    assert_eq!(mine[0].issuer_title, "WLCG");
    assert!(house.service.list(&house.caller(ALICE)).await.unwrap().is_empty(), "no account yet");
    assert!(logins(BOB).await.is_empty());
    house.service.cancel_login(&house.caller(ALICE), "").await.unwrap();
    house.later(1).await;
    assert!(logins(ALICE).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_asks_for_client_and_refresh_token_and_uses_nothing_up() {
    let house = House::new();
    let key = house.signed_in_with_token();
    let alice = house.caller(ALICE);
    *house.issuers.alive.lock().unwrap() = Some(Ok(Some(false)));
    let findings = house.service.diagnose(&alice).await.unwrap();
    let dead = findings.iter().find(|f| f.name == "sign-in of account wlcg").unwrap();
    assert_eq!(
        (dead.level.as_str(), dead.advice.as_str()),
        ("problem", "Sign in with:  iamctl login")
    );
    let clients = |findings: &[iamd_protocol::bus::Finding]| {
        findings.iter().filter(|f| f.name.starts_with("client of")).cloned().collect::<Vec<_>>()
    };
    // What it said of the token it said to this client.
    let site = clients(&findings);
    assert_eq!((site.len(), site[0].level.as_str()), (1, "ok"));
    assert!(house.issuers.tried.lock().unwrap().is_empty());
    let mut own = house.vault.clients.lock().unwrap().values().next().unwrap().0.clone();
    own.owner = ClientOwner::User(ALICE);
    own.registration_access_token = Some("rat-0".to_owned().into());
    own.registration_client_uri = Some("https://issuer.test/reg/1".into());
    let issuer = own.issuer.clone();
    house.vault.clients.lock().unwrap().insert((own.owner.clone(), issuer), (own, 1));
    house.change(&key, |record| record.client_owner = ClientOwner::User(ALICE));
    let known = clients(&house.service.diagnose(&alice).await.unwrap());
    assert_eq!((known.len(), known[0].level.as_str()), (1, "ok"));
    let unknown = IssuerError::ClientRejected { text: "unknown client".into() };
    house.issuers.read_errors.lock().unwrap().push_back(unknown);
    let findings = house.service.diagnose(&alice).await.unwrap();
    let gone = clients(&findings);
    assert_eq!((gone.len(), gone[0].level.as_str()), (1, "problem"));
    assert!(gone[0].advice.contains("--new-client"), "{gone:?}");
    assert_eq!(house.refreshes(), 0, "no refresh token was used");
}

#[tokio::test(start_paused = true)]
async fn r20_new_credentials_that_a_diagnosis_is_told_are_kept_also_when_they_come_late() {
    use secrecy::ExposeSecret as _;
    let house = House::new();
    house.sign_in("cms", sign_in_of("alice-sub")).await;
    let token = || {
        let clients = house.vault.clients.lock().unwrap();
        let (client, _) = &clients[&(ClientOwner::User(ALICE), "https://cms.test/".to_owned())];
        client.registration_access_token.as_ref().unwrap().expose_secret().to_owned()
    };
    assert_eq!(token(), "rat-1");
    *house.issuers.read_latency.lock().unwrap() = 20 * S;
    house.service.diagnose(&house.caller(ALICE)).await.unwrap();
    assert_eq!(token(), "rat-1");
    house.clock.sleep(20 * S).await;
    house.settle().await;
    assert_eq!(token(), "rat-read");
}

#[tokio::test(start_paused = true)]
async fn a_url_of_several_accounts_names_none_that_is_to_be_changed() {
    use iamd_protocol::bus::EditOptions;
    let house = House::new();
    let (url, alice) = ("https://issuer.test/", house.caller(ALICE));
    house.add(ALICE, "alice", "mine", url);
    house.service.rename(&alice, url, "one").await.unwrap();
    house.add(ALICE, "alice", "production", url);
    house.service.set_default(&alice, "production").await.unwrap();
    let removed = house.service.remove(&alice, url, Default::default()).await.unwrap_err();
    let renamed = house.service.rename(&alice, url, "x").await.unwrap_err();
    let edited = house.service.edit(&alice, url, EditOptions::default()).await.unwrap_err();
    for error in [removed, renamed, edited] {
        assert_eq!(error.kind, Kind::InvalidArgument);
        assert!(error.message.ends_with("one, production"), "{error}");
    }
    assert_eq!(house.service.list(&alice).await.unwrap().len(), 2);
    assert_eq!(house.revoked(), [""; 0]);
    // To look at one of them is harmless.
    assert_eq!(house.service.show(&alice, url).await.unwrap().name, "production");
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_does_not_wait_for_ever_for_a_silent_issuer() {
    let house = House::new();
    house.signed_in_with_token();
    *house.issuers.probe_latency.lock().unwrap() = 600 * S;
    let begun = house.clock.monotonic();
    let findings = house.service.diagnose(&house.caller(ALICE)).await.unwrap();
    assert!(house.clock.monotonic() - begun < 20 * S);
    let silent = findings.iter().find(|f| f.name == "issuer wlcg").unwrap();
    assert_eq!((silent.level.as_str(), silent.text.as_str()), ("problem", "no answer within 8 s"));
    assert!(!silent.advice.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_ends_before_iamctl_gives_it_up_though_everything_hangs() {
    let house = House::new();
    house.signed_in_with_token();
    let fixed = "name = \"fix\"\ntitle = \"FIX\"\nurl = \"https://fix.test/\"\nscopes = [\"openid\"]\n\
                 [fixed_client]\nid = \"fixed-id\"\nauth = \"none\"\n";
    std::fs::write(house.dir.path().join("shipped/fix.toml"), fixed).unwrap();
    std::fs::write(house.dir.path().join("iamd.toml"), "[issuers]\ndefault = \"fix\"\n").unwrap();
    house.service.reload(crate::service::By::ITSELF).unwrap();
    // What is looked at first answers at the last moment; then nothing does.
    *house.issuers.probe_latency.lock().unwrap() = 8 * S - Duration::from_millis(1);
    *house.issuers.inspect_latency.lock().unwrap() = 600 * S;
    let begun = house.clock.monotonic();
    let findings = house.service.diagnose(&house.caller(ALICE)).await.unwrap();
    assert!(house.clock.monotonic() - begun <= 16 * S, "iamctl waits for 18 s");
    for name in ["client of issuer fix", "client of account wlcg", "sign-in of account wlcg"] {
        let silent = findings.iter().find(|finding| finding.name == name).unwrap();
        assert!(silent.level != "ok" && silent.text.contains("within 8 s"), "{silent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_shows_where_it_signs_in_and_how_its_client_authenticates() {
    let house = House::new();
    house.sign_in("cms", sign_in_of("alice-sub")).await;
    let alice = house.caller(ALICE);
    let cms = house.service.show(&alice, "cms").await.unwrap();
    assert_eq!(cms.client_auth.as_deref(), Some("client_secret_basic"));
    let uri = cms.registration_client_uri.unwrap();
    assert!(uri.starts_with("https://"), "{uri}");
    let configuration = cms.configuration_endpoint.unwrap();
    assert_eq!(configuration, "https://cms.test/.well-known/openid-configuration");
    assert_eq!(cms.device_authorization_endpoint.unwrap(), "https://cms.test/devicecode");
    assert_eq!(cms.ca_file, None);
    // A client that all share has no place that is this user's.
    house.signed_in();
    let wlcg = house.service.show(&alice, "wlcg").await.unwrap();
    assert_eq!((wlcg.registration_client_uri, wlcg.client.as_deref()), (None, Some("site")));
    house.make("g", super::add::given("id"), &[]).await.unwrap();
    let given = house.service.show(&alice, "g").await.unwrap();
    assert_eq!(given.client_auth.as_deref(), Some("none"));
}

#[tokio::test(start_paused = true)]
async fn a_further_account_at_the_issuer_does_not_become_the_default() {
    let house = House::new();
    house.signed_in_with_token();
    house.add(ALICE, "alice", "another", "https://issuer.test/");
    assert_eq!(house.token(TokenOptions::default()).await.unwrap().token, "at0");
}
