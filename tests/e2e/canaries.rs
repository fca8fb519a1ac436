//! No secret where it does not belong: with the log at `trace`, every way through the product is
//! gone once, another user listens on the bus, and the whole node is looked through for the secrets
//! that were on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Notice, Output, Product, Session, World, eventually,
    token_file, uid,
};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{BUS, put_bus_client, sign_in_as, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![r53_no_secret_is_in_a_log_a_process_a_file_or_an_error_text]
}

const PASSPHRASE: &str = "passphrase-Canary55";

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
        assert!(token.starts_with("eyJ"), "{said:?}");
        // What stands between the dots must not stand alone anywhere either.
        self.secrets.extend(token.split('.').skip(1).map(str::to_owned));
        self.secrets.insert(token);
        Ok(())
    }

    /// Where on the node a secret stands: file names, and lines of what is not a file.
    fn found(&self) -> Result<String, Error> {
        let own = format!("bt_u{}*", uid(self.user)?);
        let look = format!(
            r#"patterns=$(mktemp -p /srv); cat > $patterns
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
    watch.secrets.insert(PASSPHRASE.into());
    let given = |words: &str| format!("{words} 3< <(printf %s {PASSPHRASE})");
    watch.iamctl(&given("account passphrase test --new-passphrase-fd 3"))?.ok()?;
    watch.iamctl("account lock test")?.ok()?;
    watch.iamctl("token test")?;
    watch.iamctl("account unlock test --passphrase-fd 3 3< <(printf wrong-Canary66)")?.exited(1)?;
    watch.secrets.insert("wrong-Canary66".into());
    watch.iamctl(&given("account unlock test --passphrase-fd 3"))?.ok()?;
    watch.token("test")?;
    watch.iamctl(&given("account passphrase test --remove --passphrase-fd 3"))?.ok()?;
    watch.iamctl("account add mine --issuer test --own-client --no-login")?.ok()?;
    watch.iamctl("account show mine --secrets")?;
    watch.iamctl("account remove mine --yes")?;

    // A restart, the end.
    node.restart("iamd")?;
    watch.token("test --force-new")?;
    let before = watch.found()?;
    assert_eq!(before, "", "while signed in");
    let heard = listener.seen();
    assert!(heard.contains("org.freedesktop.DBus"), "bob hears nothing at all: {heard}");
    for secret in &watch.secrets {
        assert!(!heard.contains(secret), "another user heard a secret on the bus");
    }
    watch.iamctl("logout test")?.ok()?;
    assert_eq!(watch.found()?, "", "after the logout");
    assert!(watch.secrets.len() >= 16, "few secrets: {}", watch.secrets.len());

    // And the search would have found them: one in a file, one in the environment.
    let secret = watch.secrets.iter().next().cloned().unwrap_or_default();
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
