//! Policy as administrators look at it: who is not known, what is required of who signs in, and whose
//! sign-ins a change of that would end.

use super::*;
use crate::{
    account::{ClaimValues, Proof, Subject},
    audit::Kind as Event,
};

#[tokio::test]
async fn a_user_whom_the_name_service_does_not_know_is_told_as_that_and_not_as_everybody() {
    let house = House::new();
    let error = house.service.explain_policy(By::ITSELF, "alise").await.unwrap_err();
    assert_eq!(error.kind, Kind::NoSuchUser);
    shows("Policy", "iamctl admin policy explain of a user who is not known", error);
    let recorded = house.audit.of(Event::Administration).pop().unwrap();
    assert_eq!(
        (recorded.result.as_str(), recorded.detail.as_str()),
        ("NoSuchUser", "policy explain alise")
    );
    assert!(house.service.explain_policy(By::ITSELF, "alice").await.is_ok());
    // One that does not answer is another thing: what is known is told.
    house.name_service_dies(true);
    assert!(house.service.explain_policy(By::ITSELF, "alise").await.is_ok());
}

/// What the site requires of who signs in at wlcg, on the disk from now on.
fn require(house: &House, rule: &str) {
    let wlcg = "name = \"wlcg\"\ntitle = \"WLCG\"\nurl = \"https://issuer.test/\"\n\
                scopes = [\"openid\", \"offline_access\", \"storage.read:/\"]\n";
    let path = house.dir.path().join("issuers.d/wlcg.toml");
    std::fs::write(path, format!("{wlcg}{rule}")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_required_of_who_signs_in_is_explained_with_its_line() {
    let house = House::new();
    let map = house.dir.path().join("map");
    std::fs::write(&map, "4711 -> alice\n4712 -> alice\n4713 -> carol\n").unwrap();
    let mapped = format!("[identity]\nclaim = \"sub\"\nmap_file = \"{}\"\n", map.display());
    let equal = "[identity]\nclaim = \"preferred_username\"\nmust_equal = \"{user}\"\n";
    for (rule, everybody, alice, bob) in [
        (
            equal,
            "sign in only where preferred_username is {user}",
            "sign in at wlcg only where preferred_username is alice",
            "sign in at wlcg only where preferred_username is bob",
        ),
        (
            mapped.as_str(),
            "sign in only where sub is one that the site maps to {user} (the map has 3)",
            "sign in at wlcg only where sub is one that the site maps to alice (the map has 2)",
            "sign in at wlcg only where sub is one that the site maps to bob (the map has none, so nobody can)",
        ),
    ] {
        require(&house, rule);
        let check = house.service.check_policy(By::ITSELF).await;
        assert_eq!((check.good, check.in_force), (true, Some(false)), "it is not read yet");
        let line = check.lines.iter().find(|line| line.key == "identity").unwrap();
        assert_eq!((line.whom.as_str(), line.text.as_str()), ("everybody at wlcg", everybody));
        assert!(line.decided_by[0].ends_with("/issuers.d/wlcg.toml:6"), "{line:?}");
        house.service.reload(By::ITSELF).unwrap();
        assert_eq!(house.service.check_policy(By::ITSELF).await.in_force, Some(true));
        for (user, text) in [("alice", alice), ("bob", bob)] {
            let line = house.line(user, "identity").await;
            assert_eq!((line.whom.as_str(), line.text.as_str()), (user, text));
            assert!(line.decided_by[0].ends_with("/issuers.d/wlcg.toml:6"), "{line:?}");
        }
    }
    // Of an issuer that a user may not use, nothing is said.
    house.rules("rules", "[[rule]]\nfor = \"bob\"\nissuers = [\"cms\"]\n");
    house.service.reload(By::ITSELF).unwrap();
    let lines = house.service.explain_policy(By::ITSELF, "bob").await.unwrap();
    assert!(lines.iter().all(|line| line.key != "identity"), "{lines:?}");
    // A map with mistakes, or none: each is named with its place.
    for (text, problem) in [
        (Some("4711 -> alice\n4712 alice\n"), "map:2: must be: VALUE -> USER"),
        (None, "wlcg.toml:7: identity.map_file: names "),
    ] {
        match text {
            Some(text) => std::fs::write(&map, text).unwrap(),
            None => std::fs::remove_file(&map).unwrap(),
        }
        let check = house.service.check_policy(By::ITSELF).await;
        let [found] = check.problems.as_slice() else { panic!("{check:?}") };
        assert!(!check.good && found.message.contains(problem), "{found:?}");
    }
}

#[tokio::test]
async fn a_check_compares_every_key_and_explains_those_that_no_rule_changes() {
    let file = |house: &House| house.dir.path().join("iamd.toml");
    let house = House::with("[issuers]\ndefault = \"wlcg\"\n");
    let check = async |house: &House| house.service.check_policy(By::ITSELF).await;
    assert_eq!(check(&house).await.in_force, Some(true));
    let base = "[issuers]\ndefault = \"wlcg\"\n";
    for change in [
        "[site]\nname = \"grid\"\n",
        "[site]\ncontact = \"grid@example.org\"\n",
        "[users]\nmin_uid = 2000\n",
        "[policy]\npublic_password = true\n",
        "[login]\nunanswered_limit = 7\n",
        "[login]\nanswer_within = \"1s\"\n",
        "[tokens]\nrenew_at = 0.5\n",
        "[tokens]\nmin_valid = \"2m\"\n",
        "[sessions]\ngrace = \"1h\"\n",
        "[limits]\nlogin_starts = 11\n",
        "[limits]\ntokens_per_minute = 121\n",
        "[limits]\nframe_bytes = 2048\n",
        "[agent_socket]\nenabled = false\n",
        "[log]\nfilter = \"debug\"\n",
    ] {
        std::fs::write(file(&house), format!("{base}{change}")).unwrap();
        assert_eq!(check(&house).await.in_force, Some(false), "{change}");
        house.service.reload(By::ITSELF).unwrap();
        let found = check(&house).await;
        assert_eq!((found.in_force, found.warnings), (Some(true), vec![]), "{change}");
    }
    // An issuer's file too.
    require(&house, "client_name = \"another\"\n");
    assert_eq!(check(&house).await.in_force, Some(false));
    house.service.reload(By::ITSELF).unwrap();
    // What a reload does not change.
    let limits = "[limits]\nreply_time = \"10s\"\nreply_bytes = 5000\nissuer_requests = 4\n";
    std::fs::write(file(&house), format!("{base}{limits}")).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let found = check(&house).await;
    assert_eq!((found.in_force, found.warnings.len()), (Some(false), 3), "{found:?}");
    assert_eq!(found.warnings[1], "limits.reply_time holds from the next start of iamd on");

    let keys = "[policy]\npublic_password = true\n[limits]\nlogin_starts = 11\n";
    std::fs::write(file(&house), format!("{base}{keys}")).unwrap();
    house.service.reload(By::ITSELF).unwrap();
    let found = check(&house).await;
    let explained = house.service.explain_policy(By::ITSELF, "alice").await.unwrap();
    for (whom, lines) in [("everybody", &found.lines), ("alice", &explained)] {
        for (key, text, by) in [
            (
                "public_password",
                "may sign in by password with a client without a secret",
                "/iamd.toml:4",
            ),
            ("login_starts", "may begin 11 logins in a minute", "/iamd.toml:6"),
            (
                "tokens_per_minute",
                "may have issuers asked for 120 tokens in a minute",
                "default of limits.tokens_per_minute",
            ),
        ] {
            let line = lines.iter().find(|line| line.key == key && line.whom == whom).unwrap();
            assert_eq!(line.text, text);
            assert!(line.decided_by[0].ends_with(by), "{line:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_names_the_sign_ins_that_a_changed_rule_would_end() {
    let house = House::new();
    let proven = |house: &House, key: &AccountKey, value: &str| {
        let values = ClaimValues::new([value]);
        let proof = Some(Proof { claim: "preferred_username".into(), values });
        let subject = Subject { sub: value.into(), name: None, proof };
        house.change(key, |record| record.subject = Some(subject));
    };
    let alice = house.signed_in();
    proven(&house, &alice, "alice");
    let bob = house.add(BOB, "bob", "mine", "https://issuer.test/");
    proven(&house, &bob, "robert");
    house.add(ALICE, "alice", "second", "https://issuer.test/");
    house.add(BOB, "bob", "cms", "https://cms.test/");
    assert!(house.service.check_policy(By::ITSELF).await.warnings.is_empty());
    require(&house, "[identity]\nclaim = \"preferred_username\"\nmust_equal = \"{user}\"\n");
    let warnings = house.service.check_policy(By::ITSELF).await.warnings;
    let [ends, unknown] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(
        ends.ends_with("/issuers.d/wlcg.toml:6: sign-ins that end when they are renewed, unless the issuer says something else by then (1): bob (mine)"),
        "{ends}"
    );
    assert!(
        unknown.ends_with("sign-ins that go on only if the issuer says the claim when they are renewed (1): alice (second)"),
        "{unknown}"
    );
    // In force, it is no change any more.
    house.service.reload(By::ITSELF).unwrap();
    assert!(house.service.check_policy(By::ITSELF).await.warnings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_does_not_end_holds_neither_a_check_nor_a_reload_for_ever() {
    let house = House::new();
    let before = house.service.config();
    // As one does whose file system does not answer.
    let stuck = house.service.reading.clone().lock_owned().await;
    let check = house.service.check_policy(By::ITSELF).await;
    assert!(!check.good && check.problems[0].text.contains("does not answer"), "{check:?}");
    let error = house.service.reread(By::ITSELF).await.unwrap_err();
    assert_eq!(error.kind, Kind::ConfigurationInvalid);
    let dir = house.dir.path().to_str().unwrap();
    let message = error.message.replace(dir, "/etc/iamd");
    shows("Configuration", "a file system does not answer", ServiceError { message, ..error });
    assert!(std::sync::Arc::ptr_eq(&before, &house.service.config()));
    drop(stuck);
    house.service.reread(By::ITSELF).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rule_for_a_user_whom_nobody_knows_is_a_warning() {
    let house = House::ruled("\n[[rule]]\nfor = [\"alice\", \"alcie\"]\naccounts = 3\n");
    let check = house.service.check_policy(By::ITSELF).await;
    let [warning] = &check.warnings[..] else { panic!("{check:?}") };
    let text =
        "/policy.d/rules.toml:4: the name service knows no user alcie now: the rule is for nobody";
    assert!(warning.ends_with(text), "{warning}");
    // One that says nothing may know them.
    house.name_service_dies(true);
    let check = house.service.check_policy(By::ITSELF).await;
    assert!(check.good && check.warnings.is_empty(), "{check:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_name_has_another_ending_is_a_warning() {
    let house = House::ruled("\n[[rule]]\nfor = \"alice\"\naccounts = 3\n");
    let rule = "[[rule]]\nfor = \"alice\"\naccounts = 4\n";
    for name in ["policy.d/90-more.conf", "policy.d/.rules.toml.swp", "policy.d/rules.toml~"] {
        std::fs::write(house.dir.path().join(name), rule).unwrap();
    }
    std::fs::write(house.dir.path().join("issuers.d/cms.tml"), "").unwrap();
    let check = house.service.check_policy(By::ITSELF).await;
    let dir = house.dir.path().to_str().unwrap();
    let told: Vec<_> = check.warnings.iter().map(|line| line.replace(dir, "/etc/iamd")).collect();
    let is_not_read = "is not read, as its name does not end in .toml";
    assert_eq!(
        told,
        [
            format!("/etc/iamd/policy.d/90-more.conf: {is_not_read}"),
            format!("/etc/iamd/issuers.d/cms.tml: {is_not_read}"),
        ]
    );
}
