//! Replies that are lost on the way from the issuer's other endpoints than that for tokens: it has
//! done what it was asked for and iamd does not know (`reset_after`), or it was never asked
//! (`reset_before`), and iamd cannot tell which.
//!
//! A client whose registration was lost has no name here, nor has anybody the token that manages it:
//! RFC 7591 has no way to find it. So there is one such client at most for each reply, nothing
//! registers another by itself, and the site is told what to look for.

use std::time::Duration;

use iamd_tests::issuer::Faults;
use iamd_tests::{Error, World, eventually};
use serde_json::{Value, json};

use super::numbers::login;
use super::{RFC, Stage, stage, told};
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{parsed, start_login};

pub fn cases() -> Vec<Case> {
    cases![
        a_lost_reply_to_a_registration_leaves_one_client_at_most_and_its_name_is_recorded,
        a_lost_reply_to_the_registration_of_another_client_leaves_the_account_as_it_was,
        a_lost_reply_to_a_change_of_a_client_costs_no_sign_in_and_the_way_on_is_told,
        a_lost_reply_to_a_deletion_is_no_end_of_trying,
        a_lost_reply_to_a_device_authorization_is_told_and_the_next_one_brings_a_code,
    ]
}

type Result<T> = std::result::Result<T, Error>;

/// The issuers of these tests: in the shape of INDIGO IAM, and as the RFCs have it, where the
/// token that manages a client is another one after each change.
const SHAPES: [(&[(&str, &str)], &str); 2] =
    [(&[], "/iam/api/client-registration"), (&RFC, "/reg")];
/// What was not done is tried again after a minute.
const TRIED_AGAIN: Duration = Duration::from_secs(200);

impl Stage {
    /// One reply is lost, to this method at this path, after the issuer acted or before.
    fn lose(&self, method: &str, path: &str, fault: &str) -> Result<Faults<'_>> {
        self.issuer.faults(&json!([{
            "match": {"path": path, "method": method, "count": 1}, "fault": fault,
        }]))
    }

    fn clients(&self) -> Result<u64> {
        let count = self.issuer.control("GET", "clients", None)?;
        count["count"].as_u64().ok_or_else(|| Error::Wrong(format!("no count: {count}")))
    }

    /// The records of registrations at this issuer with this result.
    fn records(&self, result: &str) -> Result<Vec<Value>> {
        let line = "journalctl --sync; journalctl -b -u iamd -o json --no-pager \
                    IAMD_EVENT=registration";
        let said = self.node().exec(line)?.ok()?.text();
        let records = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let url = self.issuer.url();
        Ok(records
            .filter(|record| record["IAMD_ISSUER"] == *url && record["IAMD_RESULT"] == result)
            .collect())
    }

    fn add(&self) -> String {
        format!("account add {0} --issuer {0} --own-client --no-login -s openid", self.name)
    }
}

/// That a reply was lost may pass, and is said.
fn broke(said: &iamd_tests::Output) -> Outcome {
    let text = said.errors();
    if said.code == 5 && text.contains("broke") {
        return Ok(());
    }
    Err(format!("not told that the connection broke, with 5: {said:?}").into())
}

fn a_lost_reply_to_a_registration_leaves_one_client_at_most_and_its_name_is_recorded(
    world: &World,
) -> Outcome {
    let mut stages = Vec::new();
    for ((options, path), name) in SHAPES.into_iter().zip(["lostreg", "lostreg-rfc"]) {
        let stage = stage(world, name, options)?;
        let start = stage.clients()?;
        let mut lost = 0;
        for (fault, left) in [("reset_before", 0), ("reset_after", 1)] {
            let faults = stage.lose("POST", path, fault)?;
            broke(&stage.iamctl(&stage.add())?)?;
            assert_eq!(faults.counters()?[0]["applied"], 1, "{fault}");
            lost += left;
            assert_eq!(stage.clients()?, start + lost, "{fault}: nothing asks again by itself");
            // Here is no half of an account, and the site has a name to look for.
            stage.iamctl(&format!("account show {name}"))?.exited(1)?;
            let records = stage.records("lost")?;
            let told = records.last().map(|record| record["IAMD_DETAIL"].to_string());
            assert!(told.as_ref().is_some_and(|told| told.contains("\u{201c}iamd")), "{records:?}");
            drop(faults);
            // The next one works, and leaves nothing.
            stage.iamctl(&stage.add())?.ok()?;
            assert_eq!(stage.clients()?, start + lost + 1);
            let said =
                parsed(&stage.iamctl(&format!("account remove {name} --yes --json"))?.ok()?)?;
            assert_eq!(said["client_deleted"], true, "{said}");
            assert_eq!(stage.clients()?, start + lost);
        }
        // The same for the client of a first login, which is everybody's and then there.
        let faults = stage.lose("POST", path, "reset_after")?;
        broke(&stage.iamctl(&format!("login {name} --issuer {name} --no-wait"))?)?;
        drop(faults);
        assert_eq!(stage.clients()?, start + lost + 1);
        login(&stage)?;
        assert_eq!(stage.clients()?, start + lost + 2);
        stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
        stages.push(stage);
    }
    for stage in stages {
        // Those after the first come with how many they were, once a minute.
        eventually(
            "the record of the others",
            TRIED_AGAIN,
            || match &stage.records("lost")?[..] {
                [_, .., last] if last["IAMD_DETAIL"].to_string().contains("within a minute") => {
                    Ok(())
                }
                records => Err(Error::Wrong(format!("{records:?}"))),
            },
        )?;
    }
    Ok(())
}

fn a_lost_reply_to_the_registration_of_another_client_leaves_the_account_as_it_was(
    world: &World,
) -> Outcome {
    let stage = stage(world, "lostnew", &RFC)?;
    stage.iamctl(&stage.add())?.ok()?;
    login(&stage)?;
    let (client, start) = (stage.account()?["client_id"].clone(), stage.clients()?);
    for (fault, left) in [("reset_before", 0), ("reset_after", 1)] {
        let faults = stage.lose("POST", "/reg", fault)?;
        broke(&stage.iamctl("login lostnew --new-client --no-wait")?)?;
        drop(faults);
        assert_eq!(stage.clients()?, start + left, "{fault}");
        assert_eq!(stage.account()?["client_id"], client);
        stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
    }
    Ok(())
}

fn a_lost_reply_to_a_change_of_a_client_costs_no_sign_in_and_the_way_on_is_told(
    world: &World,
) -> Outcome {
    for ((options, path), name) in SHAPES.into_iter().zip(["lostput", "lostput-rfc"]) {
        let stage = stage(world, name, options)?;
        stage.iamctl(&stage.add())?.ok()?;
        login(&stage)?;
        let edit = |name: &str| {
            stage.iamctl(&format!("account edit {} --client-name '{name}' --no-login", stage.name))
        };
        for fault in ["reset_before", "reset_after"] {
            let faults = stage.lose("PUT", &format!("{path}/*"), fault)?;
            broke(&edit("iamd lost")?)?;
            assert_eq!(faults.counters()?[0]["applied"], 1, "{fault}");
            drop(faults);
            // A change of the client is none of the sign-in's.
            assert_eq!(stage.state()?, "signed-in");
            stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
            let again = edit("iamd after it")?;
            if fault == "reset_after" && path == "/reg" {
                // The issuer replaced the token that manages the client, with the reply. That costs
                // the changes of this client, and what helps is said.
                let said = told(&again.exited(1)?)?;
                assert!(said.contains("iamctl login --new-client"), "{said}");
                assert_eq!(stage.state()?, "signed-in");
                stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
            } else {
                again.ok()?;
            }
        }
        if path == "/reg" {
            let said =
                stage.iamctl(&format!("login {name} --new-client --no-wait --json"))?.ok()?;
            let last = said.text().lines().last().unwrap_or_default().to_owned();
            let login: Value = serde_json::from_str(&last)?;
            let word = |key: &str| login[key].as_str().unwrap_or_default().to_owned();
            stage.issuer.approve(&word("verification_uri"), &word("user_code"), &stage.user)?;
            eventually("the client that can be changed", TRIED_AGAIN, || edit("iamd anew")?.ok())?;
        }
        stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
    }
    Ok(())
}

fn a_lost_reply_to_a_deletion_is_no_end_of_trying(world: &World) -> Outcome {
    let mut waiting = Vec::new();
    for ((options, path), name) in SHAPES.into_iter().zip(["lostdel", "lostdel-rfc"]) {
        let stage = stage(world, name, options)?;
        let start = stage.clients()?;
        for (fault, left) in [("reset_before", 1), ("reset_after", 0)] {
            let before = stage.clients()?;
            stage.iamctl(&stage.add())?.ok()?;
            let faults = stage.lose("DELETE", &format!("{path}/*"), fault)?;
            let said = stage.iamctl(&format!("account remove {name} --yes --json"))?.ok()?;
            assert_eq!(faults.counters()?[0]["applied"], 1, "{fault}");
            let reply = parsed(&said)?;
            assert_eq!(reply["client_deleted"], false, "{fault}: nobody knows");
            assert!(reply["remarks"].to_string().contains("tried again for"), "{said:?}");
            stage.iamctl(&format!("account show {name}"))?.exited(1)?;
            assert_eq!(stage.clients()?, before + left, "{fault}");
        }
        waiting.push((stage, start));
    }
    for (stage, start) in waiting {
        // Both are asked for once more: one is deleted, and of the other the issuer says that it is gone,
        // or that it knows no such token.
        eventually("both to be tried again", TRIED_AGAIN, || {
            let ended = ["deleted", "unconfirmed"].map(|result| stage.records(result));
            let [deleted, unconfirmed] = ended;
            let ended = deleted?.len() + unconfirmed?.len();
            match (ended, stage.clients()?) {
                (2, now) if now == start => Ok(()),
                other => Err(Error::Wrong(format!("ended, clients: {other:?}; {start} before"))),
            }
        })?;
    }
    Ok(())
}

fn a_lost_reply_to_a_device_authorization_is_told_and_the_next_one_brings_a_code(
    world: &World,
) -> Outcome {
    for ((options, _), (name, path)) in
        SHAPES.into_iter().zip([("lostcode", "/devicecode"), ("lostcode-rfc", "/device/auth")])
    {
        let stage = stage(world, name, options)?;
        login(&stage)?;
        let clients = stage.clients()?;
        for (fault, seen) in [("reset_before", 0), ("reset_after", 1)] {
            let asked = stage.issuer.count(&format!("POST {path}"))?;
            let faults = stage.lose("POST", path, fault)?;
            broke(&stage.iamctl(&format!("login {name} --no-wait"))?)?;
            assert_eq!(faults.counters()?[0]["applied"], 1, "{fault}");
            drop(faults);
            assert_eq!(stage.issuer.count(&format!("POST {path}"))?, asked + seen, "{fault}");
            // The sign-in that is there is not touched, and the client is not taken for a broken one.
            assert_eq!(stage.clients()?, clients);
            stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
            start_login(stage.node(), &stage.user, name, name)?;
            stage.iamctl(&format!("login {name} --cancel"))?.ok()?;
        }
        login(&stage)?;
        stage.issuer.verify(&stage.new_token()?.ok()?.line())?;
    }
    Ok(())
}
