//! The password flow on a node: who may allow it, who may use it, and that a password is nowhere
//! but on its way.

use std::time::Duration;

use iamd_tests::{Error, Issuer, IssuerSpec, Node, Output, Product, Session, World, eventually};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::memory;
use crate::own::own;
use crate::people::{error_of, json as json_of, parsed, wait_for_state};

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: an_administrator_lets_users_sign_in_by_password_and_takes_it_back,
        polkit_asks_on_the_terminal_and_nowhere_else,
        r35_a_password_is_nowhere_but_on_its_way,
    ]
}

/// Opens the test issuer's client interface, as its own administrator would.
const ADMIN: &str = "the-admin-of-this-run";
const SOON: Duration = Duration::from_secs(20);

/// `iamctl WORDS` as a user, with this on standard input: out of a pipe of the user's own.
fn given(node: &Node, user: &str, stdin: &str, words: &str) -> Result<Output> {
    let line = format!(
        "exec setpriv --reuid {user} --regid {user} --init-groups env HOME=/home/{user} USER={user} \
         bash -c 'cat | iamctl {words}'"
    );
    node.exec_with(&line, stdin.as_bytes(), Duration::from_secs(60))
}

/// A sign-in by password of the account `mine`.
fn by_password(node: &Node, user: &str, password: &str) -> Result<Output> {
    let words = format!("login mine --flow password --user {user} --password-fd 0");
    given(node, user, password, &words)
}

/// The same, refused: the error's name and what `iamctl` says in all.
fn refused(node: &Node, user: &str, password: &str) -> Result<(String, String)> {
    let words = format!("login mine --flow password --user {user} --password-fd 0 --json");
    let said = given(node, user, password, &words)?;
    assert_ne!(said.code, 0, "{said:?}");
    let (name, message) = error_of(&said)?;
    let advice = said.text();
    assert!(advice.contains("iamctl login mine") || name == "IssuerUnreachable", "{said:?}");
    Ok((name, message))
}

fn flow(words: &str, client: &str) -> String {
    format!("iamctl admin password-flow {words} --issuer test --client {client}")
}

/// The client as the issuer has it.
fn at_issuer(node: &Node, issuer: &Issuer, client: &str) -> Result<Value> {
    let url = format!("{}iam/api/clients/{client}", issuer.url());
    parsed(&node.exec(&format!("curl -sS -H 'authorization: Bearer {ADMIN}' {url}"))?.ok()?)
}

fn rule(node: &Node, user: &str, action: &str) -> Result<()> {
    let text = format!(
        "polkit.addRule(function(action, subject) {{ if (action.id == '{action}' && subject.user == \
         '{user}') return polkit.Result.YES; }});"
    );
    // In one step: polkit reads a file once it is there, whole or not.
    node.put("/etc/iamd/rule", 0o644, "root", text.as_bytes())?;
    node.exec("mv /etc/iamd/rule /etc/polkit-1/rules.d/10-iamd.rules")?.ok().map(drop)
}

/// A client of the account's own, registered just now.
fn registered(node: &Node, user: &str) -> Result<String> {
    let add = "iamctl account add mine --issuer test --own-client --no-login";
    node.exec_as(user, add)?.ok()?;
    let shown = json_of(node, user, "iamctl account show mine --json")?;
    let client = shown["account"]["client_id"].as_str().unwrap_or_default().to_owned();
    assert!(!client.is_empty(), "{shown}");
    Ok(client)
}

/// bob's account with which he administers the issuer.
fn administers(node: &Node, issuer: &Issuer) -> Result<()> {
    let add = "iamctl account add iam-admin --issuer test --client-id site-admin \
               --client-secret-fd 3 -s 'iam:admin.read iam:admin.write' --no-login 3<<<site-secret";
    node.exec_as("bob", add)?.ok()?;
    let said = node.exec_as("bob", "iamctl login iam-admin --no-wait --json")?.ok()?;
    let last = said.text().lines().last().unwrap_or_default().to_owned();
    let login: Value =
        serde_json::from_str(&last).map_err(|error| Error::Wrong(format!("{error}: {said:?}")))?;
    let text = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
    issuer.approve(&text("verification_uri"), &text("user_code"), "bob")?;
    wait_for_state(node, "bob", "iam-admin", "signed-in", SOON)
}

fn an_administrator_lets_users_sign_in_by_password_and_takes_it_back(world: &World) -> Outcome {
    let (node, issuer) = own(world, "pwflow", &[("ADMINS", "bob")], "")?;
    let (node, issuer) = (&node, &issuer);
    let client = registered(node, "alice")?;

    // A user is refused, with what to send to whom; the issuer saw no password.
    let (name, message) = refused(node, "alice", "alice-pw")?;
    assert_eq!(name, "DeniedByPolicy");
    let command = flow("enable", &client);
    assert!(message.contains("Test cluster") && message.contains(&command), "{message}");

    // Nobody but an administrator can enable it: not the user, and not one whom no rule names.
    for user in ["alice", "bob"] {
        let said = node.exec_as(user, &format!("{command} --json"))?.exited(4)?;
        assert_eq!(error_of(&said)?.0, "NotAuthorized", "{said:?}");
    }
    rule(node, "bob", "org.iamd1.admin.password-flow")?;
    eventually("polkit to read the rule", SOON, || node.exec_as("bob", &command)?.ok())?;
    node.exec_as("alice", &command)?.exited(4)?;
    // The rule is for that action alone.
    node.exec_as("bob", "iamctl admin users")?.exited(4)?;
    node.exec_as("bob", "iamctl admin password-flow list")?.ok()?;
    let listed = json_of(node, "root", "iamctl admin password-flow list --json")?;
    assert_eq!(listed["password_flows"][0]["client"], client.as_str());
    assert_eq!(listed["password_flows"][0]["enabled_by_user"], "bob");

    // Here it is allowed, at the issuer not yet: no password goes there for nothing.
    let (name, message) = refused(node, "alice", "alice-pw")?;
    assert_eq!(name, "GrantMissing");
    assert!(
        message.contains(&format!("allow grant type password for client {client}")),
        "{message}"
    );
    assert_eq!(issuer.count("POST /token password")?, 0);

    // At the issuer too, as the administrator there that bob is; all else of the client stays.
    let without = node.exec_as("bob", &format!("{command} --at-issuer"))?.exited(3)?;
    assert!(without.errors().contains("iamctl account add iam-admin --issuer test"), "{without:?}");
    administers(node, issuer)?;
    let before = at_issuer(node, issuer, &client)?;
    let enabled = parsed(&node.exec_as("bob", &format!("{command} --at-issuer --json"))?.ok()?)?;
    assert_eq!((&enabled["enabled"], &enabled["at_issuer"]), (&json!(true), &json!(true)));
    let mut after = at_issuer(node, issuer, &client)?;
    let grants = after["grant_types"].as_array_mut().ok_or("no grants")?;
    assert!(grants.contains(&json!("password")), "{grants:?}");
    grants.retain(|grant| grant != "password");
    assert_eq!(before, after, "something else was changed");

    // The user signs in, and a refresh works: the secret is the client's still.
    let done = by_password(node, "alice", "alice-pw\n")?.ok()?;
    assert!(done.errors().contains("RFC 9700") && done.errors().contains("Signed in"), "{done:?}");
    let first = node.exec_as("alice", "iamctl token mine")?.ok()?.line();
    let fresh = node.exec_as("alice", "iamctl token mine --force-new")?.ok()?.line();
    assert_eq!(issuer.verify(&first)?["sub"], issuer.verify(&fresh)?["sub"]);
    assert_ne!(first, fresh);
    assert_eq!(issuer.count("POST /token password")?, 1);
    // User name and password by one descriptor.
    let words = "login mine --flow password --credentials-fd 0";
    let done = given(node, "alice", "alice\nalice-pw\n", words)?.ok()?;
    assert!(done.errors().contains("Signed in"), "{done:?}");
    given(node, "alice", "alice-pw\n", words)?.exited(2)?;
    assert_eq!(issuer.count("POST /token password")?, 2);

    each_refusal_is_told_apart(node, issuer, &client)?;
    what_the_issuer_changes_besides_is_put_back(node, issuer, &client)?;

    // Taken back: the next one is refused, the sign-in that there is lives on.
    node.exec_as("alice", &flow("disable", &client))?.exited(4)?;
    node.exec_as("bob", &flow("disable", &client))?.ok()?;
    assert_eq!(refused(node, "alice", "alice-pw")?.0, "DeniedByPolicy");
    node.exec_as("alice", "iamctl token mine --force-new")?.ok()?;
    // Also after a restart.
    node.restart("iamd")?;
    assert_eq!(refused(node, "alice", "alice-pw")?.0, "DeniedByPolicy");
    node.exec_as("alice", "iamctl token mine --force-new")?.ok()?;

    // Each of it is on record, with who and which client.
    for (uid, result, detail) in [
        (1002, "ok", "password-flow enable"),
        (1002, "ok", "password-flow enable, at the issuer too"),
        (1002, "ok", "password-flow disable"),
    ] {
        let found = node.root_says(&format!(
            "journalctl -b -o cat IAMD_EVENT=administration IAMD_UID={uid} IAMD_CLIENT={client} \
             IAMD_RESULT={result} | grep -c ': {detail}$' || true"
        ))?;
        assert_ne!(found, "0", "{detail}");
    }
    let denied = "journalctl -b -o cat IAMD_EVENT=administration IAMD_UID=1001 \
                  IAMD_RESULT=NotAuthorized | wc -l";
    assert_ne!(node.root_says(denied)?, "0");
    Ok(())
}

fn each_refusal_is_told_apart(node: &Node, issuer: &Issuer, client: &str) -> Outcome {
    let asked = issuer.count("POST /token password")?;
    assert_eq!(refused(node, "alice", "wrong-Canary81")?.0, "WrongPassword");
    let (on, off) = (json!({"signed_aup": false}), json!({"signed_aup": true}));
    issuer.change_user("alice", &on)?;
    let (name, message) = refused(node, "alice", "alice-pw")?;
    assert_eq!(name, "ActionNeeded");
    assert!(message.contains("terms of use"), "{message}");
    issuer.change_user("alice", &off)?;
    issuer.change_user("alice", &json!({"second_factor": true}))?;
    assert_eq!(refused(node, "alice", "alice-pw")?.0, "SecondFactorNeeded");
    issuer.change_user("alice", &json!({"second_factor": false}))?;
    let switch = |how: &str| {
        let url = format!("{}iam/api/clients/{client}/{how}", issuer.url());
        node.exec(&format!("curl -sS -f -X PATCH -H 'authorization: Bearer {ADMIN}' {url}"))?.ok()
    };
    switch("disable")?;
    let (name, message) = refused(node, "alice", "alice-pw")?;
    assert_eq!(name, "ClientBroken");
    assert!(message.contains("suspended"), "{message}");
    switch("enable")?;
    let slow = json!({"path": "/token", "grant_type": "password"});
    let busy = issuer.faults(&json!([{"match": slow, "fault": {"status": {"code": 503}}}]))?;
    assert_eq!(refused(node, "alice", "alice-pw")?.0, "IssuerUnreachable");
    drop(busy);
    // Each was one request; that which the proxy answered never came to the issuer.
    assert_eq!(issuer.count("POST /token password")?, asked + 4);
    by_password(node, "alice", "alice-pw")?.ok()?;
    Ok(())
}

fn what_the_issuer_changes_besides_is_put_back(
    node: &Node,
    issuer: &Issuer,
    client: &str,
) -> Outcome {
    let before = at_issuer(node, issuer, client)?;
    // As if the PUT had turned rotation on: seen when the client is read again.
    let second = json!({"path": "/iam/api/clients/*", "method": "GET", "nth": 2, "count": 1});
    let set = json!({"replace_json": {"set": {"reuse_refresh_token": false}}});
    let trap = issuer.faults(&json!([{"match": second, "fault": set}]))?;
    let disable = format!("{} --at-issuer", flow("disable", client));
    let said = node.exec_as("bob", &disable)?.exited(1)?;
    assert!(said.errors().contains("reuse_refresh_token"), "{said:?}");
    assert!(said.errors().contains("put back as it was"), "{said:?}");
    drop(trap);
    assert_eq!(at_issuer(node, issuer, client)?, before);
    // It is off here all the same, and on again when the administrator wants.
    assert_eq!(refused(node, "alice", "alice-pw")?.0, "DeniedByPolicy");
    node.exec_as("bob", &flow("enable", client))?.ok()?;
    by_password(node, "alice", "alice-pw")?.ok()?;
    node.exec_as("bob", &disable)?.ok()?;
    let after = at_issuer(node, issuer, client)?;
    let grants = after["grant_types"].as_array().ok_or("no grants")?;
    assert!(!grants.contains(&json!("password")), "{grants:?}");
    let enable = format!("{} --at-issuer", flow("enable", client));
    node.exec_as("bob", &enable)?.ok()?;

    // It takes the change, and shows the client no more for a while: looked for again, then put back.
    let before = at_issuer(node, issuer, client)?;
    let unseen = json!({"path": "/iam/api/clients/*", "method": "GET", "nth": 2, "count": 3});
    let fault = json!({"status": {"code": 500}});
    let trap = issuer.faults(&json!([{"match": unseen, "fault": fault}]))?;
    let said = node.exec_as("bob", &disable)?.exited(1)?;
    assert!(said.errors().contains("could not be seen"), "{said:?}");
    assert!(said.errors().contains("put back as it was"), "{said:?}");
    drop(trap);
    assert_eq!(at_issuer(node, issuer, client)?, before);
    // It takes the change, changes more, and takes nothing back: what is left there is told.
    let second = json!({"path": "/iam/api/clients/*", "method": "GET", "nth": 2, "count": 1});
    let back = json!({"path": "/iam/api/clients/*", "method": "PUT", "nth": 2, "count": 3});
    let trap = issuer.faults(&json!([
        {"match": second, "fault": {"replace_json": {"set": {"reuse_refresh_token": false}}}},
        {"match": back, "fault": {"status": {"code": 500}}},
    ]))?;
    let said = node.exec_as("bob", &disable)?.exited(1)?;
    assert!(said.errors().contains("could not be put back"), "{said:?}");
    assert!(said.errors().contains("Left there is: grant_types"), "{said:?}");
    drop(trap);
    let left = node.root_says(&format!(
        "journalctl -b -o cat IAMD_EVENT=registration IAMD_CLIENT={client} \
         IAMD_RESULT=not-put-back | wc -l"
    ))?;
    assert_eq!(left, "1");
    node.exec_as("bob", &enable)?.ok()?;
    let mut after = at_issuer(node, issuer, client)?;
    let mut was = before;
    for client in [&mut after, &mut was] {
        let grants = client["grant_types"].as_array_mut().ok_or("no grants")?;
        grants.sort_by_key(Value::to_string);
    }
    assert_eq!(after, was);
    Ok(())
}

fn polkit_asks_on_the_terminal_and_nowhere_else(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("pwasks.test"))?;
    let rfc = IssuerSpec::new("pwasks-rfc.test").option("SHAPE", "rfc");
    let plain = world.start_issuer(rfc)?;
    let product = Product::new(&issuer).issuer("plain", &plain);
    let node = world.boot(product.on(world.spec("pwasks")))?;
    an_issuer_that_is_no_indigo_iam_is_told_as_that(&node, &plain)?;
    // Who administers this node, with a password of their own.
    node.exec("usermod -aG sudo carol && echo 'carol:carols-own-words' | chpasswd")?.ok()?;
    let command = flow("enable", "some-client");
    // Without a terminal nobody is asked, in a session or without one.
    node.exec_as("alice", &command)?.exited(4)?;
    node.ssh("alice").run(&command)?.exited(4)?;
    for (words, code) in [("not-hers", 4), ("carols-own-words", 0)] {
        let mut session = node.ssh("alice").pty().limit(Duration::from_secs(60)).open(None)?;
        session.wait_for("$ ")?;
        session.send(&format!("{command}; echo \"en\"ded-$?-\n"))?;
        session.wait_for("org.iamd1.admin.password-flow")?;
        session.wait_for("Password: ")?;
        session.send(&format!("{words}\n"))?;
        let seen = session.wait_for("ended-")?;
        let seen = session.wait_for(&format!("ended-{code}-")).map_err(|_| Error::Wrong(seen))?;
        assert!(!seen.contains(words), "{seen}");
        // The terminal echoes again, and no agent is left behind.
        assert!(session.ask("stty -a")?.contains(" echo "));
        assert_eq!(node.root_says("pgrep -c pkttyagent || true")?, "0");
    }
    let listed = json_of(&node, "root", "iamctl admin password-flow list --json")?;
    assert_eq!(listed["password_flows"][0]["enabled_by_user"], "alice");
    // For every action, not for this one alone.
    for (action, words) in [
        ("reload", "reload"),
        ("inspect", "users"),
        ("revoke", "revoke nobody --yes"),
        ("drain", "drain --off"),
        ("keys", "rekey --status"),
        ("backup", "backup ~/backup --passphrase-fd 3 3<<<'the words of a backup'"),
    ] {
        node.exec_as("alice", &format!("iamctl admin {words}"))?.exited(4)?;
        let mut session = node.ssh("alice").pty().limit(Duration::from_secs(60)).open(None)?;
        session.wait_for("$ ")?;
        session.send(&format!("iamctl admin {words}; echo \"en\"ded-$?-\n"))?;
        session.wait_for(&format!("org.iamd1.admin.{action}"))?;
        session.wait_for("Password: ")?;
        session.send("carols-own-words\n")?;
        let seen = session.wait_for("ended-")?;
        session.wait_for("ended-0-").map_err(|_| Error::Wrong(format!("{action}: {seen}")))?;
        assert_eq!(node.root_says("pgrep -c pkttyagent || true")?, "0", "{action}");
    }
    Ok(())
}

/// Whom to ask is said before anybody's account there is asked for, and nothing is enabled.
fn an_issuer_that_is_no_indigo_iam_is_told_as_that(node: &Node, plain: &Issuer) -> Outcome {
    let enable =
        "iamctl admin password-flow enable --issuer plain --client some-client --at-issuer";
    let said = node.exec(enable)?.exited(1)?;
    let sentence = format!(
        "ask the administrator of {} to allow grant type password for client some-client",
        plain.url()
    );
    assert!(said.errors().contains(&sentence), "{said:?}");
    assert!(!said.errors().contains("has no account"), "{said:?}");
    let listed = json_of(node, "root", "iamctl admin password-flow list --json")?;
    assert_eq!(listed["password_flows"], json!([]));
    Ok(())
}

/// What is looked for: none of it may stand anywhere on the node.
const PASSWORD: &str = "Zebra-Canary47 quince";
const WRONG: &str = "Yellow-Canary81 medlar";
/// Handed over with the user name, by `--credentials-fd`.
const BOTH: &str = "Xanthic-Canary63 bullace";
/// The name at the issuer: in no message, until the issuer names who signed in.
const NAME: &str = "quokka-canary29";
/// Where the patterns are, which is not looked through.
const PATTERNS: &str = "/srv/patterns";
/// The words of the passwords alone.
const WORDS: &str = "/srv/words";
/// `site-password:site-secret` in base64, without the padding.
const BASIC: &str = "c2l0ZS1wYXNzd29yZDpzaXRlLXNlY3JldA";

fn r35_a_password_is_nowhere_but_on_its_way(world: &World) -> Outcome {
    let users = format!("{NAME}:{PASSWORD}");
    let trace = "[log]\nfilter = \"trace\"\n";
    let (node, issuer) = own(world, "pwhere", &[("USERS", &users)], trace)?;
    let node = &node;
    let words = "Canary47\nCanary81\nCanary63\nquince\nmedlar\nbullace\n";
    // The client's secret as HTTP Basic has it: a connection to the issuer may have it in its buffer.
    let patterns = format!("{words}{BASIC}\n");
    node.put(PATTERNS, 0o600, "root", patterns.as_bytes())?;
    node.put(WORDS, 0o600, "root", words.as_bytes())?;
    // A client that has the grant at the issuer.
    let add = "iamctl account add mine --issuer test --client-id site-password \
               --client-secret-fd 3 --no-login 3<<<site-secret";
    node.exec_as("alice", add)?.ok()?;
    node.exec(&flow("enable", "site-password"))?.ok()?;

    // Who listens on the bus as root, and who looks at every process again and again.
    let mut listen = node.inside()?;
    listen.args(["busctl", "--system", "monitor", "org.iamd1"]);
    let mut monitor = Session::start(listen, Duration::from_secs(120))?;
    monitor.wait_for("Monitoring bus message stream")?;
    let mut watch = node.inside()?;
    watch.args(["bash", "-c"]);
    watch.arg(format!(
        "echo watching; while :; do grep -laF -f {PATTERNS} /proc/[0-9]*/cmdline \
         /proc/[0-9]*/environ 2> /dev/null | sed 's/^/seen in /'; echo looked; done"
    ));
    let mut watcher = Session::start(watch, Duration::from_secs(120))?;
    watcher.wait_for("looked\n")?;

    // Long enough to be seen on its way.
    let grant = json!({"path": "/token", "grant_type": "password"});
    let slow = issuer.faults(&json!([{"match": grant, "fault": {"latency": {"ms": 3000}}}]))?;
    let mut told = String::new();
    // The password alone, and with the user name; wrong ones first.
    let alone = format!("login mine --flow password --user {NAME} --password-fd 0");
    let both = "login mine --flow password --credentials-fd 0";
    let mut tries = |password: &str, with: &str, code: i32| -> Outcome {
        let said = given(node, "alice", password, &alone)?.exited(code)?;
        told += &(said.text() + &said.errors());
        let said = given(node, "alice", &format!("{NAME}\n{with}\n"), both)?.exited(code)?;
        told += &(said.text() + &said.errors());
        Ok(())
    };
    tries(WRONG, BOTH, 1)?;
    let refused = monitor.find("two refusals", |seen| {
        (seen.matches("org.iamd1.Error.WrongPassword").count() >= 2).then(|| seen.to_owned())
    })?;
    assert!(refused.contains("LoginWithPassword"), "it hears nothing of it: {refused}");
    assert!(!refused.contains(NAME), "the user name: {refused}");
    tries(PASSWORD, PASSWORD, 0)?;
    drop(slow);
    let asked = issuer.count("POST /token password")?;
    assert_eq!(asked, 4, "each of them came to the issuer");
    let memory = memory::of_the_daemon(node, WORDS)?;
    node.exec_as("alice", "iamctl token mine --force-new")?.ok()?;
    // Over the bus as well, which iamctl asks only where nobody listens on the token socket.
    node.exec_as(
        "alice",
        "busctl --system call org.iamd1 /org/iamd1 org.iamd1.Tokens GetToken 'sa{sv}' mine 0",
    )?
    .ok()?;

    let heard = monitor.wait_for("GetToken")?;
    assert!(heard.contains("LoginWithPassword"), "it hears nothing of it: {heard}");
    assert!(heard.contains("UNIX_FD"), "not by a descriptor: {heard}");
    let watched = watcher.seen();
    for (place, text) in [("bus", &heard), ("processes", &watched), ("iamctl", &told)] {
        for word in patterns.lines() {
            assert!(!text.contains(word), "{place}: {word}");
        }
    }
    assert!(!watched.contains("seen in"), "{watched}");
    assert!(watched.matches("looked").count() > 5, "it looked too seldom: {watched}");
    assert_eq!(memory, "", "in the memory of the daemon, after the answer");
    assert_eq!(found(node)?, "");

    // A daemon that crashes leaves no core, whatever the limit of others is.
    let pid = node.root_says("systemctl show -P MainPID iamd")?;
    node.exec("systemctl kill --signal=ABRT iamd")?.ok()?;
    eventually("iamd to come back", SOON, || {
        let now = node.root_says("systemctl show -P MainPID iamd")?;
        match node.exec("systemctl is-active iamd")?.line().as_str() {
            "active" if now != pid && now != "0" => Ok(()),
            other => Err(Error::Wrong(format!("{other}, process {now}"))),
        }
    })?;
    let crashed = "journalctl -b -o cat -u iamd _PID=1 | grep -E 'code=(dumped|killed), status=6'";
    let crashed = node.exec(crashed)?.ok()?.text();
    assert!(!crashed.contains("dumped"), "{crashed}");
    let cores = "find / -xdev -type f \\( -name core -o -name 'core.*' -o -name '*.core' \\) \
                 -newer /srv/patterns -not -path '/proc/*' -not -path '/sys/*'";
    assert_eq!(node.root_says(cores)?, "");
    assert_eq!(found(node)?, "");

    // All of these would have found it: on a disk, in an environment, in a process' memory.
    node.put("/var/tmp/planted", 0o600, "root", PASSWORD.as_bytes())?;
    let mut sleeper = node.inside()?;
    sleeper.args([&format!("PLANTED={PASSWORD}"), "sleep", "60"]);
    let _sleeper = Session::start(sleeper, Duration::from_secs(60))?;
    eventually("the planted one to be found", SOON, || match found(node)? {
        all if all.contains("/var/tmp/planted") => Ok(()),
        other => Err(Error::Wrong(other)),
    })?;
    watcher.wait_for("seen in /proc/")?;
    let sleeping = node.root_says("pgrep -n -x sleep")?;
    assert_ne!(memory::of(node, &sleeping, WORDS)?, "");
    Ok(())
}

/// Where a pattern stands on the node's disks, in its runtime directories and in its journal.
fn found(node: &Node) -> Result<String> {
    let look = format!(
        "grep -rlaF -f {PATTERNS} --devices=skip /run /var /etc /tmp /home /root /dev/shm; \
         journalctl -b -o export --all --no-pager | grep -a -F -f {PATTERNS}; true"
    );
    Ok(node.exec(&look)?.ok()?.line())
}
