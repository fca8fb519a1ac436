//! iamd is killed: at each step that has a name, and at any moment under load. It comes back, and
//! nobody has lost anything.
//!
//! The iamd of these nodes is a build for tests that can be made to die at a step
//! (`daemon/src/fault_points.rs`), at an issuer whose refresh tokens rotate and whose families die
//! when one is used twice. One thing nobody can keep: a reply of such an issuer that the process
//! dies with, between the issuer's sending it and the journal. The trace of steps tells those from
//! everything else ([`ledger`]); their users have to be told at once.

mod ledger;
mod load;
mod named;
mod random;
mod steps;

use std::time::Duration;

use iamd_tests::product::issuer_file;
use iamd_tests::{Error, Issuer, IssuerSpec, Node, Output, Product, World, eventually, places};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::people::{parsed, sign_in_as};

pub use random::soak;

type Result<T> = std::result::Result<T, Error>;

pub fn cases() -> Vec<Case> {
    [named::cases(), random::cases(), steps::cases()].concat()
}

/// Where a step to die at is named, and where the steps that were passed are written.
const POINT: &str = "/run/iamd/fault-point";
const TRACE: &str = "/run/iamd/fault-trace";
/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(30);
/// The exit code of `iamctl` where only a sign-in helps.
const LOGIN_REQUIRED: i32 = 3;
/// The account at the issuer whose refresh tokens die when they are used twice, and the one at the
/// issuer where the one before is good for a while.
const KILLS: &str = "test";
const GRACE: &str = "grace";

/// systemd starts it again at once, however often it was killed.
const AGAIN: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=200ms\n";

/// A node with an iamd that can be killed, and its issuers.
struct Scene {
    node: Node,
    kills: Issuer,
    grace: Issuer,
}

fn scene(world: &World, name: &str) -> Result<Scene> {
    let issuer = |of: &str, reuse: &str| {
        let spec = IssuerSpec::new(&format!("{of}-{name}.test")).option("SHAPE", "rfc");
        let spec = spec.option("INTERVAL", "1").option("ROTATE", "always").option("REUSE", reuse);
        world.start_issuer(spec.option("AT_TTL", "120"))
    };
    let (kills, grace) = (issuer("kills", "kills")?, issuer("grace", "grace")?);
    let own_clients = "client = \"per-user\"\n";
    let config = "[login]\nautomatic = false\n[limits]\nregistrations = 1000\nlogins = 10\n\
                  login_starts = 100000\ntokens_per_minute = 100000\n";
    let product = Product::new(&kills)
        .issuer(GRACE, &grace)
        .issuer_file(KILLS, &(issuer_file(KILLS, &kills) + own_clients))
        .issuer_file(GRACE, &(issuer_file(GRACE, &grace) + own_clients))
        .daemon(places::fault_points())
        .config(config);
    let spec = product.on(world.spec(name));
    let spec = spec.file("/etc/systemd/system/iamd.service.d/again.conf", 0o644, AGAIN);
    let node = world.boot(spec)?;
    node.root_says(&format!("install -m 600 /dev/null {TRACE}"))?;
    Ok(Scene { node, kills, grace })
}

impl Scene {
    fn issuer(&self, account: &str) -> &Issuer {
        if account.starts_with(GRACE) { &self.grace } else { &self.kills }
    }

    fn sign_in(&self, user: &str, account: &str) -> Result<()> {
        let at = if account.starts_with(GRACE) { GRACE } else { KILLS };
        sign_in_as(&self.node, self.issuer(account), user, account, at)
    }

    fn iamctl(&self, user: &str, words: &str) -> Result<Output> {
        self.node.exec_as(user, &format!("iamctl {words}"))
    }

    /// Signs an account in with another client.
    fn sign_in_anew(&self, user: &str, account: &str) -> Result<()> {
        let said = self.iamctl(user, &format!("login {account} --new-client --no-wait --json"))?;
        let text = said.ok()?.text();
        let last = text.lines().last().unwrap_or_default();
        let login: Value = serde_json::from_str(last).unwrap_or_default();
        let word = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
        let (uri, code) = (word("verification_uri"), word("user_code"));
        self.issuer(account).approve(&uri, &code, user)
    }

    /// A token that the issuer was asked for, once the daemon is there again.
    fn new_token(&self, user: &str, account: &str) -> Result<Output> {
        eventually("an answer for a token", START, || {
            let said = self.iamctl(user, &format!("token {account} --force-new"))?;
            // Else the daemon is not to be reached for now, or a sign-in came meanwhile.
            if [0, LOGIN_REQUIRED].contains(&said.code) { Ok(said) } else { said.ok() }
        })
    }

    /// Insists that an account gives a token without a sign-in.
    fn lives(&self, user: &str, account: &str, when: &str) -> Outcome {
        let said = self.new_token(user, account)?;
        if said.code == 0 {
            return Ok(());
        }
        Err(format!("{account} of {user} is lost ({when}): {said:?}").into())
    }

    /// Names the step to die at; `spared` passings of it come before.
    fn arm(&self, step: &str, spared: u32) -> Result<()> {
        let line = format!("echo {step} {spared} > {POINT}.new && mv {POINT}.new {POINT}");
        self.node.exec(&line)?.ok().map(|_| ())
    }

    /// Waits until it died at the step that was named and is there again.
    fn died(&self, step: &str) -> Result<()> {
        let gone = || self.node.exec(&format!("test ! -e {POINT}"))?.ok();
        eventually(&format!("its end at {step}"), START, gone)?;
        self.is_back()
    }

    fn is_back(&self) -> Result<()> {
        // Active is a service that has said READY, and one that systemd does not know dead yet.
        let up = "test \"$(systemctl show -P SubState iamd)\" = running && \
                  kill -0 $(systemctl show -P MainPID iamd) && iamctl issuer list >/dev/null";
        eventually("iamd after a kill", START, || self.node.exec(up)?.ok()).map(|_| ())
    }

    /// Kills it, and answers the steps that it had passed since the last time. A step of the next
    /// one is in this trace or in its own, and never in none.
    fn kill(&self) -> Result<String> {
        let line = format!(
            "p=$(systemctl show -P MainPID iamd); [ \"$p\" != 0 ] || exit 3; kill -9 $p; \
             while [ -e /proc/$p ] && ! grep -q '^State:.Z' /proc/$p/status; do :; done; \
             install -m 600 /dev/null {TRACE}.new; ln {TRACE} {TRACE}.old; \
             mv {TRACE}.new {TRACE}; cat {TRACE}.old; rm {TRACE}.old"
        );
        let mut said = self.node.exec(&line)?;
        if said.code == 3 {
            self.is_back()?;
            said = self.node.exec(&line)?;
        }
        Ok(said.ok()?.text())
    }

    /// The client of an account, by its id; `None` while the daemon does not say.
    fn client_of(&self, user: &str, account: &str) -> Option<String> {
        let said = self.iamctl(user, &format!("account show {account} --json")).ok()?;
        let shown = parsed(&said.ok().ok()?).ok()?;
        shown["account"]["client_id"].as_str().map(str::to_owned)
    }

    /// How many clients an issuer has, those that are there from its start included.
    fn clients(&self, account: &str) -> Result<u64> {
        let count = self.issuer(account).control("GET", "clients", None)?;
        count["count"].as_u64().ok_or_else(|| Error::Wrong(format!("no count: {count}")))
    }

    /// Insists that every record opens and nothing is damaged.
    fn is_sound(&self) -> Outcome {
        let report = parsed(&self.node.exec("iamctl admin store check --json")?.ok()?)?;
        if report["sound"] == Value::Bool(true) {
            return Ok(());
        }
        Err(format!("the store is not sound: {report}").into())
    }

    /// Insists that nothing half-written is in a user's directory.
    fn is_swept(&self, uid: u32) -> Outcome {
        let left = self.node.exec(&format!("ls -A /run/iamd/users/{uid} | grep '^\\.iamd-'"))?;
        if left.text().is_empty() {
            return Ok(());
        }
        Err(format!("left behind: {}", left.text()).into())
    }
}
