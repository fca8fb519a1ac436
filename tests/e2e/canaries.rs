//! No secret where it does not belong: with the log at `trace`, every way through the product is
//! gone once, another user listens on the bus, the arguments and environments of all processes are
//! watched, the daemon dies with tokens in its memory, and the whole node is looked through for the
//! secrets that were on the way.

mod processes;

use std::collections::BTreeSet;
use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Notice, Output, Product, Session, World, eventually,
    token_file, uid,
};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::people::{BUS, bus, put_bus_client, sign_in_as, wait_for_state};
use crate::{cases, memory};

pub fn cases() -> Vec<Case> {
    cases![r53_no_secret_is_in_a_log_a_process_a_file_or_an_error_text]
}

const PASSPHRASE: &str = "passphrase-Canary55";
const WRONG: &str = "wrong-Canary66";
/// What is not looked through: only the test's own things are there.
const OWN: &str = "/srv";

/// The secrets that were seen, and what iamctl told people.
struct Watch<'a> {
    node: &'a Node,
    issuer: &'a Issuer,
    user: &'a str,
    secrets: BTreeSet<String>,
    told: String,
}

impl Watch<'_> {
    /// Takes down what the issuer has given out so far: some are gone later.
    fn collect(&mut self) -> Result<(), Error> {
        let Value::Array(secrets) = self.issuer.control("GET", "secrets", None)? else {
            return Err(Error::Wrong("no list of secrets".into()));
        };
        let secrets = secrets.iter().filter_map(Value::as_str);
        // A client's secret also as HTTP Basic has it. The issuer's clients of the start are called
        // so in a comment of its configuration.
        self.secrets.extend(secrets.filter(|secret| *secret != "site-secret").map(str::to_owned));
        Ok(())
    }

    /// Runs `iamctl` as the user; what it printed on standard error is kept.
    fn iamctl(&mut self, words: &str) -> Result<Output, Error> {
        let said = self.node.exec_as(self.user, &format!("iamctl {words}"))?;
        self.told += &said.errors();
        self.collect()?;
        Ok(said)
    }

    /// As [`iamctl`](Watch::iamctl), and takes down the token it printed.
    fn token(&mut self, words: &str) -> Result<(), Error> {
        let said = self.iamctl(&format!("token {words} --json"))?.ok()?;
        let token = crate::people::parsed(&said)?["token"].as_str().unwrap_or_default().to_owned();
        self.take_down(token);
        Ok(())
    }

    /// Asks for a token over the bus, as a program would, and answers it.
    fn token_over_the_bus(&mut self, options: &str) -> Result<String, Error> {
        let words = format!("call org.iamd1.Tokens GetToken '{options}' test");
        let said = bus(self.node, self.user, &words)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let from = said.find("eyJ").ok_or_else(|| Error::Wrong(format!("no token: {said}")))?;
        let token: String = said[from..].chars().take_while(|c| fits(*c)).collect();
        self.take_down(token.clone());
        self.collect()?;
        Ok(token)
    }

    fn take_down(&mut self, token: String) {
        assert_eq!((&token.get(..3), token.matches('.').count()), (&Some("eyJ"), 2), "{token}");
        // What stands between the dots must not stand alone anywhere either.
        self.secrets.extend(token.split('.').skip(1).map(str::to_owned));
        self.secrets.insert(token);
    }

    /// Where on the node a secret stands: file names, and lines of what is not a file.
    fn found(&self) -> Result<String, Error> {
        let own = format!("bt_u{}*", uid(self.user)?);
        let look = format!(
            r#"patterns=$(mktemp -p {OWN}); cat > $patterns
            grep -rlF -f $patterns --devices=skip --exclude='{own}' /run /var /etc /tmp /home /root
            for p in /proc/[0-9]*; do
                tr '\0' '\n' < $p/cmdline | grep -F -f $patterns | sed "s#^#$p/cmdline: #"
                tr '\0' '\n' < $p/environ | grep -F -f $patterns | sed "s#^#$p/environ: #"
            done 2> /dev/null
            journalctl -b -o export --all --no-pager | grep -a -F -f $patterns
            journalctl -b -o cat --no-pager | grep -aE 'eyJ[A-Za-z0-9_-]{{16,}}'
            rm $patterns"#
        );
        let patterns = self.secrets.iter().cloned().collect::<Vec<_>>().join("\n");
        let said =
            self.node.exec_with(&look, patterns.as_bytes(), Duration::from_secs(60))?.ok()?;
        let mut found = said.text();
        for secret in &self.secrets {
            if self.told.contains(secret) {
                found += "iamctl told people a secret\n";
            }
        }
        Ok(found)
    }

    /// The daemon dies as of a mistake of its own, with a token in its memory: it leaves no core,
    /// and is there again.
    fn aborts(&mut self) -> Outcome {
        let held = self.token_over_the_bus("sa{sv}")?;
        let pattern = format!("{OWN}/held");
        let signature = held.rsplit('.').next().unwrap_or_default();
        self.node.put(&pattern, 0o600, "root", signature.as_bytes())?;
        assert_ne!(memory::of_the_daemon(self.node, &pattern)?, "", "no token in its memory");
        let begun = format!("{OWN}/begun");
        let before = self.node.root_says(&format!(
            "touch {begun}; p=$(systemctl show -P MainPID iamd); kill -ABRT $p; echo $p"
        ))?;
        eventually("another daemon", Duration::from_secs(30), || {
            let line = format!(
                "test $(systemctl show -P MainPID iamd) != {before} && iamctl issuer list > /dev/null"
            );
            self.node.exec(&line)?.ok()
        })?;
        let log = self.node.root_says("journalctl --sync; journalctl -b -o cat -u iamd")?;
        assert!(log.contains("code=killed, status=6/ABRT"), "it did not die of that");
        assert!(!log.contains("code=dumped"), "it dumped its memory");
        let cores = format!(
            "find / /run /tmp /var /home -xdev -type f -newer {begun} \
             \\( -name core -o -name 'core.*' -o -name '*.core' -o -path '*/coredump/*' \\) \
             -not -path '/proc/*' -not -path '/sys/*'; ls -A /var/crash 2> /dev/null || true"
        );
        assert_eq!(self.node.root_says(&cores)?, "", "a core");
        // Nobody signs in again for that.
        self.token("test")?;
        self.token("test --force-new").map_err(|error| format!("after the abort: {error}").into())
    }
}

fn r53_no_secret_is_in_a_log_a_process_a_file_or_an_error_text(world: &World) -> Outcome {
    let spec = IssuerSpec::new("canary.test").option("ROTATE", "always").option("REUSE", "fails");
    let issuer = world.start_issuer(spec)?;
    let product = Product::new(&issuer).config("[log]\nfilter = \"trace\"\n");
    let (node, user) = (world.boot(product.on(world.spec("canary")))?, "alice");
    // What another user hears on the bus meanwhile; to listen to all of it is not theirs.
    put_bus_client(&node)?;
    let mut listen = node.inside()?;
    listen.args(["setpriv", "--reuid", "bob", "--regid", "bob", "--init-groups"]);
    listen.args(["python3", BUS, "listen"]);
    let mut listener = Session::start(listen, Duration::from_secs(60))?;
    listener.wait_for("listening\n")?;
    let monitor = node.exec_as("bob", "timeout 5 busctl --system monitor org.iamd1")?;
    assert!(!matches!(monitor.code, 0 | 124), "a user may listen to everybody: {monitor:?}");
    let mut processes = processes::Watch::start(&node)?;
    let mut watch =
        Watch { node: &node, issuer: &issuer, user, secrets: BTreeSet::new(), told: String::new() };

    // A login that is polled for a while, in a session that stays.
    watch.iamctl("login test --no-wait")?.ok()?;
    let mut session = node.ssh(user).pty().open(None)?;
    let notice = session.find("the notice", Notice::find)?;
    let polled = || match issuer.count("POST /token device_code")? {
        0 => Err(Error::Wrong("not yet".into())),
        _ => Ok(()),
    };
    eventually("a poll", Duration::from_secs(8), polled)?;
    watch.collect()?;
    issuer.approve(&notice.uri, &notice.code, user)?;
    wait_for_state(&node, user, "test", "signed-in", Duration::from_secs(10))?;
    let file = token_file(user)?;
    session.ask(&format!("test -s {file}"))?;

    // Tokens of every kind, and refusals.
    watch.token("test")?;
    watch.token("test --force-new")?;
    watch.token("test -s storage.read:/ --aud https://se.example")?;
    // Over the bus, which root may listen to, and hears it.
    let mut command = node.inside()?;
    command.args(["timeout", "60", "busctl", "--system", "monitor", "org.iamd1"]);
    let mut root = Session::start(command, Duration::from_secs(30))?;
    root.wait_for("Monitoring bus message stream")?;
    let token = watch.token_over_the_bus("sa{sv}")?;
    watch.token_over_the_bus("sF")?;
    root.wait_for(&token)?;
    drop(root);
    watch.iamctl("token test -s storage.read:/nowhere/../etc")?;
    watch.iamctl("token test -s scim:write")?;
    watch.iamctl("token test --min-valid 30h")?;
    for words in ["status", "account show test", "doctor", "issuer list"] {
        let said = watch.iamctl(words)?;
        watch.told += &said.text();
    }

    // A refresh token that is lost on the way and asked for once more: INDIGO IAM then repeats the
    // old one in its error.
    let refreshes = json!({"path": "/token", "grant_type": "refresh_token", "count": 1});
    let lost = issuer.faults(&json!([{"match": refreshes, "fault": "reset_after"}]))?;
    watch.iamctl("token test --force-new")?.exited(3)?;
    drop(lost);
    watch.iamctl("token test --force-new")?.exited(3)?;
    let why = watch.iamctl("account show test")?.ok()?.text();
    assert!(why.contains("was not found"), "the issuer's text is shown: {why}");
    watch.told += &why;

    // A new sign-in, a passphrase, a client of the account's own.
    sign_in_as(&node, &issuer, user, "test", "test")?;
    watch.token("test")?;
    for (name, text) in [("right", PASSPHRASE), ("wrong", WRONG)] {
        // In no argument of the test's own either: those are watched.
        node.put(&format!("{OWN}/{name}"), 0o600, user, text.as_bytes())?;
        watch.secrets.insert(text.into());
    }
    let given = |words: &str| format!("{words} 3< {OWN}/right");
    watch.iamctl(&given("account passphrase test --new-passphrase-fd 3"))?.ok()?;
    watch.iamctl("account lock test")?.ok()?;
    watch.iamctl("token test")?;
    let wrong = format!("account unlock test --passphrase-fd 3 3< {OWN}/wrong");
    watch.iamctl(&wrong)?.exited(1)?;
    watch.iamctl(&given("account unlock test --passphrase-fd 3"))?.ok()?;
    watch.token("test")?;
    watch.iamctl(&given("account passphrase test --remove --passphrase-fd 3"))?.ok()?;
    watch.iamctl("account add mine --issuer test --own-client --no-login")?.ok()?;
    watch.iamctl("account show mine --secrets")?;
    watch.iamctl("account remove mine --yes")?;

    // A restart, an end with a core where there could be one, the end.
    node.restart("iamd")?;
    watch.token("test --force-new")?;
    watch.aborts()?;
    let before = watch.found()?;
    assert_eq!(before, "", "while signed in");
    let heard = listener.seen();
    assert!(heard.contains("org.freedesktop.DBus"), "bob hears nothing at all: {heard}");
    for secret in &watch.secrets {
        assert!(!heard.contains(secret), "another user heard a secret on the bus");
    }
    watch.iamctl("logout test")?.ok()?;
    assert_eq!(watch.found()?, "", "after the logout");
    assert_eq!(processes.places(&watch.secrets)?, "", "in a process that is gone by now");
    assert!(watch.secrets.len() >= 16, "few secrets: {}", watch.secrets.len());

    // And the search would have found them: one in a file, one in the environment, and one in what a
    // process that lives for a moment was called with.
    let secret = watch.secrets.iter().next().cloned().unwrap_or_default();
    processes.would_have_seen(world, &secret)?;
    node.put("/var/tmp/planted", 0o600, "root", secret.as_bytes())?;
    let mut sleeper = node.inside()?;
    sleeper.args([&format!("PLANTED={secret}"), "sleep", "60"]);
    let _sleeper = Session::start(sleeper, Duration::from_secs(60))?;
    eventually("the planted ones to be found", Duration::from_secs(10), || {
        match watch.found()? {
            found if found.contains("/var/tmp/planted") && found.contains("environ: ") => Ok(()),
            found => Err(Error::Wrong(found)),
        }
    })?;
    Ok(())
}
