//! Rules: who may do what, changed while the daemon runs, explained and enforced; and a name
//! service that is dead, which holds up no login.

use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Product, World, eventually, sign_in, token_file,
};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::delay::Stacks;
use crate::own::json;

pub fn cases() -> Vec<Case> {
    cases![
        a_rule_for_a_group_is_enforced_with_the_reload_and_explained_with_its_line,
        rules_that_contradict_are_told_by_check_and_reload_and_what_is_in_force_stays,
        a_pipe_among_the_rules_is_told_and_holds_nobody,
        only_an_administrator_sees_rules_and_a_user_hears_what_is_allowed,
        ;
        apart: a_dead_name_service_delays_no_login_and_gives_nobody_more,
    ]
}

const RULES: &str = "/etc/iamd/policy.d/10-groups.toml";
/// The module's deadline and 200 ms.
const DEADLINE: Duration = Duration::from_millis(1200);

/// Two issuers, and a node of this module's own.
struct Ruled {
    node: Node,
    issuer: Issuer,
}

fn ruled(world: &World, name: &str) -> Result<Ruled, Error> {
    let issuer = world.start_issuer(IssuerSpec::new(&format!("{name}.test")))?;
    let other = world.issuer()?;
    let product = Product::new(&issuer).issuer("other", other);
    let product = product.config("[users]\nmin_uid = 1000\n");
    let node = world.boot(product.on(world.spec(name)))?;
    iamd_tests::sign_in::warm(&node)?;
    Ok(Ruled { node, issuer })
}

fn rules(node: &Node, text: &str) -> Result<(), Error> {
    node.put(RULES, 0o644, "root", text.as_bytes())
}

fn reload(node: &Node) -> Result<(), Error> {
    node.exec("systemctl reload iamd")?.ok().map(|_| ())
}

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in: {text}");
}

/// The line of an explanation with this key.
fn explained(node: &Node, user: &str, key: &str) -> Result<Value, Error> {
    let said = json(&node.exec(&format!("iamctl admin policy explain {user} --json"))?.ok()?)?;
    let lines = said["lines"].as_array().cloned().unwrap_or_default();
    let found = lines.into_iter().find(|line| line["key"] == key);
    found.ok_or_else(|| Error::Wrong(format!("no {key} in {said}")))
}

fn a_rule_for_a_group_is_enforced_with_the_reload_and_explained_with_its_line(
    world: &World,
) -> Outcome {
    let Ruled { node, issuer } = ruled(world, "ruled")?;
    let (student, other) = (world.user()?, world.user()?);
    node.root_says(&format!("groupadd students && usermod -aG students {student}"))?;
    let _session = sign_in(&node, &issuer, &student)?;
    let _other = sign_in(&node, &issuer, &other)?;
    let file = token_file(&student)?;
    node.exec_as(&student, "iamctl token")?.ok()?;

    rules(&node, "[[rule]]\nfor = \"@students\"\nissuers = [\"other\"]\naccounts = 3\n")?;
    let check = node.exec("iamctl admin policy check")?.ok()?;
    contains(&check.text(), "may use the issuers other");
    contains(&check.text(), &format!("{RULES}:3"));
    contains(&check.errors(), "It is not in force yet");
    contains(&node.exec("iamd --check")?.ok()?.errors(), "1 files with rules");
    // Not before the reload.
    node.exec_as(&student, "iamctl token")?.ok()?;
    node.exec_as(&student, "iamctl status -s")?.ok()?;
    reload(&node)?;
    // The silent status says what a token would, and the other one why.
    node.exec_as(&student, "iamctl status -s")?.exited(4)?;
    let seen = json(&node.exec_as(&student, "iamctl status --json")?.ok()?)?;
    let account = &seen["accounts"][0];
    assert_eq!(
        (&account["state"], &account["access_expires_at"]),
        (&"refused".into(), &Value::Null)
    );
    contains(&node.exec_as(&student, "iamctl status")?.ok()?.text(), "refused by this site");

    let refused = node.exec_as(&student, "iamctl token")?.exited(4)?;
    contains(&refused.errors(), "does not let you use the issuer test; you may use: other");
    assert!(!refused.errors().contains(RULES), "{refused:?}");
    let denied = node.journal("iamd")?;
    let fields = node.root_says("journalctl -u iamd -o json --no-pager | grep DeniedByPolicy")?;
    contains(&(denied + &fields), &format!("{RULES}:3"));
    eventually("the token file goes", Duration::from_secs(20), || {
        node.exec(&format!("test ! -e {file}"))?.ok()
    })?;
    node.exec_as(&other, "iamctl token")?.ok()?;
    let listed = json(&node.exec_as(&student, "iamctl issuer list --json")?.ok()?)?;
    let names: Vec<&str> = listed["issuers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|issuer| issuer["name"].as_str())
        .collect();
    assert_eq!(names, ["other"]);
    node.exec_as(&student, "iamctl login new --issuer test --no-wait")?.exited(4)?;
    node.exec_as(&student, "iamctl login new --issuer other --no-wait")?.ok()?;

    let line = explained(&node, &student, "issuers")?;
    assert_eq!(line["values"], serde_json::json!(["other"]));
    assert_eq!(line["decided_by"], serde_json::json!([format!("{RULES}:3")]));
    let line = explained(&node, &student, "accounts")?;
    assert_eq!(line["decided_by"], serde_json::json!([format!("{RULES}:4")]));
    let line = explained(&node, &other, "accounts")?;
    assert_eq!(line["decided_by"], serde_json::json!(["default of limits.accounts"]));
    let said = node.exec(&format!("iamctl admin policy explain {student}"))?.ok()?.text();
    contains(&said, "may have 3 accounts");

    // Whose uid gets no sessions has no automatic login whatever a rule says, by that line.
    let at = node.root_says("grep -n ^min_uid /etc/iamd/iamd.toml | cut -d: -f1")?;
    for (key, values) in
        [("automatic_login", serde_json::json!(["false"])), ("services", serde_json::json!([]))]
    {
        let line = explained(&node, "daemon", key)?;
        assert_eq!(line["values"], values, "{line}");
        assert_eq!(line["decided_by"], serde_json::json!([format!("/etc/iamd/iamd.toml:{at}")]));
        contains(&line["text"].to_string(), "is below users.min_uid, 1000");
        let line = explained(&node, &other, key)?;
        assert!(!line["text"].to_string().contains("min_uid"), "{line}");
    }

    // Allowed again, everything is as it was: the sign-in was kept.
    rules(&node, "")?;
    reload(&node)?;
    node.exec_as(&student, "iamctl status -s")?.ok()?;
    node.exec_as(&student, "iamctl token")?.ok()?;
    eventually("the token file comes back", Duration::from_secs(20), || {
        node.exec(&format!("test -s {file}"))?.ok()
    })?;
    Ok(())
}

fn rules_that_contradict_are_told_by_check_and_reload_and_what_is_in_force_stays(
    world: &World,
) -> Outcome {
    let Ruled { node, .. } = ruled(world, "contrary")?;
    let user = world.user()?;
    node.root_says("groupadd staff1; groupadd staff2")?;
    rules(&node, "[[rule]]\nfor = \"@staff1\"\nlogins = 1\n")?;
    reload(&node)?;
    let second = "/etc/iamd/policy.d/20-more.toml";
    let bad = "[[rule]]\nfor = \"@staff2\"\nlogins = 2\n\n[[rule]]\nfor = \"x\"\naccount = 1\n";
    node.put(second, 0o644, "root", bad.as_bytes())?;
    let expected = [
        format!(
            "{second}:3: rule.logins: contradicts {RULES}:3 for who is in both @staff1 and @staff2"
        ),
        format!("{second}:7: rule.account: unknown key; did you mean accounts?"),
    ];
    let check = node.exec("iamctl admin policy check")?.exited(1)?;
    let told = node.exec("iamd --check")?.exited(78)?;
    let reloaded = node.exec("iamctl admin reload")?.exited(1)?;
    assert_ne!(node.exec("systemctl reload iamd")?.code, 0);
    let journal = node.journal("iamd")?;
    for place in &expected {
        contains(&check.text(), place);
        contains(&told.errors(), place);
        contains(&reloaded.errors(), place);
        contains(&journal, place);
    }
    let problems = json(&node.exec("iamctl admin policy check --json")?.exited(1)?)?;
    assert_eq!(problems["problems"][0]["line"], 3, "{problems}");
    assert_eq!(problems["problems"][0]["file"], second, "{problems}");
    assert_eq!(node.root_says("systemctl is-active iamd")?, "active");
    node.root_says(&format!("usermod -aG staff1 {user}"))?;
    let line = explained(&node, &user, "logins")?;
    assert_eq!(line["decided_by"], serde_json::json!([format!("{RULES}:3")]));
    Ok(())
}

/// Whoever opens a pipe for reading waits for somebody who writes.
fn a_pipe_among_the_rules_is_told_and_holds_nobody(world: &World) -> Outcome {
    let Ruled { node, issuer } = ruled(world, "piped")?;
    let user = world.user()?;
    let _session = sign_in(&node, &issuer, &user)?;
    let pipe = "/etc/iamd/policy.d/90.toml";
    node.root_says(&format!("mkfifo {pipe}"))?;
    for command in ["policy check", "reload"] {
        let said = node.exec(&format!("timeout 30 iamctl admin {command}"))?.exited(1)?;
        let told = said.text() + &said.errors();
        contains(&told, pipe);
        contains(&told, "is not a file");
        node.exec_as(&user, "timeout 30 iamctl token --force-new")?.ok()?;
    }
    contains(&node.exec("timeout 30 iamd --check")?.exited(78)?.errors(), pipe);
    node.root_says(&format!("rm {pipe}"))?;
    node.exec("iamctl admin policy check")?.ok()?;
    Ok(reload(&node)?)
}

fn only_an_administrator_sees_rules_and_a_user_hears_what_is_allowed(world: &World) -> Outcome {
    let node = world.node()?;
    let user = world.user()?;
    for command in ["policy check", &format!("policy explain {user}")] {
        let refused = node.exec_as(&user, &format!("iamctl admin {command} --json"))?.exited(4)?;
        contains(&refused.text(), "NotAuthorized");
    }
    let own = node.exec(&format!("iamctl admin policy explain {user}"))?.ok()?;
    contains(&own.text(), "default of limits.accounts");
    // A name that was mistyped is not told what everybody may.
    let said = node.exec("iamctl admin policy explain nobody-of-that-name")?.exited(1)?;
    assert_eq!(said.text(), "", "{said:?}");
    contains(&said.errors(), "the name service knows no user \u{201c}nobody-of-that-name\u{201d}");
    contains(&said.errors(), "getent passwd");
    Ok(())
}

/// For the daemon alone /etc/group becomes a pipe that nobody writes to: its look-ups do not end.
fn a_dead_name_service_delays_no_login_and_gives_nobody_more(world: &World) -> Outcome {
    let Ruled { node, issuer } = ruled(world, "nameless")?;
    let (member, stranger) = (world.user()?, world.user()?);
    node.root_says(&format!("groupadd vo && usermod -aG vo {member}"))?;
    rules(
        &node,
        "[[rule]]\nfor = \"everybody\"\nissuers = [\"other\"]\n\n[[rule]]\nfor = \"@vo\"\nissuers = [\"+test\"]\n",
    )?;
    reload(&node)?;
    let session = sign_in(&node, &issuer, &member)?;
    let stacks = Stacks::of(world, &node)?;
    let dead = "mkdir -p /run/dead && mkfifo /run/dead/group && \
                nsenter -t $(systemctl show -p MainPID --value iamd) -m -- \
                mount --bind /run/dead/group /etc/group";
    node.root_says(dead)?;

    // Whom it knows keeps what they have.
    stacks.delay_within("name service dead, groups known", &member, DEADLINE)?;
    node.exec_as(&member, "iamctl token")?.ok()?;
    // Whom it does not know is let in, and has no more than everybody.
    stacks.delay_within("name service dead, groups not known", &stranger, DEADLINE)?;
    let refused = node.exec_as(&stranger, "iamctl login --no-wait")?.exited(5)?;
    contains(&refused.errors(), "unless you are in the group vo");
    let line = explained(&node, &stranger, "issuers")?;
    assert_eq!(line["values"], serde_json::json!(["other"]));
    contains(&line["in_doubt"].to_string(), "10-groups.toml:7 (@vo)");
    drop(session);
    Ok(())
}
