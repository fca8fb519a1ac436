//! Where the bench takes place: one node with iamd installed by `dist/install` and oidc-agent from
//! Debian's package, three issuers, and two users who have the same accounts with both, of the same
//! client at the same issuers: one has one account, as most do, and one has six.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Effort, crowd, stores, worker};
use crate::clock::eventually;
use crate::command;
use crate::error::{Error, Result};
use crate::issuer::{Issuer, IssuerSpec};
use crate::node::Node;
use crate::product::Product;
use crate::rootfs;
use crate::ssh::Session;
use crate::world::World;

/// Who has one account.
pub const USER: &str = "alice";
/// Who has one at each issuer, and several at the slow one.
pub const MANY: &str = "bob";
/// The scope that is asked for where less is asked than the account has.
pub const NARROW: &str = "storage.read:/";
/// The account at the issuer that keeps refresh tokens; iamd's default.
pub const KEEPING: &str = "test";
/// The account at the issuer that gives a new refresh token each time.
pub const ROTATING: &str = "rotating";
/// The accounts at the issuer that can be slow.
pub const SLOW: [&str; 4] = ["slow1", "slow2", "slow3", "slow4"];
/// No block of measures takes longer.
const BLOCK: Duration = Duration::from_secs(300);
/// What accounts are made with, on both sides.
const PRELUDE: &str = r#"
export OIDC_ENCRYPTION_PW=bench-bench NO_COLOR=1
rt() {
    curl -sS -m 20 -u site-password:site-secret "$1token" -d grant_type=password \
        -d "username=$USER" -d "password=$USER-pw" -d "scope=$SCOPES" | jq -er .refresh_token
}
ready() {
    for _ in $(seq 300); do if oidc-add -a > /dev/null 2>&1; then return; fi; sleep 0.1; done
    echo 'the agent does not listen' >&2; return 1
}
"#;
const SCOPES: &str = "openid profile offline_access storage.read:/ storage.modify:/ compute.read";

/// The place and what is in it.
pub struct Setting {
    // Dropped in this order.
    sessions: Vec<Session>,
    /// The node.
    pub node: Node,
    /// Keeps refresh tokens.
    pub keeping: Issuer,
    /// Gives a new one each time.
    pub rotating: Issuer,
    /// Can be made slow, or silent.
    pub slow: Issuer,
    /// How much is done.
    pub effort: Effort,
    /// The run.
    pub world: World,
}

impl Setting {
    /// Prepares everything. `program` is this program, which the node gets too.
    pub fn prepare(world: World, effort: Effort, program: &std::path::Path) -> Result<Setting> {
        let start = |host: &str, rotate: &str| {
            world.start_issuer(IssuerSpec::new(host).option("ROTATE", rotate))
        };
        let keeping = start("keeping.test", "never")?;
        let rotating = start("rotating.test", "always")?;
        let slow = start("slow.test", "never")?;
        let product = Product::new(&keeping).issuer("rotating", &rotating).issuer("slow", &slow);
        let program = program.to_owned();
        let users = effort.users.iter().copied().max().unwrap_or(0);
        let mut spec = world.spec("bench").over(rootfs::readers(&|line| world.say(line))?);
        spec = spec.prepare(move |root| {
            let to = root.join(worker::AT.trim_start_matches('/'));
            std::fs::copy(&program, &to).map_err(Error::at(&to))?;
            let (passwd, group) = crowd::accounts(users);
            for (file, lines) in [("etc/passwd", passwd), ("etc/group", group)] {
                let path = root.join(file);
                let there = std::fs::read_to_string(&path).map_err(Error::at(&path))?;
                std::fs::write(&path, there + &lines).map_err(Error::at(&path))?;
            }
            Ok(())
        });
        if effort.needs_stores() {
            let stores = stores::make(&world, &effort, &keeping)?;
            spec = spec.prepare(move |root| stores.put(root));
        }
        let node = world.boot(product.on(spec))?;
        let mut setting =
            Setting { sessions: Vec::new(), node, keeping, rotating, slow, effort, world };
        setting.sign_in(USER, &[KEEPING])?;
        setting.sign_in(MANY, &[KEEPING, ROTATING, SLOW[0], SLOW[1], SLOW[2], SLOW[3]])?;
        // Not before: a login would begin a sign-in of its own.
        for user in [USER, MANY] {
            setting.log_in(user)?;
        }
        Ok(setting)
    }

    /// Runs a shell script on the node as a user, with the socket of their agent.
    pub fn script(&self, user: &str, script: &str) -> Result<String> {
        let script = format!("export SCOPES='{SCOPES}'\n{PRELUDE}{script}");
        let mut command = self.as_user(user)?;
        command.args(["bash", "-s"]);
        Ok(command::run(command, script.as_bytes(), BLOCK)?.ok()?.line())
    }

    /// A block of measures on the node as a user; what the worker answers.
    pub fn block(&self, user: &str, plan: &Value) -> Result<Value> {
        let mut command = self.as_user(user)?;
        command.args([worker::AT, "worker"]);
        let said = command::run(command, format!("{plan}\n").as_bytes(), BLOCK)?.ok()?;
        serde_json::from_slice(&said.stdout)
            .map_err(|error| Error::Wrong(format!("the worker said {}: {error}", said.text())))
    }

    /// Milliseconds of `runs` starts of a program by each of so many clients at a time.
    pub fn starts(
        &self,
        user: &str,
        words: &[String],
        clients: usize,
        runs: usize,
    ) -> Result<Vec<f64>> {
        numbers(&self.block(user, &worker::plan(&[words.to_vec()], clients, runs))?["ms"])
    }

    /// How many requests the issuers have seen.
    pub fn requests(&self) -> Result<u64> {
        let of = |issuer: &Issuer| -> Result<u64> {
            let counts = issuer.control("GET", "counts", None)?;
            Ok(counts.as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum())
        };
        Ok(of(&self.keeping)? + of(&self.rotating)? + of(&self.slow)?)
    }

    fn as_user(&self, user: &str) -> Result<Command> {
        let mut command = self.node.inside()?;
        command.args(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "env"]);
        command.args([&format!("HOME=/home/{user}"), &format!("USER={user}")]);
        command.arg(format!("OIDC_SOCK={}", agent(user)));
        Ok(command)
    }

    /// Starts the user's oidc-agent and makes the accounts: each with a refresh token of its own, on
    /// both sides.
    fn sign_in(&self, user: &str, accounts: &[&str]) -> Result<()> {
        self.script(
            user,
            &format!(
                "mkdir -m 700 ~/agent
                eval \"$(oidc-agent --quiet --no-autoreauthenticate -a {})\"; ready",
                agent(user)
            ),
        )?;
        for name in accounts {
            let (at, issuer) = match *name {
                KEEPING => ("test", &self.keeping),
                ROTATING => ("rotating", &self.rotating),
                _ => ("slow", &self.slow),
            };
            let url = issuer.url();
            let script = format!(
                "set -e
                oidc-gen {name} --iss={url} --client-id=site-password --client-secret=site-secret \
                    --scope=\"$SCOPES\" --rt=\"$(rt {url})\" --redirect-uri=http://localhost:4242 \
                    --cp=/etc/ssl/certs/ca-certificates.crt --pw-env --prompt=none --confirm-default >&2
                oidc-token {name} > /dev/null
                iamctl account add {name} --issuer {at} --client-id site-password \
                    --client-secret-fd 3 --refresh-token-fd 4 $(printf ' -s %s' $SCOPES) \
                    3<<<site-secret 4< <(rt {url}) >&2
                iamctl token {name} > /dev/null"
            );
            self.script(user, &script)?;
        }
        Ok(())
    }

    /// A session of the user's, who has a token file as long as it lasts.
    fn log_in(&mut self, user: &str) -> Result<()> {
        let mut session = self.node.ssh(user).open(Some("echo in; cat"))?;
        session.wait_for("in\n")?;
        self.sessions.push(session);
        let file = crate::sign_in::token_file(user)?;
        eventually(&file, Duration::from_secs(10), || {
            self.node.exec(&format!("test -s {file}"))?.ok()
        })?;
        Ok(())
    }

    /// What was measured on what.
    pub fn about(&self) -> Result<Value> {
        let says = |line: &str| self.node.root_says(line);
        Ok(json!({
            "processor": says("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-")?,
            "processors": says("nproc")?.parse::<u32>().unwrap_or(0),
            "kernel": says("uname -r")?,
            "load": says("cut -d' ' -f1-3 /proc/loadavg")?,
            "date": says("date -u +%Y-%m-%d")?,
            "system": says(". /etc/os-release; echo $PRETTY_NAME")?,
            "iamd": says("iamctl --version")?,
            "oidc_agent": says("dpkg-query -W -f '${Version}' oidc-agent-cli")?,
            "dbus_daemon": says("dpkg-query -W -f '${Version}' dbus-daemon")?,
            "openssh": says("dpkg-query -W -f '${Version}' openssh-server")?,
        }))
    }
}

/// The socket of the user's oidc-agent.
fn agent(user: &str) -> String {
    format!("/home/{user}/agent/socket")
}

/// A list of numbers.
pub fn numbers(list: &Value) -> Result<Vec<f64>> {
    let numbers: Option<Vec<f64>> =
        list.as_array().map(|list| list.iter().filter_map(Value::as_f64).collect());
    numbers.ok_or_else(|| Error::Wrong(format!("not a list of numbers: {list}")))
}
