//! Each leave that the unit gives the daemon is needed: taken away one by one, each is missed at a
//! certain step of a whole use of the product. And what secrets leave in memory is nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use iamd_tests::sign_in::warm;
use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Product, Session, World, clock, eventually, sign_in,
};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::memory;
use crate::people::sign_in_as;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: every_leave_of_the_unit_is_needed,
        keys_of_the_host_and_hashes_of_passwords_are_not_there_for_the_daemon,
        every_group_of_system_calls_that_the_unit_allows_is_used_and_no_other,
        r53_a_secret_that_was_used_is_not_in_the_memory_of_the_daemon,
    ]
}

const DROP_IN: &str = "/run/systemd/system/iamd.service.d/less.conf";
/// Where somebody waits for what a working product does in a moment.
const SOON: Duration = Duration::from_secs(5);

/// The lines that take one leave away, and the step that then fails.
const LESS: [(&str, Step); 11] = [
    ("CapabilityBoundingSet=~CAP_CHOWN", Step::File),
    ("CapabilityBoundingSet=~CAP_DAC_OVERRIDE", Step::File),
    // The store; the PAM socket and the records of sessions.
    ("StateDirectory=", Step::Start),
    ("RuntimeDirectory=", Step::Start),
    ("ReadOnlyPaths=/run/iamd/users", Step::Start),
    ("BindPaths=\nBindPaths=-/run/iamd/files/users:/run/iamd/users", Step::Link),
    ("BindPaths=\nBindPaths=/run/user", Step::Start),
    ("InaccessiblePaths=/etc/ssl", Step::Token),
    ("RestrictAddressFamilies=\nRestrictAddressFamilies=AF_INET AF_INET6", Step::Start),
    ("RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_INET6", Step::Token),
    ("SystemCallFilter=~fchown fchownat", Step::File),
];

/// The steps of a use, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It starts and serves.
    Start,
    /// A new token comes from the issuer and is kept.
    Token,
    /// It is in the file, the user's own.
    File,
    /// The link in the runtime directory is there.
    Link,
    /// Nothing failed.
    All,
}

fn every_leave_of_the_unit_is_needed(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("less.test"))?;
    let node = world.boot(Product::new(&issuer).on(world.spec("less")))?;
    warm(&node)?;
    let _here = sign_in(&node, &issuer, "alice")?;
    assert_eq!(use_it(&node)?, (Step::All, String::new()));
    for (less, missed) in LESS {
        node.put(DROP_IN, 0o644, "root", format!("[Service]\n{less}\n").as_bytes())?;
        let (failed, why) = use_it(&node)?;
        assert_eq!(failed, missed, "{less}: {why}");
    }
    node.root_says(&format!("rm {DROP_IN}"))?;
    assert_eq!(use_it(&node)?, (Step::All, String::new()));
    // Each capability and each family of the unit was taken away above.
    let unit = node.root_says("systemctl show -p CapabilityBoundingSet --value iamd")?;
    for capability in unit.split(' ') {
        let line = format!("CapabilityBoundingSet=~{}", capability.to_uppercase());
        assert!(LESS.iter().any(|(less, _)| *less == line.as_str()), "{capability}");
    }
    Ok(())
}

/// Reads a path as whatever got hold of the daemon could: in its mount namespace, with its
/// capabilities; one line for each path. What systemd puts in the place of a file or a directory is
/// empty, and with these capabilities it can be opened.
const READ: &str = r#"
p=$(systemctl show -P MainPID iamd)
for path in "$@"; do
    if nsenter -t $p -m -- setpriv --bounding-set -all,+chown,+dac_override --inh-caps -all \
        sh -c 'cat -- "$1" | grep . || ls -A -- "$1/" | grep .' sh "$path" > /dev/null 2>&1
    then echo "$path open"; else echo "$path shut"; fi
done
"#;

fn read_as_the_daemon(node: &Node, paths: &[&str]) -> Result<Vec<String>, Error> {
    let line = format!("set -- {}\n{READ}", paths.join(" "));
    Ok(node.root_says(&line)?.lines().map(str::to_owned).collect())
}

fn keys_of_the_host_and_hashes_of_passwords_are_not_there_for_the_daemon(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("shut.test"))?;
    let spec = Product::new(&issuer).on(world.spec("shut"));
    // What a node of a cluster has besides.
    let spec = ["munge/munge.key", "krb5.keytab", "grid-security/hostkey.pem", "gshadow-"]
        .iter()
        .fold(spec, |spec, file| spec.file(&format!("/etc/{file}"), 0o600, "a key\n"));
    let node = world.boot(spec)?;
    warm(&node)?;
    let secret = [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/gshadow-",
        "/etc/ssh",
        "/etc/ssh/sshd_config",
        "/etc/krb5.keytab",
        "/etc/munge",
        "/etc/munge/munge.key",
        "/etc/grid-security/hostkey.pem",
    ];
    for path in secret {
        node.root_says(&format!("test -e {path}"))?;
    }
    let keys = node.root_says("ls /etc/ssh/ssh_host_*_key")?;
    let mut paths: Vec<&str> = secret.into_iter().chain(keys.lines()).collect();
    assert!(paths.len() > secret.len(), "a node without a host key");
    // What it does need, and whoever looks like this could read.
    paths.extend(["/etc/passwd", "/etc/iamd/iamd.toml"]);
    let seen = read_as_the_daemon(&node, &paths)?;
    let expected: Vec<String> = paths
        .iter()
        .enumerate()
        .map(|(at, path)| format!("{path} {}", if at + 2 < paths.len() { "shut" } else { "open" }))
        .collect();
    assert_eq!(seen, expected);
    // Users come and go, keys are made anew; all of it still works, a reload of the unit too.
    let _here = sign_in(&node, &issuer, "alice")?;
    node.root_says("useradd -M -u 4242 newcomer && ssh-keygen -A && systemctl reload iamd")?;
    node.exec_as("newcomer", "iamctl issuer list")?.ok()?;
    let host = node.root_says("ls /etc/ssh/ssh_host_*_key")?;
    let dirs: Vec<&str> = ["/etc/ssh", "/etc/munge"].into_iter().chain(host.lines()).collect();
    let seen = read_as_the_daemon(&node, &dirs)?;
    assert!(seen.iter().all(|line| line.ends_with(" shut")), "{seen:?}");
    let replaced = read_as_the_daemon(&node, &["/etc/shadow"])?;
    world.say(&format!("for a daemon that runs, after useradd: {replaced:?}"));
    assert_eq!(use_it(&node)?, (Step::All, String::new()));
    // The file of the hashes is another one now, and that one is shut since the start.
    assert_eq!(read_as_the_daemon(&node, &["/etc/shadow"])?, ["/etc/shadow shut"]);
    // The doctor tells of sshd's configuration what it told before: it is not the daemon that reads it.
    let doctor = node.exec_as("alice", "iamctl doctor")?.text();
    assert!(doctor.contains("PAM for sshd"), "{doctor}");
    Ok(())
}

/// Starts it as it is now configured, and uses it; the step that failed, and how.
fn use_it(node: &Node) -> Result<(Step, String), Error> {
    node.root_says("systemctl daemon-reload; systemctl reset-failed iamd 2> /dev/null; true")?;
    let start = node.exec("timeout 30 systemctl restart iamd && test -S /run/iamd/pam.sock")?;
    if start.code != 0 {
        return Ok((Step::Start, start.errors()));
    }
    let link = "/run/user/1001/bt_u1001";
    let file = "/run/iamd/users/1001/bt_u1001";
    // What an earlier use left says nothing of this one.
    node.root_says(&format!("rm -f {link} /run/iamd/files/users/1001/bt_u1001"))?;
    let token = node.exec_as("alice", "iamctl token --force-new")?;
    if token.code != 0 {
        return Ok((Step::Token, token.errors()));
    }
    let looked = |what: &str, line: &str| {
        clock::until(what, SOON, || node.exec(line).is_ok_and(|said| said.code == 0))
    };
    let whole = format!(
        "test \"$(cat {file})\" = '{}' && stat -c %U-%a {file} | grep -qx alice-600",
        token.line()
    );
    if looked("the token in its file", &whole).is_err() {
        return Ok((Step::File, node.root_says(&format!("ls -la {file} 2>&1 || true"))?));
    }
    if looked("the link", &format!("test \"$(readlink {link})\" = {file}")).is_err() {
        return Ok((Step::Link, node.root_says(&format!("ls -la {link} 2>&1 || true"))?));
    }
    Ok((Step::All, String::new()))
}

/// Each group of systemd's that the unit leaves has a call that a use of the product makes; all calls
/// that it makes are allowed. Seen by strace from outside of the node.
fn every_group_of_system_calls_that_the_unit_allows_is_used_and_no_other(world: &World) -> Outcome {
    let issuer = world.start_issuer(IssuerSpec::new("calls.test"))?;
    let node = world.boot(Product::new(&issuer).on(world.spec("calls")))?;
    // From its first call on: what becomes the daemon waits until it is watched.
    let waits = "[Service]\nExecStart=\nTimeoutStartSec=60\n\
                 ExecStart=/bin/sh -c 'kill -STOP $$$$; exec /usr/sbin/iamd'\n";
    node.put(DROP_IN, 0o644, "root", waits.as_bytes())?;
    node.root_says("systemctl daemon-reload; systemctl restart --no-block iamd")?;
    let pid = eventually("what waits", Duration::from_secs(20), || {
        let stopped =
            "p=$(systemctl show -P MainPID iamd); grep -q 'State:.T' /proc/$p/status && echo $p";
        Ok::<_, Error>(node.exec(stopped)?.ok()?.line())
    })?;
    let log = world.ground().run.dir().join("calls.log");
    let mut strace = node.among_its_processes()?;
    strace.args(["strace", "-f", "-qq", "-e", "signal=none", "-p", &pid, "-o"]).arg(&log);
    let mut tracer = Session::start(strace, Duration::from_secs(120))?;
    eventually("strace to watch it", Duration::from_secs(20), || {
        let watched = format!("grep -q 'TracerPid:.[1-9]' /proc/{pid}/status");
        node.exec(&watched)?.ok().map(drop)
    })?;
    node.root_says(&format!("kill -CONT {pid}"))?;
    eventually("the daemon to serve", Duration::from_secs(30), || {
        node.exec("systemctl is-active iamd && busctl status org.iamd1")?.ok().map(drop)
    })?;
    warm(&node)?;
    let mut here = sign_in(&node, &issuer, "alice")?;
    for words in [
        "token --force-new",
        "token -s storage.read:/",
        "status",
        "account list",
        "doctor",
        "logout",
    ] {
        here.ask(&format!("iamctl {words} > /dev/null 2>&1; true"))?;
    }
    node.root_says(
        "iamctl admin users > /dev/null; iamctl admin reload; iamctl admin rekey > /dev/null",
    )?;
    here.send("exit\n")?;
    here.close()?;
    node.root_says("systemctl stop iamd")?;
    eventually("strace to end", Duration::from_secs(20), || match tracer.is_open() {
        true => Err(Error::Wrong("it goes on".into())),
        false => Ok(()),
    })?;
    let seen: BTreeSet<String> = std::fs::read_to_string(&log)?
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect();
    world.say(&format!("{} system calls are used: {seen:?}", seen.len()));
    assert!(seen.len() > 30, "{seen:?}");
    let list = |line: &str| -> Result<BTreeSet<String>, Error> {
        Ok(node.root_says(line)?.split_whitespace().map(str::to_owned).collect())
    };
    let members = |group: &str| {
        list(&format!("systemd-analyze syscall-filter --no-pager {group} | sed 1d | grep -v '#'"))
    };
    let allowed = list("systemctl show -p SystemCallFilter --value iamd")?;
    let beyond: Vec<_> = seen.difference(&allowed).collect();
    assert_eq!(beyond, Vec::<&String>::new(), "used and not allowed");
    let mut without_use = Vec::new();
    for group in members("@system-service")?.into_iter().filter(|name| name.starts_with('@')) {
        let its = members(&group)?;
        // What is left of a group that was taken away is what was given back by name.
        let left: BTreeSet<_> = its.intersection(&allowed).cloned().collect();
        let whole = its.iter().filter(|name| !name.starts_with('@')).count();
        if left.len() * 2 > whole && left.intersection(&seen).next().is_none() {
            without_use.push(group);
        }
    }
    assert_eq!(without_use, Vec::<String>::new(), "groups that nothing needs");
    Ok(())
}

const PATTERNS: &str = "/srv/patterns";

/// Secrets that were used and are over: rotated, revoked, forgotten.
fn r53_a_secret_that_was_used_is_not_in_the_memory_of_the_daemon(world: &World) -> Outcome {
    let spec = IssuerSpec::new("wiped.test").option("ROTATE", "always");
    let issuer = world.start_issuer(spec)?;
    let node = world.boot(Product::new(&issuer).on(world.spec("wiped")))?;
    warm(&node)?;
    let mut used = secrets(&issuer)?;
    sign_in_as(&node, &issuer, "alice", "test", "test")?;
    used.extend(secrets(&issuer)?);
    let mut tokens = BTreeSet::new();
    for words in ["", "--force-new", "-s storage.read:/", "--force-new"] {
        let said = node.exec_as("alice", &format!("iamctl token test {words}"))?.ok()?;
        tokens.insert(said.line());
        used.extend(secrets(&issuer)?);
    }
    // An own client, whose secret was used too; a passphrase, right and wrong.
    let add = "iamctl account add mine --issuer test --own-client --no-login";
    node.exec_as("alice", add)?.ok()?;
    let set = "iamctl account passphrase test --new-passphrase-fd 3 3<<<passphrase-Canary91";
    node.exec_as("alice", set)?;
    used.extend(secrets(&issuer)?);
    // The token that is held now is found: the search has teeth.
    let held = node.exec_as("alice", "iamctl token test")?.ok()?.line();
    node.put(PATTERNS, 0o600, "root", signature(&held).as_bytes())?;
    assert_ne!(memory::of_the_daemon(&node, PATTERNS)?, "", "the search finds nothing at all");
    for account in ["test", "mine"] {
        node.exec_as("alice", &format!("iamctl account remove {account} --yes"))?;
    }
    node.exec_as("alice", "iamctl logout test")?;
    used.extend(secrets(&issuer)?);
    tokens.insert(held);
    let mut patterns = used;
    patterns.retain(|secret| secret.len() >= 16);
    patterns.extend(tokens.iter().map(|token| signature(token)));
    patterns.insert("passphrase-Canary91".into());
    assert!(patterns.len() >= 8, "few secrets: {}", patterns.len());
    let lines: Vec<String> = patterns.into_iter().collect();
    node.put(PATTERNS, 0o600, "root", lines.join("\n").as_bytes())?;
    // Connections to the issuer are kept for some seconds; what went over them is in their buffers.
    eventually("the memory to hold no secret", Duration::from_secs(15), || {
        match memory::of_the_daemon(&node, PATTERNS)?.as_str() {
            "" => Ok(()),
            found => Err(Error::Wrong(found.to_owned())),
        }
    })?;
    Ok(())
}

/// What nobody could guess of a token.
fn signature(token: &str) -> String {
    token.rsplit('.').next().unwrap_or_default().to_owned()
}

fn secrets(issuer: &Issuer) -> Result<BTreeSet<String>, Error> {
    let list = issuer.control("GET", "secrets", None)?;
    let list = list.as_array().cloned().unwrap_or_default();
    Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}
