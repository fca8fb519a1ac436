//! What the site lets users do, asked where they do it.

use iamd_protocol::{
    bus::{AddOptions, EditOptions, PolicyLine},
    pam::Reply,
};

use super::*;
use crate::audit::Kind as Record;

const GUESTS: &str = "[[rule]]\nfor = \"@guests\"\nissuers = [\"cms\"]\n";

/// The message of an error of this kind.
fn refused<T: std::fmt::Debug>(result: Result<T, ServiceError>, kind: Kind) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(!error.message.contains("policy.d"), "a user sees where rules stand: {error}");
    error.message
}

impl House {
    async fn add_account(&self, issuer: &str, options: AddOptions) -> Result<(), ServiceError> {
        let options = AddOptions { issuer: Some(issuer.into()), ..options };
        self.service.add(&self.caller(ALICE), "", options, Handed::default()).await.map(|_| ())
    }

    pub(super) async fn line(&self, user: &str, key: &str) -> PolicyLine {
        let lines = self.service.explain_policy(By::ITSELF, user).await.unwrap();
        lines.into_iter().find(|line| line.key == key).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_a_rule_takes_away_gives_no_token_no_file_and_no_login() {
    let house = House::ruled(GUESTS);
    let key = house.signed_in_with_token();
    house.log_in(ALICE).await;
    assert!(house.alices_file().is_some());
    house.token(TokenOptions::default()).await.unwrap();
    let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
    assert!(shown.state == "signed-in" && shown.access_expires_at.is_some(), "{shown:?}");

    house.join("alice", "guests");
    let message = refused(house.token(TokenOptions::default()).await, Kind::DeniedByPolicy);
    assert_eq!(message, "this site does not let you use the issuer wlcg; you may use: cms");
    // What is seen is what is to be had, from the moment the rule holds.
    let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
    assert_eq!((shown.state.as_str(), shown.access_expires_at), ("refused", None));
    assert_eq!(shown.reason.as_ref(), Some(&message));
    let audit = house.audit.of(Record::Denial);
    assert!(audit[0].detail.ends_with("/policy.d/rules.toml:3"), "{audit:?}");
    refused(
        house.service.id_token(&house.caller(ALICE), "", None).await.map(drop),
        Kind::DeniedByPolicy,
    );
    refused(house.login("").await, Kind::DeniedByPolicy);
    refused(house.add_account("wlcg", AddOptions::default()).await, Kind::DeniedByPolicy);
    house.add_account("cms", AddOptions::default()).await.unwrap();
    let named = house.service.issuer(&house.caller(ALICE), "wlcg").await;
    refused(named, Kind::DeniedByPolicy);
    let listed = house.service.issuers(&house.caller(ALICE)).await.unwrap();
    assert_eq!(listed.iter().map(|issuer| &*issuer.name).collect::<Vec<_>>(), ["cms"]);
    let listed = house.service.issuers(&house.caller(BOB)).await.unwrap();
    assert_eq!(listed.len(), 2);

    // With the next look the file is gone; the sign-in is kept, and good again when allowed.
    house.service.clone().look_again().await;
    house.settle().await;
    assert_eq!(house.alices_file(), None);
    let again = house.log_in(ALICE).await;
    let expected = "iamd: no access token: this site does not let you use the issuer wlcg";
    assert!(again.notice.unwrap().starts_with(expected));
    assert_eq!(house.alices_file(), None);
    assert_eq!(secret(&house.vault.record(&key)), Some("rt0"));
    assert!(house.revoked().is_empty());
    house.rules("rules", "");
    house.service.reload(By::ITSELF).unwrap();
    house.service.clone().look_again().await;
    house.settle().await;
    assert!(house.alices_file().is_some());
    house.token(TokenOptions::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_way_out_names_whom_to_ask_where_the_site_says_so() {
    let house =
        House::with("[site]\ncontact = \"grid@example.org\"\n[issuers]\ndefault = \"wlcg\"\n");
    house.rules("1", "[[rule]]\nfor = \"alice\"\nissuers = []\n");
    house.service.reload(By::ITSELF).unwrap();
    let message = refused(house.login("").await, Kind::DeniedByPolicy);
    assert!(message.ends_with("you may use: none; ask grid@example.org"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_use_the_default_issuer_is_offered_nothing() {
    let house = House::ruled("[[rule]]\nfor = \"alice\"\nissuers = [\"cms\"]\n");
    let opened = house.log_in(ALICE).await;
    assert_eq!((opened.notice, opened.environment.len()), (None, 0));
    assert!(house.log_in(BOB).await.notice.is_some());
}

#[tokio::test(start_paused = true)]
async fn custom_issuers_are_for_whom_a_rule_says() {
    let house = House::ruled("[[rule]]\nfor = \"alice\"\ncustom_issuers = true\n");
    let options =
        || LoginOptions { issuer: Some("https://other.example/".into()), ..Default::default() };
    house.login_with("", options()).await.unwrap();
    let bobs = house.service.login(&house.caller(BOB), "", options()).await;
    let message = refused(bobs, Kind::IssuerNotAllowed);
    assert_eq!(message, "this site does not allow the issuer https://other.example/");
}

#[tokio::test(start_paused = true)]
async fn flows_are_for_whom_a_rule_says() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nflows = \"password\"\n");
    let message = refused(house.login("").await, Kind::DeniedByPolicy);
    let expected =
        "this site does not let you sign in by a code in a browser; the ways you have: password";
    assert_eq!(message, expected);
    assert_eq!(house.log_in(ALICE).await.notice, None, "nothing is offered that is not allowed");
    let mut handed = Handed::default();
    handed.add("refresh-token", "rt".to_owned().into());
    let options = AddOptions { client_id: Some("c".into()), ..AddOptions::default() };
    let added = house.service.add(&house.caller(ALICE), "wlcg", options, handed).await;
    assert!(refused(added, Kind::DeniedByPolicy).contains("with a refresh token that you bring"));
}

const READERS: &str = "[[rule]]\nfor = \"everybody\"\nscopes = [\"storage.read:/home\"]\n";

#[tokio::test(start_paused = true)]
async fn scopes_that_may_not_be_asked_for_are_refused_by_name_wherever_they_are_asked_for() {
    let house = House::ruled(READERS);
    let named = |text| LoginOptions { scopes: scopes(text), ..LoginOptions::default() };
    let login = house.login_with("", named("storage.read:/ storage.read:/home/a")).await;
    let message = refused(login, Kind::DeniedByPolicy);
    let expected = "this site does not let you ask for the scopes storage.read:/; you may ask for: openid offline_access storage.read:/home";
    assert_eq!(message, expected);
    house.login_with("", named("storage.read:/home/a")).await.unwrap();
    let options = AddOptions { scopes: scopes("compute.read"), ..AddOptions::default() };
    refused(house.add_account("cms", options).await, Kind::DeniedByPolicy);
    // What the site itself would ask for is cut down to what is allowed, if anything is.
    refused(house.add_account("wlcg", AddOptions::default()).await, Kind::DeniedByPolicy);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_names_no_scopes_asks_for_those_of_the_usual_ones_that_are_allowed() {
    let house = House::ruled(READERS);
    let two = "name = \"wlcg\"\ntitle = \"WLCG\"\nurl = \"https://issuer.test/\"\nscopes = \
               [\"openid\", \"offline_access\", \"storage.read:/home\", \"compute.read\"]\n";
    std::fs::write(house.dir.path().join("issuers.d/wlcg.toml"), two).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let done = house.sign_in("", sign_in_of("alice")).await;
    assert_eq!(done.state, "done", "{done:?}");
    let remark = "this site does not let you ask for the scopes compute.read";
    assert!(done.remarks.contains(&remark.to_owned()), "{:?}", done.remarks);
    let record = house.vault.record(&house.alices("wlcg"));
    assert_eq!(record.scopes_asked.to_string(), "offline_access openid storage.read:/home");
}

#[tokio::test(start_paused = true)]
async fn an_account_with_a_scope_that_is_not_allowed_any_more_gives_tokens_for_the_others() {
    let house = House::ruled("");
    let key = house.signed_in_with_token();
    let two = ScopeSet::parse(["storage.read:/home storage.modify:/"]).unwrap();
    house.change(&key, |record| (record.scopes, record.scopes_asked) = (two.clone(), two));
    house.log_in(ALICE).await;
    house.rules("rules", READERS);
    house.service.reload(By::ITSELF).unwrap();
    let message = refused(house.token(TokenOptions::default()).await, Kind::DeniedByPolicy);
    let way_out = "iamctl account edit --remove-scope \"storage.modify:/\" wlcg";
    assert!(message.ends_with(way_out), "{message}");
    let narrowed = TokenOptions { scopes: scopes("storage.read:/home/x"), ..Default::default() };
    house.token(narrowed).await.unwrap();
    let wide = TokenOptions { scopes: scopes("storage.modify:/a"), ..Default::default() };
    refused(house.token(wide).await, Kind::DeniedByPolicy);
    // Another change asks for nothing new; a new scope is asked for.
    let alice = house.caller(ALICE);
    let edit = |options| house.service.edit(&alice, "wlcg", options);
    let more = EditOptions { add_scopes: scopes("compute.read"), ..EditOptions::default() };
    refused(edit(more).await, Kind::DeniedByPolicy);
    let less = EditOptions { remove_scopes: scopes("storage.modify:/"), ..Default::default() };
    edit(less).await.unwrap();
    house.token(TokenOptions::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_for_more_than_was_asked_is_not_given_past_a_rule() {
    let house = House::ruled(READERS);
    let key = house.signed_in_with_token();
    let of = ScopeSet::parse(["openid storage.read:/"]).unwrap();
    house.change(&key, |record| (record.scopes, record.scopes_asked) = (of.clone(), of));
    let all = ScopeSet::parse(["openid storage.read:/ storage.modify:/"]).unwrap();
    house.refresh_says(Ok(Tokens { scopes: Some(all), ..tokens("at-all", None, 3600) }));
    let ask = || TokenOptions { scopes: scopes("openid"), ..TokenOptions::default() };
    // The second time it is in the cache.
    for _ in 0..2 {
        let message = refused(house.token(ask()).await, Kind::DeniedByPolicy);
        assert!(message.contains("storage.modify:/"), "{message}");
    }
    assert_eq!(house.issuers.refreshes.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_older_than_the_site_allows_wants_a_login_and_is_kept() {
    let house = House::ruled("[[rule]]\nfor = \"everybody\"\nlongest_sign_in = \"2d\"\n");
    let key = house.signed_in_with_token();
    let now = house.clock.wall();
    house.change(&key, |record| record.signed_in_at = Some(now));
    assert_eq!(house.log_in(ALICE).await.notice, None, "most of it is left");
    assert!(house.alices_file().is_some());
    house.clock.pass(39 * 3600);
    let notice = house.log_in(ALICE).await.notice.unwrap();
    assert!(notice.contains("your sign-in to WLCG ends in 9 h"), "{notice}");
    let kept = house.vault.record(&key);
    house.clock.pass(9 * 3600 + 1);
    let message = refused(house.token(TokenOptions::default()).await, Kind::LoginRequired);
    assert_eq!(message, "your sign-in is older than this site allows (2d)");
    let less = TokenOptions { scopes: scopes("openid"), ..TokenOptions::default() };
    refused(house.token(less).await, Kind::LoginRequired);
    let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
    assert_eq!(
        (shown.state.as_str(), shown.reason.as_deref()),
        ("login-required", Some(&*message))
    );
    let notice = house.log_in(ALICE).await.notice.unwrap();
    assert!(notice.contains("Code"), "{notice}");
    assert_eq!(secret(&house.vault.record(&key)), secret(&kept));
    assert!(secret(&kept).is_some());
    let if_needed = LoginOptions { if_needed: Some(true), ..LoginOptions::default() };
    assert_eq!(house.login_with("", if_needed).await.unwrap().state, "pending");
}

#[tokio::test(start_paused = true)]
async fn validities_secrets_and_clients_are_for_whom_a_rule_says() {
    let rules = "[[rule]]\nfor = \"everybody\"\nlongest_min_valid = \"30m\"\nown_clients = false\n\
                 [[rule]]\nfor = \"@ops\"\nshow_secrets = true\nown_clients = true\n";
    let house = House::ruled(rules);
    house.signed_in_with_token();
    let valid = |seconds| TokenOptions { min_valid_seconds: Some(seconds), ..Default::default() };
    house.token(valid(1800)).await.unwrap();
    let message = refused(house.token(valid(1801)).await, Kind::DeniedByPolicy);
    assert_eq!(message, "this site lets you ask for a validity of 30m at most");
    let own = || AddOptions { own_client: Some(true), ..AddOptions::default() };
    refused(house.add_account("cms", own()).await, Kind::DeniedByPolicy);
    let alice = house.caller(ALICE);
    let secrets = || house.service.secrets(&alice, "wlcg");
    refused(secrets().await, Kind::DeniedByPolicy);
    house.join("alice", "ops");
    house.add_account("cms", own()).await.unwrap();
    assert_eq!(secrets().await.unwrap().refresh_token.as_deref(), Some("rt0"));
}

#[tokio::test(start_paused = true)]
async fn quotas_are_for_whom_a_rule_says() {
    let house = House::ruled("[[rule]]\nfor = \"alice\"\naccounts = 1\nlogins = 1\nrequests = 1\n");
    house.login("one").await.unwrap();
    assert_eq!(kind(house.login("two").await), Kind::TooManyAccounts);
    house.add(ALICE, "alice", "two", "https://cms.test/");
    let held = house.service.quota.enter(ALICE, 1).unwrap();
    assert_eq!(kind(house.token(TokenOptions::default()).await), Kind::TooManyRequests);
    drop(held);
    let bob = house.caller(BOB);
    for name in ["one", "two"] {
        house.service.login(&bob, name, LoginOptions::default()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn services_and_the_automatic_login_are_for_whom_a_rule_says() {
    let rules = "[[rule]]\nfor = \"@batch\"\nservices = [\"login\"]\n\
                 [[rule]]\nfor = \"bob\"\nautomatic_login = false\nservices = [\"sshd\", \"xrdp\"]\n";
    let house = House::ruled(rules);
    assert!(house.log_in(ALICE).await.notice.is_some());
    assert_eq!(house.log_in(BOB).await.notice, None);
    let through = |uid, service: &str| iamd_protocol::pam::Open {
        service: service.into(),
        ..house.frame(uid)
    };
    assert!(matches!(house.answer(through(ALICE, "xrdp")).await, Reply::Ignored));
    assert!(matches!(house.answer(through(BOB, "xrdp")).await, Reply::Opened(_)));
    house.join("alice", "batch");
    assert!(matches!(house.answer(through(ALICE, "sshd")).await, Reply::Ignored));
}

#[tokio::test(start_paused = true)]
async fn a_dead_name_service_holds_up_no_login_and_gives_nobody_more() {
    let house = House::ruled(&format!("{GUESTS}services = [\"login\"]\nautomatic_login = false\n"));
    house.signed_in_with_token();
    house.name_service_dies(true);
    let before = house.clock.monotonic();
    let opened = house.log_in(ALICE).await;
    assert!(house.clock.monotonic() - before <= Duration::from_millis(700));
    assert!(!opened.environment.is_empty(), "the session counts until the opposite is known");
    assert_eq!(house.alices_file(), None);
    house.later(120).await;
    assert_eq!(house.alices_file(), None, "a doubt brings no file either");
    let message = refused(house.token(TokenOptions::default()).await, Kind::StoreUnavailable);
    let expected = "unless you are in the group guests, of which the name service says nothing now";
    assert!(message.ends_with(expected), "{message}");
    let shown = house.service.show(&house.caller(ALICE), "").await.unwrap();
    assert_eq!((shown.state.as_str(), shown.access_expires_at), ("signed-in", None));
    // It answers again.
    house.name_service_dies(false);
    house.token(TokenOptions::default()).await.unwrap();
    house.later(61).await;
    house.settle().await;
    assert!(house.alices_file().is_some(), "the keeper asked again");
}

#[tokio::test(start_paused = true)]
async fn a_file_stays_until_its_token_ends_while_the_name_service_is_dead() {
    let house = House::ruled(GUESTS);
    house.signed_in_with_token();
    house.log_in(ALICE).await;
    assert!(house.alices_file().is_some());
    house.name_service_dies(true);
    house.service.clone().look_again().await;
    house.later(600).await;
    assert!(house.alices_file().is_some());
    assert_eq!(house.refreshes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_that_turns_out_to_be_none_after_the_answer() {
    let house = House::ruled("[[rule]]\nfor = \"@batch\"\nservices = [\"login\"]\n");
    house.join("alice", "batch");
    house.name_service_dies(true);
    assert!(matches!(house.answer(house.frame(ALICE)).await, Reply::Opened(_)));
    assert_eq!(house.sessions.count(ALICE), 1);
    house.name_service_dies(false);
    house.later(6).await;
    house.settle().await;
    assert_eq!(house.sessions.count(ALICE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_a_rule_forbids_while_it_runs_is_not_kept() {
    let house = House::ruled("");
    house.login("").await.unwrap();
    house.rules("rules", "[[rule]]\nfor = \"alice\"\nissuers = [\"cms\"]\n");
    house.service.reload(By::ITSELF).unwrap();
    house.approve(sign_in_of("alice"));
    let state = house.end_of_login("").await;
    assert_eq!(state.error.as_deref(), Some("DeniedByPolicy"), "{state:?}");
    assert_eq!(house.revoked(), ["rt-new"]);
}

#[tokio::test(start_paused = true)]
async fn contradictions_are_reported_by_check_and_by_reload_and_what_is_in_force_stays() {
    let house = House::ruled("[[rule]]\nfor = \"@a\"\nlogins = 1\n");
    house.join("alice", "a");
    house.rules("other", "[[rule]]\nfor = \"@b\"\nlogins = 3\n");
    let check = house.service.check_policy(By::ITSELF).await;
    assert!(!check.good && check.lines.is_empty());
    let [problem] = &check.problems[..] else { panic!("{check:?}") };
    assert_eq!((problem.line, problem.key.as_deref()), (Some(3), Some("rule.logins")));
    assert!(problem.file.ends_with("policy.d/rules.toml"), "{problem:?}");
    for text in ["rules.toml:3", "contradicts", "other.toml:3", "both @b and @a"] {
        assert!(problem.message.contains(text), "{problem:?}");
    }
    let error = house.service.reload(By::ITSELF).unwrap_err();
    assert!(error.kind == Kind::ConfigurationInvalid && error.message.contains(&problem.text));
    assert_eq!(house.line("alice", "logins").await.values, ["1"]);
    // What would be in force is told before it is.
    house.rules("other", "[[rule]]\nfor = \"@b\"\npriority = 1\nlogins = 3\n");
    let check = house.service.check_policy(By::ITSELF).await;
    assert_eq!((check.good, check.in_force), (true, Some(false)));
    let whom: Vec<_> =
        check.lines.iter().filter(|line| line.key == "logins").map(|line| &line.whom).collect();
    assert!(whom.contains(&&"@b (priority 1)".to_owned()), "{whom:?}");
    house.service.reload(By::ITSELF).unwrap();
    assert_eq!(house.service.check_policy(By::ITSELF).await.in_force, Some(true));
}

#[tokio::test(start_paused = true)]
async fn an_administrator_sees_what_decided_and_what_is_not_known() {
    let house = House::ruled(GUESTS);
    let line = house.line("alice", "issuers").await;
    assert_eq!((line.values.as_slice(), line.in_doubt.len()), (&["*".to_owned()][..], 0));
    assert_eq!(line.decided_by, ["default of issuers.allow"]);
    house.join("alice", "guests");
    let line = house.line("alice", "issuers").await;
    assert_eq!(line.text, "may use the issuers cms");
    assert!(line.decided_by[0].ends_with("/policy.d/rules.toml:3"), "{line:?}");
    house.name_service_dies(true);
    let line = house.line("bob", "issuers").await;
    assert!(line.in_doubt[0].ends_with("/policy.d/rules.toml:3 (@guests)"), "{line:?}");
    let check = house.service.check_policy(By::ITSELF).await;
    assert!(check.warnings[0].contains("knows no group guests now"), "{check:?}");
    for name in ["", "a b", "a\u{1b}[m"] {
        assert_eq!(
            kind(house.service.explain_policy(By::ITSELF, name).await),
            Kind::InvalidArgument
        );
    }
    let done = house.audit.of(Record::Administration);
    assert_eq!(done.last().unwrap().detail, "policy explain a[m");
}

#[tokio::test]
async fn who_has_a_uid_that_gets_no_session_is_told_so_with_the_line_that_says_it() {
    let rule = "[[policy.rule]]\nfor = \"alice\"\nautomatic_login = true\n";
    for (lines, place) in [
        ("[users]\nservices = [\"sshd\"]\nmin_uid = 1002\n", "/iamd.toml:"),
        ("", "default of users.min_uid"),
    ] {
        let house = House::and(&format!("{lines}{rule}"));
        house.users.0.lock().unwrap().insert(999, "daemon".into());
        let low = if lines.is_empty() { "daemon" } else { "alice" };
        let (login, services) =
            (house.line(low, "automatic_login").await, house.line(low, "services").await);
        assert_eq!((login.values, services.values), (vec!["false".to_owned()], vec![]));
        assert!(login.text.contains("is below users.min_uid"), "{}", login.text);
        assert!(services.text.contains("no token files"), "{}", services.text);
        for by in [&login.decided_by, &services.decided_by] {
            assert!(by.len() == 1 && by[0].contains(place), "{by:?}");
            let line = std::fs::read_to_string(house.dir.path().join("iamd.toml")).unwrap();
            if let Some((_, number)) = by[0].split_once("iamd.toml:") {
                let number: usize = number.parse().unwrap();
                assert_eq!(line.lines().nth(number - 1), Some("min_uid = 1002"));
            }
        }
        // The rules hold for who is not below it, and where it says nothing.
        let line = house.line("bob", "automatic_login").await;
        assert_eq!(line.values, ["true"]);
        assert!(!house.line(low, "accounts").await.text.contains("min_uid"));
    }
    // Explained is what happens.
    let house = House::and("[users]\nmin_uid = 1002\n");
    let reply = house.answer(house.frame(ALICE)).await;
    assert!(matches!(reply, iamd_protocol::pam::Reply::Ignored), "{reply:?}");
}

/// What is explained is what is done: for every combination of rules and users of a table.
#[tokio::test(start_paused = true)]
async fn what_is_explained_is_what_happens() {
    let answers = [
        ("issuers = [\"cms\"]", "issuers = [\"wlcg\"]"),
        ("scopes = [\"storage.read:/\"]", "scopes = [\"compute.read\"]"),
        ("show_secrets = true", "show_secrets = false"),
        ("longest_min_valid = \"1m\"", "longest_min_valid = \"unlimited\""),
        ("automatic_login = false", "automatic_login = true"),
    ];
    let subjects = ["\"everybody\"", "\"@g\"", "\"@h\"", "\"alice\""];
    for (one, other) in answers {
        for (i, wide) in subjects.iter().enumerate() {
            for (j, narrow) in subjects.iter().enumerate().filter(|(j, _)| *j != i) {
                let rules = format!(
                    "[[rule]]\nfor = {wide}\npriority = 1\n{one}\n[[rule]]\nfor = {narrow}\npriority = {}\n{other}\n",
                    j + 2
                );
                let house = House::ruled(&rules);
                house.join("alice", "g");
                let key = house.signed_in_with_token();
                let of = ScopeSet::parse(["openid storage.read:/"]).unwrap();
                house
                    .change(&key, |record| (record.scopes, record.scopes_asked) = (of.clone(), of));
                let values = |key| {
                    let house = &house;
                    async move { house.line("alice", key).await.values }
                };
                let has = |values: &[String], name: &str| {
                    values.iter().any(|value| value == name || value == "*")
                };
                let told = has(&values("issuers").await, "wlcg")
                    && has(&values("scopes").await, "storage.read:/");
                let token = house.token(TokenOptions::default()).await;
                assert_eq!(token.is_ok(), told, "{rules} {token:?}");
                // For less than the account has: the rules on the sign-in hold all the same.
                let less = TokenOptions { scopes: scopes("openid"), ..TokenOptions::default() };
                let token = house.token(less).await;
                assert_eq!(
                    token.is_ok(),
                    has(&values("issuers").await, "wlcg"),
                    "{rules} {token:?}"
                );
                let secrets = house.service.secrets(&house.caller(ALICE), "wlcg").await;
                assert_eq!(secrets.is_ok(), values("show_secrets").await == ["true"], "{rules}");
                let given = house.service.id_token(&house.caller(ALICE), "", None).await;
                let is_denied = given.is_err_and(|error| error.kind == Kind::DeniedByPolicy);
                assert_eq!(is_denied, !told, "{rules}");
                if told {
                    let long = TokenOptions { min_valid_seconds: Some(61), ..Default::default() };
                    let bounded = values("longest_min_valid").await == ["1m"];
                    assert_eq!(house.token(long).await.is_ok(), !bounded, "{rules}");
                }
                house.vault.accounts.lock().unwrap().clear();
                let offered = house.log_in(ALICE).await.notice.is_some();
                assert_eq!(offered, told && values("automatic_login").await == ["true"], "{rules}");
            }
        }
    }
}
